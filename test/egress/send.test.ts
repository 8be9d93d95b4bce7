import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { createEgress, type Egress, type OutgoingRequest } from '../../src/egress/index.ts'
import { createMetrics } from '../../src/metrics.ts'

type Serve = (socket: Socket, request: string) => void

/** A server that writes bytes, not HTTP: what a test wants to go wrong, goes wrong. */
async function startRaw (serve: Serve): Promise<{ url: string, endpoint: string, requests: string[], server: Server }> {
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      requests.push(chunk.toString('latin1'))
      serve(socket, chunk.toString('latin1'))
    })
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url: `http://${endpoint}`, endpoint, requests, server }
}

const egresses: Egress[] = []
t.teardown(async () => { await Promise.all(egresses.map((egress) => egress.close())) })

function egressTo (endpoints: string[], resolve?: Parameters<typeof createEgress>[0]['resolve']): Egress {
  const exceptions = { provider: new Set(endpoints) }
  const egress = createEgress({ exceptions, metrics: createMetrics(), ...resolve && { resolve } })
  egresses.push(egress)
  return egress
}

async function exchange (serve: Serve, changes: Partial<OutgoingRequest> = {}) {
  const { url, endpoint, requests } = await startRaw(serve)
  const request = { method: 'POST', url: new URL(`${url}/path?q=1`), headers: { 'x-test': 'yes' }, body: Buffer.from('body'), timeoutMs: 2_000, maxResponseBytes: 100_000, ...changes }
  return { result: await egressTo([endpoint]).send('provider', request), requests }
}

const respond = (head: string, body: string | Buffer = '') => (socket: Socket) => { socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 ${head}\r\n\r\n`), Buffer.from(body as string)])) }

t.test('an answer', async (t) => {
  const { result, requests } = await exchange(respond('201 Created\r\nX-One: a\r\nX-One: b\r\nContent-Type: application/json\r\nContent-Length: 2', '{}'))
  t.match(result, { kind: 'answer', status: 201, headers: { 'x-one': 'a, b', 'content-type': 'application/json' } })
  t.equal(result.kind === 'answer' && result.body.toString(), '{}')
  t.match(requests.join(''), /^POST \/path\?q=1 HTTP\/1\.1\r\n/)
  t.match(requests.join('').toLowerCase(), /accept-encoding: identity/)
  t.match(requests.join(''), /body$/)
})

t.test('redirects are answers, not orders', async (t) => {
  const { result, requests } = await exchange(respond('302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0'))
  t.match(result, { kind: 'answer', status: 302, headers: { location: 'http://127.0.0.1:1/' } })
  t.equal(requests.length, 1)
})

t.test('failures say whether anything may have left', async (t) => {
  const hang = await exchange(() => {}, { timeoutMs: 100 })
  t.match(hang.result, { kind: 'timeout', maybeSent: true })
  const closed = await exchange((socket) => { socket.destroy() })
  t.match(closed.result, { kind: 'interrupted', maybeSent: true })
  const cut = await exchange((socket) => { socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf') })
  t.match(cut.result, { kind: 'interrupted', maybeSent: true })
  const drip = await exchange((socket) => { socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf') }, { timeoutMs: 150 })
  t.match(drip.result, { kind: 'timeout', maybeSent: true, status: 200 })
  const garbage = await exchange((socket) => { socket.end('this is not HTTP\r\n\r\n') })
  t.match(garbage.result, { kind: 'interrupted', maybeSent: true })
  const headers = await exchange((socket) => { socket.end(`HTTP/1.1 200 OK\r\nX-Big: ${'x'.repeat(100_000)}\r\n\r\n`) })
  t.match(headers.result, { kind: 'interrupted', maybeSent: true })

  const { endpoint, server, url } = await startRaw(() => {})
  await new Promise((resolve) => { server.close(resolve) })
  const refused = await egressTo([endpoint]).send('provider', { method: 'GET', url: new URL(url), headers: {}, timeoutMs: 2_000, maxResponseBytes: 10 })
  t.match(refused, { kind: 'unreachable', maybeSent: false, detail: /refuses connections/ })

  const unknown = await egressTo(['api.example.com:80']).send('provider', { method: 'GET', url: new URL('http://api.example.com.invalid:80/'), headers: {}, timeoutMs: 2_000, maxResponseBytes: 10 })
  t.match(unknown, { kind: 'blocked', maybeSent: false })

  const broken = await exchange(respond('200 OK\r\nContent-Length: 0'), { headers: { 'x-bad': 'a\r\nb' } })
  t.match(broken.result, { kind: 'blocked', maybeSent: false })
})

t.test('TLS failures are unreachable, with nothing sent', async (t) => {
  const { endpoint, requests } = await startRaw((socket) => { socket.end('HTTP/1.1 400 Bad Request\r\n\r\n') })
  const result = await egressTo([endpoint]).send('provider', { method: 'POST', url: new URL(`https://${endpoint}/`), headers: { secret: 'canary' }, timeoutMs: 2_000, maxResponseBytes: 10 })
  t.match(result, { kind: 'unreachable', maybeSent: false, detail: /TLS/ })
  t.notMatch(requests.join(''), /canary/)
})

