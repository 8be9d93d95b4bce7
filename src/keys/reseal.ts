import { setTimeout as sleep } from 'node:timers/promises'
import type { KeyScope, Resealing } from '../crypto/index.ts'
import {
  countRowsToReseal, guard, listPreviousKeys, listRowsUnder, nameOfRow, replaceSealedRows, stillHolds,
  type OwnedKey, type ResealedRow, type SealedColumn, type SealedRow,
} from '../store/index.ts'
import type { KeysOptions } from './options.ts'
import type { Meter } from './meter.ts'
import { SYSTEM } from './replace.ts'

const KEYS_PAGE = 100
/** While one waits for the database another seals. */
const LANES = [0, 1, 2] as const
const ROWS_PAGE_MAX = 1_000
/** So slow a sweep reads a page ten times a second: what it does comes in small pieces. */
const PAGES_PER_SECOND = 10
/** Rows sealed again, and then written, together: the program's own thread is busy with them for a millisecond or two. */
const ROWS_BATCH = 250
/** Values that don't open are left as they are, reported, and looked at by a person; so many of a column end its turn. */
const FAILED_MAX = 1_000
const LOCKED_PAUSE_MS = 50

/** Seals again, under the current keys, whatever is under keys that were replaced. */
export async function resealRows (options: KeysOptions, meter: Meter): Promise<void> {
  const resealing = options.crypto.openResealing()
  try {
    await resealAll(options, resealing, meter)
  } finally {
    await resealing.close()
  }
}

async function resealAll (options: KeysOptions, resealing: Resealing, meter: Meter): Promise<void> {
  const { database, crypto, columns } = options
  crypto.forgetCurrentKeys()
  const total = (await guard(() => countRowsToReseal(database.db, columns))).reduce((sum, { rows }) => sum + rows, 0)
  await meter.note({ rowsTotal: total })
  const failed = new Map(columns.map((column) => [column, [] as string[]]))
  for (let after: OwnedKey | undefined; ;) {
    const keys = await guard(() => listPreviousKeys(database.db, { after, limit: KEYS_PAGE }))
    for (const column of columns) {
      for (const kind of column.owners) {
        const lanes = toLanes(keys.filter((key) => key.kind === kind))
        const part = { column, kind, resealing, lanes: lanes.length, failed: failed.get(column) ?? [] }
        const ended = await Promise.allSettled(lanes.map((some) => resealColumn(options, { ...part, keys: some }, meter)))
        for (const end of ended) if (end.status === 'rejected') throw end.reason
      }
    }
    after = keys.findLast(({ kind }) => kind === 'workspace')
    if (after === undefined) return
  }
}

/** Shares keys out by whose they are: of an owner's, most often only the one that was replaced last has rows. */
function toLanes<T extends OwnedKey> (keys: readonly T[]): T[][] {
  const owners = [...new Set(keys.map(({ workspaceId }) => workspaceId))]
  const laneOf = new Map(owners.map((owner, index) => [owner, index % LANES.length]))
  return LANES.map((lane) => keys.filter(({ workspaceId }) => laneOf.get(workspaceId) === lane)).filter((some) => some.length > 0)
}

interface Part {
  readonly column: SealedColumn
  readonly kind: KeyScope['kind']
  readonly resealing: Resealing
  readonly keys: readonly OwnedKey[]
  /** So many go on at the same time, and share the pace. */
  readonly lanes: number
  /** Names of rows that don't open. */
  readonly failed: string[]
}

async function resealColumn (options: KeysOptions, part: Part, meter: Meter): Promise<void> {
  const { database } = options
  while (part.failed.length < FAILED_MAX) {
    const perSecond = meter.rowsPerSecond / part.lanes
    const limit = Math.min(ROWS_PAGE_MAX, Math.ceil(perSecond / PAGES_PER_SECOND))
    const rows = await guard(() => listRowsUnder(database.db, part.column, { keys: part.keys, except: part.failed, limit }))
    if (rows.length === 0) return
    const startedMs = performance.now()
    const done = await resealPage(options, { ...part, rows }, meter)
    await meter.count('rowsDone', done)
    const restMs = rows.length / perSecond * 1_000 - (performance.now() - startedMs)
    await sleep(done === 0 ? LOCKED_PAUSE_MS : Math.max(0, restMs))
  }
}

/** Seals some rows again and puts them in the place of the old ones, a batch being written while the next is sealed; answers how many. */
async function resealPage (options: KeysOptions, { rows, ...part }: Part & { readonly rows: readonly SealedRow[] }, meter: Meter): Promise<number> {
  let done = 0
  let writing: Promise<number> = Promise.resolve(0)
  for (let at = 0; at < rows.length; at += ROWS_BATCH) {
    const resealed = await resealBatch(options, { ...part, rows: rows.slice(at, at + ROWS_BATCH) }, meter).catch(async (error: unknown) => {
      await writing.catch(() => undefined)
      throw error
    })
    done += await writing
    writing = writeBatch(options, part, resealed)
    // Whoever awaits it hears of its failure; nobody may, if the next batch fails first.
    writing.catch(() => undefined)
  }
  return done + await writing
}

async function resealBatch (options: KeysOptions, { rows, ...part }: Part & { readonly rows: readonly SealedRow[] }, meter: Meter): Promise<ResealedRow[]> {
  const { resealing, column } = part
  const again = await resealing.reseal(rows.map(({ row, sealed }) => ({ context: column.bindingOf(row), sealed })))
  const resealed: ResealedRow[] = []
  for (const [index, from] of rows.entries()) {
    const value = again[index]
    if (value !== undefined) resealed.push({ from, ...value })
    else if (await isBroken(options, part, from)) meter.fail()
  }
  return resealed
}

/** One statement: nothing to wait for between the look at the keys and the write. */
async function writeBatch ({ database, crypto }: KeysOptions, { column, kind }: Part, rows: readonly ResealedRow[]): Promise<number> {
  if (rows.length === 0) return 0
  const done = await guard(() => replaceSealedRows(database.db, column, { kind, rows }))
  // Keys that were replaced again meanwhile: the rows come once more, and are sealed under the newest.
  if (done === 0) crypto.forgetCurrentKeys()
  return done
}

/** Whether a value that did not open is still what stands in its row; then says so where people look. */
async function isBroken ({ database, ledger, log, metrics }: KeysOptions, { column, failed }: Part, from: SealedRow): Promise<boolean> {
  if (!await guard(() => stillHolds(database.db, column, from))) return false
  const name = nameOfRow(column, from.row)
  failed.push(name)
  metrics.integrityFailures.inc()
  log.error({ table: column.table, row: name }, 'a sealed value does not open where it was found, and stays as it is')
  const owner = from.row['workspace_id']
  ledger.recordSoon({
    event: 'integrity.failed', outcome: 'failed', reason: 'integrity_failure', principal: SYSTEM, details: { table: column.table, row: name },
    ...typeof owner === 'string' && owner !== '' && { workspaceId: owner },
  })
  return true
}
