import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { actionsFromOpenApi, createAgent, defineHttpAction, readAgentConfig, type Action } from '../../src/sdk/agent/index.ts'
import { startTestAgent } from '../../src/sdk/agent/testing.ts'
import { makeFolder } from '../support/folder.ts'
import { json, startProvider, type Received } from '../support/provider.ts'

/** Actions that are described, not written, against a service that answers oddly; run by the SDK's own helper for tests. */
const seen: Received[] = []
const erp = await startProvider((received, reply) => {
  seen.push(received)
  const [, status] = /^\/status\/(\d+)/.exec(received.url) ?? []
  if (status !== undefined) { json(reply, Number(status), { message: 'no, with TokenCanary-1' }); return }
  if (received.url.startsWith('/moved')) { reply.writeHead(302, { location: '/ledgers/1' }).end(); return }
  if (received.url.startsWith('/cut')) { reply.destroy(); return }
  if (received.url.startsWith('/file')) { reply.writeHead(200, { 'content-type': 'application/pdf' }).end('%PDF'); return }
  if (received.url.startsWith('/yaml')) { reply.writeHead(200, { 'content-type': 'application/yaml' }).end(`authorization: ${received.headers['authorization'] ?? ''}`); return }
  if (received.url.startsWith('/bare')) { json(reply, 200, { token: received.headers['authorization']?.split(' ')[1] }); return }
  if (received.url.startsWith('/long')) { reply.writeHead(400, { 'content-type': 'text/plain' }).end(`${'.'.repeat(480)}${received.headers['authorization'] ?? ''}`); return }
  if (received.url.startsWith('/text')) { reply.writeHead(200, { 'content-type': 'text/plain' }).end('hi'); return }
  if (received.url.startsWith('/none')) { reply.writeHead(204).end(); return }
  json(reply, 200, { path: received.url, method: received.method, authorization: received.headers['authorization'], body: received.body.toString() })
})
t.teardown(async () => { await erp.close() })
process.env['TEST_ERP_TOKEN'] = 'TokenCanary-1'
process.env['TEST_PADDED'] = 'Bearer PaddedCanary\n'
process.env['TEST_TWO_LINES'] = 'LineCanary\nLineCanary'
const credentials = { erp_token: { env: 'TEST_ERP_TOKEN' }, two_lines: { env: 'TEST_TWO_LINES' }, padded: { env: 'TEST_PADDED' } }
const headers = { authorization: 'Bearer {erp_token}' }
const path = { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] }

