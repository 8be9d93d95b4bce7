import dns from 'node:dns'
import { writeFileSync } from 'node:fs'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t from 'tap'
import { createWire } from '../support/agent.ts'
import { makeFolder } from '../support/folder.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, startTestVault } from '../support/vault.ts'

const get = async (url: string) => {
  const response = await fetch(url)
  return { status: response.status, text: await response.text(), headers: response.headers }
}

t.test('three listeners, and each route on one of them', async (t) => {
  const vault = await startTestVault()
  t.teardown(() => vault.close())
  for (const path of ['/livez', '/readyz', '/metrics']) {
    t.equal((await get(`${vault.urls.operations}${path}`)).status, 200, path)
    for (const other of [vault.urls.internal, vault.urls.public]) {
      const answer = await get(`${other}${path}`)
      t.equal(answer.status, 404)
      t.match(JSON.parse(answer.text), { code: 'route_not_found' })
    }
  }
  for (const path of ['/v1/integrations', '/v1/workspaces/acme/connections', '/openapi.yaml', '/docs']) {
    for (const other of [vault.urls.operations, vault.urls.public]) t.equal((await get(`${other}${path}`)).status, 404, `${path} is not on ${other}`)
  }
  t.match((await get(`${vault.urls.operations}/metrics`)).text, /vault_http_request_seconds_count\{listener="public",route="\(none\)",status="404"\}/)
  t.match((await get(`${vault.urls.operations}/metrics`)).text, /vault_refreshes_total\{integration="slack",outcome="oauth_app_broken"\} 0\n/, 'there before the first')
  const reference = await get(`${vault.urls.internal}/docs/`)
  t.equal(reference.status, 200)
  t.match(reference.headers.get('content-security-policy'), /default-src 'self'/)
  t.notMatch(reference.headers.get('content-security-policy'), /upgrade-insecure-requests|validator/, 'over plain http it loads its style and script by plain http')
  const description = await get(`${vault.urls.internal}/openapi.yaml`)
  t.match(description.text, /^openapi: 3\.1\.0/)
  t.match(description.headers.get('content-type'), /yaml/)
})

t.test('readiness tells what is missing', async (t) => {
  const vault = await startTestVault()
  t.teardown(() => vault.close())
  for (const [path, status] of [['/livez', 200], ['/readyz', 200], ['/metrics', 404]] as const) {
    const head = await fetch(`${vault.urls.operations}${path}`, { method: 'HEAD' })
    t.same([head.status, await head.text()], [status, ''], `HEAD ${path}`)
  }
  t.same(JSON.parse((await get(`${vault.urls.operations}/readyz`)).text), { status: 'ready', checks: { database: 'ok', keys: 'ok' } })
  await vault.database.setReachable(false)
  const answer = await eventually(async () => {
    const found = await get(`${vault.urls.operations}/readyz`)
    return found.status === 503 && found
  })
  t.match(JSON.parse(answer.text), { status: 'not_ready', checks: { database: 'failed' } })
  t.equal((await fetch(`${vault.urls.operations}/readyz`, { method: 'HEAD' })).status, 503)
  t.match((await get(`${vault.urls.operations}/metrics`)).text, /vault_ready\{check="database"\} 0\n[^]*vault_ready\{check="keys"\} 1\n/)
  t.equal((await get(`${vault.urls.operations}/livez`)).status, 200, 'alive all the same')
  const refused = await vault.request('GET', '/v1/workspaces/acme/connections')
  t.match(refused.body, { status: 503, code: 'database_unavailable', retryable: true })
  t.equal(refused.headers.get('retry-after'), '1')
  await vault.database.setReachable(true)
  await eventually(async () => (await get(`${vault.urls.operations}/readyz`)).status === 200)
  t.equal((await vault.request('GET', '/v1/workspaces/acme/connections')).status, 200, 'and back without a restart')
})

t.test('limits per token', async (t) => {
  const vault = await startTestVault({ RATE_LIMIT_PER_MINUTE: '5' })
  t.teardown(() => vault.close())
  const other = await vault.mint({ preset: 'dashboard' })
  const answers = []
  for (let times = 0; times < 7; times++) answers.push(await vault.request('GET', '/v1/integrations'))
  t.same(answers.map((one) => one.status), [200, 200, 200, 200, 200, 429, 429])
  t.match(answers[0]?.headers.get('ratelimit-limit'), '5')
  t.match(answers[4]?.headers.get('ratelimit-remaining'), '0')
  t.match(answers[5]?.body, { status: 429, code: 'rate_limited', retryable: true, detail: 'At most 5 requests a minute.' })
  t.ok(Number(answers[5]?.headers.get('retry-after')) > 0)
  t.equal((await vault.request('GET', '/v1/integrations', { token: other })).status, 200, 'another token has its own')
  for (let times = 0; times < 10; times++) t.equal((await vault.request('GET', '/v1/integrations', { token: null })).status, 401)
  t.equal((await vault.request('GET', '/v1/integrations', { token: other })).status, 200, 'strangers from the same address take nothing away')
  const burst = await vault.mint({ preset: 'dashboard' })
  const together = await Promise.all(Array.from({ length: 8 }, async () => await vault.request('GET', '/v1/integrations', { token: burst })))
  t.same(together.map((one) => one.status).sort(), [200, 200, 200, 200, 200, 429, 429, 429], 'of a burst around the limit as many as it allows')
})

