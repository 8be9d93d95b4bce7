import { KEK_SLOTS, KeyringError, type Crypto, type Keks } from '../crypto/index.ts'
import { isVaultError } from '../errors.ts'
import { createInspector, type ColumnReport, type Inspection, type KeyOverview } from '../keys/index.ts'
import { SEALED_COLUMNS } from '../rooms.ts'
import { estimateRows, type Database } from '../store/index.ts'
import { bad, note, ok, skipped, type Finding } from './findings.ts'
import type { Progress } from './output.ts'

/** KEKs alone, where the database can't say which it needs. */
export async function examineCurrentKeks (keks: Keks): Promise<Finding[]> {
  const current = new Set(KEK_SLOTS.map((slot) => keks.currentKekId(slot)))
  return await Promise.all([...current].map(async (kekId) => {
    const trouble = await troubleOf(() => keks.health(kekId))
    return trouble === undefined ? ok(`KEK ${kekId}`, 'can be used') : bad(`KEK ${kekId}`, trouble)
  }))
}

/** Every KEK that the database needs or that is current, each for itself. */
export async function examineKeks (crypto: Pick<Crypto, 'checkKek'>, { keks, rowsToReseal, sweep }: KeyOverview): Promise<Finding[]> {
  const findings = await Promise.all(keks.map(async ({ kekId, keys, currentFor, overdue }) => {
    const check = `KEK ${kekId}`
    const trouble = await troubleOf(() => crypto.checkKek(kekId))
    if (trouble !== undefined) return bad(check, trouble)
    if (overdue) return note(check, `wraps ${keys} keys; in use for longer than KEK_CRYPTOPERIOD_DAYS`)
    return currentFor.length === 0 && keys > 0 ? note(check, `no longer current, and wraps ${keys} keys: run \`keys rotate kek\``) : ok(check, `wraps ${keys} keys`)
  }))
  const rows = rowsToReseal.reduce((sum, one) => sum + one.rows, 0)
  if (sweep.rowsFailed > 0) findings.push(note('sweep', `${sweep.rowsFailed} values could not be sealed again; below is which do not open`))
  if (rows > 0) findings.push(note('replaced keys', `${rows} values are still under them${sweep.state === 'idle' ? ': run `keys sweep`' : '; a sweep is under way'}`))
  return findings
}

/** Unwraps every key, opens every sealed value. */
export async function examineSealed (of: { database: Database, crypto: Crypto }, progress: Progress): Promise<Finding[]> {
  const estimate = await estimateRows(of.database.db, SEALED_COLUMNS)
  const seen = new Map<string, number>()
  const said = (done: number) => `${done} ${done === 1 ? 'value' : 'values'} opened${done < estimate ? ` of about ${estimate}` : ''}`
  const { keys, columns } = await createInspector({ ...of, columns: SEALED_COLUMNS }).inspect(({ table, column, rows }) => {
    seen.set(`${table}.${column}`, rows)
    const done = [...seen.values()].reduce((sum, number) => sum + number, 0)
    progress(`${said(done)}: ${table}`, estimate > 0 ? done / estimate : undefined, false)
  })
  progress(said(columns.reduce((sum, { rows }) => sum + rows, 0)), 1, true)
  return [describeKeys(keys), ...columns.map(describeColumn)]
}

function describeKeys ({ checked, broken, brokenKeys, untriedKeys }: Inspection['keys']): Finding {
  if (brokenKeys > 0) return bad('keys', `${brokenKeys} of ${checked} are not what their KEK wrapped: ${list(broken, brokenKeys)}`)
  return untriedKeys > 0 ? skipped('keys', `${untriedKeys} of ${checked} need a KEK that can’t be used; ${checked - untriedKeys} unwrapped`) : ok('keys', `${checked} unwrapped`)
}

function describeColumn ({ table, column, rows, broken, brokenRows, untriedRows }: ColumnReport): Finding {
  const check = `${table}.${column}`
  const untried = untriedRows > 0 ? `; ${untriedRows} need a KEK that can’t be used` : ''
  if (brokenRows > 0) return bad(check, `${brokenRows} of ${rows} do not open: ${list(broken, brokenRows)}${untried}`)
  return untriedRows > 0 ? skipped(check, `${rows - untriedRows} of ${rows} opened${untried}`) : ok(check, `${rows} opened`)
}

function list (names: readonly string[], all: number): string {
  return `${names.join(' ')}${all > names.length ? ` and ${all - names.length} more` : ''}`
}

async function troubleOf (check: () => Promise<void>): Promise<string | undefined> {
  try {
    await check()
    return undefined
  } catch (error) {
    if (error instanceof KeyringError) return error.message
    if (!isVaultError(error, 'kek_unavailable')) throw error
    const { cause } = error
    return `its provider can’t be used at the moment (${cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'})`
  }
}
