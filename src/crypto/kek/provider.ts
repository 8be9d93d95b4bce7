import { VaultError } from '../../errors.ts'
import type { Environment } from '../../ids.ts'
import { KEY_BYTES } from '../aead.ts'

/** A key encrypted under a KEK: branded so that it can't be taken for a key itself. */
export type WrappedKey = Buffer & { readonly __wrapped: true }

/** What a KEK is for: each environment may have its own, and so may the vault's own keys. */
export type KekSlot = Environment | 'system'
export const KEK_SLOTS: readonly KekSlot[] = ['sandbox', 'live', 'system']

/**
 * Holder of key-encryption keys, outside the database. Its methods throw `KeyringError` where
 * somebody has to do something (the KEK is not held, or not any more) and
 * `VaultError('kek_unavailable')` where waiting may help.
 */
export interface KekProvider {
  readonly name: KekProviderName
  /** Encrypts a key of 32 bytes for a context, which is not in the result. The same key gives another result each time. */
  wrap (kekId: string, key: Uint8Array, context: Uint8Array): Promise<WrappedKey>
  /**
   * The key, in a buffer of the caller's own, to be zero-filled after use. Undefined when it was
   * wrapped under another KEK, for another context, or changed, and when it is not 32 bytes.
   */
  unwrap (kekId: string, wrapped: WrappedKey, context: Uint8Array): Promise<Buffer | undefined>
  /** Resolves when this KEK can be used now. */
  health (kekId: string): Promise<void>
}

export const KEK_PROVIDERS = ['local', 'aws-kms', 'vault-transit', 'pkcs11'] as const
export type KekProviderName = typeof KEK_PROVIDERS[number]

/** The KEKs of a vault: those that wrap new keys, and all that may have wrapped old ones. */
export interface Keks extends Omit<KekProvider, 'name'> {
  currentKekId (slot: KekSlot): string
}

/** One exchange with a provider over HTTP; `egress` implements it. Never throws. */
export type KekTransport = (request: KekRequest) => Promise<KekAnswer | { readonly kind: string, readonly detail: string }>

export interface KekRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly timeoutMs: number
  readonly maxResponseBytes: number
  readonly signal?: AbortSignal
}

export interface KekAnswer {
  readonly kind: 'answer'
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Keys that don't fit the database, or can't be read; `message` says what to do and holds no key. */
export class KeyringError extends Error {}

/** Only 32 bytes are a key: anything else that a provider answers is zero-filled and not handed on. */
export function asKey (bytes: Buffer | undefined): Buffer | undefined {
  if (bytes === undefined || bytes.length === KEY_BYTES) return bytes
  bytes.fill(0)
  return undefined
}

/** Throws when a provider could not be reached, or may not be. */
export function requireAnswer (provider: KekProviderName, answer: Awaited<ReturnType<KekTransport>>): KekAnswer {
  if (answer.kind === 'answer') return answer as KekAnswer
  if (answer.kind !== 'blocked') throw kekUnavailable(provider, answer.kind)
  const { detail } = answer as { readonly detail: string }
  throw new KeyringError(`${provider}: ${detail} If it is meant, name its host:port in EGRESS_ALLOW_KEK`)
}

/** Work of at most so long, whatever it waits for. The signal ends what can be ended. */
export async function within<T> (provider: KekProviderName, ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ending = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(kekUnavailable(provider, 'timeout'))
      ending.abort()
    }, ms)
  })
  try {
    return await Promise.race([work(ending.signal), late])
  } finally {
    clearTimeout(timer)
  }
}

/** How long callers are asked to wait for a provider that is away. */
const RETRY_AFTER_SECONDS = 2

/** `reason` is a word of the provider's protocol, for the log. */
export function kekUnavailable (provider: KekProviderName, reason: string): VaultError {
  return new VaultError('kek_unavailable', {
    detail: 'The key provider can’t be used at the moment.', retryAfterSeconds: RETRY_AFTER_SECONDS, cause: Object.assign(new Error(`${provider}: ${reason}`), { code: reason }),
  })
}
