import type { Environment } from '../../ids.ts'

/** A key encrypted under a KEK: branded so that it can't be taken for a key itself. */
export type WrappedKey = Buffer & { readonly __wrapped: true }

/** What a KEK is for: each environment may have its own, and so may the vault's own keys. */
export type KekSlot = Environment | 'system'

/**
 * Holder of key-encryption keys, outside the database. Two methods do the work; both throw
 * `KeyringError` when the KEK is not held and `VaultError('kek_unavailable')` when the provider
 * can't be reached.
 */
export interface KekProvider {
  readonly name: string
  currentKekId (slot: KekSlot): string
  wrap (kekId: string, key: Uint8Array, context: Uint8Array): Promise<WrappedKey>
  /** The key, or undefined when it was wrapped under another KEK, for another context, or changed. */
  unwrap (kekId: string, wrapped: WrappedKey, context: Uint8Array): Promise<Buffer | undefined>
}

/** The keyring and the database don't fit together; `message` says what to do. The start ends here. */
export class KeyringError extends Error {}
