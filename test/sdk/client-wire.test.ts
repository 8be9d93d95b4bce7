import { createServer as createSocket, type AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import { generate } from 'selfsigned'
import t from 'tap'
import { Agent, fetch as undiciFetch } from 'undici'
import { createClient, VaultConnectionError, VaultError, type ClientOptions, type Fetch, type RequestEvent } from '../../src/sdk/client/index.ts'
import { C, calls, failed, GOOD, ONE, ONCE, REPEATABLE, SECRET, TOKEN } from '../support/client-calls.ts'
import { answers, startMisbehaving, type Behaviour } from '../support/misbehaving.ts'

/** The client where what answers is not the vault, and what leaves it. */
const server = await startMisbehaving()
const elsewhere = await startMisbehaving()
t.teardown(async () => {
  await server.close()
  await elsewhere.close()
})

const { json, problem, html, drop, dropWithin, hang } = answers
const connect = (more: Partial<ClientOptions> = {}) => createClient({ url: server.url, token: TOKEN, ...more })

t.test('answers that are none of the vault’s', async (t) => {
  const once = async (behaviour: Behaviour, expected: object) => {
    server.script(behaviour)
    await failed(t, calls.resolve(connect()), VaultConnectionError, { attempts: 1, retryable: false, ...expected })
    t.equal(server.heard.length, 1)
  }
  await once(html(200), { reason: 'not_the_vault', status: 200 })
  await once(html(404), { reason: 'not_the_vault', status: 404 })
  await once(json({ error: 'forbidden' }, 403), { reason: 'not_the_vault', status: 403 })
  await once(problem(500, 'internal', { code: 7 }), { reason: 'not_the_vault', status: 500 })
  await once((reply) => { reply.writeHead(200, { 'content-type': 'application/json' }).end('{"cut":') }, { reason: 'not_the_vault', status: 200 })
  // A portal that answers 200 to everything, whatever was asked.
  for (const call of [...REPEATABLE, ...ONCE]) {
    for (const portal of [html(200), json({}), json({ error: 'log in first' }), json([]), json('ok'), json(null), ...call === 'delete' || call === 'guarded' ? [] : [(reply) => { reply.writeHead(204).end() }] satisfies Behaviour[]]) {
      server.script(portal)
      await failed(t, calls[call](connect()), VaultConnectionError, { attempts: 1, reason: 'not_the_vault', mayHaveArrived: true, retryable: false })
    }
  }
  server.script(json({ error: 'log in first' }))
  await failed(t, connect().resolveMany({ ...C, connection_ids: ['conn_1'] }), VaultConnectionError, { reason: 'not_the_vault' })
  await failed(t, connect().each('listConnections', { workspace_id: 'acme' }).next(), VaultConnectionError, { reason: 'not_the_vault' })
  server.script(html(503))
  await failed(t, calls.resolve(connect()), VaultConnectionError, { attempts: 3, reason: 'not_the_vault', status: 503, retryable: true })
  server.script((reply) => { reply.writeHead(204).end() })
  t.equal(await calls.delete(connect()), undefined)
})

t.test('redirects are not followed', async (t) => {
  elsewhere.script(GOOD)
  for (const status of [301, 302, 303, 307, 308]) {
    server.script((reply) => { reply.writeHead(status, { location: `${elsewhere.url}/v1/stolen` }).end() })
    for (const call of ['resolve', 'get', 'bare'] as const) await failed(t, calls[call](connect()), VaultConnectionError, { reason: 'redirected', status, attempts: 1, retryable: false })
    t.equal(server.heard.length, 3)
  }
  t.same(elsewhere.heard, [], 'and the token went nowhere else')
})

t.test('answers that are too large', async (t) => {
  const client = connect({ maxAnswerBytes: 100_000 })
  const text = JSON.stringify({ output: 'x'.repeat(200_000) })
  const ways: Record<string, Behaviour> = {
    stated: (reply) => { reply.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length }).end(text) },
    streamed: (reply) => { reply.writeHead(200, { 'content-type': 'application/json' }); for (let at = 0; at < text.length; at += 10_000) reply.write(text.slice(at, at + 10_000)); reply.end() },
    endless: (reply) => {
      reply.writeHead(200, { 'content-type': 'application/json' })
      const more = () => { while (!reply.destroyed && reply.write(' '.repeat(50_000))); if (!reply.destroyed) reply.once('drain', more) }
      more()
    },
    packed: (reply) => { const packed = gzipSync(' '.repeat(50_000_000)); reply.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed) },
  }
  for (const [name, behaviour] of Object.entries(ways)) {
    server.script(behaviour)
    await failed(t, client.invoke({ ...C, action: 'export' }), VaultConnectionError, { reason: 'too_large', attempts: 1, mayHaveArrived: true, retryable: false })
    t.equal(server.heard.length, 1, name)
  }
  server.script((reply) => { const packed = gzipSync(JSON.stringify({ invocation_id: 'inv_1', output: 'ä'.repeat(40_000) })); reply.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(packed) })
  t.match(await client.invoke({ ...C, action: 'export' }), { output: 'ä'.repeat(40_000) }, 'what fits is whole, wherever it was cut')
})

