import { compare, startServer, type Compared } from './harness.ts'
import { compareClient } from './client.ts'
import { compareBlocks, compareMemory } from './import.ts'
import { compareClaims, compareReplicas } from './refresh.ts'
import { compareGoodput, comparePolite, compareRefusals } from './overload.ts'
import { record } from './page.ts'
import { compareIdle, compareRelay } from './relay.ts'
import { compareScale } from './scale.ts'
import { compareResident, compareStart } from './start.ts'
import { reachStripe, requireOurs, setStage, WORKSPACE } from './stage.ts'
import { compareSoak } from './soak.ts'
import { compareSweep, compareSweepLatency } from './sweep.ts'

/**
 * `npm run bench -- <case> [--json] [--rounds=N] [--seconds=N]`: prints one line of JSON last and keeps docs/benchmarks.md
 * up to date. `npm run bench -- all`: every case but the soak, a line of JSON each, within ten minutes.
 */
interface Case {
  readonly about: string
  readonly bar: number
  readonly goal: number
  /** The ratio is to stay below its bar. */
  readonly below?: true
  readonly unit: string
  /** Where the usual rounds would take too long among all the others. */
  readonly rounds?: number
  /** Of a case that is not among all the others: how many rounds it takes. */
  readonly alone?: number
  run (options: { rounds: number, seconds: number }): Promise<Compared>
}

const CASES: Readonly<Record<string, Case>> = {
  resolve: {
    about: 'resolve (authentication, guards, decryption, audit on disk before the answer) ÷ Fastify with a pool and one SELECT',
    bar: 1,
    goal: 1.5,
    unit: 'req/s',
    run: async (options) => {
      const stage = await setStage(500)
      const reference = await startServer('./reference.ts', { DATABASE_URL: stage.databaseUrl })
      try {
        await requireOurs(stage)
        return await compare(
          { url: stage.vault.urls.internal, requests: stage.ids.map((id) => stage.post(`/v1/workspaces/${WORKSPACE}/connections/${id}/resolve`, { environment: 'sandbox' })) },
          { url: reference.url, requests: stage.ids.map((id) => ({ method: 'GET', path: `/${WORKSPACE}/${id}` })) },
          options,
        )
      } finally {
        reference.stop()
        await stage.stop()
      }
    },
  },
  invoke: {
    about: 'invoke of a read (authentication, guards, decryption, two audit commits, redaction) ÷ Fastify with one bare undici call to the same provider',
    bar: 0.35,
    goal: 0.6,
    unit: 'req/s',
    run: async (options) => {
      const provider = await startServer('./provider.ts', {})
      const stage = await setStage(500, reachStripe(provider.url))
      const hop = await startServer('./hop.ts', { PROVIDER_URL: provider.url })
      try {
        await requireOurs(stage)
        const body = { environment: 'sandbox', action: 'get_balance' }
        return await compare(
          { url: stage.vault.urls.internal, requests: stage.ids.map((id) => stage.post(`/v1/workspaces/${WORKSPACE}/connections/${id}/invoke`, body)) },
          { url: hop.url, requests: [{ method: 'POST', path: '/hop' }] },
          options,
        )
      } finally {
        hop.stop()
        await stage.stop()
        provider.stop()
      }
    },
  },
  'resolve-batch': {
    about: 'connections resolved per second in batches of 20 ÷ one at a time',
    bar: 3,
    goal: 6,
    unit: 'connections/s',
    run: async (options) => {
      const stage = await setStage(500)
      try {
        await requireOurs(stage)
        const batches = Array.from({ length: 25 }, (_, batch) => stage.ids.slice(batch * 20, batch * 20 + 20))
        const compared = await compare(
          { url: stage.vault.urls.internal, requests: batches.map((ids) => stage.post(`/v1/workspaces/${WORKSPACE}/resolve`, { environment: 'sandbox', connection_ids: ids })) },
          { url: stage.vault.urls.internal, requests: stage.ids.map((id) => stage.post(`/v1/workspaces/${WORKSPACE}/connections/${id}/resolve`, { environment: 'sandbox' })) },
          options,
        )
        return { ...compared, ours: compared.ours * 20, ratio: compared.ratio * 20, rounds: compared.rounds.map((ratio) => ratio * 20) }
      } finally {
        await stage.stop()
      }
    },
  },
  client: {
    about: 'resolves per second by the SDK’s client ÷ by a bare fetch, in the same program',
    bar: 0.9,
    goal: 0.97,
    unit: 'resolves/s',
    run: compareClient,
  },
  claim: {
    about: 'p99 of claiming 100 due renewals among 1,000,000 connections ÷ among 10,000',
    bar: 2,
    goal: 1.2,
    below: true,
    rounds: 3,
    unit: 'ms',
    run: compareClaims,
  },
  scale: {
    about: 'resolve of 7,000 connections from all over 1,000,000 in 10,000 workspaces ÷ from 10,000 in 100',
    bar: 0.9,
    goal: 0.97,
    rounds: 3,
    unit: 'req/s',
    run: compareScale,
  },
  start: {
    about: 'seconds until ready, with an embedded database that was there before ÷ 2 s',
    bar: 1,
    goal: 0.5,
    below: true,
    rounds: 3,
    unit: 's',
    run: compareStart,
  },
  'start-memory': {
    about: 'memory of a vault after 60 s of resolves ÷ 250 MB',
    bar: 1,
    goal: 0.6,
    below: true,
    rounds: 1,
    unit: 'MB',
    run: compareResident,
  },
  import: {
    about: 'longest block of the event loop while GitHub’s document (13 MB) is imported over HTTP ÷ 50 ms',
    bar: 1,
    goal: 0.2,
    below: true,
    rounds: 3,
    unit: 'ms',
    run: compareBlocks,
  },
  'import-memory': {
    about: 'growth of the process’s memory at most while it is imported ÷ 400 MB',
    bar: 1,
    goal: 0.5,
    below: true,
    rounds: 3,
    unit: 'MB',
    run: compareMemory,
  },
  relay: {
    about: 'p50 of a call that does nothing, through an agent ÷ directly, to a provider that does nothing; one after another',
    bar: 3,
    goal: 2,
    below: true,
    rounds: 3,
    unit: 'ms',
    run: compareRelay,
  },
  'relay-idle': {
    about: 'memory of a vault in which 1,000 agents have waited for a minute ÷ once they were all there',
    bar: 1.15,
    goal: 1.05,
    below: true,
    rounds: 1,
    unit: 'MB',
    run: compareIdle,
  },
  sweep: {
    about: 'rows sealed again per second ÷ rows that a bare UPDATE of the same bytes writes, in pages of the same size',
    bar: 0.5,
    goal: 0.8,
    rounds: 3,
    unit: 'rows/s',
    run: compareSweep,
  },
  'sweep-latency': {
    about: 'p99 of resolve while a sweep goes on at its own speed ÷ before',
    bar: 2,
    goal: 1.3,
    below: true,
    rounds: 3,
    unit: 'ms',
    run: compareSweepLatency,
  },
  overload: {
    about: 'resolves served per second while one token sends three times the capacity ÷ at capacity',
    bar: 0.7,
    goal: 0.8,
    rounds: 3,
    unit: 'req/s',
    run: compareGoodput,
  },
  'overload-refusals': {
    about: 'p99 of refusals in that flood ÷ 100 ms',
    bar: 1,
    goal: 0.7,
    below: true,
    rounds: 3,
    unit: 'ms',
    run: compareRefusals,
  },
  'overload-polite': {
    about: 'answers to a second token in that flood that are 2xx, in percent ÷ 100',
    bar: 0.98,
    goal: 1,
    rounds: 3,
    unit: '%',
    run: comparePolite,
  },
  refresh: {
    about: 'renewals per second by two processes ÷ by one, while the provider answers in 50 ms; by two at least 300',
    bar: 1,
    goal: 1,
    rounds: 2,
    unit: 'renewals/s',
    run: compareReplicas,
  },
  soak: {
    about: 'p99 of mixed load at 70 % of capacity for ten minutes, the last third of them ÷ the first; no error, memory flat',
    bar: 1.5,
    goal: 1.1,
    below: true,
    unit: 'ms',
    alone: 10,
    run: compareSoak,
  },
}

