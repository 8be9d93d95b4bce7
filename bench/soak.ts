import { setTimeout as wait } from 'node:timers/promises'
import { retargetCatalog } from '../test/support/catalog.ts'
import type { FloodCaller, FloodOrder, FloodResult } from './flood.ts'
import { seedTokens, writeManifest } from './refresh.ts'
import { median, readMemory, run, startServer, type Compared } from './harness.ts'
import { requireOurs, setStage, WORKSPACE, type Stage } from './stage.ts'

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
  const catalog = retargetCatalog(provider.url, ['stripe'])
  writeManifest(catalog, tokens.url)
  const stage = await setStage(500, { CATALOG_DIR: catalog, EGRESS_ALLOW_PROVIDER: [provider, tokens].map(({ url }) => new URL(url).host).join(',') })
  try {
    await requireOurs(stage)
    const requests = mix(stage, await seedTokens({ ...stage.settings, KEYRING_FILE: stage.keyringFile }, tokens.url, LINKED.connections))
    const capacity = (await flood(stage, CAPACITY_SECONDS, { name: 'capacity', perSecond: 0, sockets: SOCKETS, requests })).ok / CAPACITY_SECONDS
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
  const result = await flood(stage, MINUTE_SECONDS, caller).finally(() => { sampling.abort() })
  await samples
  console.error(`${result.ok} answers, p50 ${result.okMs.p50.toFixed(1)} ms, p99 ${result.okMs.p99.toFixed(1)} ms, memory ${Math.round(median(memoryMb))} MB`)
  return { p99: result.okMs.p99, memoryMb }
}

async function flood (stage: Stage, seconds: number, caller: FloodCaller): Promise<FloodResult> {
  const order: FloodOrder = { url: stage.vault.urls.internal, seconds, warmUpSeconds: 1, callers: [caller] }
  const [result] = JSON.parse(await run(new URL('./flood.ts', import.meta.url).pathname, JSON.stringify(order))) as FloodResult[]
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
    const id = stage.ids[n % stage.ids.length] ?? ''
    const kind = kinds[n % kinds.length] ?? 'resolve'
    const isLinked = kind === 'resolve' && n % LINKED.everyResolve === 0
    if (isLinked) return requestOf(stage, kind, { id: linked[n / LINKED.everyResolve % linked.length] ?? '', twenty: [] })
    return requestOf(stage, kind, { id, twenty: Array.from({ length: 20 }, (_, k) => stage.ids[(n + k) % stage.ids.length] ?? '') })
  })
}

function requestOf (stage: Stage, kind: keyof typeof MIX, { id, twenty }: { id: string, twenty: string[] }): string {
  const one = `connections/${id}`
  switch (kind) {
    case 'resolve': return write(stage, 'POST', `${one}/resolve`, { environment: 'sandbox' })
    case 'invoke': return write(stage, 'POST', `${one}/invoke`, { environment: 'sandbox', action: 'get_balance' })
    case 'batch': return write(stage, 'POST', 'resolve', { environment: 'sandbox', connection_ids: twenty })
    case 'list': return write(stage, 'GET', 'connections?limit=20')
    case 'get': return write(stage, 'GET', one)
    case 'change': return write(stage, 'PATCH', one, { labels: { seen: id.slice(-4) } })
    case 'test': return write(stage, 'POST', `${one}/test`)
  }
}

function write (stage: Stage, method: string, path: string, body?: object): string {
  const text = body === undefined ? '' : JSON.stringify(body)
  const { host } = new URL(stage.vault.urls.internal)
  return [
    `${method} /v1/workspaces/${WORKSPACE}/${path} HTTP/1.1`, `host: ${host}`, `authorization: Bearer ${stage.token}`, 'if-match: *',
    ...body === undefined ? [] : ['content-type: application/json'], `content-length: ${text.length}`, '', text,
  ].join('\r\n')
}
