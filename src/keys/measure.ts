import type { KeysOptions } from './options.ts'
import type { KeyOverview } from './overview.ts'

const DAY_SECONDS = 86_400
const WARN_EVERY_MS = 86_400_000

/** Sets the gauges, and says once a day what has been in use for too long. */
export function createKeyMeasure ({ metrics, log }: Pick<KeysOptions, 'metrics' | 'log'>, overview: () => Promise<KeyOverview>): () => Promise<void> {
  let warnedAt = -Infinity
  const set = ({ keks, keys, rowsToReseal }: KeyOverview, elsewhere: number): void => {
    metrics.keys.reset()
    for (const { slot, state, keys: number } of keys) metrics.keys.set({ slot, state }, number)
    for (const { slot, state, oldestSeconds } of keys) if (state === 'current') metrics.keyAge.set({ slot }, oldestSeconds)
    for (const { table, column, rows } of rowsToReseal) metrics.rowsToReseal.set({ table, column }, rows)
    for (const { currentFor, ageSeconds } of keks) for (const slot of currentFor) metrics.kekAge.set({ slot }, ageSeconds)
    metrics.keysElsewhere.set(elsewhere)
  }
  const warn = ({ keks, keys }: KeyOverview, elsewhere: number): void => {
    if (elsewhere > 0) log.warn({ keys: elsewhere }, 'keys are wrapped by a KEK that is no longer current: run `connection-vault keys rotate kek`')
    for (const { kekId, ageSeconds } of keks.filter(({ overdue }) => overdue)) log.warn({ kek_id: kekId, days: days(ageSeconds) }, 'a KEK is past its cryptoperiod')
    for (const { slot, oldestSeconds } of keys.filter(({ overdue }) => overdue)) {
      log.warn({ slot, days: days(oldestSeconds) }, 'a key is past its cryptoperiod: run `connection-vault keys rotate`')
    }
  }
  return async () => {
    const now = await overview()
    const elsewhere = now.keks.filter(({ currentFor }) => currentFor.length === 0).reduce((sum, { keys }) => sum + keys, 0)
    set(now, elsewhere)
    if (performance.now() - warnedAt < WARN_EVERY_MS) return
    warnedAt = performance.now()
    warn(now, elsewhere)
  }
}

function days (seconds: number): number {
  return Math.floor(seconds / DAY_SECONDS)
}
