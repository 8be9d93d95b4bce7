import { writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { describeSeen, startCallers, type Callers } from './callers.ts'
import { KEY_CACHE_SECONDS, setStage, type Stage } from './stage.ts'

/**
 * `npm run test:faults`: what can happen around two replicas happens, one thing after the other, while
 * callers go on; then everything they were told has to be there. Writes docs/faults.md.
 */
interface Fault {
  readonly name: string
  /** Does it and undoes it; answers what else there is to say. */
  readonly happen: (stage: Stage) => Promise<string | undefined>
  /** Why it can't be done here. */
  readonly cannot?: (stage: Stage) => string | undefined
  /** In how many seconds from its end all has to be as ever. */
  readonly recovery: number
  /** Callers must not notice at all. */
  readonly unseen?: true
}

const FAULTS: readonly Fault[] = [
  { name: 'the database crashes and is started again', recovery: 10, happen: async ({ database }) => { await database.crash(); return undefined } },
  {
    name: 'all its pool is taken: a table is locked for 8 s',
    recovery: 10,
    happen: async ({ database }) => {
      await database.query('begin; lock table connections in access exclusive mode; select pg_sleep(8); commit')
      return undefined
    },
  },
  {
    name: 'its disk is full for 10 s',
    recovery: 20,
    cannot: ({ database }) => database.disk === undefined ? 'this machine mounts nothing' : undefined,
    happen: async ({ database: { disk } }) => {
      disk?.fill()
      await wait(10_000)
      await disk?.free()
      return undefined
    },
  },
  {
    name: 'the network to it swallows everything for 30 s',
    recovery: 15,
    happen: async ({ database: { line } }) => {
      line.hold(true)
      await wait(30_000)
      line.hold(false)
      return undefined
    },
  },
  {
    name: 'its clock jumps an hour ahead, then back',
    recovery: 5,
    unseen: true,
    happen: async ({ database }) => {
      await database.query("update test_clock set shift = '1 hour'")
      await wait(5_000)
      await database.query("update test_clock set shift = '0'")
      await wait(5_000)
      return undefined
    },
  },
  {
    name: `the key provider is away for ${KEY_CACHE_SECONDS / 3} s, less than half of KEY_CACHE_SECONDS`,
    recovery: 5,
    unseen: true,
    happen: async ({ kms }) => await absence(kms, KEY_CACHE_SECONDS / 3),
  },
  { name: `the key provider is away for ${KEY_CACHE_SECONDS * 3} s, longer than KEY_CACHE_SECONDS`, recovery: 5, happen: async ({ kms }) => await absence(kms, KEY_CACHE_SECONDS * 3) },
  {
    name: 'one provider hangs, another’s name does not resolve (all the time); the good one restarts',
    recovery: 10,
    happen: async ({ good }) => {
      await good.setReachable(false)
      await wait(2_000)
      await good.setReachable(true)
      return undefined
    },
  },
  {
    name: 'one replica is killed, and started again',
    recovery: 5,
    happen: async (stage) => {
      await stage.killReplica()
      await wait(2_000)
      await stage.startReplica()
      return undefined
    },
  },
  {
    name: 'fail-over: the primary is killed, its standby promoted',
    recovery: 10,
    happen: async ({ database }) => `${(await database.failOver() / 1_000).toFixed(1)} s without a primary`,
  },
]

const QUIET_MS = 4_000
const { values } = parseArgs({ options: { only: { type: 'string' }, write: { type: 'boolean', default: false } } })

interface Row {
  readonly name: string
  readonly saw: string
  readonly recovery: string
  readonly lost: string
  readonly ok: boolean
}

async function absence (kms: Stage['kms'], seconds: number): Promise<undefined> {
  await kms.setReachable(false)
  await wait(seconds * 1_000)
  await kms.setReachable(true)
}

async function suffer (fault: Fault, stage: Stage, callers: Callers): Promise<Row> {
  const why = fault.cannot?.(stage)
  if (why !== undefined) return { name: fault.name, saw: `not done: ${why}`, recovery: '–', lost: '–', ok: true }
  callers.take()
  const more = await fault.happen(stage)
  const untilMs = performance.now()
  await wait(fault.recovery * 1_000 + QUIET_MS)
  const { saw, bad, recoverySeconds, slow } = describeSeen(callers.take(), { untilMs })
  const lost = await callers.findLost()
  const ok = lost.length === 0 && recoverySeconds <= fault.recovery && slow === 0 && (fault.unseen !== true || bad === 0)
  return { name: fault.name, saw: `${saw}${more === undefined ? '' : ` (${more})`}`, recovery: `${recoverySeconds.toFixed(1)} s (bar ${fault.recovery})`, lost: lost.length === 0 ? 'nothing' : lost.slice(0, 3).join('; '), ok }
}

async function run (): Promise<boolean> {
  const stage = await setStage()
  const rows: Row[] = []
  try {
    const callers = await startCallers(stage)
    await wait(QUIET_MS)
    for (const fault of FAULTS.filter(({ name }) => values.only === undefined || name.includes(values.only))) {
      const row = await suffer(fault, stage, callers)
      console.log(`${row.ok ? '✓' : '✗'} ${row.name}\n    saw: ${row.saw}\n    well again after: ${row.recovery}; lost: ${row.lost}`)
      rows.push(row)
    }
    await callers.stop()
    const verified = await verifyRecord(stage)
    console.log(`${verified ? '✓' : '✗'} the record verifies`)
    if (values.write) write(rows)
    return verified && rows.every(({ ok }) => ok)
  } finally {
    await stage.stop()
  }
}

async function verifyRecord (stage: Stage): Promise<boolean> {
  const answer = await fetch(`${stage.replicas[0]?.urls.internal ?? ''}/v1/audit/verify`, { headers: { authorization: `Bearer ${stage.token}` } })
  const { ok } = await answer.json() as { ok?: boolean }
  return ok === true
}

function write (rows: readonly Row[]): void {
  writeFileSync(new URL('../../docs/faults.md', import.meta.url), `# Faults

Two replicas, one database, a key provider, three providers; eight callers who rotate, resolve and invoke one after the other, patient for 15 s. What happened, what they saw, how soon all was as ever, and
what was lost of what they had been told: rotations that were acknowledged, resolves that were answered and have to be on record. Written by \`npm run test:faults -- --write\`.

| what happened | what callers saw | well again after | what was lost |
|---|---|---|---|
${rows.map(({ name, saw, recovery, lost }) => `| ${name} | ${saw} | ${recovery} | ${lost} |`).join('\n')}

The words are codes of [errors](errors.md). While the database is away nothing is handed out that could not be put on record, so that resolves fail as well: 503 with \`Retry-After\`, soon rather than late. A standby that
takes over loses nothing that was acknowledged only if commits wait for it (\`synchronous_standby_names\`), as here.
`)
}

process.exitCode = await run() ? 0 : 1
