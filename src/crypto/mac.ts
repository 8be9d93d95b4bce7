import { createHmac, createSecretKey, hash, hkdfSync, timingSafeEqual, type KeyObject } from 'node:crypto'
import { VaultError } from '../errors.ts'
import type { KeyId } from '../ids.ts'
import type { Keyring, ScopeKey } from './keyring.ts'

/** What a MAC of the vault's own key is for; each purpose has a key of its own, derived by HKDF. */
export type MacPurpose = 'audit-batch' | 'audit-link' | 'audit-checkpoint' | 'request-fingerprint' | 'agent-challenge' | 'agent-token'

export interface Mac {
  readonly keyId: KeyId
  readonly mac: Buffer
}

/**
 * What a request was, told apart without being kept: requests hold secrets, and a bare digest of
 * one could be guessed at.
 */
export interface Fingerprint {
  /** To be stored. */
  readonly bytes: Buffer
  /** Whether a stored one is of the same request, also when the vault's key was replaced since. */
  matches (stored: Uint8Array): boolean
  /** Every form in which it may have been stored. */
  readonly forms: readonly Buffer[]
}

/** HMAC-SHA-256 (RFC 2104) under a key derived from the vault's own key, never a tenant's. */
export interface MacKey {
  compute (data: Uint8Array | string): Mac
}

export interface Macs {
  /** The current key of a purpose. */
  key (purpose: MacPurpose): Promise<MacKey>
  /** Whether a MAC made under any key, current or not, is right. Constant time. */
  verify (purpose: MacPurpose, data: Uint8Array | string, mac: Mac): Promise<boolean>
  /** The same of a MAC that does not say its key: every key there is is tried. */
  verifyByAny (purpose: MacPurpose, data: Uint8Array | string, mac: Buffer): Promise<boolean>
  fingerprint (data: string): Promise<Fingerprint>
}

const SYSTEM = { kind: 'system' } as const

export function createMacs (keyring: Keyring): Macs {
  // Gone together with the root key, which the keyring keeps for a while only.
  const derived = new WeakMap<KeyObject, Readonly<Record<MacPurpose, KeyObject>>>()
  const derive = (root: KeyObject, purpose: MacPurpose): KeyObject => {
    const known = derived.get(root)
    if (known !== undefined) return known[purpose]
    const of = (name: MacPurpose) => createSecretKey(Buffer.from(hkdfSync('sha256', root, '', `connection-vault mac 1 ${name}`, 32)))
    const made = {
      'audit-batch': of('audit-batch'), 'audit-link': of('audit-link'), 'audit-checkpoint': of('audit-checkpoint'),
      'request-fingerprint': of('request-fingerprint'), 'agent-challenge': of('agent-challenge'), 'agent-token': of('agent-token'),
    }
    derived.set(root, made)
    return made[purpose]
  }

  const compute = ({ key }: ScopeKey, purpose: MacPurpose, data: Uint8Array | string): Buffer => createHmac('sha256', derive(key, purpose)).update(data).digest()

  return Object.freeze({
    key: async (purpose: MacPurpose) => {
      const root = await keyring.current(SYSTEM)
      const key = derive(root.key, purpose)
      return Object.freeze({
        compute: (data: Uint8Array | string) => ({ keyId: root.id, mac: createHmac('sha256', key).update(data).digest() }),
      })
    },
    verify: async (purpose: MacPurpose, data: Uint8Array | string, mac: Mac) => {
      const root = await keyring.find(SYSTEM, mac.keyId)
      return root !== undefined && isEqual(compute(root, purpose, data), mac.mac)
    },
    verifyByAny: async (purpose: MacPurpose, data: Uint8Array | string, mac: Buffer) =>
      (await keyring.listAll(SYSTEM)).some((root) => isEqual(compute(root, purpose, data), mac)),
    fingerprint: async (data: string) => {
      const roots = await keyring.listRecent(SYSTEM)
      const forms = roots.map((root) => createHmac('sha256', derive(root.key, 'request-fingerprint')).update(data).digest())
      const [bytes] = forms
      if (bytes === undefined) throw new VaultError('internal', { detail: 'The vault has no key.' })
      return Object.freeze({
        bytes, forms,
        matches: (stored: Uint8Array) => forms.some((form) => isEqual(form, stored)),
      })
    },
  })
}

/** SHA-256 (FIPS 180-4). */
export function sha256 (data: Uint8Array | string): Buffer {
  return hash('sha256', data, 'buffer')
}

/** HMAC-SHA-256 (RFC 2104) under a key that is not the vault's own: one shared with a receiver. */
export function hmacSha256 (key: Uint8Array, data: Uint8Array | string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

function isEqual (expected: Buffer, given: Uint8Array): boolean {
  return expected.length === given.length && timingSafeEqual(expected, given)
}
