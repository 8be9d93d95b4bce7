import autocannon, { type Request } from 'autocannon'

/** The load generator, a process of its own: what to send comes in as JSON, what was measured goes out as JSON. */
interface Order {
  readonly url: string
  readonly connections: number
  readonly seconds: number
  readonly requests: Request[]
}

const order = JSON.parse(await new Response(process.stdin).text()) as Order
const result = await autocannon({ url: order.url, connections: order.connections, duration: order.seconds, requests: order.requests })
process.stdout.write(JSON.stringify({
  perSecond: result.requests.average, p50: result.latency.p50, p99: result.latency.p99, ok: result['2xx'], failed: result.non2xx + result.errors + result.timeouts,
}))
