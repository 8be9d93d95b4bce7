import { isVaultError, VaultError } from '../errors.ts'
import type { KeyId } from '../ids.ts'
import { sameDigest } from './bearer-token.ts'
import { encodeBinding, nameScope, type BindingContext, type KeyScope } from './binding.ts'
import { deriveOpener, envelopeKeyId, openEnvelope, openWith, sealEnvelope, type EnvelopeOpener, type Sealed, type SealedPayload } from './envelope.ts'
import type { Keyring, ScopeKey } from './keyring.ts'
import { sha256 } from './mac.ts'
import { openResealThread, type KeyPair, type ResealThread, type ResealValue } from './reseal-thread.ts'
import { reveal } from './reveal.ts'
import { Secret, type SecretFields } from './secret.ts'

export interface SealedWithKey<T = Sealed> {
  readonly sealed: T
  /** To check, in the transaction that stores it, that this key is still the scope's current one. */
  readonly keyId: KeyId
}

export interface Sealer {
  /** Seals secret fields for one place, under the scope's current key. */
  seal (context: BindingContext, fields: SecretFields): Promise<SealedWithKey>
  /**
   * Opens what was sealed for exactly this place. Throws `integrity_failure` when the bytes, the
   * place or the key are not those of the sealing, `kek_unavailable` when the key can't be had.
   * `beforeWait` is called when the key is not in memory and has to be asked for.
   */
  open (context: BindingContext, sealed: Sealed, beforeWait?: () => void): Promise<SecretFields>
  /**
   * Opens what was opened before with the same context object, without waiting and without deriving
   * its data key anew. Undefined for what was not, once its key is no longer in memory, or when it does not open.
   */
  openAgain (context: BindingContext, sealed: Sealed): SecretFields | undefined
  /** Seals what is no credential, and yet nobody's but its tenant's. The bytes are zero-filled. */
  sealPayload (context: BindingContext, bytes: Buffer): Promise<SealedWithKey<SealedPayload>>
  /** Opens a payload, as `open` does a credential. */
  openPayload (context: BindingContext, sealed: SealedPayload): Promise<Buffer>
  /** What seals values again, for the same places, under their scopes' current keys: what they hold never leaves. */
  openResealing (): Resealing
  /** Which key sealed it, as it says itself; undefined when it is no sealed value at all. */
  keyOf (sealed: Sealed | SealedPayload): KeyId | undefined
  /** Whether it opens here; throws only `kek_unavailable`. */
  isIntact (context: BindingContext, sealed: Sealed | SealedPayload): Promise<boolean>
}

/** A sealed value, and where it belongs. */
export interface PlacedValue<T = Sealed | SealedPayload> {
  readonly context: BindingContext
  readonly sealed: T
}

/** It has a thread, from the first value on: many values don't keep those waiting who need one. */
export interface Resealing {
  /** In their order; undefined for a value that does not open where it was found. Throws `kek_unavailable` when a key can't be had. */
  reseal <T extends Sealed | SealedPayload> (values: readonly PlacedValue<T>[]): Promise<(SealedWithKey<T> | undefined)[]>
  /** Ends the thread. Nothing may be under way. */
  close (): Promise<void>
}

interface Asked {
  readonly sealed: Sealed | SealedPayload
  readonly beforeWait?: (() => void) | undefined
}

/** The key that sealed it. Throws `integrity_failure` when its scope has none such. */
async function keyFor (keyring: Keyring, { scope }: BindingContext, { sealed, beforeWait }: Asked): Promise<ScopeKey> {
  const id = envelopeKeyId(sealed)
  if (id === undefined) throw integrityFailure()
  const known = keyring.peek(scope, id)
  if (known !== undefined) return known
  beforeWait?.()
  const found = await keyring.find(scope, id)
  if (found === undefined) throw integrityFailure()
  return found
}

/** What opens credentials: the most often of all, and the same ones again and again. */
function createFieldOpener (keyring: Keyring): Pick<Sealer, 'open' | 'openAgain'> {
  const remembered = createOpenerMemory()
  return {
    open: async (context: BindingContext, sealed: Sealed, beforeWait?: () => void) => {
      const key = await keyFor(keyring, context, { sealed, beforeWait })
      const opener = deriveOpener(key, encodeBinding(context), sealed)
      const plaintext = opener && openWith(opener, sealed)
      if (opener === undefined || plaintext === undefined) throw integrityFailure()
      remembered.add({ context, sealed, key, opener })
      return readFields(context, plaintext)
    },
    openAgain: (context: BindingContext, sealed: Sealed) => {
      const id = remembered.keyIdOf(context, sealed)
      const key = id && keyring.peek(context.scope, id)
      const opener = key && remembered.find(context, key)
      const plaintext = opener && openWith(opener, sealed)
      return plaintext && readFields(context, plaintext)
    },
  }
}

interface Opened {
  readonly context: BindingContext
  readonly sealed: Sealed
  readonly key: ScopeKey
  readonly opener: EnvelopeOpener
}

/**
 * What has opened a value once. It lives no longer than the context object it was opened with, nor
 * than the key it was derived from: with a key that is dropped from memory all that it opens is gone.
 */
