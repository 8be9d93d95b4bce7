import { getKeySweep, guard, noteKeySweep, type SweepProgress } from '../store/index.ts'
import type { KeysOptions } from './options.ts'

/** Ends a process's turn at the sweep: it is stopping, or has lost its lease. */
export class TurnOver extends Error {}

/** How far a sweep is, while this process has it. */
export interface Meter {
  /** Counts what was done, and says so now and then. Throws TurnOver. */
  count (what: 'keysMade' | 'keysRewrapped' | 'rowsDone', number: number): Promise<void>
  /** Says how far it is, and what is over; false when the lease is another's, or more was asked for than is done. */
  note (progress?: SweepProgress): Promise<boolean>
  /** Counts a value that does not open. */
  fail (): void
  /** How fast ops want it, in rows a second. */
  readonly rowsPerSecond: number
}

export const LEASE_MS = 10_000
const NOTE_MS = 500
/** Unless ops ask for another: resolves and renewals have the database for themselves most of the time. */
const ROWS_PER_SECOND = 2_000

export function createMeter ({ database }: Pick<KeysOptions, 'database'>, fence: number, isDraining: () => boolean): Meter {
  let since = { keysMade: 0, keysRewrapped: 0, rowsDone: 0 }
  let notedAt = performance.now()
  let rowsFailed = 0
  let rowsPerSecond = ROWS_PER_SECOND

  const note = async (progress: SweepProgress = {}): Promise<boolean> => {
    const done = since
    since = { keysMade: 0, keysRewrapped: 0, rowsDone: 0 }
    notedAt = performance.now()
    return await guard(async () => {
      const kept = await noteKeySweep(database.db, { fence, leaseMs: LEASE_MS }, { ...done, rowsFailed, ...progress })
      rowsPerSecond = (await getKeySweep(database.db)).rowsPerSecond ?? ROWS_PER_SECOND
      return kept
    })
  }
  return {
    count: async (what, number) => {
      since[what] += number
      if (isDraining()) {
        await note()
        throw new TurnOver()
      }
      if (performance.now() - notedAt > NOTE_MS && !await note()) throw new TurnOver()
    },
    note,
    fail: () => { rowsFailed++ },
    get rowsPerSecond () { return rowsPerSecond },
  }
}