t.test('nobody there', async (t) => {
  const probe = createSocket().listen(0, '127.0.0.1')
  await new Promise((resolve) => { probe.once('listening', resolve) })
  const url = `http://127.0.0.1:${(probe.address() as AddressInfo).port}`
  await new Promise((resolve) => { probe.close(resolve) })
  const expected = { reason: 'unreachable', code: 'ECONNREFUSED', attempts: 3, mayHaveArrived: false, retryable: true }
  for (const call of ['resolve', 'bare', 'rotate'] as const) await failed(t, calls[call](connect({ url })), VaultConnectionError, expected)
  await failed(t, calls.bare(connect({ url: 'http://vault.invalid' })), VaultConnectionError, { reason: 'unreachable', mayHaveArrived: false })

  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048 })
  const tls = await startMisbehaving({ cert, key })
  t.teardown(async () => { await tls.close() })
  tls.script(GOOD)
  await failed(t, calls.resolve(connect({ url: tls.url })), VaultConnectionError, { reason: 'untrusted', code: 'DEPTH_ZERO_SELF_SIGNED_CERT', attempts: 1, mayHaveArrived: false, retryable: false })
  t.same(tls.heard, [])
  const handshake = { reason: 'untrusted', attempts: 1, mayHaveArrived: false, retryable: false }
  for (const call of ['resolve', 'bare'] as const) {
    await failed(t, calls[call](connect({ url: server.url.replace('http:', 'https:') })), VaultConnectionError, { ...handshake, code: 'ERR_SSL_WRONG_VERSION_NUMBER' })
    await failed(t, calls[call](connect({ url: 'http://127.0.0.1:6000' })), VaultConnectionError, { reason: 'unreachable', code: 'BAD_PORT', attempts: 1, mayHaveArrived: false, retryable: false })
  }
  const { cert: ca, private: caKey } = await generate([{ name: 'commonName', value: '127.0.0.1' }], { keySize: 2048, extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }] })
  const old = await startMisbehaving({ cert: ca, key: caKey, maxVersion: 'TLSv1.2' })
  const dispatcher = new Agent({ connect: { ca, minVersion: 'TLSv1.3' } })
  t.teardown(async () => { await Promise.all([dispatcher.destroy(), old.close()]) })
  const own: Fetch = async (url, init) => await undiciFetch(url, { ...init, dispatcher })
  await failed(t, calls.bare(connect({ url: old.url, fetch: own })), VaultConnectionError, { ...handshake, code: /PROTOCOL|VERSION/ })
  t.same(old.heard, [])

  const breaking = (code: string) => connect({ fetch: async () => { throw Object.assign(new TypeError('fetch failed'), { cause: { code } }) } })
  for (const code of ['ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC', 'ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC', 'ERR_SSL_UNEXPECTED_EOF_WHILE_READING']) {
    await failed(t, calls.bare(breaking(code)), VaultConnectionError, { reason: 'broken', code, attempts: 1, mayHaveArrived: true, retryable: false })
  }
})

t.test('connections are kept', async (t) => {
  server.script(GOOD)
  const agent = new Agent({ connections: 1 })
  t.teardown(async () => { await agent.close() })
  // Types of its own, and they fit.
  const own: Fetch = async (url, init) => await undiciFetch(url, { ...init, dispatcher: agent })
  const { opened } = server.connections
  const client = connect({ fetch: own })
  for (let times = 0; times < 20; times++) await client.resolve(C)
  await Promise.all(Array.from({ length: 20 }, async () => await client.resolve(C)))
  t.equal(server.connections.opened - opened, 1)
})

