import { createHash, createHmac, createSecretKey, hkdfSync, timingSafeEqual, type KeyObject } from 'node:crypto'
import type { KeyId } from '../ids.ts'
import type { Keyring } from './keyring.ts'

/** What a MAC of the vault's own key is for; each purpose has a key of its own, derived by HKDF. */
export type MacPurpose = 'audit-batch' | 'audit-link' | 'audit-checkpoint' | 'request-fingerprint'

export interface Mac {
  readonly keyId: KeyId
  readonly mac: Buffer
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
}

const SYSTEM = { kind: 'system' } as const

export function createMacs (keyring: Keyring): Macs {
  const derive = (key: KeyObject, purpose: MacPurpose) =>
    createSecretKey(Buffer.from(hkdfSync('sha256', key, '', `connection-vault mac 1 ${purpose}`, 32)))

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
      if (root === undefined) return false
      const expected = createHmac('sha256', derive(root.key, purpose)).update(data).digest()
      return mac.mac.length === expected.length && timingSafeEqual(mac.mac, expected)
    },
  })
}

/** SHA-256 (FIPS 180-4). */
export function sha256 (data: Uint8Array | string): Buffer {
  return createHash('sha256').update(data).digest()
}
