import { setTimeout as wait } from 'node:timers/promises'
import type { FloodCaller, FloodResult } from './flood.ts'
import { seedTokens, writeManifest } from './refresh.ts'
import { median, readMemory, startServer, type Compared } from './harness.ts'
import { reachStripe, requireOurs, setStage, type Stage } from './stage.ts'
import { flood, writeRequest, type Wanted } from './wire.ts'

const SHARE_OF_CAPACITY = 0.7
/** What callers do to a vault, in a hundred requests. */
const MIX = { resolve: 60, invoke: 22, batch: 3, list: 6, get: 6, change: 2, test: 1 } as const
/** Of the resolves one in four is of a connection whose token lasts a minute, so that tokens are renewed all the time. */
const LINKED = { connections: 200, everyResolve: 4, tokenSeconds: 60 } as const
const SOCKETS = 64
const CAPACITY_SECONDS = 10
const MINUTE_SECONDS = 60
/** V8 grows its heap to what the load needs; from then on memory has to be flat. */
const GROWING_MINUTES = 3
const GROWTH_MB_PER_MINUTE_MAX = 1
const SAMPLE_MS = 1_000

interface Minute {
  readonly p99: number
  readonly memoryMb: readonly number[]
}

/**
 * Mixed load at 70 % of what the vault can do, minute by minute: p99 of the last third of the
 * minutes ÷ of the first. Throws when an answer is not 2xx, and when memory grows.
 */
export async function compareSoak ({ rounds: minutes }: { rounds: number }): Promise<Compared> {
  const provider = await startServer('./provider.ts', {})
  const tokens = await startServer('./token-endpoint.ts', { TOKEN_SECONDS: String(LINKED.tokenSeconds) })
  const { CATALOG_DIR, EGRESS_ALLOW_PROVIDER } = reachStripe(provider.url)
  writeManifest(CATALOG_DIR, tokens.url)
  const stage = await setStage(500, { CATALOG_DIR, EGRESS_ALLOW_PROVIDER: `${EGRESS_ALLOW_PROVIDER},${new URL(tokens.url).host}` })
  try {
    await requireOurs(stage)
    const requests = mix(stage, await seedTokens({ ...stage.settings, KEYRING_FILE: stage.keyringFile }, tokens.url, LINKED.connections))
    const capacity = (await send(stage, CAPACITY_SECONDS, { name: 'capacity', perSecond: 0, sockets: SOCKETS, requests })).ok / CAPACITY_SECONDS
    const perSecond = Math.round(capacity * SHARE_OF_CAPACITY)
    console.error(`capacity ${Math.round(capacity)} requests a second of the mix; from now on ${perSecond}`)
    const done: Minute[] = []
    while (done.length < minutes) done.push(await soak(stage, { name: 'soak', perSecond, sockets: SOCKETS * 8, requests }))
    return judge(done)
  } finally {
    await stage.stop()
    provider.stop()
    tokens.stop()
  }
}

async function soak (stage: Stage, caller: FloodCaller): Promise<Minute> {
  const memoryMb: number[] = []
  const sampling = new AbortController()
  const samples = (async () => {
    while (!sampling.signal.aborted) {
      memoryMb.push(readMemory(stage.vault.pid).now / 1_048_576)
      await wait(SAMPLE_MS, undefined, { signal: sampling.signal }).catch(() => undefined)
    }
  })()
  const result = await send(stage, MINUTE_SECONDS, caller).finally(() => { sampling.abort() })
  await samples
  console.error(`${result.ok} answers, p50 ${result.okMs.p50.toFixed(1)} ms, p99 ${result.okMs.p99.toFixed(1)} ms, memory ${Math.round(median(memoryMb))} MB`)
  return { p99: result.okMs.p99, memoryMb }
}

/** What came of one caller's requests. Throws when an answer is not 2xx. */
async function send (stage: Stage, seconds: number, caller: FloodCaller): Promise<FloodResult> {
  const [result] = await flood(stage, seconds, [caller])
  if (result === undefined || result.ok === 0 || result.refused + result.wrong > 0) throw new Error(`not all answers were 2xx: ${JSON.stringify(result)}`)
  // A turn of the event loop or a flush that took a moment longer held the generator up: part of what callers see, and no error.
  if (result.unsent > result.sent / 50) throw new Error(`the load generator came to ${result.sent} requests only, ${result.unsent} were not sent`)
  return result
}

function judge (minutes: readonly Minute[]): Compared {
  const slope = slopeOf(minutes.slice(Math.min(GROWING_MINUTES, minutes.length - 1)).flatMap(({ memoryMb }) => memoryMb)) * MINUTE_SECONDS * 1_000 / SAMPLE_MS
  console.error(`memory after ${GROWING_MINUTES} minutes: ${slope.toFixed(2)} MB a minute`)
  if (!(slope <= GROWTH_MB_PER_MINUTE_MAX)) throw new Error(`memory grows by ${slope.toFixed(2)} MB a minute`)
  const third = Math.max(1, Math.floor(minutes.length / 3))
  const first = median(minutes.slice(0, third).map(({ p99 }) => p99))
  const last = median(minutes.slice(-third).map(({ p99 }) => p99))
  return { ours: last, reference: first, ratio: last / first, rounds: minutes.map(({ p99 }) => p99 / first), p99: Math.round(last) }
}

/** Of values at equal distances, by least squares. */
function slopeOf (values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const [over, under] = values.reduce(([top, bottom], value, at) => [top + (at - middle) * (value - mean), bottom + (at - middle) ** 2], [0, 0])
  return over / under
}

/** A hundred requests of the mix for each connection in turn, spread evenly. */
function mix (stage: Stage, linked: readonly string[]): string[] {
  const kinds = (Object.keys(MIX) as (keyof typeof MIX)[]).flatMap((kind) => Array.from({ length: MIX[kind] }, (_, n) => ({ kind, at: (n + 0.5) / MIX[kind] })))
    .sort((a, b) => a.at - b.at).map(({ kind }) => kind)
  return Array.from({ length: stage.ids.length * 20 }, (_, n) => {
    const pasted = (at: number) => stage.ids[at % stage.ids.length] ?? ''
    const kind = kinds[n % kinds.length] ?? 'resolve'
    const isLinked = kind === 'resolve' && n % LINKED.everyResolve === 0
    const id = isLinked ? linked[n / LINKED.everyResolve % linked.length] ?? '' : pasted(n)
    return writeRequest(stage, describeRequest(kind, id, Array.from({ length: 20 }, (_, k) => pasted(n + k))))
  })
}

function describeRequest (kind: keyof typeof MIX, id: string, twenty: readonly string[]): Wanted {
  const one = `connections/${id}`
  switch (kind) {
    case 'resolve': return { method: 'POST', path: `${one}/resolve`, body: { environment: 'sandbox' } }
    case 'invoke': return { method: 'POST', path: `${one}/invoke`, body: { environment: 'sandbox', action: 'get_balance' } }
    case 'batch': return { method: 'POST', path: 'resolve', body: { environment: 'sandbox', connection_ids: twenty } }
    case 'list': return { method: 'GET', path: 'connections?limit=20' }
    case 'get': return { method: 'GET', path: one }
    case 'change': return { method: 'PATCH', path: one, body: { labels: { seen: id.slice(-4) } } }
    case 'test': return { method: 'POST', path: `${one}/test` }
  }
}
