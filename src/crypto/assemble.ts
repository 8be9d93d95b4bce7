import type { Keks } from './kek/provider.ts'
import { createKeyWrapper, type KekCheckTable, type KeyWrapper } from './key-care.ts'
import { createKeyring, type Keyring, type KeyTable } from './keyring.ts'
import { createMacs, type Macs } from './mac.ts'
import { createSealer, type Sealer } from './seal.ts'

export type KeyCare = Omit<KeyWrapper, 'unwrap'> & Pick<Keyring, 'forgetCurrentKeys' | 'forgetWorkspace'>
export type Crypto = Sealer & { readonly macs: Macs } & KeyCare

export function createCrypto (options: { keks: Keks, keys: KeyTable, checks: KekCheckTable, cacheMs: number }): Crypto {
  const wrapper = createKeyWrapper(options)
  const keyring = createKeyring({ ...options, wrapper })
  // Bare keys stay in this room.
  const { unwrap: _unwrap, ...care } = wrapper
  const { forgetCurrentKeys, forgetWorkspace } = keyring
  return Object.freeze({ ...createSealer(keyring), macs: createMacs(keyring), ...care, forgetCurrentKeys, forgetWorkspace })
}
