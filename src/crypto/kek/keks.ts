import { isVaultError, type VaultError } from '../../errors.ts'
import { KeyringError, type KekProvider, type KekProviderName, type Keks, type KekSlot, type WrappedKey } from './provider.ts'

/** KEKs of a keyring file go by their bare ids, which have no colon; others by `<provider>:<its id>`. */
export function kekProviderOf (kekId: string): KekProviderName {
  if (kekId.startsWith('aws-kms:')) return 'aws-kms'
  return kekId.startsWith('vault-transit:') ? 'vault-transit' : 'local'
}

/**
 * Several providers as one: new keys go to the current KEK of their slot, old ones to whoever
 * wrapped them. That is how keys move from one provider to another while both are configured.
 */
export function createKeks (providers: readonly KekProvider[], currentKekId: (slot: KekSlot) => string): Keks {
  const of = (kekId: string): KekProvider => {
    const name = kekProviderOf(kekId)
    const provider = providers.find((one) => one.name === name)
    if (provider === undefined) {
      throw new KeyringError(`the database was sealed under ${kekId}, and the provider ${name} is not configured. Configure it again until \`connection-vault keys rotate kek\` has moved every key away from it`)
    }
    return provider
  }
  return Object.freeze({
    currentKekId,
    wrap: async (kekId: string, key: Uint8Array, context: Uint8Array) => await of(kekId).wrap(kekId, key, context),
    unwrap: async (kekId: string, wrapped: WrappedKey, context: Uint8Array) => await of(kekId).unwrap(kekId, wrapped, context),
    health: async (kekId: string) => { await of(kekId).health(kekId) },
  })
}

/** After a provider could not be used, the next calls are answered at once for so long: none of them waits its time-out in turn. */
const PAUSE_MS = 1_000

/** A provider over a network, which may be away. */
export function failFast (provider: KekProvider): KekProvider {
  let away: VaultError | undefined
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    if (away !== undefined) throw away
    try {
      return await work()
    } catch (error) {
      if (isVaultError(error, 'kek_unavailable') && away === undefined) {
        away = error
        setTimeout(() => { away = undefined }, PAUSE_MS).unref()
      }
      throw error
    }
  }
  return Object.freeze({
    name: provider.name,
    wrap: (kekId: string, key: Uint8Array, context: Uint8Array) => guarded(() => provider.wrap(kekId, key, context)),
    unwrap: (kekId: string, wrapped: WrappedKey, context: Uint8Array) => guarded(() => provider.unwrap(kekId, wrapped, context)),
    health: (kekId: string) => provider.health(kekId),
  })
}
