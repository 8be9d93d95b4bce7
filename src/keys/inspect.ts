import { isVaultError, VaultError } from '../errors.ts'
import { guard, listSealedRows, listUsableKeys, nameOfRow, type OwnedKey, type SealedColumn, type SealedRow } from '../store/index.ts'
import type { KeysOptions } from './options.ts'

/** What became of opening all values of a column. */
export interface ColumnReport {
  readonly table: string
  readonly column: string
  readonly rows: number
  /** Names of rows that do not open, as many as are shown. */
  readonly broken: readonly string[]
  readonly brokenRows: number
}

export interface Inspection {
  readonly keys: { readonly checked: number, readonly broken: readonly string[] }
  readonly columns: readonly ColumnReport[]
}

const PAGE = 500
const AT_ONCE = 16
const BROKEN_SHOWN = 20

/** Opens everything, and says where it does not open; never what is in it. */
export function createInspector ({ database, crypto, columns }: KeysOptions) {
  const inspectKeys = async (): Promise<Inspection['keys']> => {
    const broken: string[] = []
    let checked = 0
    for (let after: OwnedKey | undefined; ;) {
      const keys = await guard(() => listUsableKeys(database.db, { after, limit: AT_ONCE }))
      const usable = await Promise.all(keys.map(({ scope, stored }) => crypto.isUsable(scope, stored)))
      broken.push(...keys.filter((_key, index) => usable[index] !== true).map(({ stored }) => stored.id))
      checked += keys.length
      const last = keys.at(-1)
      if (last === undefined) return { checked, broken }
      // Keys of the vault's own come with the first page, whole.
      if (last.scope.kind === 'system') return { checked, broken }
      after = { workspaceId: last.scope.workspaceId, id: last.stored.id }
    }
  }

  const inspectColumn = async (column: SealedColumn): Promise<ColumnReport> => {
    const broken: string[] = []
    let [rows, brokenRows] = [0, 0]
    for (let after: SealedRow['row'] | undefined; ;) {
      const page = await guard(() => listSealedRows(database.db, column, { after, limit: PAGE }))
      for (const one of page) {
        rows++
        if (await crypto.isIntact(column.bindingOf(one.row), one.sealed)) continue
        brokenRows++
        if (broken.length < BROKEN_SHOWN) broken.push(nameOfRow(column, one.row))
      }
      after = page.at(-1)?.row
      if (after === undefined) return { table: column.table, column: column.column, rows, broken, brokenRows }
    }
  }

  return {
    /** Unwraps every key and opens every sealed value. Throws `kek_unavailable`. */
    inspect: async (report: (of: ColumnReport) => void = () => {}): Promise<Inspection> => {
      const keys = await inspectKeys()
      const reports: ColumnReport[] = []
      for (const column of columns) {
        const made = await inspectColumn(column)
        report(made)
        reports.push(made)
      }
      return { keys, columns: reports }
    },
    /** Why the KEKs the database needs can't be used; undefined when they can. */
    judgeKeks: async (): Promise<string | undefined> => await judge(() => crypto.checkKeks()),
    /** Why one KEK can't be used. */
    judgeKek: async (kekId: string): Promise<string | undefined> => await judge(() => crypto.kekHealth(kekId)),
  }
}

async function judge (check: () => Promise<void>): Promise<string | undefined> {
  try {
    await check()
    return undefined
  } catch (error) {
    if (isVaultError(error, 'kek_unavailable')) return `the key provider can’t be used (${reasonOf(error)})`
    if (error instanceof VaultError) throw error
    return error instanceof Error ? error.message : String(error)
  }
}

function reasonOf (error: VaultError): string {
  return error.cause instanceof Error && 'code' in error.cause ? String(error.cause.code) : 'unknown'
}