t.test('HTTP actions', async (t) => {
  const closed = await startProvider((_received, reply) => { json(reply, 200, {}) })
  await closed.close()
  const get = (url: string, more: object = {}) => defineHttpAction({ effect: 'read', method: 'GET', url: `${erp.url}${url}`, headers, ...more })
  const agent = await startTestAgent({
    credentials,
    actions: {
      ledger: get('/ledgers/{id}', { input: { path, query: { type: 'object', properties: { tag: {}, page: { type: 'integer' } } } }, optional: ['query'] }),
      status: get('/status/{id}', { input: { path } }),
      moved: get('/moved'), cut: get('/cut'), file: get('/file'), text: get('/text'), yaml: get('/yaml'), long: get('/long'), none: get('/none'),
      cut_unsafe: defineHttpAction({ effect: 'unsafe', method: 'POST', url: `${erp.url}/cut` }),
      refused: defineHttpAction({ effect: 'unsafe', method: 'POST', url: closed.url }),
      form: defineHttpAction({ effect: 'unsafe', method: 'POST', url: `${erp.url}/form`, bodyEncoding: 'form', input: { body: { type: 'object' } } }),
      headed: defineHttpAction({ effect: 'unsafe', method: 'POST', url: `${erp.url}/headed`, headers: { Authorization: 'Bearer {erp_token}' }, input: { header: { type: 'object' }, body: {} } }),
      padded: get('/ledgers/1', { headers: { authorization: '{padded}' } }),
      bare: get('/bare', { headers: { authorization: '{padded}' } }),
      unfit: defineHttpAction({ effect: 'unsafe', method: 'POST', url: `${erp.url}/x`, headers: { 'x-key': '{two_lines}' } }),
      no_credential: defineHttpAction({ effect: 'read', method: 'GET', url: `${erp.url}/x`, headers: { authorization: 'Bearer {other}' } }),
    },
  })
  t.teardown(async () => { await agent.stop() })
  t.match(await agent.invoke('ledger', { path: { id: 'a/b ?#' }, query: { tag: ['x', 'y'], page: 2 } }), {
    outcome: 'succeeded', output: { path: '/ledgers/a%2Fb%20%3F%23?tag=x&tag=y&page=2', method: 'GET', authorization: 'Bearer [credential]' },
  })
  t.match(seen.at(-1)?.headers['authorization'], 'Bearer TokenCanary-1')
  for (const id of ['...', 'a..b', '.well-known', 'v1.0/x', 'a%b']) t.match(await agent.invoke('ledger', { path: { id } }), { output: { path: `/ledgers/${encodeURIComponent(id)}` } }, `“${id}”`)
  t.match(await agent.invoke('headed', { header: { authorization: 'Bearer mine', AUTHORIZATION: 'Bearer mine', Accept: 'text/csv', 'Content-Type': 'text/plain', 'x-trace': 7, 'x-none': null }, body: {} }), { outcome: 'succeeded' })
  t.match(seen.at(-1)?.headers, { authorization: 'Bearer TokenCanary-1', accept: 'text/csv', 'content-type': 'application/json', 'x-trace': '7', 'x-none': undefined }, 'an action’s own headers stand alone')
  const asked = seen.length
  for (const header of [{ Host: 'elsewhere' }, { 'content-length': '1' }, { 'x-a': 'a\nb' }, { 'not a name': 'a' }]) t.match(await agent.invoke('headed', { header, body: {} }), { outcome: 'failed', error: { class: 'input', message: /^header\// } }, JSON.stringify(header))
  t.match(await agent.invoke('unfit'), { outcome: 'failed', error: { class: 'config_error', message: /header x-key/ } }, 'a credential that no header can hold')
  t.equal(seen.length, asked, 'nothing was sent')
  for (const id of ['..', '.', '', '../../v1/admin', 'a/../b', 'a/.', '..\\admin', 'a\\..', '%2e%2e', '.%2E', '..%2fadmin', 'a%5c..%5Cb', '%252e%252E', '..;', 'a/..;x/b', '..%3B/']) t.match(await agent.invoke('ledger', { path: { id } }), { outcome: 'failed', error: { class: 'input', message: 'path/id can’t be that' } }, `“${id}”`)
  t.match(await agent.invoke('ledger', {}), { outcome: 'failed', error: { class: 'input', message: /path/ } })
  t.match(await agent.invoke('ledger', { path: { id: 'x' }, body: {} }), { error: { class: 'input' } }, 'parts that it does not take')
  for (const [status, errorClass] of [[400, 'input'], [401, 'reauthorise'], [403, 'permission'], [404, 'not_found'], [409, 'conflict'], [422, 'input'], [429, 'rate_limited'], [500, 'provider_unavailable'], [418, 'action_failed']]) {
    t.match(await agent.invoke('status', { path: { id: String(status) } }), { outcome: 'failed', error: { class: errorClass, message: `status ${String(status)}: {"message":"no, with [credential]"}` } })
  }
  t.match(await agent.invoke('moved'), { outcome: 'failed', error: { class: 'action_failed', message: /^status 302/ } }, 'headers stay with their host')
  t.match(await agent.invoke('cut'), { outcome: 'failed', error: { class: 'provider_unavailable' } })
  t.match(await agent.invoke('cut_unsafe'), { outcome: 'unknown' })
  t.match(await agent.invoke('refused'), { outcome: 'failed', error: { class: 'provider_unavailable', message: /ECONNREFUSED|could not be reached/ } }, 'nothing was sent')
  t.match(await agent.invoke('file'), { output: { content_type: 'application/octet-stream', base64: 'JVBERg==' } })
  t.match(await agent.invoke('text'), { output: 'hi' })
  const { base64 } = (await agent.invoke('yaml')).output as { base64: string }
  t.equal(Buffer.from(base64, 'base64').toString(), 'authorization: Bearer *************', 'bytes without the credential')
  t.equal((await agent.invoke('long')).error?.message, `status 400: ${'.'.repeat(480)}Bearer [credential]`, 'taken out before it is cut')
  t.match(await agent.invoke('padded'), { output: { authorization: '[credential]' } }, 'as it was sent')
  t.match(await agent.invoke('bare'), { output: { token: '[credential]' } }, 'without its scheme')
  t.match(await agent.invoke('none'), { output: null })
  t.match(await agent.invoke('form', { body: { a: ['1', '2'], b: 'ü' } }), { output: { body: 'a=1&a=2&b=%C3%BC' } })
  t.match(await agent.invoke('no_credential'), { error: { class: 'config_error', message: /needs the credential other/ } })
  await t.rejects(agent.invoke('nope'), /has not announced nope/)
  t.throws(() => defineHttpAction({ effect: 'read', method: 'GET', url: 'http://{host}/x' }), /belong into the path/)
  t.throws(() => defineHttpAction({ effect: 'read', method: 'GET', url: 'http://x/{id}' }), /does not declare id/)
  t.throws(() => defineHttpAction({ effect: 'read', method: 'GET', url: 'ftp://x/' }), /no http URL/)
})

const DOCUMENT = {
  openapi: '3.0.3', info: { title: 'ERP', version: '1' },
  components: { schemas: { Entry: { type: 'object', required: ['amount'], properties: { amount: { type: 'integer', minimum: 0, exclusiveMinimum: true }, next: { $ref: '#/components/schemas/Entry' }, note: { type: 'string', nullable: true } } } } },
  paths: {
    '/ledgers/{id}': {
      parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
      get: { operationId: 'getLedger', summary: 'Get a ledger', parameters: [{ name: 'page', in: 'query', schema: { type: 'integer' } }, { name: 'session', in: 'cookie', schema: {} }] },
      post: { operationId: 'postEntry', requestBody: { required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/Entry' } } } } },
    },
    '/search': { post: { requestBody: { content: { 'application/json': { schema: { type: 'object' } } } } } },
    '/upload': { post: { operationId: 'upload', requestBody: { content: { 'multipart/form-data': { schema: {} } } } } },
    '/deep': { get: { operationId: 'deep', parameters: [{ name: 'filter', in: 'query', required: true, style: 'deepObject', schema: {} }] } },
    '/lost': { get: { operationId: 'lost', parameters: [{ $ref: '#/components/parameters/Gone' }] } },
  },
}

t.test('actions of a document', async (t) => {
  const { actions, skipped } = actionsFromOpenApi(DOCUMENT, { baseUrl: erp.url, headers, effects: { post_search: 'read' } })
  t.same(Object.entries(actions).map(([name, { effect, title }]) => [name, effect, title]), [['get_ledger', 'read', 'Get a ledger'], ['post_entry', 'unsafe', undefined], ['post_search', 'read', undefined]])
  t.same(skipped.map(({ operation, because }) => [operation, because]), [
    ['POST /upload', 'its body is multipart/form-data, not JSON'], ['GET /deep', 'its parameter filter is written in a way that is not known here'], ['GET /lost', 'it points at #/components/parameters/Gone, which is not in the document'],
  ])
  const agent = await startTestAgent({ credentials, actions: actions as Record<string, Action> })
  t.teardown(async () => { await agent.stop() })
  t.match(await agent.invoke('get_ledger', { path: { id: '7' }, query: { page: 2 } }), { output: { path: '/ledgers/7?page=2' } })
  t.match(await agent.invoke('post_entry', { path: { id: '7' }, body: { amount: 1, note: null, next: { amount: 2 } } }), { output: { body: '{"amount":1,"note":null,"next":{"amount":2}}' } })
  t.match(await agent.invoke('post_entry', { path: { id: '7' }, body: { amount: 1, next: { amount: 'x' } } }), { error: { class: 'input', message: /\/body\/next\/amount/ } })
  t.match(await agent.invoke('post_search'), { outcome: 'succeeded' }, 'a body that may be left out')
  t.throws(() => actionsFromOpenApi({ swagger: '2.0' }), /no OpenAPI 3/)
  t.throws(() => actionsFromOpenApi(DOCUMENT), /names no server/)
  t.throws(() => actionsFromOpenApi(DOCUMENT, { baseUrl: erp.url, select: ['nope'] }), /no operation nope/)
})

t.test('agent.yaml', async (t) => {
  const dir = makeFolder('agent-config')
  const file = join(dir, 'agent.yaml')
  const read = (text: string) => {
    writeFileSync(file, text)
    return readAgentConfig(file)
  }
  writeFileSync(join(dir, 'erp.json'), JSON.stringify(DOCUMENT))
  const good = `
url: https://vault.example.com
identity_file: ./identity.json
credentials: { erp_token: { env: TEST_ERP_TOKEN }, from_file: { file: ./secret }, printed: { command: [echo, hello], ttl_seconds: 5 } }
actions:
  ping: { effect: read, method: GET, url: "${erp.url}/ledgers/1", headers: { authorization: "Bearer {erp_token}" } }
openapi: [{ file: ./erp.json, base_url: "${erp.url}", actions: [get_ledger] }]
`
  const { options, skipped } = read(good)
  t.match(options, { url: 'https://vault.example.com', identityFile: join(dir, 'identity.json'), credentials: { from_file: { file: join(dir, 'secret') }, printed: { ttlSeconds: 5 } } })
  t.same(Object.keys(options.actions), ['ping', 'get_ledger'])
  t.same(skipped, [])
  const wrong: [string, RegExp][] = [
    ['url: [', /can't be read/], ['url: x', /identity_file/], [`${good}\nmore: 1`, /more|additional/], [good.replace('get_ledger', 'nope'), /no operation nope/],
    [good.replace('ping:', 'get_ledger:'), /get_ledger stands twice/], [good.replace('/ledgers/1', '/ledgers/{id}'), /does not declare id/], [good.replace('effect: read', 'effect: maybe'), /effect/],
    [good.replace('erp_token:', 'other:'), /ping: headers need the credential erp_token, which is not among credentials/],
    [good.replace('actions: [', 'headers: { x-key: "Key {toString}" }, actions: ['), /erp\.json: headers need the credential toString,/],
    ['url: https://x\nidentity_file: y', /without actions/], [good.replace('./erp.json', './gone.json'), /gone\.json/],
  ]
  for (const [text, message] of wrong) t.throws(() => read(text), { exitCode: 2, message })

  writeFileSync(file, good)
  const cli = (...args: string[]) => new Promise<{ code: number, out: string }>((resolve) => {
    execFile(process.execPath, [new URL('../../src/sdk/cli.ts', import.meta.url).pathname, 'agent', ...args], { env: { ...process.env, NODE_OPTIONS: '' } }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out: stdout + stderr })
    })
  })
  t.match(await cli('--config', file, '--check'), { code: 0, out: 'ping\tread\t\nget_ledger\tread\tGet a ledger\n' })
  t.match(await cli('--nope'), { code: 2, out: /Unknown option/ })
  t.match(await cli(), { code: 2, out: /usage/ })
  t.match(await cli('--help'), { code: 0, out: /^connection-vault agent/ })
  t.match(await cli('--config', join(dir, 'none.yaml')), { code: 2, out: /can't be read/ })
})

t.test('what is wrong before a code is used up', async (t) => {
  const start = async (more: object) => {
    const identityFile = join(makeFolder('agent'), 'identity.json')
    return await createAgent({ url: erp.url, identityFile, enrolmentCode: 'cve_unused', actions: {}, ...more }).start().then(() => undefined, (error: unknown) => error)
  }
  t.match(await start({ actions: { one: { effect: 'read', run: () => 1 } } }), { exitCode: 2, message: /action one has no input/ })
  t.match(await start({ actions: { one: { effect: 'read', input: {} } } }), { exitCode: 2, message: /action one has no run/ })
  t.match(await start({ enrolmentCode: '' }), { exitCode: 2, message: /give it an enrolment code/ })
  t.match(await start({}), { exitCode: 2, message: /is not the vault/ })
})

t.test('credential sources', async (t) => {
  const dir = makeFolder('agent-credentials')
  const secret = join(dir, 'secret')
  writeFileSync(secret, ' FileCanary\n', { mode: 0o600 })
  const counter = join(dir, 'count')
  writeFileSync(counter, '')
  const agent = await startTestAgent({
    credentials: { file: { file: secret }, printed: { command: [process.execPath, '-e', `require('fs').appendFileSync(${JSON.stringify(counter)}, 'x'); console.log('CommandCanary')`] } },
    actions: { lengths: { effect: 'read', input: {}, run: (_input, context) => Object.entries(context.credentials).map(([name, value]) => [name, value.length]) } },
  })
  t.match(await agent.invoke('lengths'), { output: [['file', 10], ['printed', 13]] })
  writeFileSync(secret, 'Another')
  t.match(await agent.invoke('lengths'), { output: [['file', 7], ['printed', 13]] }, 'files are read anew')
  t.equal((await import('node:fs')).readFileSync(counter, 'utf8'), 'x', 'a program is not asked each time')
  writeFileSync(secret, '')
  t.match(await agent.invoke('lengths'), { error: { class: 'config_error', message: 'the credential file is empty' } })
  await agent.stop()
  const failing = await startTestAgent({ credentials: { printed: { command: [process.execPath, '-e', "console.log('CommandCanary'); process.exit(3)"] } }, actions: { one: { effect: 'read', input: {}, run: () => 1 } } })
  t.match(await failing.invoke('one'), { error: { class: 'config_error', message: 'the command of the credential printed failed (3)' } })
  await failing.stop()
})
