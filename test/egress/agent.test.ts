import { get, type Agent, type IncomingMessage } from 'node:http'
import { createServer as createTlsServer, get as getByTls } from 'node:https'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { generate } from 'selfsigned'
import t from 'tap'
import { createEgress, type Egress, type GuardedAgents } from '../../src/egress/index.ts'
import { createMetrics } from '../../src/metrics.ts'
import { startProvider } from '../support/provider.ts'

type Resolve = NonNullable<Parameters<typeof createEgress>[0]['resolve']>

const egresses: Egress[] = []
t.teardown(async () => { await Promise.all(egresses.map((egress) => egress.close())) })

const metrics = createMetrics()

function agentsTo (endpoints: string[], resolve?: Resolve): GuardedAgents {
  const exceptions = { provider: new Set(endpoints) }
  const egress = createEgress({ exceptions, metrics, ...resolve && { resolve } })
  egresses.push(egress)
  return egress.agents('provider')
}

/** As a library would: with Node's own client and the agent it was given. */
function call (agents: GuardedAgents, url: string, options: object = {}): () => Promise<string> {
  const agent = (url.startsWith('https:') ? agents.https : agents.http) as unknown as Agent
  return () => new Promise((resolve, reject) => {
    const read = (answer: IncomingMessage) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => { resolve(Buffer.concat(chunks).toString()) }).on('error', reject)
    }
    const open = url.startsWith('https:') ? getByTls : get
    open(url, { ...options, agent }, read).on('error', reject)
  })
}

