import { createClient } from '../src/sdk/client/index.ts'
import type { Measure } from './harness.ts'

/**
 * A program that resolves, in a process of its own, by the client and by a bare `fetch` in turn. What
 * to do comes in as JSON, what was measured goes out as JSON.
 */
export interface CallerOrder {
  readonly url: string
  readonly token: string
  readonly workspace: string
  readonly ids: readonly string[]
  readonly connections: number
  /** For each way. */
  readonly seconds: number
}

const { url, token, workspace, ids, connections, seconds } = JSON.parse(await new Response(process.stdin).text()) as CallerOrder
const client = createClient({ url, token })

interface Resolved { readonly credentials: Readonly<Record<string, string>> }
type Way = (id: string) => Promise<Resolved>

const byClient: Way = async (id) => await client.resolve({ workspace_id: workspace, connection_id: id, environment: 'sandbox' })
const byFetch: Way = async (id) => {
  const response = await fetch(`${url}/v1/workspaces/${workspace}/connections/${id}/resolve`, {
    method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify({ environment: 'sandbox' }),
  })
  if (response.status !== 200) throw new Error(`${response.status}`)
  return await response.json() as Resolved
}

/** Short turns: what else the machine does meanwhile it does to both. */
const TURN_MS = 300
let next = 0

async function takeTurn (way: Way, times: number[]): Promise<number> {
  const startedMs = performance.now()
  await Promise.all(Array.from({ length: connections }, async () => {
    while (performance.now() < startedMs + TURN_MS) {
      const beganMs = performance.now()
      const { credentials } = await way(ids[next++ % ids.length] ?? '')
      if (typeof credentials['secret_key'] !== 'string') throw new Error('no credential came')
      times.push(performance.now() - beganMs)
    }
  }))
  return performance.now() - startedMs
}

function sum (times: readonly number[], lastedMs: number): Measure {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.floor(sorted.length * part)] ?? NaN
  return { perSecond: sorted.length / lastedMs * 1_000, p50: at(0.5), p99: at(0.99) }
}

const [ours, reference]: [number[], number[]] = [[], []]
let [oursMs, referenceMs] = [0, 0]
for (let turn = 0; turn < 5; turn++) for (const way of [byFetch, byClient]) await takeTurn(way, [])
while (oursMs < seconds * 1_000) {
  referenceMs += await takeTurn(byFetch, reference)
  oursMs += await takeTurn(byClient, ours)
}
process.stdout.write(JSON.stringify({ ours: sum(ours, oursMs), reference: sum(reference, referenceMs) }))
