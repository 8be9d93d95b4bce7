import { connect } from 'node:net'
import t from 'tap'
import { makeFolder } from '../support/folder.ts'
import { createBearerToken } from '../../src/crypto/index.ts'
import { createTestDatabase } from '../support/cluster.ts'
import { startVaultProcess } from '../support/process.ts'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

const vault = await startTestVault()
t.teardown(() => vault.close())

const path = '/v1/workspaces/acme/connections'
const good = { integration: 'stripe', environment: 'sandbox', name: 'Stripe', credentials: { secret_key: STRIPE_KEY } }
const post = (raw: string | Uint8Array, headers = {}) => vault.request('POST', path, { raw, headers })
const nest = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
const many = (count: number) => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1])))

t.test('bodies', async (t) => {
  const table: [name: string, raw: string | Uint8Array, status: number, code: string, headers?: Record<string, string>][] = [
    ['unknown field', JSON.stringify({ ...good, nope: 1 }), 400, 'request_invalid'],
    ['wrong type', JSON.stringify({ ...good, name: 42 }), 400, 'request_invalid'],
    ['missing field', JSON.stringify({ ...good, name: undefined }), 400, 'request_invalid'],
    ['not an object', '[]', 400, 'request_invalid'],
    ['null', 'null', 400, 'request_invalid'],
    ['empty', '', 400, 'request_invalid'],
    ['2 MB', JSON.stringify({ ...good, name: 'x'.repeat(2_000_000) }), 413, 'body_too_large'],
    ['10,000 deep', nest(10_000), 400, 'body_too_complex'],
    ['65 deep', nest(65), 400, 'body_too_complex'],
    ['10,000 arrays deep', '['.repeat(10_000), 400, 'body_too_complex'],
    ['100,000 keys', many(100_000).slice(0, 1_000_000), 400, 'body_too_complex'],
    ['many elements', JSON.stringify(Array.from({ length: 100_000 }, () => 0)), 400, 'body_too_complex'],
    ['invalid UTF-8', Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]), 400, 'body_not_json'],
    ['overlong UTF-8', Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xc0, 0x80]), Buffer.from('"}')]), 400, 'body_not_json'],
    ['not JSON', '{"name":', 400, 'body_not_json'],
    ['JSON with a comment', '{/* hello */}', 400, 'body_not_json'],
    ['single quotes', "{'a':1}", 400, 'body_not_json'],
    ['NaN', '{"a":NaN}', 400, 'body_not_json'],
    ['a name twice', JSON.stringify(good).replace('{"secret_key"', '{"secret_key":"x","secret_key"'), 400, 'body_not_json'],
    ['a name twice, escaped', '{"name":"a","n\\u0061me":"b"}', 400, 'body_not_json'],
    ['a number beyond 2^53', '{"a":12345678901234567890}', 400, 'body_not_json'],
    ['a number beyond all', '{"a":1e999}', 400, 'body_not_json'],
    ['__proto__', '{"__proto__":{"admin":true}}', 400, 'body_not_json'],
    ['constructor.prototype', '{"constructor":{"prototype":{"admin":true}}}', 400, 'body_not_json'],
    ['__proto__, escaped', '{"\\u005f_proto__":{"admin":true}}', 400, 'body_not_json'],
    ['NUL in a text', JSON.stringify({ ...good, name: 'a\0b' }), 400, 'body_not_json'],
    ['half a surrogate pair', JSON.stringify(good).replace('Stripe', '\\ud800'), 400, 'body_not_json'],
    ['form', 'a=b', 415, 'media_type_unsupported', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['text', JSON.stringify(good), 415, 'media_type_unsupported', { 'content-type': 'text/plain' }],
    ['multipart', '--x--', 415, 'media_type_unsupported', { 'content-type': 'multipart/form-data; boundary=x' }],
    ['unknown integration', JSON.stringify({ ...good, integration: 'nope' }), 422, 'integration_unknown'],
    ['an integration called __proto__', JSON.stringify({ ...good, integration: '__proto__' }), 422, 'integration_unknown'],
    ['unknown auth scheme', JSON.stringify({ ...good, auth: 'nope' }), 422, 'auth_unknown'],
    ['missing credential field', JSON.stringify({ ...good, credentials: {} }), 422, 'credential_invalid'],
    ['key with the wrong prefix', JSON.stringify({ ...good, credentials: { secret_key: 'pk_test_canarycanary' } }), 422, 'credential_invalid'],
    ['credential that is no text', JSON.stringify({ ...good, credentials: { secret_key: { a: 1 } } }), 400, 'request_invalid'],
    ['a name of control characters', JSON.stringify({ ...good, name: 'a\nb' }), 400, 'request_invalid'],
    ['a name that turns what follows around', JSON.stringify({ ...good, name: 'a\u202eb' }), 400, 'request_invalid'],
    ['a blank name', JSON.stringify({ ...good, name: ' \u00a0 ' }), 400, 'request_invalid'],
    ['a day that is in no calendar', JSON.stringify({ ...good, expires_on: '2027-02-29' }), 400, 'request_invalid'],
    ['a config field that is not known', JSON.stringify({ ...good, config: { nope: 'x' } }), 422, 'config_invalid'],
    ['a day in the year 0', JSON.stringify({ ...good, expires_on: '0000-01-01' }), 400, 'request_invalid'],
    ['a name of 201 characters', JSON.stringify({ ...good, name: 'x'.repeat(201) }), 400, 'request_invalid'],
  ]
  for (const [name, raw, status, code, headers] of table) {
    const answer = await post(raw, headers)
    t.match(answer.body, { status, code, title: /./, retryable: false, instance: /^req_/, type: `urn:connection-vault:error:${code}` }, name)
    t.equal(answer.status, status)
    t.equal(answer.headers.get('content-type'), 'application/problem+json')
    t.equal(answer.headers.get('x-request-id'), answer.body.instance)
    t.ok(answer.body.detail !== undefined || code === 'integration_unknown' || code === 'body_not_json' || code.startsWith('media'), `${name} is explained`)
    t.notMatch(answer.text, /canary/i, `${name}: no value of a secret`)
  }
  t.match((await post(JSON.stringify({ ...good, credentials: { secret_key: 1 } }))).body.errors, [{ pointer: '/credentials/secret_key', message: 'must be string' }])
  t.same((await vault.request('GET', path)).body.connections, [], 'and nothing was created')
})

