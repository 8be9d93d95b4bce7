import { readConfig } from '../config.ts'
import { createLog } from '../log.ts'
import { openRooms } from '../rooms.ts'
import { judgeAuditPartitions, judgeServiceRole, measureClockSkew } from '../store/index.ts'
import { print, printTable } from './output.ts'
import { openSession } from './session.ts'

/** One thing that was looked at. `bad` decides the exit code, `note` does not. */
interface Finding {
  readonly check: string
  readonly state: 'ok' | 'note' | 'bad'
  readonly said: string
}

const SKEW_MAX_MS = 5_000

/** Looks at everything the vault stands on, opens every sealed value, prints none; exit code 1 when anything is wrong. */
export async function examine (options: { json?: boolean }): Promise<void> {
  const config = readConfig()
  const session = await openSession(config, false)
  const findings: Finding[] = [{ check: 'configuration', state: 'ok', said: 'read' }]
  try {
    const rooms = await openRooms(session.config, createLog('silent', process.stderr))
    try {
      findings.push({ check: 'schema', state: 'ok', said: 'as this program knows it' })
      findings.push(...await examineDatabase(rooms, session.embedded), ...await examineKeys(rooms))
    } finally {
      await rooms.close()
    }
  } finally {
    await session.end()
  }
  if (options.json === true) print(JSON.stringify(findings))
  else printTable([['check', 'state', ''], ...findings.map(({ check, state, said }) => [check, state, said])])
  if (findings.some(({ state }) => state === 'bad')) process.exitCode = 1
}

type Rooms = Awaited<ReturnType<typeof openRooms>>

async function examineDatabase ({ database, clock }: Rooms, embedded: boolean): Promise<Finding[]> {
  const role = await judgeServiceRole(database)
  const skewMs = await measureClockSkew(database.db, clock)
  const months = await judgeAuditPartitions(database.db)
  return [
    role === undefined ? { check: 'database role', state: 'ok', said: 'owns nothing, can’t rewrite the audit' } : { check: 'database role', state: embedded ? 'note' : 'bad', said: role },
    { check: 'clock', state: Math.abs(skewMs) <= SKEW_MAX_MS ? 'ok' : 'bad', said: `${Math.round(skewMs)} ms beside the database’s` },
    months > 0 ? { check: 'audit partitions', state: 'ok', said: `for this month and ${months} ahead` } : { check: 'audit partitions', state: 'bad', said: 'none for the next month: is a vault running?' },
  ]
}

async function examineKeys ({ keys }: Rooms): Promise<Finding[]> {
  const findings: Finding[] = []
  const away = await keys.judgeKeks()
  findings.push(away === undefined ? { check: 'KEKs', state: 'ok', said: 'those the database needs can be used' } : { check: 'KEKs', state: 'bad', said: away })
  if (away !== undefined) return findings
  for (const kek of (await keys.overview()).keks) {
    const trouble = await keys.judgeKek(kek.kekId)
    findings.push({ check: `KEK ${kek.kekId}`, state: trouble === undefined ? kek.overdue ? 'note' : 'ok' : 'bad', said: trouble ?? `wraps ${kek.keys} keys${kek.overdue ? ', past its cryptoperiod' : ''}` })
  }
  const { keys: made, columns } = await keys.inspect()
  findings.push({ check: 'keys', state: made.broken.length === 0 ? 'ok' : 'bad', said: `${made.checked} unwrapped${made.broken.length === 0 ? '' : `, not ${made.broken.slice(0, 20).join(', ')}`}` })
  for (const { table, column, rows, broken, brokenRows } of columns) {
    findings.push({ check: `${table}.${column}`, state: brokenRows === 0 ? 'ok' : 'bad', said: brokenRows === 0 ? `${rows} opened` : `${brokenRows} of ${rows} do not open: ${broken.join(' ')}` })
  }
  return findings
}