t.test('a caller that goes away', async (t) => {
  const controller = new AbortController()
  setTimeout(() => { controller.abort() }, 50)
  const { result } = await exchange(() => {}, { signal: controller.signal })
  t.match(result, { kind: 'cancelled', maybeSent: true })
  const before = await exchange(() => {}, { signal: AbortSignal.abort() })
  t.match(before.result, { kind: 'cancelled', maybeSent: false })
  t.equal(before.requests.length, 0, 'nothing is sent for it')
})

t.test('large answers, compressed or not', async (t) => {
  const large = await exchange(respond('200 OK', 'x'.repeat(200_000)))
  t.match(large.result, { kind: 'too_large', maybeSent: true, status: 200 })
  const endless = await exchange((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    const timer = setInterval(() => { if (!socket.writable) clearInterval(timer); else socket.write(`8000\r\n${'x'.repeat(0x8000)}\r\n`) }, 1)
  })
  t.match(endless.result, { kind: 'too_large' })

  const body = Buffer.from('{"compressed":true}')
  for (const [coding, bytes] of [['gzip', gzipSync(body)], ['br', brotliCompressSync(body)]] as const) {
    const { result } = await exchange(respond(`200 OK\r\nContent-Encoding: ${coding}\r\nContent-Length: ${bytes.length}`, bytes))
    t.equal(result.kind === 'answer' && result.body.toString(), '{"compressed":true}', coding)
    t.equal(result.kind === 'answer' && result.headers['content-encoding'], undefined)
  }
  const bomb = gzipSync(Buffer.alloc(50_000_000))
  t.match((await exchange(respond(`200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}`, bomb))).result, { kind: 'too_large' })
  t.match((await exchange(respond('200 OK\r\nContent-Encoding: gzip', 'not gzip'))).result, { kind: 'interrupted', maybeSent: true })
  t.match((await exchange(respond('200 OK\r\nContent-Encoding: zstd', 'x'))).result, { kind: 'interrupted' })
})

t.test('names are resolved once, and every address of the answer counts', async (t) => {
  const { endpoint, requests } = await startRaw(respond('200 OK\r\nContent-Length: 0'))
  const port = endpoint.split(':')[1] ?? ''
  const request = (host: string): OutgoingRequest => ({ method: 'GET', url: new URL(`https://${host}:${port}/`), headers: {}, timeoutMs: 2_000, maxResponseBytes: 10 })
  const answers = (...addresses: string[]): NonNullable<Parameters<typeof createEgress>[0]['resolve']> => (_name, callback) => {
    callback(null, addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
  }
  for (const addresses of [['127.0.0.1'], ['169.254.169.254'], ['::1'], ['::ffff:127.0.0.1'], ['93.184.216.34', '127.0.0.1'], ['2606:4700::1111', 'fd00::1'], []]) {
    t.match(await egressTo([], answers(...addresses)).send('provider', request('api.example.com')), { kind: 'blocked', maybeSent: false }, addresses.join(' '))
  }
  // Rebinding: a public answer for the check and a private one for the connection would be two look-ups. There is one.
  let lookups = 0
  const rebinding = egressTo([], (_name, callback) => { callback(null, [{ address: lookups++ === 0 ? '127.0.0.1' : '93.184.216.34', family: 4 }]) })
  t.match(await rebinding.send('provider', request('rebind.example.com')), { kind: 'blocked' })
  t.equal(lookups, 1)
  t.equal(requests.length, 0, 'nothing ever reached the inside')

  const failing = egressTo([], (_name, callback) => { callback(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), []) })
  t.match(await failing.send('provider', request('gone.example.com')), { kind: 'unreachable', detail: /can’t be resolved/ })
})

t.test('an exception holds for one purpose', async (t) => {
  const { endpoint, url } = await startRaw(respond('200 OK\r\nContent-Length: 0'))
  const egress = egressTo([endpoint])
  const request = { method: 'GET', url: new URL(url), headers: {}, timeoutMs: 2_000, maxResponseBytes: 10 }
  t.match(await egress.send('provider', request), { kind: 'answer' })
  t.match(await egress.send('issuer', request), { kind: 'blocked' })
})
