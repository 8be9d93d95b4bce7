import { VaultError } from '../errors.ts'
import type { KeyId } from '../ids.ts'
import { encodeBinding, type BindingContext } from './binding.ts'
import { envelopeKeyId, openEnvelope, sealEnvelope, type Sealed } from './envelope.ts'
import type { Keyring, ScopeKey } from './keyring.ts'
import { reveal } from './reveal.ts'
import { Secret, type SecretFields } from './secret.ts'

export interface SealedWithKey {
  readonly sealed: Sealed
  /** To check, in the transaction that stores it, that this key is still the scope's current one. */
  readonly keyId: KeyId
}

export interface Sealer {
  /** Seals secret fields for one place, under the scope's current key. */
  seal (context: BindingContext, fields: SecretFields): Promise<SealedWithKey>
  /**
   * Opens what was sealed for exactly this place. Throws `integrity_failure` when the bytes, the
   * place or the key are not those of the sealing, `kek_unavailable` when the key can't be had.
   */
  open (context: BindingContext, sealed: Sealed): Promise<SecretFields>
}

export function createSealer (keyring: Keyring): Sealer {
  return Object.freeze({
    seal: async (context: BindingContext, fields: SecretFields) => {
      requireFieldSet(context, Object.keys(fields))
      const key = await keyring.current(context.scope)
      const plaintext = encodeFields(fields)
      const sealed = sealEnvelope(key, encodeBinding(context), plaintext)
      plaintext.fill(0)
      return { sealed, keyId: key.id }
    },
    open: async (context: BindingContext, sealed: Sealed) => {
      const id = envelopeKeyId(sealed)
      if (id === undefined) throw integrityFailure()
      const key = keyring.peek(context.scope, id) ?? await keyring.find(context.scope, id)
      if (key === undefined) throw integrityFailure()
      return openFields(key, context, sealed)
    },
  })
}

function openFields (key: ScopeKey, context: BindingContext, sealed: Sealed): SecretFields {
  const plaintext = openEnvelope(key, encodeBinding(context), sealed)
  if (plaintext === undefined) throw integrityFailure()
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
  const known = new Set(context.fieldSet)
  if (known.size !== names.length || names.some((name) => !known.has(name))) throw integrityFailure()
}

function integrityFailure (): VaultError {
  return new VaultError('integrity_failure', { detail: 'A sealed value does not belong where it was found.' })
}
