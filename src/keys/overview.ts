import { kekProviderOf, KEK_SLOTS, type KekSlot } from '../crypto/index.ts'
import { countKeys, countRowsToReseal, getKeySweep, guard, listKekUses, type KekUse, type KeyCount, type KeySweep, type RowCount } from '../store/index.ts'
import type { KeysOptions } from './options.ts'

/** A KEK in use, or one that is current and has wrapped nothing yet. */
export interface KekOverview {
  readonly kekId: string
  readonly provider: string
  readonly currentFor: readonly KekSlot[]
  readonly firstUsedAt: Date | null
  readonly ageSeconds: number
  /** Keys it wraps now. */
  readonly keys: number
  /** Current for longer than its cryptoperiod. */
  readonly overdue: boolean
}

/** How the keys stand. */
export interface KeyOverview {
  readonly keks: readonly KekOverview[]
  readonly keys: readonly (KeyCount & { readonly overdue: boolean })[]
  /** Of every sealed column, those with none included. */
  readonly rowsToReseal: readonly RowCount[]
  readonly sweep: KeySweep
}

const DAY_SECONDS = 86_400

export function createOverview ({ database, crypto, columns, cryptoperiods }: Pick<KeysOptions, 'database' | 'crypto' | 'columns' | 'cryptoperiods'>) {
  const describe = ({ kekId, createdAt, ageSeconds, keys }: Omit<KekUse, 'createdAt'> & { createdAt: Date | null }): KekOverview => {
    const currentFor = KEK_SLOTS.filter((slot) => crypto.currentKekId(slot) === kekId)
    const overdue = currentFor.length > 0 && ageSeconds > cryptoperiods.kekDays * DAY_SECONDS
    return { kekId, provider: kekProviderOf(kekId), currentFor, firstUsedAt: createdAt, ageSeconds, keys, overdue }
  }
  return {
    overview: async (): Promise<KeyOverview> => await guard(async () => {
      const keks = await listKekUses(database.db)
      const keys = await countKeys(database.db)
      const rowsToReseal = await countRowsToReseal(database.db, columns)
      const current = new Set(KEK_SLOTS.map((slot) => crypto.currentKekId(slot)))
      const unused = [...current].filter((kekId) => !keks.some((kek) => kek.kekId === kekId))
      return {
        keks: [...keks, ...unused.map((kekId) => ({ kekId, createdAt: null, ageSeconds: 0, keys: 0 }))].map(describe),
        keys: keys.map((key) => ({ ...key, overdue: key.state === 'current' && key.oldestSeconds > cryptoperiods.keyDays * DAY_SECONDS })),
        rowsToReseal,
        sweep: await getKeySweep(database.db),
      }
    }),
  }
}