t.test('TLS and client certificates on the internal listener', async (t) => {
  const dir = makeFolder('tls')
  const ca = await generate([{ name: 'commonName', value: 'test ca' }], { keySize: 2048, extensions: [{ name: 'basicConstraints', cA: true }, { name: 'keyUsage', keyCertSign: true, digitalSignature: true }] })
  const issue = (name: string) => generate([{ name: 'commonName', value: name }], {
    keySize: 2048, ca: { key: ca.private, cert: ca.cert }, extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  })
  const [server, client] = [await issue('vault'), await issue('runtime')]
  const stranger = await generate([{ name: 'commonName', value: 'stranger' }], { keySize: 2048 })
  const write = (name: string, text: string) => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  }
  const vault = await startTestVault({ TLS_CERT_FILE: write('cert.pem', server.cert), TLS_KEY_FILE: write('key.pem', server.private), TLS_CLIENT_CA_FILE: write('ca.pem', ca.cert) })
  t.teardown(() => vault.close())
  t.match(vault.urls.internal, /^https:/)
  t.match(vault.urls.public, /^http:/)
  const call = (options: RequestOptions) => new Promise<number>((resolve, reject) => {
    httpsRequest(`${vault.urls.internal}/v1/integrations`, { ...options, ca: ca.cert, headers: { authorization: `Bearer ${vault.token}` }, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    }).on('error', reject).end()
  })
  t.equal(await call({ cert: client.cert, key: client.private }), 200)
  await t.rejects(call({}), 'no certificate')
  await t.rejects(call({ cert: stranger.cert, key: stranger.private }), 'one the CA did not sign')
  await t.rejects(call({ cert: client.cert, key: client.private, maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }), 'an old protocol')
})

t.test('a shutdown finishes what was begun', async (t) => {
  const provider = await startProvider((_received, reply) => { setTimeout(() => { json(reply, 200, { done: true }) }, 600) })
  const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url, ['stripe']), EGRESS_ALLOW_PROVIDER: provider.endpoint })
  t.teardown(async () => {
    await vault.close()
    await provider.close()
  })
  const id = await vault.connect('acme')
  const running = vault.request('POST', `/v1/workspaces/acme/connections/${id}/invoke`, { body: { environment: 'sandbox', action: 'create_refund', input: { charge: 'ch_1' } } })
  await eventually(async () => provider.received.length === 1)
  const { internal } = vault.urls
  await vault.stop()
  t.match((await running).body, { outcome: 'succeeded', output: { done: true } })
  await t.rejects(fetch(internal), 'nothing listens any more')
  const rows = await vault.database.query<{ event: string }>("select event from audit_events where connection_id = $1 and event like 'invoke.%' order by id", [id])
  t.same(rows.map((row) => row.event), ['invoke.started', 'invoke.finished'])
  const [sealer] = await vault.database.query('select lease_owner from audit_sealer')
  t.equal(sealer?.['lease_owner'], null, 'and the lease on sealing is given back')
})

t.test('a shutdown leaves agents the way by which they answer', async (t) => {
  const vault = await startTestVault()
  t.teardown(() => vault.close())
  const W = '/v1/workspaces/acme'
  const wire = createWire(vault)
  const group = (await vault.request('POST', `${W}/agent-groups`, { body: { name: 'Plant', environment: 'sandbox' } })).body.id as string
  const connection = (await vault.request('POST', `${W}/connections`, { body: { integration: 'private', environment: 'sandbox', name: 'Plant', credentials: {}, config: { group } } })).body.id as string
  const agent = await wire.join(group, [{ name: 'post_entry', effect: 'unsafe', input: { type: 'object' } }])
  const running = vault.request('POST', `${W}/connections/${connection}/invoke`, { body: { environment: 'sandbox', action: 'post_entry', timeout_ms: 20_000 } })
  const [offer] = (await agent.poll(10)).body.invocations
  const call = agent.of(offer)
  t.match(await call.claim(), { status: 200 })
  const held = agent.poll(20)
  const { internal, public: open } = vault.urls
  await new Promise((resolve) => { setTimeout(resolve, 200) })
  const stopping = vault.stop()
  t.match(await held, { status: 204 }, 'who waits for work is let go')
  await eventually(async () => await fetch(internal).then(() => false, () => true))
  t.match(await agent.poll(10), { status: 503, body: { code: 'shutting_down' } }, 'there is no more')
  t.match(await wire.call('enrol', { code: 'x' }), { status: 503, body: { code: 'shutting_down' } })
  t.equal((await get(`${open}/connect/x`)).status, 503)
  t.match(await call.heartbeat(), { status: 200 })
  t.match(await wire.login(agent), { status: 200 }, 'its token may have ended meanwhile')
  t.match(await call.result({ outcome: 'succeeded', output: '{"done":true}' }), { status: 204 })
  t.match((await running).body, { outcome: 'succeeded', output: { done: true } })
  await stopping
  await t.rejects(fetch(open), 'nothing listens any more')
})

