import { randomBytes } from 'node:crypto'
import { isVaultError, VaultError } from '../errors.ts'
import { newId, type KeyId } from '../ids.ts'
import { KEY_BYTES } from './aead.ts'
import { encodeScope, type KeyScope } from './binding.ts'
import { kekProviderOf } from './kek/keks.ts'
import { KEK_SLOTS, kekUnavailable, KeyringError, type Keks, type KekSlot, type WrappedKey } from './kek/provider.ts'

/** A tenant's or the vault's own key as the database holds it. */
export interface StoredKey {
  readonly id: KeyId
  readonly kekId: string
  readonly wrapped: WrappedKey
}

/** A known value wrapped by a KEK when it was first used: it tells a wrong KEK from a right one. */
export interface KekCheck {
  readonly kekId: string
  readonly check: WrappedKey
}

export interface KekCheckTable {
  listChecks (): Promise<KekCheck[]>
  insertCheck (check: KekCheck): Promise<void>
}

/** Wraps and unwraps keys. All of it throws `kek_unavailable` while a provider is away. */
export interface KeyWrapper {
  /** A fresh key for a scope, wrapped by its current KEK and not stored. */
  makeKey (scope: KeyScope): Promise<StoredKey>
  /** The bytes of a key, to be zero-filled after use. Throws `integrity_failure` when it can't be unwrapped. */
  unwrap (scope: KeyScope, stored: StoredKey): Promise<Buffer>
  /** The same key under the current KEK of its scope. Throws `integrity_failure`. */
  rewrap (scope: KeyScope, stored: StoredKey): Promise<StoredKey>
  /** Whether a stored key can be unwrapped. */
  isUsable (scope: KeyScope, stored: StoredKey): Promise<boolean>
  /** Throws a KeyringError when a KEK the database needs is missing or is not the same key, or one that is to be used can't be. */
  checkKeks (): Promise<void>
  /** The current KEK of a slot. */
  currentKekId (slot: KekSlot): string
  /** The same for one KEK. */
  checkKek (kekId: string): Promise<void>
}

const CHECK_CONTEXT = Buffer.from('connection-vault kek check 1')
const CHECK_VALUE = Buffer.alloc(KEY_BYTES, 0x5a)

export function createKeyWrapper ({ keks, checks }: { readonly keks: Keks, readonly checks: KekCheckTable }): KeyWrapper {
  /** On the first use of a KEK, leaves behind what lets a later start recognise it. */
  const recordKek = async (kekId: string): Promise<void> => {
    const known = await checks.listChecks()
    if (known.some((check) => check.kekId === kekId)) return
    await checks.insertCheck({ kekId, check: await keks.wrap(kekId, CHECK_VALUE, CHECK_CONTEXT) })
  }
  const wrap = async (scope: KeyScope, id: KeyId, bytes: Buffer): Promise<StoredKey> => {
    try {
      const kekId = keks.currentKekId(scope.kind === 'system' ? 'system' : scope.environment)
      await recordKek(kekId)
      return { id, kekId, wrapped: await keks.wrap(kekId, bytes, encodeScope(scope, id)) }
    } catch (error) {
      throw asUnavailable(error, '')
    } finally {
      bytes.fill(0)
    }
  }
  const unwrap = async (scope: KeyScope, { id, kekId, wrapped }: StoredKey): Promise<Buffer> => {
    const bytes = await keks.unwrap(kekId, wrapped, encodeScope(scope, id)).catch((error: unknown) => { throw asUnavailable(error, kekId) })
    if (bytes?.length !== KEY_BYTES) throw new VaultError('integrity_failure', { detail: 'A stored key can’t be unwrapped.' })
    return bytes
  }

  const checkKnown = async ({ kekId, check }: KekCheck): Promise<void> => {
    const value = await keks.unwrap(kekId, check, CHECK_CONTEXT)
    if (value === undefined || !value.equals(CHECK_VALUE)) {
      throw new KeyringError(`the KEK ${kekId} is not the one the database was sealed under, though it has the same name. Start with the keyring, or the key of the provider, that belongs to this database`)
    }
  }

  return Object.freeze({
    unwrap,
    makeKey: async (scope: KeyScope) => await wrap(scope, newId('key'), randomBytes(KEY_BYTES)),
    rewrap: async (scope: KeyScope, stored: StoredKey) => await wrap(scope, stored.id, await unwrap(scope, stored)),
    isUsable: async (scope: KeyScope, stored: StoredKey) => {
      try {
        const bytes = await unwrap(scope, stored)
        bytes.fill(0)
        return true
      } catch (error) {
        if (isVaultError(error, 'integrity_failure')) return false
        throw error
      }
    },
    checkKeks: async () => {
      const known = await checks.listChecks()
      for (const check of known) await checkKnown(check)
      const current = new Set(KEK_SLOTS.map((slot) => keks.currentKekId(slot)))
      for (const kekId of current) if (!known.some((check) => check.kekId === kekId)) await keks.health(kekId)
    },
    checkKek: async (kekId: string) => {
      const known = (await checks.listChecks()).find((check) => check.kekId === kekId)
      if (known === undefined) await keks.health(kekId)
      else await checkKnown(known)
    },
    currentKekId: (slot: KekSlot) => keks.currentKekId(slot),
  })
}

/** In a request, a KEK that is not held is one that can't be had now: somebody may bring it. */
function asUnavailable (error: unknown, kekId: string): Error {
  if (error instanceof KeyringError) return kekUnavailable(kekProviderOf(kekId), 'kek_missing')
  return error instanceof Error ? error : new Error('a key provider failed')
}
