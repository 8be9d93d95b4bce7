/**
 * Custody: the only room that encrypts, and the only one with `node:crypto`.
 *
 * Invariants
 * - Every sealing names the place it is for (`BindingContext`); there is no way to seal or open without one.
 * - Keys come wrapped from outside, are unwrapped in memory, and leave this room only as KeyObjects inside closures. Of its files, `reseal-worker.ts` runs in a thread of its own.
 * - Plaintext leaves as `Secret`. `reveal` and `wrapSecret` are not exported here: importing those files is a permission.
 */
export { createCrypto, type Crypto, type KeyCare } from './assemble.ts'
export { isAgentKey, isSignedBy } from './agent-key.ts'
export { createBearerToken, createOneTimeToken, hashBearerToken, randomNonce, sameDigest } from './bearer-token.ts'
export type { BindingContext, KeyScope, SealPurpose } from './binding.ts'
export type { Sealed, SealedPayload } from './envelope.ts'
export { openAwsKms } from './kek/aws-kms.ts'
export { createKeks, failFast, kekProviderOf } from './kek/keks.ts'
export { addLocalKeks, createLocalKeyring, listLocalKeks, openLocalKeyring, removeLocalKek, useLocalKek } from './kek/local.ts'
export { openPkcs11 } from './kek/pkcs11.ts'
export { KEK_PROVIDERS, KEK_SLOTS, KeyringError, type KekProvider, type Keks, type KekSlot, type KekTransport, type WrappedKey } from './kek/provider.ts'
export { openVaultTransit } from './kek/vault-transit.ts'
export type { KekCheck, KekCheckTable, StoredKey } from './key-care.ts'
export type { KeyTable } from './keyring.ts'
export { hmacSha256, sha256, type Fingerprint, type Mac, type MacKey, type MacPurpose, type Macs } from './mac.ts'
export { isSameSecret, type Resealing, type SealedWithKey } from './seal.ts'
export { createSigningSecret, signingKeyOf, type NewSigningSecret } from './signing-secret.ts'
export { Secret, type SecretFields } from './secret.ts'