t.test('paths, queries and headers', async (t) => {
  const table: [method: string, url: string, status: number, code: string, headers?: Record<string, string>][] = [
    ['GET', '/v1/workspaces/acme/connections/nope', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections/ver_00000000000000000000000000', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections/conn_00000000000000000000000000', 404, 'not_found'],
    ['GET', '/v1/workspaces/acme/connections/conn_0000000000000000000000000%30', 404, 'not_found'],
    ['GET', '/v1/workspaces/a%20b/connections', 404, 'not_found'],
    ['GET', '/v1/workspaces/a%2Fb/connections', 404, 'not_found'],
    ['GET', '/v1/workspaces/ac%00me/connections', 404, 'not_found'],
    ['GET', '/v1/oauth-apps/sl%00ack/live', 404, 'not_found'],
    ['DELETE', '/v1/workspaces/acme/oauth-apps/sl%00ack/live', 404, 'not_found'],
    ['GET', '/v1/integrations/sl%00ack', 404, 'not_found'],
    ['GET', `/v1/workspaces/${'x'.repeat(65)}/connections`, 404, 'not_found'],
    ['GET', `/v1/workspaces/${'x'.repeat(300)}/connections`, 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections/%', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections?limit=1&limit=2', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections?q[a]=1', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections?q=%00', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections?label=a%00', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections?label=x:y', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections?label==y', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections?integration=%00', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/audit-events?event=%00', 400, 'request_invalid'],
    ['GET', `/v1/workspaces/acme/audit-events?cursor=${Buffer.from('2026-13-45T00:00:00.000Z aud_00000000000000000000000000').toString('base64url')}`, 400, 'request_invalid'],
    ['GET', '/v1/integrations?x=1', 400, 'request_invalid'],
    ['GET', '/v1/workspaces/acme/connections/conn_00000000000000000000000000/versions?x=1', 400, 'request_invalid'],
    ['GET', '/v1/nothing', 404, 'route_not_found'],
    ['GET', '/v1/workspaces/acme/connections/', 400, 'request_invalid'],
    ['GET', '/v1/integrations/', 404, 'not_found'],
    ['PUT', '/v1/workspaces/acme/connections', 404, 'route_not_found'],
    ['HEAD', '/v1/integrations', 404, ''],
    ['GET', '/', 404, 'route_not_found'],
    ['GET', '/v1/workspaces/acme/connections', 400, 'request_invalid', { 'x-actor': 'user 7' }],
    ['GET', '/v1/workspaces/acme/connections', 400, 'request_invalid', { 'x-actor': '' }],
    ['GET', '/v1/workspaces/acme/connections', 400, 'request_invalid', { 'x-actor': 'x'.repeat(129) }],
  ]
  for (const [method, url, status, code, headers] of table) {
    const answer = await vault.request(method, url, { headers: headers ?? {} })
    t.equal(answer.status, status, `${method} ${url} ${JSON.stringify(headers ?? {})}`)
    if (code !== '') t.equal(answer.body.code, code)
  }
  const refusals = await eventually(async () => {
    const rows = await vault.database.query("select workspace_id, details->>'route' as route from audit_events where event = 'request.refused' and details->>'route' like '%oauth-apps%'")
    return rows.length >= 2 && rows
  })
  t.match(refusals, [{ route: /oauth-apps/ }, { route: /oauth-apps/ }])
  t.same(await vault.database.query("select distinct workspace_id from audit_events where event = 'request.refused' and workspace_id !~ '^[A-Za-z0-9_-]{1,64}$'"), [], 'what can be no workspace is not on record as one')
  t.same(vault.logs.filter((line) => line.includes('could not be')), [], 'and every refusal is on record')
  t.equal((await vault.request('GET', path, { headers: { 'x-actor': 'ada@acme.example|7' } })).status, 200)
  t.match((await vault.request('POST', '/v1/workspaces/acme/conections', { body: { name: 'x' } })).body, { status: 404, code: 'route_not_found' }, 'whatever is sent there')
  for (const [body, pointer] of [[{ dry_run: true }, '/dry_run'], [[1], '/'], ['x', '/']] as const) {
    for (const verb of ['rollback', 'disable', 'enable', 'test']) {
      t.match((await vault.request('POST', `${path}/conn_00000000000000000000000000/${verb}`, { body })).body, { status: 400, code: 'request_invalid', errors: [{ pointer }] }, `${verb} reads no body`)
    }
  }
  t.equal((await vault.request('POST', `${path}/conn_00000000000000000000000000/disable`, { body: {} })).status, 404, 'an empty object is no body')
  t.match((await vault.request('GET', `${path}?limit=0`)).body.errors, [{ pointer: '/query/limit' }])
  t.match((await vault.request('GET', `${path}/nope`)).body.errors, [{ pointer: '/path/connection_id' }])
  t.equal((await vault.request('POST', `${path}/conn_00000000000000000000000000/disable`, { raw: '', headers: {} })).status, 404, 'a POST without a body may say that it is JSON')
})

t.test('credentials of callers', async (t) => {
  const table: [name: string, authorization: string | undefined, status: number][] = [
    ['none', undefined, 401], ['another scheme', 'Basic YTpi', 401], ['empty', 'Bearer ', 401], ['garbage', 'Bearer x', 401], ['mistyped', `Bearer ${vault.token.slice(0, -1)}~`, 401],
    ['unknown', 'Bearer cvt_0000000000000000000000000000000000000000000000000000' + '0000000', 401], ['a JWT of nobody', 'Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJldmlsIn0.', 401],
    ['lower case scheme', `bearer ${vault.token}`, 200],
  ]
  for (const [name, authorization, status] of table) {
    const answer = await vault.request('GET', path, { token: null, headers: authorization === undefined ? {} : { authorization } })
    t.equal(answer.status, status, name)
    if (status !== 401) continue
    t.match(answer.body, { code: 'unauthenticated', detail: /./ })
    t.equal(answer.headers.get('www-authenticate'), 'Bearer')
    t.notOk(answer.text.includes(vault.token.slice(4, 30)))
  }
  const expired = await vault.mint({ preset: 'ops', expiresAt: new Date(Date.now() + 60_000) })
  await vault.database.query("update service_tokens set expires_at = now() - interval '1 second' where expires_at is not null")
  t.match((await vault.request('GET', path, { token: expired })).body, { code: 'unauthenticated' })
  const long = await vault.request('GET', path, { token: `cvt_${'x'.repeat(9_000)}` })
  t.equal(long.status, 401)
})

/** Bytes as they are, for what no HTTP client would send. */
async function raw (bytes: string): Promise<string> {
  const { hostname, port } = new URL(vault.urls.internal)
  return await new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(Number(port), hostname, () => { socket.write(bytes) })
    socket.on('data', (chunk) => { text += chunk.toString('latin1') }).on('close', () => { resolve(text) }).on('error', reject)
    setTimeout(() => { socket.destroy() }, 1_500)
  })
}

