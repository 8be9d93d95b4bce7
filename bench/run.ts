import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { compare, CONNECTIONS, startServer, type Compared } from './harness.ts'
import { retargetCatalog } from '../test/support/catalog.ts'
import { compareClient } from './client.ts'
import { compareBlocks, compareMemory } from './import.ts'
import { compareClaims, compareReplicas } from './refresh.ts'
import { compareGoodput, comparePolite, compareRefusals } from './overload.ts'
import { compareIdle, compareRelay } from './relay.ts'
import { compareScale } from './scale.ts'
import { compareResident, compareStart } from './start.ts'
import { requireOurs, setStage, WORKSPACE } from './stage.ts'
import { compareSweep, compareSweepLatency } from './sweep.ts'

/** `npm run bench -- <case> [--json]`: prints one line of JSON last and keeps docs/benchmarks.md up to date. */
interface Case {
  readonly about: string
  readonly bar: number
  readonly goal: number
  /** The ratio is to stay below its bar. */
  readonly below?: true
  readonly unit: string
  run (options: { rounds: number, seconds: number }): Promise<Compared>
}

const CASES: Readonly<Record<string, Case>> = {
  resolve: {
    about: 'resolve (authentication, guards, decryption, audit on disk before the answer) ÷ Fastify with a pool and one SELECT',
    bar: 0.7,
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
    goal: 0.5,
    unit: 'req/s',
    run: async (options) => {
      const provider = await startServer('./provider.ts', {})
      const { host } = new URL(provider.url)
      const stage = await setStage(500, { CATALOG_DIR: retargetCatalog(provider.url, ['stripe']), EGRESS_ALLOW_PROVIDER: host })
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
    unit: 'ms',
    run: compareClaims,
  },
  scale: {
    about: 'resolve of 7,000 connections from all over 1,000,000 in 10,000 workspaces ÷ from 10,000 in 100',
    bar: 0.9,
    goal: 0.97,
    unit: 'req/s',
    run: compareScale,
  },
  start: {
    about: 'seconds until ready, with an embedded database that was there before ÷ 2 s',
    bar: 1,
    goal: 0.5,
    below: true,
    unit: 's',
    run: compareStart,
  },
  'start-memory': {
    about: 'memory of a vault after 60 s of resolves ÷ 250 MB',
    bar: 1,
    goal: 0.6,
    below: true,
    unit: 'MB',
    run: compareResident,
  },
  import: {
    about: 'longest block of the event loop while GitHub’s document (13 MB) is imported over HTTP ÷ 50 ms',
    bar: 1,
    goal: 0.2,
    below: true,
    unit: 'ms',
    run: compareBlocks,
  },
  'import-memory': {
    about: 'growth of the process’s memory at most while it is imported ÷ 400 MB',
    bar: 1,
    goal: 0.5,
    below: true,
    unit: 'MB',
    run: compareMemory,
  },
  relay: {
    about: 'p50 of a call that does nothing, through an agent ÷ directly, to a provider that does nothing; one after another',
    bar: 3,
    goal: 2,
    below: true,
    unit: 'ms',
    run: compareRelay,
  },
  'relay-idle': {
    about: 'memory of a vault in which 1,000 agents have waited for a minute ÷ once they were all there',
    bar: 1.15,
    goal: 1.05,
    below: true,
    unit: 'MB',
    run: compareIdle,
  },
  sweep: {
    about: 'rows sealed again per second ÷ rows that a bare UPDATE of the same bytes writes, in pages of the same size',
    bar: 0.5,
    goal: 0.8,
    unit: 'rows/s',
    run: compareSweep,
  },
  'sweep-latency': {
    about: 'p99 of resolve while a sweep goes on at its own speed ÷ before',
    bar: 2,
    goal: 1.3,
    below: true,
    unit: 'ms',
    run: compareSweepLatency,
  },
  overload: {
    about: 'resolves served per second while one token sends three times the capacity ÷ at capacity',
    bar: 0.7,
    goal: 0.8,
    unit: 'req/s',
    run: compareGoodput,
  },
  'overload-refusals': {
    about: 'p99 of refusals in that flood ÷ 100 ms',
    bar: 1,
    goal: 0.7,
    below: true,
    unit: 'ms',
    run: compareRefusals,
  },
  'overload-polite': {
    about: 'answers to a second token in that flood that are 2xx, in percent ÷ 100',
    bar: 0.98,
    goal: 1,
    unit: '%',
    run: comparePolite,
  },
  refresh: {
    about: 'renewals per second by two processes ÷ by one, while the provider answers in 50 ms; by two at least 300',
    bar: 1,
    goal: 1,
    unit: 'renewals/s',
    run: compareReplicas,
  },
}

const [name = '', ...flags] = process.argv.slice(2)
const chosen = CASES[name]
if (chosen === undefined) {
  console.error(`npm run bench -- <case> [--json], a case being one of: ${Object.keys(CASES).join(', ')}`)
  process.exit(2)
}
const flag = (flagName: string, otherwise: number) => Number(flags.find((given) => given.startsWith(`--${flagName}=`))?.split('=')[1] ?? otherwise)
const result = await chosen.run({ rounds: flag('rounds', 7), seconds: flag('seconds', 6) })
const round = (value: number) => Math.round(value * 100) / 100
const line = {
  case: name,
  ratio: round(result.ratio),
  ours: result.ours < 100 ? round(result.ours) : Math.round(result.ours),
  reference: result.reference < 100 ? round(result.reference) : Math.round(result.reference),
  unit: chosen.unit,
  rounds: result.rounds.map(round),
  p99_ms: result.p99,
}
if (!flags.includes('--json')) {
  console.log(`${chosen.about}\n  ours ${line.ours} ${line.unit}, reference ${line.reference} ${line.unit}, ratio ${line.ratio} (bar ${chosen.below === true ? '≤' : '≥'} ${chosen.bar}, goal ${chosen.goal})`)
}
record()
console.log(JSON.stringify(line))

/** One row a case, the last run of each: where it ran, and on what commit. */
function record (): void {
  const file = new URL('../docs/benchmarks.md', import.meta.url)
  const commit = execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8', cwd: new URL('..', import.meta.url).pathname }).trim()
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`
  const head = `# Benchmarks

Ratios, measured side by side in one run: our process and the reference take turns under the same load (${CONNECTIONS} connections, a load generator of its own process, a real Postgres with
fsync on), every answer is checked to be 2xx, the median of the rounds counts. Written by \`npm run bench -- <case>\`; absolute numbers are this machine's. *bar* is what must hold
now, *goal* where it is to go (≥, or ≤ where less is better); a ratio beyond its bar is work to be done.

| case | what | ratio | rounds | ours | reference | p99 of ours | bar | goal | machine | commit |
|---|---|---|---|---|---|---|---|---|---|---|
`
  const before = (() => {
    try {
      return readFileSync(file, 'utf8').split('\n').filter((row) => row.startsWith('| ') && !row.startsWith('| case'))
    } catch {
      return []
    }
  })()
  const sign = chosen?.below === true ? '≤' : '≥'
  const row = `| ${name} | ${chosen?.about ?? ''} | **${line.ratio}** | ${line.rounds.join(', ')} | ${line.ours} ${line.unit} | ${line.reference} ${line.unit} | ${line.p99_ms} ms | ${sign} ${chosen?.bar ?? ''} | ${sign} ${chosen?.goal ?? ''} | ${machine} | ${commit} |`
  const rows = [...before.filter((old) => !old.startsWith(`| ${name} |`)), row].sort()
  writeFileSync(file, `${head}${rows.join('\n')}\n`)
}
