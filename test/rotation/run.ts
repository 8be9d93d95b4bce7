import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { addLocalKeks, removeLocalKek } from '../../src/crypto/index.ts'
import { startReplicas, type Replicas } from '../chaos/replicas.ts'
import { query, setStage, type Stage } from '../chaos/stage.ts'
import { runCli } from '../support/process.ts'
import { startLoad, type Load } from './load.ts'
import { seedRows, writeKeyed } from './seed.ts'

/**
 * `npm run test:rotation`: every key of a vault is replaced while callers resolve, invoke and create
 * and tokens are renewed: the KEKs, then the workspaces' keys with all they sealed, then the vault's
 * own; and what was replaced is retired and erased. With `--kill`, processes are killed meanwhile.
 */
const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' }, connections: { type: 'string', default: '300' }, replicas: { type: 'string', default: '2' },
    rate: { type: 'string' }, kill: { type: 'boolean', default: false },
  },
})
const options = { rows: Number(values.rows), connections: Number(values.connections), replicas: Number(values.replicas) }

const ACCESS_SECONDS = 60
const BEFORE_SECONDS = 15
const ERASED_AFTER_SECONDS = 60
const KILL_EVERY_MS = 4_000
/** performance.md: resolve p99 during the sweep ÷ before. */
const P99_MAX = 2

interface Sweep {
  readonly state: string
  readonly keys_made: number
  readonly keys_rewrapped: number
  readonly rows_total: number
  readonly rows_done: number
  readonly rows_failed: number
}

async function run (): Promise<boolean> {
  console.log(`${options.rows} rows, ${options.connections} connections with tokens of ${ACCESS_SECONDS} s, ${options.replicas} replicas${values.kill ? ', killed now and then' : ''}`)
  const stage = await setStage({ connections: options.connections, accessSeconds: ACCESS_SECONDS })
  let replicas: Replicas | undefined
  const stop = async () => {
    await replicas?.stop()
    await stage.stop()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { void stop().then(() => { process.exit(1) }) })
  try {
    writeKeyed(stage)
    const rows = await seedRows(stage, options.rows)
    replicas = await startReplicas(stage, options.replicas)
    const load = startLoad(stage, replicas, rows)
    await wait(BEFORE_SECONDS * 1_000)
    const killer = values.kill ? killNowAndThen(replicas) : undefined
    const facts = await rotateAll(stage, replicas, load).finally(() => killer?.stop())
    await load.stop()
    return await judge(stage, { load, replicas, facts })
  } finally {
    await stop()
  }
}

/** All of it, in the order of the runbook. */
async function rotateAll (stage: Stage, replicas: Replicas, load: Load): Promise<Record<string, number | string>> {
  const keyring = stage.env['KEYRING_FILE'] ?? ''
  const old = (await query<{ kek_id: string }>(stage.owner, 'select kek_id from keks')).map(({ kek_id: id }) => id)
  addLocalKeks(keyring, ['sandbox', 'live', 'system'], { use: true, now: new Date() })
  load.mark('keks')
  await ask(stage, replicas, 'POST', 'keys/rotate', { target: 'kek' })
  const keks = await untilIdle(stage, replicas)
  for (const id of old) {
    await ask(stage, replicas, 'POST', 'keys/retire', { kek_id: id })
    removeLocalKek(keyring, id)
  }
  load.mark('sweep')
  const began = performance.now()
  await ask(stage, replicas, 'POST', 'keys/rotate', { target: 'workspace' })
  if (values.rate !== undefined) await ask(stage, replicas, 'POST', 'keys/sweep', { rows_per_second: Number(values.rate) })
  const swept = await untilIdle(stage, replicas)
  const sweepSeconds = (performance.now() - began) / 1_000
  load.mark('system')
  await ask(stage, replicas, 'POST', 'keys/rotate', { target: 'system' })
  await untilIdle(stage, replicas)
  load.mark('after')
  const retired = await ask(stage, replicas, 'POST', 'keys/retire', {}) as { retired: number }
  await wait((ERASED_AFTER_SECONDS + 20) * 1_000)
  return {
    'keys wrapped again': keks.keys_rewrapped, 'KEKs retired and taken out of the keyring': old.length, 'workspace keys replaced': swept.keys_made,
    'rows sealed again': swept.rows_done, 'in seconds': Math.round(sweepSeconds), 'keys retired': retired.retired, 'that did not open': swept.rows_failed,
  }
}

