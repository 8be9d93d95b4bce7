import autocannon, { type Client, type Request } from 'autocannon'

/** The load generator, a process of its own: what to send comes in as JSON, what was measured goes out as JSON. */
interface Order {
  readonly url: string
  readonly connections: number
  readonly seconds: number
  readonly requests: Request[]
  readonly spread?: true
}

const order = JSON.parse(await new Response(process.stdin).text()) as Order
const { url, connections, seconds: duration, requests, spread } = order
let clients = 0
const ownPart = (client: Client) => {
  const mine = clients++ % connections
  client.setRequests(requests.filter((_, index) => index % connections === mine))
}
const result = await autocannon({ url, connections, duration, ...spread === true ? { setupClient: ownPart } : { requests } })
process.stdout.write(JSON.stringify({
  perSecond: result.requests.average, p50: result.latency.p50, p99: result.latency.p99, ok: result['2xx'], failed: result.non2xx + result.errors + result.timeouts,
}))