t.test('any fetch will do', async (t) => {
  const seen: [string, Parameters<Fetch>[1]][] = []
  const queue: (() => Response | object)[] = []
  const shim: Fetch = async (url, init) => {
    seen.push([url, init])
    return (queue.shift() ?? (() => Response.json({ id: 'conn_1', connections: [] })))() as Response
  }
  const client = createClient({ url: 'https://vault.example/base/', token: TOKEN, fetch: shim })
  t.match(await client.getConnection({ workspace_id: 'a/b?c#d', connection_id: 'ü' }), { id: 'conn_1' })
  t.match(seen[0], ['https://vault.example/base/v1/workspaces/a%2Fb%3Fc%23d/connections/%C3%BC', { method: 'GET', redirect: 'manual', headers: { authorization: `Bearer ${TOKEN}` } }])
  t.notOk('body' in (seen[0]?.[1] ?? {}))
  await client.listConnections({ workspace_id: 'acme', q: 'a&b=c', limit: 2, ...{ label: undefined as unknown as string } })
  t.equal(seen[1]?.[0], 'https://vault.example/base/v1/workspaces/acme/connections?q=a%26b%3Dc&limit=2')
  await client.disableConnection({ workspace_id: 'acme', connection_id: 'conn_1' }, { actor: 'user_1' })
  t.match(seen[2]?.[1], { method: 'POST', headers: { 'x-actor': 'user_1' } })
  t.notOk('content-type' in (seen[2]?.[1].headers ?? {}), 'no body, no type')

  // As browsers show a redirect, and an answer without a stream.
  queue.push(() => ({ status: 0, headers: new Headers(), body: null, text: async () => '' }))
  await failed(t, client.getConnection(ONE), VaultConnectionError, { reason: 'redirected' })
  queue.push(() => ({ status: 200, headers: new Headers(), body: null, text: async () => '{"id":"conn_2"}' }))
  t.match(await client.getConnection({ workspace_id: 'acme', connection_id: 'c' }), { id: 'conn_2' })

  const leaky = Object.assign(new TypeError(`failed with Bearer ${TOKEN} ${SECRET}`), { config: { headers: { authorization: TOKEN } } })
  const breaking = createClient({ url: 'https://vault.example', token: TOKEN, retries: 0, fetch: async () => { throw leaky } })
  const error = await failed(t, calls.bare(breaking), VaultConnectionError, { reason: 'broken', mayHaveArrived: true })
  t.equal(error.cause, undefined)
})

t.test('what can’t be sent is not', async (t) => {
  server.script(GOOD)
  const client = connect()
  for (const workspace of ['', '.', '..', undefined as unknown as string, 7 as unknown as string]) {
    await t.rejects(client.resolve({ ...C, workspace_id: workspace }), { name: 'TypeError', message: /workspace_id is missing/ })
  }
  await t.rejects(client.getConnection({ workspace_id: 'acme', connection_id: 'conn_1', ...{ secret_key: SECRET } }), { name: 'TypeError', message: 'getConnection takes no secret_key' })
  await t.rejects(client.resolve(C, { actor: 'a\r\nx-admin: 1' }), { name: 'TypeError', message: /^actor / })
  await t.rejects(client.resolve(C, { timeoutMs: 0 }), TypeError)
  await t.rejects(client.resolve(C, { retries: NaN }), TypeError)
  await t.rejects(createClient({ url: server.url, getToken: () => `${TOKEN}\n` }).resolve(C), { name: 'TypeError', message: 'token has to be a text of printable ASCII' })
  t.same(server.heard, [])

  const base = { url: server.url, token: TOKEN }
  const refused: unknown[] = [
    { token: TOKEN, url: 'vault' }, { token: TOKEN, url: 'ftp://vault' }, { token: TOKEN, url: `https://user:${SECRET}@vault` }, { token: TOKEN, url: 'https://vault/?a=1' },
    { url: server.url }, { ...base, getToken: () => TOKEN }, { ...base, token: `${TOKEN}\n` }, { ...base, retries: -1 }, { ...base, timeoutMs: Infinity },
  ]
  for (const options of refused) {
    t.throws(() => { createClient(options as ClientOptions) }, { name: 'TypeError', message: /^((?!Canary)[^])*$/ })
  }
})

t.test('who watches does not break what is watched', async (t) => {
  server.script(GOOD)
  const events: RequestEvent[] = []
  t.match(await connect({ onRequest: (event) => { events.push(event); throw new Error('no') } }).resolve(C), { connection_id: 'conn_1' })
  t.match(events, [{ operation: 'resolveConnection', attempt: 1, status: 200, durationMs: Number }])
  t.notMatch(inspect(events, { depth: null }), /Canary/)
})

t.test('no error has a token, an input or an answer', async (t) => {
  server.script((reply, request) => {
    const body = { code: 'request_invalid', title: 'echo', detail: `got ${request.headers.authorization}`, errors: [{ pointer: '/x', message: TOKEN }], headers: request.headers }
    reply.writeHead(400, { 'content-type': 'application/problem+json' }).end(JSON.stringify(body))
  })
  const errors: VaultError[] = [await failed(t, calls.bare(connect()), VaultError, { code: 'request_invalid', detail: 'got Bearer [token]' })]
  const large: Behaviour = (reply) => { reply.writeHead(200).end(`"${SECRET.repeat(1_000)}"`) }
  for (const behaviour of [drop, dropWithin, hang, html(502), json({ [SECRET]: SECRET }, 500), large, problem(409, 'name_taken')]) {
    // A call to a provider would wait as long as the provider may take.
    for (const call of behaviour === hang ? ['resolve', 'create', 'rotate'] as const : [...REPEATABLE, ...ONCE]) {
      server.script(behaviour)
      errors.push(await failed(t, calls[call](connect({ timeoutMs: 50, retries: 0, maxAnswerBytes: 1_000 })), VaultError, { attempts: 1 }))
    }
  }
  for (const error of errors) {
    const shown = [inspect(error, { depth: null, showHidden: true }), JSON.stringify(error), String(error), error.stack ?? ''].join('\n')
    t.notMatch(shown, /Canary/)
  }
})