const answers = (...addresses: string[]): Resolve => (_name, callback) => {
  callback(null, addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
}

t.test('an exception is called', async (t) => {
  const provider = await startProvider((_received, reply) => { reply.writeHead(201, { 'x-one': 'a' }).end('hello') })
  t.teardown(provider.close)
  const agents = agentsTo([provider.endpoint])
  t.match(await agents.watch(2_000, call(agents, `${provider.url}/x`)), { result: { value: 'hello' }, head: { status: 201, headers: { 'x-one': 'a' } }, failure: undefined })
  t.equal(provider.received[0]?.headers.connection, 'close', 'no connection is kept')
  t.equal(await call(agents, provider.url)(), 'hello', 'unwatched, the guard is the same')
  const other = agentsTo(['127.0.0.1:1'])
  t.match(await other.watch(2_000, call(other, provider.url)), { failure: { kind: 'blocked', maybeSent: false, detail: /plain http/ } }, 'of this endpoint alone')
  t.equal(provider.received.length, 2)
})

t.test('literals and private names', async (t) => {
  const agents = agentsTo([])
  const refused = ['https://127.0.0.1/', 'https://[::1]/', 'https://169.254.169.254/latest', 'https://2130706433/', 'https://[::ffff:7f00:1]/', 'https://localhost/', 'https://db.internal/', 'https://intranet/', 'http://api.example.com/']
  for (const url of refused) t.match(await agents.watch(2_000, call(agents, url)), { failure: { kind: 'blocked', maybeSent: false } }, url)
  t.match(await agents.watch(2_000, call(agents, 'https://api.example.com/', { socketPath: '/var/run/docker.sock' })), { failure: { kind: 'blocked' } }, 'a Unix socket')
  await t.rejects(call(agents, 'https://127.0.0.1/')(), /not public/, 'unwatched, too')
})

t.test('names are resolved once, and every address of the answer counts', async (t) => {
  const { endpoint, received, close } = await startProvider((_received, reply) => { reply.end() })
  t.teardown(close)
  const url = `https://api.example.com:${endpoint.split(':')[1]}/`
  for (const addresses of [['127.0.0.1'], ['169.254.169.254'], ['::1'], ['::ffff:127.0.0.1'], ['93.184.216.34', '127.0.0.1'], []]) {
    const agents = agentsTo([], answers(...addresses))
    t.match(await agents.watch(2_000, call(agents, url)), { failure: { kind: 'blocked', maybeSent: false } }, addresses.join(' '))
  }
  let lookups = 0
  const rebinding = agentsTo([], (_name, callback) => { callback(null, [{ address: lookups++ === 0 ? '127.0.0.1' : '93.184.216.34', family: 4 }]) })
  t.match(await rebinding.watch(2_000, call(rebinding, url)), { failure: { kind: 'blocked' } })
  t.equal(lookups, 1)
  const own = agentsTo([], answers('127.0.0.1'))
  const lookup = (_name: string, _options: object, callback: (error: null, address: string, family: number) => void) => { callback(null, '127.0.0.1', 4) }
  t.match(await own.watch(2_000, call(own, url, { lookup })), { failure: { kind: 'blocked' } }, 'a look-up of the library’s own is not asked')
  t.equal(received.length, 0, 'nothing ever reached the inside')
})

t.test('failures say whether anything may have left', async (t) => {
  const provider = await startProvider(() => {})
  t.teardown(provider.close)
  const agents = agentsTo([provider.endpoint])
  t.match(await agents.watch(100, call(agents, provider.url)), { failure: { kind: 'timeout', maybeSent: true }, head: undefined })
  provider.answer = (_received, reply) => { reply.destroy() }
  t.match(await agents.watch(2_000, call(agents, provider.url)), { failure: { kind: 'interrupted', maybeSent: true } })
  provider.answer = (_received, reply) => { reply.writeHead(200, { 'content-length': '9' }).write('half', () => { reply.destroy() }) }
  t.match(await agents.watch(2_000, call(agents, provider.url)), { failure: { kind: 'interrupted', maybeSent: true, status: 200 }, head: { status: 200 } })
  provider.answer = (_received, reply) => { reply.writeHead(200).write('half') }
  t.match(await agents.watch(150, call(agents, provider.url)), { failure: { kind: 'timeout', maybeSent: true, status: 200 } })
  provider.answer = (_received, reply) => { reply.end('all') }
  t.match(await agents.watch(2_000, async () => { await call(agents, provider.url)(); throw new Error('did not like it') }), { result: { thrown: Error }, head: { status: 200 }, failure: undefined }, 'the answer came')
  t.match(await agents.watch(2_000, async () => { throw new Error('never sent') }), { failure: { kind: 'blocked', maybeSent: false }, head: undefined })

  const insecure = agentsTo([provider.endpoint])
  t.match(await insecure.watch(2_000, call(insecure, provider.url.replace('http:', 'https:'))), { failure: { kind: 'unreachable', maybeSent: false, detail: /TLS/ } })
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => { silent.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { silent.close() })
  const endpoint = `127.0.0.1:${(silent.address() as AddressInfo).port}`
  const handshake = agentsTo([endpoint])
  t.match(await handshake.watch(100, call(handshake, `https://${endpoint}/`)), { failure: { kind: 'timeout', maybeSent: false } }, 'a TLS handshake that never ends')
  await provider.close()
  t.match(await agents.watch(2_000, call(agents, provider.url)), { failure: { kind: 'unreachable', maybeSent: false, detail: /refuses/ } })
  t.match(await metrics.registry.metrics(), /vault_egress_total\{purpose="provider",result="timeout"\} [1-9]/)
})

t.test('a certificate nobody vouches for', async (t) => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }])
  let received = 0
  const server = createTlsServer({ key, cert }, (_request, reply) => { received++; reply.end() })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.close() })
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const agents = agentsTo([endpoint])
  t.match(await agents.watch(2_000, call(agents, `https://${endpoint}/`)), { failure: { kind: 'unreachable', maybeSent: false, detail: /TLS/ } })
  t.equal(received, 0)
})

t.test('exchanges at the same time stay apart', async (t) => {
  const provider = await startProvider(({ url }, reply) => { reply.writeHead(Number(url.slice(1))).end(url) })
  t.teardown(provider.close)
  const agents = agentsTo([provider.endpoint])
  const statuses = Array.from({ length: 50 }, (_, index) => 200 + index)
  const exchanges = await Promise.all(statuses.filter((status) => status !== 204 && status !== 205).map((status) => agents.watch(5_000, call(agents, `${provider.url}/${status}`))))
  t.ok(exchanges.every(({ head, result }) => 'value' in result && result.value === `/${head?.status}`))
})
