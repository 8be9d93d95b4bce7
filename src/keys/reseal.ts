import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import type { KeyScope } from '../crypto/index.ts'
import { isVaultError } from '../errors.ts'
import {
  countRowsToReseal, guard, holdCurrentKeys, listPreviousKeys, listRowsUnder, nameOfRow, replaceSealedRows,
  type OwnedKey, type ResealedRow, type SealedColumn, type SealedRow,
} from '../store/index.ts'
import type { KeysOptions } from './options.ts'
import type { Meter } from './meter.ts'
import { SYSTEM } from './replace.ts'

const KEYS_PAGE = 100
const ROWS_PAGE = 200
/** Rows sealed again before others get a turn of the processor: about a millisecond. */
const ROWS_TURN = 20
/** Values that don't open are left as they are, reported, and looked at by a person; so many of a column end its turn. */
const FAILED_MAX = 1_000
const LOCKED_PAUSE_MS = 50

/** Seals again, under the current keys, whatever is under keys that were replaced. */
export async function resealRows (options: KeysOptions, meter: Meter): Promise<void> {
  const { database, crypto, columns } = options
  crypto.forgetCurrentKeys()
  const total = (await guard(() => countRowsToReseal(database.db, columns))).reduce((sum, { rows }) => sum + rows, 0)
  await meter.note({ rowsTotal: total })
  const failed = new Map(columns.map((column) => [column, [] as string[]]))
  for (let after: OwnedKey | undefined; ;) {
    const keys = await guard(() => listPreviousKeys(database.db, { after, limit: KEYS_PAGE }))
    for (const column of columns) {
      for (const kind of column.owners) {
        const its = keys.filter((key) => key.kind === kind)
        if (its.length > 0) await resealColumn(options, { column, kind, keys: its, failed: failed.get(column) ?? [] }, meter)
      }
    }
    after = keys.findLast(({ kind }) => kind === 'workspace')
    if (after === undefined) return
  }
}

interface Part {
  readonly column: SealedColumn
  readonly kind: KeyScope['kind']
  readonly keys: readonly OwnedKey[]
  /** Names of rows that don't open. */
  readonly failed: string[]
}

async function resealColumn (options: KeysOptions, part: Part, meter: Meter): Promise<void> {
  const { database } = options
  while (part.failed.length < FAILED_MAX) {
    const rows = await guard(() => listRowsUnder(database.db, part.column, { keys: part.keys, except: part.failed, limit: ROWS_PAGE }))
    if (rows.length === 0) return
    const startedMs = performance.now()
    const done = await resealPage(options, { ...part, rows }, meter)
    await meter.count('rowsDone', done)
    const restMs = rows.length / meter.rowsPerSecond * 1_000 - (performance.now() - startedMs)
    await sleep(done === 0 ? LOCKED_PAUSE_MS : Math.max(0, restMs))
  }
}

/** Seals some rows again and puts them in the place of the old ones; answers how many. */
async function resealPage (options: KeysOptions, page: Part & { readonly rows: readonly SealedRow[] }, meter: Meter): Promise<number> {
  const { database, crypto } = options
  const resealed: ResealedRow[] = []
  for (const [index, row] of page.rows.entries()) {
    if (index % ROWS_TURN === ROWS_TURN - 1) await setImmediate()
    const made = await resealOne(options, page, row)
    if (made === undefined) meter.fail()
    else resealed.push(made)
  }
  if (resealed.length === 0) return 0
  const owner = ({ from }: ResealedRow) => page.kind === 'system' ? '' : String(from.row['workspace_id'])
  const keys = new Map(resealed.map((one) => [`${owner(one)} ${one.keyId}`, { workspaceId: owner(one), id: one.keyId }]))
  const done = await database.transaction(async (tx) =>
    await holdCurrentKeys(tx, page.kind, [...keys.values()]) ? await replaceSealedRows(tx, page.column, resealed) : undefined)
  // Replaced again meanwhile: the rows come once more, and are sealed under the newest.
  if (done === undefined) crypto.forgetCurrentKeys()
  return done ?? 0
}

async function resealOne ({ crypto, ledger, log, metrics }: KeysOptions, { column, failed }: Part, from: SealedRow): Promise<ResealedRow | undefined> {
  try {
    return { from, ...await crypto.reseal(column.bindingOf(from.row), from.sealed) }
  } catch (error) {
    if (!isVaultError(error, 'integrity_failure')) throw error
    const name = nameOfRow(column, from.row)
    failed.push(name)
    metrics.integrityFailures.inc()
    log.error({ table: column.table, row: name }, 'a sealed value does not open where it was found, and stays as it is')
    const owner = from.row['workspace_id']
    ledger.recordSoon({
      event: 'integrity.failed', outcome: 'failed', reason: 'integrity_failure', principal: SYSTEM, details: { table: column.table, row: name },
      ...typeof owner === 'string' && owner !== '' && { workspaceId: owner },
    })
    return undefined
  }
}
