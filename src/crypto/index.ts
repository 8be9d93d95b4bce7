/**
 * Custody: the only room that encrypts, and the only one with `node:crypto`.
 *
 * Invariants
 * - Every sealing names the place it is for (`BindingContext`); there is no way to seal or open without one.
 * - Keys come wrapped from outside, are unwrapped in memory, and leave this room only as KeyObjects inside closures.
 * - Plaintext leaves as `Secret`. `reveal` and `wrapSecret` are not exported here: importing those files is a permission.
 */
import type { KekProvider } from './kek/provider.ts'
import { createKeyring, type KekCheckTable, type Keyring, type KeyTable } from './keyring.ts'
import { createMacs, type Macs } from './mac.ts'
import { createSealer, type Sealer } from './seal.ts'

export { isAgentKey, isSignedBy } from './agent-key.ts'
export { createBearerToken, createOneTimeToken, hashBearerToken, randomNonce, sameDigest } from './bearer-token.ts'
export type { BindingContext, KeyScope, SealPurpose } from './binding.ts'
export type { Sealed, SealedPayload } from './envelope.ts'
export { createLocalKeyring, openLocalKeyring } from './kek/local.ts'
export { KeyringError, type KekProvider, type WrappedKey } from './kek/provider.ts'
export type { KekCheck, KekCheckTable, KeyTable, StoredKey } from './keyring.ts'
export { hmacSha256, sha256, type Mac, type MacKey, type MacPurpose, type Macs } from './mac.ts'
export type { SealedWithKey } from './seal.ts'
export { createSigningSecret, signingKeyOf, type NewSigningSecret } from './signing-secret.ts'
export { Secret, type SecretFields } from './secret.ts'

export type Crypto = Sealer & { readonly macs: Macs } & Pick<Keyring, 'checkKeks'>

export function createCrypto (options: { keks: KekProvider, keys: KeyTable, checks: KekCheckTable, cacheMs: number }): Crypto {
  const keyring = createKeyring(options)
  return Object.freeze({ ...createSealer(keyring), macs: createMacs(keyring), checkKeks: keyring.checkKeks })
}