t.test('requests that are no HTTP', async (t) => {
  t.match(await raw('nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(await raw(`GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /)
  t.match(await raw(`POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${vault.token}\r\nContent-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`), /^HTTP\/1\.1 400 /, 'two lengths')
  t.match(await raw(`POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${vault.token}\r\nContent-Type: application/json\r\nContent-Length: nine\r\n\r\n`), /^HTTP\/1\.1 400 /)
  const smuggled = await raw(`GET /v1/integrations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${vault.token}\r\n X-Folded: 1\r\n\r\n`)
  t.match(smuggled, /^HTTP\/1\.1 (400|401) /)
})

t.test('a stranger’s body is not read', async (t) => {
  const answer = await raw(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"a":`)
  t.match(answer, /^HTTP\/1\.1 401 /, 'the answer comes before the body is there')
})

t.test('hostile requests leave memory flat', async (t) => {
  const own = await createTestDatabase()
  const vault = await startVaultProcess({ DATABASE_URL: own.serviceUrl, DATA_DIR: makeFolder('flood') })
  t.teardown(async () => {
    await vault.kill('SIGTERM')
    await own.drop()
  })
  const send = async (method: string, url: string, authorization: string, body?: string) => {
    const response = await fetch(`${vault.urls.internal}${url}`, { method, headers: { authorization, 'content-type': 'application/json' }, ...body !== undefined && { body } })
    await response.arrayBuffer()
  }
  const random = () => Math.random().toString(36).slice(2)
  const kinds = [
    () => send('POST', path, 'Bearer x', nest(2_000)), () => send('GET', `/${random()}`, `Bearer ${random()}`), () => send('GET', `/v1/workspaces/${random()}/connections`, `Bearer cvt_${random()}`),
    () => send('GET', path, `Bearer eyJ${random()}.${random()}.x`), () => send('GET', path, `Bearer ${createBearerToken().token}`), () => send('POST', path, `Basic ${random()}`, '{"a":'),
  ]
  const flood = async (count: number) => {
    for (let sent = 0; sent < count; sent += 60) await Promise.all(Array.from({ length: 60 }, async (_, index) => { await kinds[index % kinds.length]?.() }))
  }
  const heapMb = async () => {
    const text = await (await fetch(`${vault.urls.operations}/metrics`)).text()
    return Number(/^vault_nodejs_heap_size_used_bytes (\S+)/m.exec(text)?.[1]) / 1_048_576
  }
  /** The least of some readings: what is left after collections, whenever they happen. */
  const settled = async () => Math.min(...await Promise.all(Array.from({ length: 8 }, async (_, turn) => {
    await new Promise((resolve) => { setTimeout(resolve, turn * 60) })
    return await heapMb()
  })))
  await flood(6_000)
  const before = await settled()
  await flood(24_000)
  let grown = await settled() - before
  // A heap that has just not been collected shrinks again under more of the same; a leak does not.
  for (let again = 0; grown >= 40 && again < 5; again++) {
    await flood(3_000)
    grown = Math.min(grown, await settled() - before)
  }
  t.ok(grown < 40, `the heap grew by ${grown.toFixed(1)} MB over 24,000 hostile requests`)
  await eventually(async () => (await own.query("select from audit_events where principal_kind = 'anonymous'")).length > 0)
  const [{ n }] = await own.query<{ n: number }>("select count(*)::int as n from audit_events where principal_kind = 'anonymous'") as [{ n: number }]
  t.ok(n < 500, `${n} records for all the strangers together`)
})