/** Repeats what a killed process has not answered: all of these may be asked twice. */
async function ask (stage: Stage, replicas: Replicas, method: string, path: string, body?: object): Promise<unknown> {
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await fetch(`${replicas.pick().urls.internal}/v1/${path}`, {
        method, headers: { authorization: `Bearer ${stage.token}`, 'content-type': 'application/json' }, ...body && { body: JSON.stringify(body) },
      })
      const said = await answer.json() as { code?: string }
      if (answer.ok || (attempt > 0 && (said.code === 'not_found' || said.code === 'rotation_running'))) return said
      throw new Error(`${path}: ${JSON.stringify(said)}`)
    } catch (error) {
      if (!(error instanceof TypeError) || attempt > 20) throw error
      await wait(100)
    }
  }
}

async function untilIdle (stage: Stage, replicas: Replicas): Promise<Sweep> {
  for (let said = ''; ;) {
    const sweep = await ask(stage, replicas, 'GET', 'keys/sweep') as Sweep
    const progress = `  ${sweep.state}: ${sweep.keys_made} keys made, ${sweep.keys_rewrapped} wrapped again, ${sweep.rows_done} of ${sweep.rows_total} rows`
    if (sweep.state === 'idle') {
      console.log(progress)
      return sweep
    }
    if (progress !== said) console.log(progress)
    said = progress
    await wait(5_000)
  }
}

function killNowAndThen (replicas: Replicas): { stop (): Promise<void> } {
  const ending = new AbortController()
  const killing = (async () => {
    while (!ending.signal.aborted) {
      await wait(KILL_EVERY_MS)
      if (!ending.signal.aborted) await replicas.killOne()
    }
  })()
  return {
    stop: async () => {
      ending.abort()
      await killing
    },
  }
}

interface Evidence {
  readonly load: Load
  readonly replicas: Replicas
  readonly facts: Readonly<Record<string, number | string>>
}

async function judge (stage: Stage, { load, replicas, facts }: Evidence): Promise<boolean> {
  const count = async (text: string) => (await query<{ n: number }>(stage.owner, text))[0]?.n ?? NaN
  // A process that is killed between a token request and its answer loses what only it was told: those say so, and are not the rotation's.
  const unknown = new Set(values.kill ? (await query<{ id: string }>(stage.owner, "select id from connections where health_reason = 'refresh_outcome_unknown'")).map(({ id }) => id) : [])
  const failed = load.errors.filter(({ id, said }) => !(unknown.has(id) && said.includes('connection_needs_reauth')))
  const doctor = await runCli(['doctor'], { ...stage.env }).done
  const ratio = load.p99('sweep') / load.p99('before')
  const shown = {
    ...facts, resolves: load.answers.resolve, invokes: load.answers.invoke, 'connections made': load.answers.create, renewals: stage.sent.length, kills: replicas.kills.length,
    'cut off by the harness': load.cut(), 'renewals a kill left unknown': unknown.size, 'p99 of resolve before, ms': Math.round(load.p99('before')), 'during the sweep, ms': Math.round(load.p99('sweep')),
    'during ÷ before': Math.round(ratio * 100) / 100,
  }
  const bars = {
    'requests that failed': failed.length,
    'rows under replaced workspace keys': await count('select count(*)::int as n from credential_versions v join workspace_keys k on k.workspace_id = v.workspace_id and k.id = v.key_id where k.state <> \'current\' and v.sealed is not null'),
    'replaced workspace keys that still have their bytes': await count("select count(*)::int as n from workspace_keys where state <> 'current' and wrapped is not null"),
    'keys under KEKs that were retired': await count('select count(*)::int as n from (select kek_id from workspace_keys where wrapped is not null union all select kek_id from system_keys where wrapped is not null) k join keks using (kek_id) where retired_at is not null'),
    'connections that were lost': await count("select count(*)::int as n from connections where health <> 'active'") - unknown.size,
    'doctor found something': doctor.code === 0 ? 0 : 1,
    // With processes killed and started, a quiet p99 is nobody's promise.
    ...!values.kill && { [`p99 more than ${P99_MAX} times that of before`]: ratio <= P99_MAX ? 0 : 1 },
  }
  for (const [name, fact] of Object.entries(shown)) console.log(`  ${name.padEnd(56)} ${fact}`)
  for (const [name, found] of Object.entries(bars)) console.log(`${found === 0 ? '✓' : '✗'} ${name.padEnd(56)} ${found}`)
  for (const { id, said } of failed.slice(0, 5)) console.log(`  ${id} ${said}`)
  if (doctor.code !== 0) console.log(doctor.output)
  console.log(JSON.stringify({ ...shown, ...bars }))
  return load.answers.resolve > 0 && load.answers.invoke > 0 && stage.sent.length > 0 && Object.values(bars).every((found) => found === 0)
}

process.exitCode = await run() ? 0 : 1