type Options = Parameters<Case['run']>[0]

const USUAL: Options = { rounds: 7, seconds: 6 }
/** Of each case when all are run. */
const AMONG_ALL: Options = { rounds: 3, seconds: 2 }

const [name = '', ...flags] = process.argv.slice(2)
const wanted = Object.entries(CASES).filter(([one, { alone }]) => name === 'all' ? alone === undefined : one === name)
if (wanted.length === 0) {
  console.error(`npm run bench -- <case> [--json], a case being all or one of: ${Object.keys(CASES).join(', ')}`)
  process.exit(2)
}
const began = performance.now()
const failed: string[] = []
for (const [one, chosen] of wanted) {
  const startedMs = performance.now()
  try {
    await runCase(one, chosen)
  } catch (error) {
    // Among all, the others are measured nevertheless.
    console.error(error)
    failed.push(one)
  }
  if (name === 'all') console.error(`${one}: ${Math.round((performance.now() - startedMs) / 1_000)} s`)
}
if (name === 'all') console.error(`${wanted.length - failed.length} of ${wanted.length} cases in ${Math.round((performance.now() - began) / 1_000)} s`)
if (failed.length > 0) process.exitCode = 1

function optionsOf ({ rounds, alone }: Case): Options {
  if (name !== 'all') return { ...USUAL, ...alone !== undefined && { rounds: alone } }
  return { ...AMONG_ALL, ...rounds !== undefined && { rounds } }
}

async function runCase (one: string, chosen: Case): Promise<void> {
  const flag = (flagName: string, otherwise: number) => Number(flags.find((given) => given.startsWith(`--${flagName}=`))?.split('=')[1] ?? otherwise)
  const { rounds, seconds } = optionsOf(chosen)
  const result = await chosen.run({ rounds: flag('rounds', rounds), seconds: flag('seconds', seconds) })
  const round = (value: number) => Math.round(value * 100) / 100
  const line = {
    case: one,
    ratio: round(result.ratio),
    ours: result.ours < 100 ? round(result.ours) : Math.round(result.ours),
    reference: result.reference < 100 ? round(result.reference) : Math.round(result.reference),
    unit: chosen.unit,
    rounds: result.rounds.map(round),
    p99_ms: round(result.p99),
  }
  const sign = chosen.below === true ? '≤' : '≥'
  if (!flags.includes('--json')) {
    console.log(`${chosen.about}\n  ours ${line.ours} ${line.unit}, reference ${line.reference} ${line.unit}, ratio ${line.ratio} (bar ${sign} ${chosen.bar}, goal ${sign} ${chosen.goal})`)
  }
  record(one, [
    chosen.about, `**${line.ratio}**`, line.rounds.join(', '), `${line.ours} ${line.unit}`, `${line.reference} ${line.unit}`, `${line.p99_ms} ms`, `${sign} ${chosen.bar}`, `${sign} ${chosen.goal}`,
  ], line.ratio)
  console.log(JSON.stringify(line))
}