function createOpenerMemory () {
  const values = new WeakMap<BindingContext, { sealed: Sealed, keyId: KeyId, openers: WeakMap<ScopeKey, EnvelopeOpener> }>()
  return {
    add: ({ context, sealed, key, opener }: Opened) => { values.set(context, { sealed, keyId: key.id, openers: new WeakMap([[key, opener]]) }) },
    /** Which key opens it; undefined for another value than the one that was opened. */
    keyIdOf: (context: BindingContext, sealed: Sealed) => {
      const value = values.get(context)
      return value?.sealed === sealed ? value.keyId : undefined
    },
    find: (context: BindingContext, key: ScopeKey) => values.get(context)?.openers.get(key),
  }
}

export function createSealer (keyring: Keyring): Sealer {
  const sealBytes = async (context: BindingContext, plaintext: Buffer): Promise<SealedWithKey<Buffer>> => {
    const key = await keyring.current(context.scope)
    const sealed = sealEnvelope(key, encodeBinding(context), plaintext)
    plaintext.fill(0)
    return { sealed, keyId: key.id }
  }
  const openBytes = async (context: BindingContext, sealed: Sealed | SealedPayload): Promise<Buffer> => {
    const plaintext = openEnvelope(await keyFor(keyring, context, { sealed }), encodeBinding(context), sealed)
    if (plaintext === undefined) throw integrityFailure()
    return plaintext
  }
  return Object.freeze({
    seal: async (context: BindingContext, fields: SecretFields) => {
      requireFieldSet(context, Object.keys(fields))
      return await sealBytes(context, encodeFields(fields)) as SealedWithKey
    },
    ...createFieldOpener(keyring),
    sealPayload: async (context: BindingContext, bytes: Buffer) => await sealBytes(context, bytes) as SealedWithKey<SealedPayload>,
    openPayload: async (context: BindingContext, sealed: SealedPayload) => await openBytes(context, sealed),
    openResealing: () => createResealing(keyring),
    keyOf: envelopeKeyId,
    isIntact: async (context: BindingContext, sealed: Sealed | SealedPayload) => {
      try {
        const plaintext = await openBytes(context, sealed)
        plaintext.fill(0)
        return true
      } catch (error) {
        if (isVaultError(error, 'integrity_failure')) return false
        throw error
      }
    },
  })
}

function createResealing (keyring: Keyring): Resealing {
  let thread: ResealThread | undefined

  const findKeys = async (scope: KeyScope, id: KeyId): Promise<KeyPair | undefined> => {
    const from = await keyring.find(scope, id)
    return from && { from, to: await keyring.current(scope) }
  }

  /** What the thread needs of a value; undefined where nothing has sealed it that is its scope's. A key is had once for all values of a batch. */
  const prepare = async ({ context, sealed }: PlacedValue, known: Map<string, Promise<KeyPair | undefined>>): Promise<ResealValue | undefined> => {
    const id = envelopeKeyId(sealed)
    if (id === undefined) return undefined
    const name = nameScope(context.scope, id)
    const asked = known.get(name) ?? findKeys(context.scope, id)
    known.set(name, asked)
    const keys = await asked
    return keys && { keys, binding: encodeBinding(context), sealed }
  }

  return Object.freeze({
    reseal: async <T extends Sealed | SealedPayload> (values: readonly PlacedValue<T>[]) => {
      const known = new Map<string, Promise<KeyPair | undefined>>()
      const prepared = await Promise.all(values.map((value) => prepare(value, known)))
      const ready = prepared.filter((value) => value !== undefined)
      if (ready.length === 0) return values.map(() => undefined)
      const again = await (thread ??= openResealThread()).run(ready)
      let next = 0
      return prepared.map((value) => {
        const bytes = value && again[next++]
        return value && bytes && { sealed: bytes as T, keyId: value.keys.to.id }
      })
    },
    close: async () => { await thread?.close() },
  })
}

/** Whether two secrets hold the same, in a time that does not tell how much of it. */
export function isSameSecret (a: Secret, b: Secret): boolean {
  return sameDigest(sha256(reveal(a)), sha256(reveal(b)))
}

function readFields (context: BindingContext, plaintext: Buffer): SecretFields {
  const pairs = JSON.parse(plaintext.toString('utf8')) as [string, string][]
  plaintext.fill(0)
  // fromEntries defines properties; assigning would let a field called `__proto__` become one.
  const fields = Object.fromEntries(pairs.map(([name, value]) => [name, new Secret(value)]))
  requireFieldSet(context, Object.keys(fields))
  return Object.freeze(fields)
}

function encodeFields (fields: SecretFields): Buffer {
  return Buffer.from(JSON.stringify(Object.entries(fields).map(([name, secret]) => [name, reveal(secret)])), 'utf8')
}

function requireFieldSet (context: BindingContext, names: readonly string[]): void {
  const { fieldSet } = context
  if (!names.every((name) => fieldSet.includes(name)) || !fieldSet.every((name) => names.includes(name))) throw integrityFailure()
}

function integrityFailure (): VaultError {
  return new VaultError('integrity_failure', { detail: 'A sealed value does not belong where it was found.' })
}
