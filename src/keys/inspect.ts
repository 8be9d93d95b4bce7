import { isVaultError } from '../errors.ts'
import type { KeyId } from '../ids.ts'
import { guard, listSealedRows, listUsableKeys, nameOfRow, stillHolds, type OwnedKey, type ScopedKey, type SealedColumn, type SealedRow } from '../store/index.ts'
import type { KeysOptions } from './options.ts'

/** What became of opening all values of a column. */
export interface ColumnReport {
  readonly table: string
  readonly column: string
  readonly rows: number
  /** Names of rows that do not open, as many as are shown. */
  readonly broken: readonly string[]
  readonly brokenRows: number
  /** Rows that could not be tried: the KEK of their key can't be had. */
  readonly untriedRows: number
}

export interface Inspection {
  readonly keys: {
    readonly checked: number
    /** Keys that are not what their KEK wrapped, as many as are shown. */
    readonly broken: readonly string[]
    readonly brokenKeys: number
    /** Keys whose KEK can't be had. */
    readonly untriedKeys: number
  }
  readonly columns: readonly ColumnReport[]
}

/** Where an inspection is, after each page. */
export type InspectionProgress = (at: Pick<ColumnReport, 'table' | 'column' | 'rows'>) => void

type Verdict = 'intact' | 'broken' | 'untried'

const KEYS_PAGE = 16
const ROWS_PAGE = 500
const BROKEN_SHOWN = 20
/** Keys known to be out of reach, so that a provider that is away is not asked again for each of their rows. */
const UNTRIED_KNOWN = 10_000

/** Opens everything, and says where it does not open; never what is in it. Holds a page in memory at a time. */
export function createInspector ({ database, crypto, columns }: Pick<KeysOptions, 'database' | 'crypto' | 'columns'>) {
  const judgeKey = async ({ scope, stored }: ScopedKey): Promise<Verdict> => await verdictOf(() => crypto.isUsable(scope, stored))

  const inspectKeys = async (): Promise<Inspection['keys']> => {
    const broken: string[] = []
    let [checked, brokenKeys, untriedKeys] = [0, 0, 0]
    for (let after: OwnedKey | undefined; ;) {
      const keys = await guard(() => listUsableKeys(database.db, { after, limit: KEYS_PAGE }))
      const verdicts = await Promise.all(keys.map(judgeKey))
      for (const [index, verdict] of verdicts.entries()) {
        if (verdict === 'untried') untriedKeys++
        if (verdict !== 'broken') continue
        brokenKeys++
        const id = keys[index]?.stored.id
        if (id !== undefined && broken.length < BROKEN_SHOWN) broken.push(id)
      }
      checked += keys.length
      const last = keys.at(-1)
      // Keys of the vault's own come with the first page, whole.
      if (last === undefined || last.scope.kind === 'system') return { checked, broken, brokenKeys, untriedKeys }
      after = { workspaceId: last.scope.workspaceId, id: last.stored.id }
    }
  }

  const untried = new Set<KeyId>()
  const judgeRow = async (column: SealedColumn, of: SealedRow): Promise<Verdict> => {
    // The count that lets a key be retired goes by what the row says.
    if (crypto.keyOf(of.sealed) !== of.keyId) return 'broken'
    if (untried.has(of.keyId)) return 'untried'
    const verdict = await verdictOf(() => crypto.isIntact(column.bindingOf(of.row), of.sealed))
    if (verdict === 'untried') {
      if (untried.size >= UNTRIED_KNOWN) untried.clear()
      untried.add(of.keyId)
    }
    return verdict
  }

  const inspectColumn = async (column: SealedColumn, report: InspectionProgress): Promise<ColumnReport> => {
    const { table, column: name } = column
    const broken: string[] = []
    let [rows, brokenRows, untriedRows] = [0, 0, 0]
    for (let after: SealedRow['row'] | undefined; ;) {
      const page = await guard(() => listSealedRows(database.db, column, { after, limit: ROWS_PAGE }))
      for (const one of page) {
        rows++
        const verdict = await judgeRow(column, one)
        if (verdict === 'untried') untriedRows++
        // Changed or deleted since it was read, and perhaps its key with it: then it is no longer what is there.
        if (verdict !== 'broken' || !await guard(() => stillHolds(database.db, column, one))) continue
        brokenRows++
        if (broken.length < BROKEN_SHOWN) broken.push(nameOfRow(column, one.row))
      }
      report({ table, column: name, rows })
      after = page.at(-1)?.row
      if (after === undefined) return { table, column: name, rows, broken, brokenRows, untriedRows }
    }
  }

  return {
    /** Unwraps every key and opens every sealed value, and goes on where one can't be. */
    inspect: async (report: InspectionProgress = () => {}): Promise<Inspection> => {
      const keys = await inspectKeys()
      const reports: ColumnReport[] = []
      for (const column of columns) reports.push(await inspectColumn(column, report))
      return { keys, columns: reports }
    },
  }
}

async function verdictOf (opens: () => Promise<boolean>): Promise<Verdict> {
  try {
    return await opens() ? 'intact' : 'broken'
  } catch (error) {
    if (isVaultError(error, 'kek_unavailable')) return 'untried'
    throw error
  }
}
