import { isVaultError, type VaultError } from '../../errors.ts'
import { KEK_PROVIDERS, KeyringError, type KekProvider, type KekProviderName, type Keks, type KekSlot, type WrappedKey } from './provider.ts'

/** KEKs of a keyring file go by their bare ids, which have no colon; others by `<provider>:<its id>`. */
export function kekProviderOf (kekId: string): KekProviderName {
  return KEK_PROVIDERS.find((name) => kekId.startsWith(`${name}:`)) ?? 'local'
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
      throw new KeyringError(`the database was sealed under ${kekId}, and the provider ${name} is not configured. Configure it again until \`connection-vault keys rotate kek\` has moved every key away from it and \`keys retire --kek ${kekId}\` has said so`)
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

/** After a KEK could not be used, its next calls are answered at once for so long; then one of them tries again for all. */
const PAUSE_MS = 1_000

interface Trouble {
  readonly error: VaultError
  /** Nobody tries again yet. */
  resting: boolean
  /** Somebody is trying. */
  trying: boolean
}

/**
 * A provider over a network, which may be away: no call waits its time-out behind another's. Each
 * KEK is judged by itself: one that is disabled keeps nobody from the others.
 */
export function failFast (provider: KekProvider): KekProvider {
  const troubles = new Map<string, Trouble>()
  const guarded = async <T>(kekId: string, work: () => Promise<T>): Promise<T> => {
    const trouble = troubles.get(kekId)
    if (trouble !== undefined) {
      if (trouble.resting || trouble.trying) throw trouble.error
      trouble.trying = true
    }
    try {
      const result = await work()
      troubles.delete(kekId)
      return result
    } catch (error) {
      troubles.delete(kekId)
      if (isVaultError(error, 'kek_unavailable')) {
        const next = { error, resting: true, trying: false }
        troubles.set(kekId, next)
        setTimeout(() => { next.resting = false }, PAUSE_MS).unref()
      }
      throw error
    }
  }
  return Object.freeze({
    name: provider.name,
    wrap: (kekId: string, key: Uint8Array, context: Uint8Array) => guarded(kekId, () => provider.wrap(kekId, key, context)),
    unwrap: (kekId: string, wrapped: WrappedKey, context: Uint8Array) => guarded(kekId, () => provider.unwrap(kekId, wrapped, context)),
    health: (kekId: string) => provider.health(kekId),
  })
}
