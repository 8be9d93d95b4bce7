import autocannon, { type Client } from 'autocannon'
import type { Load, Measure } from './harness.ts'

/** The load generator, a process of its own: what to send comes in as JSON, what was measured goes out as JSON. */
export interface LoadOrder {
  readonly loads: readonly Load[]
  /** Which of them is sent, one after the other. */
  readonly turns: readonly number[]
  /** Each turn. */
  readonly seconds: number
  readonly connections: number
}

/** Of one turn. */
export interface TurnResult extends Measure {
  readonly ok: number
  readonly failed: number
}

const { loads, turns, seconds, connections } = JSON.parse(await new Response(process.stdin).text()) as LoadOrder
const results: TurnResult[] = []
for (const turn of turns) results.push(await take(loads[turn] as Load))
process.stdout.write(JSON.stringify(results))

async function take ({ url, requests, spread }: Load): Promise<TurnResult> {
  let clients = 0
  const ownPart = (client: Client) => {
    const mine = clients++ % connections
    client.setRequests(requests.filter((_, index) => index % connections === mine))
  }
  const result = await autocannon({ url, connections, duration: seconds, ...spread === true ? { setupClient: ownPart } : { requests } })
  return {
    // Its own average is one of whole seconds, of which a short turn has one.
    perSecond: result['2xx'] / result.duration, p50: result.latency.p50, p99: result.latency.p99, ok: result['2xx'], failed: result.non2xx + result.errors + result.timeouts,
  }
}
