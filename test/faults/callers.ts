import { setTimeout as wait } from 'node:timers/promises'
import { WORKSPACE, type Stage } from './stage.ts'

const CALLERS = 8
const PAUSE_MS = 20
const PATIENCE_MS = 15_000
/** Statements are given up after five seconds, silent connections after six. */
const SLOW_MS = 10_000

export type Kind = 'resolve' | 'rotate' | 'invoke good' | 'invoke hung' | 'invoke lost'

/** One answer, or none. */
export interface Seen {
  readonly kind: Kind
  readonly atMs: number
  readonly tookMs: number
  /** The problem's code, a status, or what happened to the connection. */
  readonly outcome: string
  readonly ok: boolean
}

/** What a caller was told, to be found again whatever happened since. */
interface Client {
  readonly id: string
  acknowledged: number
  attempted: number
}

export interface Callers {
  /** What was seen since the last time it was asked. */
  take (): Seen[]
  stop (): Promise<void>
  /** What was acknowledged and is not there, was answered and is not on record, or was answered with a key that nobody entered last. */
  findLost (): Promise<string[]>
}

const keyOf = (id: string, turn: number) => `${id}-key-${turn}-0000000000`

const keysBetween = (id: string, first: number, last: number) => Array.from({ length: last - first + 1 }, (_, more) => keyOf(id, first + more))

/** Callers who go on whatever happens: rotate, resolve what they rotated, run an action. */
export async function startCallers (stage: Stage): Promise<Callers> {
  const ending = new AbortController()
  let seen: Seen[] = []
  const wrong: string[] = []
  const answered: string[] = []
  let turn = 0

  const call = async (path: string, body: object): Promise<{ status: number, code: string, requestId: string, body: Record<string, unknown> }> => {
    const replica = stage.replicas[turn++ % stage.replicas.length]
    const response = await fetch(`${replica?.urls.internal ?? ''}/v1/workspaces/${WORKSPACE}/${path}`, {
      method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS),
      headers: { authorization: `Bearer ${stage.token}`, 'content-type': 'application/json' },
    })
    const answer = await response.json() as Record<string, unknown>
    return { status: response.status, code: typeof answer['code'] === 'string' ? answer['code'] : String(response.status), requestId: response.headers.get('x-request-id') ?? '', body: answer }
  }
  const ask = async (kind: Kind, path: string, body: object) => {
    const began = performance.now()
    const note = (outcome: string, ok: boolean) => { seen.push({ kind, atMs: began, tookMs: performance.now() - began, outcome, ok }) }
    try {
      const answer = await call(path, body)
      note(answer.code, answer.status === 200)
      return answer
    } catch (error) {
      note(error instanceof Error && error.name === 'TimeoutError' ? 'no answer' : 'connection lost', false)
      return undefined
    }
  }
  const create = async (integration: string, name: string): Promise<string> => {
    const { body, code } = await call('connections', { integration, environment: 'sandbox', name, credentials: { api_key: keyOf(name, 0) } })
    if (typeof body['id'] !== 'string') throw new Error(`no connection: ${code}`)
    return body['id']
  }
  const work = async (name: string, client: Client): Promise<void> => {
    while (!ending.signal.aborted) {
      client.attempted = Math.max(client.attempted, client.acknowledged) + 1
      const rotated = await ask('rotate', `connections/${client.id}/rotate`, { credentials: { api_key: keyOf(name, client.attempted) }, test: false })
      if (rotated?.status === 200) client.acknowledged = client.attempted
      for (let times = 0; times < 5; times++) {
        const resolved = await ask('resolve', `connections/${client.id}/resolve`, { environment: 'sandbox' })
        if (resolved?.status === 200) {
          answered.push(resolved.requestId)
          const got = (resolved.body['credentials'] as { api_key: string }).api_key
          // One whose answer was lost may have happened, or may yet.
          if (!keysBetween(name, client.acknowledged, client.attempted).includes(got)) wrong.push(`${name} was told ${client.acknowledged}, and was answered ${got}`)
        }
        await wait(PAUSE_MS)
      }
      await ask('invoke good', `connections/${client.id}/invoke`, { environment: 'sandbox', action: 'me' })
    }
  }
  const run = async (kind: Kind, id: string): Promise<void> => {
    while (!ending.signal.aborted) {
      await ask(kind, `connections/${id}/invoke`, { environment: 'sandbox', action: 'me', timeout_ms: 2_000 })
      await wait(500)
    }
  }

  const names = Array.from({ length: CALLERS }, (_, index) => `caller-${index}`)
  const clients = new Map<string, Client>()
  for (const name of names) clients.set(name, { id: await create('good', name), acknowledged: 0, attempted: 0 })
  const workers = [...[...clients].map(([name, client]) => work(name, client)), run('invoke hung', await create('hung', 'hung')), run('invoke lost', await create('lost', 'lost'))]

  return {
    take: () => {
      const taken = seen
      seen = []
      return taken
    },
    stop: async () => {
      ending.abort()
      await Promise.all(workers)
    },
    findLost: async () => {
      const lost = [...wrong]
      for (const [name, client] of clients) {
        const known = client.acknowledged
        const { status, body } = await call(`connections/${client.id}/resolve`, { environment: 'sandbox' })
        const got = status === 200 ? (body['credentials'] as { api_key: string }).api_key : `status ${status}`
        if (!keysBetween(name, known, client.attempted).includes(got)) lost.push(`${name} was told ${known}, and finds ${got}`)
      }
      // Callers go on meanwhile: these are the ones answered so far.
      const told = new Set(answered)
      const ids = [...told].map((id) => `'${id}'`).join(',')
      const [recorded] = await stage.database.query<{ n: number }>(
        `select count(distinct request_id)::int as n from audit_events where event = 'connection.resolved' and request_id in (${ids})`)
      if (recorded?.n !== told.size) lost.push(`${told.size} resolves were answered, ${recorded?.n} are on record`)
      return lost
    },
  }
}

/** What was seen in one span, in words: how many of each outcome, how long the longest took, how soon all was well again. */
export function describeSeen (seen: readonly Seen[], { untilMs }: { untilMs: number }): { saw: string, bad: number, recoverySeconds: number, slow: number } {
  const usual = seen.filter(({ kind }) => kind !== 'invoke hung' && kind !== 'invoke lost')
  const bad = usual.filter(({ ok }) => !ok)
  const by = [...Map.groupBy(bad, ({ outcome }) => outcome)].map(([outcome, some]) => `${some.length} ${outcome}`)
  const longest = Math.max(0, ...usual.map(({ tookMs }) => tookMs))
  const last = Math.max(untilMs, ...bad.map(({ atMs, tookMs }) => atMs + tookMs))
  return {
    saw: `${usual.length - bad.length} of ${usual.length} as ever${by.length > 0 ? `; ${by.join(', ')}` : ''}; the longest took ${(longest / 1_000).toFixed(1)} s`,
    bad: bad.length,
    recoverySeconds: Math.max(0, last - untilMs) / 1_000,
    slow: usual.filter(({ tookMs }) => tookMs > SLOW_MS).length,
  }
}