t.test('a shutdown does not wait for connections that were never used', async (t) => {
  const vault = await startTestVault()
  const { port } = new URL(vault.urls.internal)
  const silent = connect(Number(port), '127.0.0.1')
  const half = connect(Number(port), '127.0.0.1', () => { half.write('GET /v1') })
  const closed = Promise.all([silent, half].map((socket) => new Promise((resolve) => { socket.on('error', () => {}).once('close', resolve) })))
  await new Promise((resolve) => { setTimeout(resolve, 100) })
  const startedMs = performance.now()
  await vault.close()
  await closed
  t.ok(performance.now() - startedMs < 5_000)
})

t.test('what is no request is answered with a problem, and its connection ends', async (t) => {
  const vault = await startTestVault()
  t.teardown(() => vault.close())
  const table: [what: string, bytes: string, status: number, code: string][] = [
    ['no HTTP', 'HELLO\r\n\r\n', 400, 'request_invalid'],
    ['an unknown method', 'FETCH /v1/integrations HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'request_invalid'],
    ['two lengths', 'POST /v1/integrations HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400, 'request_invalid'],
    ['headers of 20 KB', `GET /v1/integrations HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large'],
  ]
  for (const [what, bytes, status, code] of table) {
    for (const listener of ['internal', 'public', 'operations'] as const) {
      const { hostname, port } = new URL(vault.urls[listener])
      const socket = connect(Number(port), hostname)
      let text = ''
      socket.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('error', () => undefined)
      const ended = new Promise((resolve) => { socket.once('close', resolve) })
      socket.write(bytes)
      await ended
      const [head = '', body = ''] = text.split('\r\n\r\n')
      t.match(head, new RegExp(`^HTTP/1.1 ${status} `), `${what}, ${listener}`)
      t.match(head, /\r\nContent-Type: application\/problem\+json\r\n/)
      t.match(JSON.parse(body), { status, code, instance: /^req_/, type: `urn:connection-vault:error:${code}` })
    }
  }
})

t.test('localhost is one address, with all that is done to it', async (t) => {
  const { lookup } = dns
  const OTHER = '127.0.0.2'
  // Not every machine has a second address for it.
  dns.lookup = ((host: string, options: dns.LookupAllOptions, callback: (error: null, found: unknown, family?: number) => void) => {
    lookup(host, options, ((error: null, found: dns.LookupAddress[], family?: number) => {
      callback(error, options.all ? [...found, { address: OTHER, family: 4 }] : found, family)
    }) as never)
  }) as unknown as typeof lookup
  t.teardown(() => { dns.lookup = lookup })
  const vault = await startTestVault({ INTERNAL_HOST: 'localhost', PUBLIC_HOST: 'localhost', OPERATIONS_HOST: 'localhost' })
  t.teardown(() => vault.close())
  t.match(await get(`${vault.urls.operations}/livez`), { status: 200 })
  for (const url of Object.values(vault.urls)) {
    const refused = await new Promise((resolve) => { connect(Number(new URL(url).port), OTHER).on('error', resolve).on('connect', resolve) })
    t.ok(refused instanceof Error, `nobody else listens for ${url}`)
  }
})

t.test('connections of strangers', async (t) => {
  const most = 5
  const vault = await startTestVault({ PUBLIC_CONNECTIONS_MAX: String(most) })
  t.teardown(() => vault.close())
  const port = Number(new URL(vault.urls.public).port)
  const open = async (first = '') => {
    const socket = connect(port, '127.0.0.1')
    const since = performance.now()
    const closed = new Promise<number>((resolve) => { socket.on('close', () => { resolve(performance.now() - since) }) })
    socket.on('error', () => {}).resume()
    await new Promise((resolve) => { socket.on('connect', resolve) })
    socket.write(first)
    return closed
  }
  const silent = await Promise.all([...Array.from({ length: most - 1 }, async () => ({ closed: open() })), (async () => ({ closed: open('GET /connect/x HTTP/1.1\r\nhost: a\r\n') }))()])
  await eventually(async () => {
    const beyond = await open()
    return beyond < 1_000
  })
  t.equal((await vault.request('GET', '/v1/integrations')).status, 200, 'the API has connections of its own')
  t.match((await get(`${vault.urls.operations}/metrics`)).text, /vault_connections_dropped_total\{listener="public"\} [1-9]/)
  for (const { closed } of silent) t.ok(await closed < 14_000, 'who says nothing whole within ten seconds is cut off')
  t.equal((await get(`${vault.urls.public}/connect/${'A'.repeat(43)}`)).status, 404, 'and there is room again')
})
