import t from 'tap'
import { Compile } from 'typebox/schema'
import { CustomApi, ImportPreview } from '../../src/http/contract/custom-api.ts'
import { Person } from '../support/person.ts'
import { json, startProvider } from '../support/provider.ts'
import { startTestVault } from '../support/vault.ts'

/** From a document to a call, over HTTP, as a workspace's dashboard and procedures do it. */
type Loose = Record<string, unknown>
const provider = await startProvider((received, reply) => {
  if (received.url === '/openapi.json') { json(reply, 200, documentOf({ '/fetched': { get: { operationId: 'fetched' } } }, { servers: [{ url: '/v9' }] })); return }
  if (received.url === '/moved.json') { reply.writeHead(302, { location: '/openapi.json' }).end(); return }
  if (received.url === '/token') { json(reply, 200, { access_token: 'CanaryIssuedToken-000001', token_type: 'Bearer', expires_in: 3_600 }); return }
  json(reply, /wrong/.test(JSON.stringify(received.headers)) ? 401 : 200, { url: received.url, method: received.method })
})
const internal = await startProvider((_received, reply) => { json(reply, 200, documentOf({ '/inside': { get: {} } })) })
const vault = await startTestVault({
  EGRESS_ALLOW_CUSTOM_API: provider.endpoint, EGRESS_ALLOW_DOCUMENT: provider.endpoint, EGRESS_ALLOW_PROVIDER: internal.endpoint, RETURN_ORIGINS: 'https://app.example',
})
t.teardown(async () => {
  await vault.close()
  await provider.close()
  await internal.close()
})

const KEY = 'CanaryApiKey-0000000000042'
const SCHEMES = { key: { type: 'apiKey', in: 'header', name: 'X-Key' } }

function documentOf (paths: Loose, more: Loose = {}): Loose {
  return { openapi: '3.1.0', info: { title: 'Acme', version: '1' }, servers: [{ url: provider.url }], security: [{ key: [] }], components: { securitySchemes: SCHEMES }, paths, ...more }
}
const ACCOUNT = { '/account': { get: { operationId: 'getAccount' } } }
const PETS = {
  ...ACCOUNT,
  '/pets/{id}': { get: { operationId: 'getPet', parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }] }, delete: { operationId: 'deletePet', parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }] } },
  '/pets': { post: { operationId: 'createPet', requestBody: { required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } } } } } },
}
const PET = { type: 'object', required: ['name'], properties: { name: { type: 'string' }, parent: { $ref: '#/components/schemas/Pet' } } }
const W = '/v1/workspaces/acme'
const checkView = Compile(CustomApi)
const checkPreview = Compile(ImportPreview)

const create = async (document: unknown, choices: Loose = {}) => {
  const answer = await vault.request('POST', `${W}/integrations`, { body: { document, ...choices } })
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.body as { id: string, etag: string }
}
let made = 0
const connect = async (integration: string, more: Loose = {}) => {
  const answer = await vault.request('POST', `${W}/connections`, { body: { integration, environment: 'sandbox', name: `C ${++made}`, credentials: { key: KEY }, ...more } })
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.body.id as string
}
const invoke = async (connection: string, action: string, more: Loose = {}) =>
  await vault.request('POST', `${W}/connections/${connection}/invoke`, { body: { environment: 'sandbox', action, ...more } })

t.test('preview: as it is, in an envelope, in a form, and fetched', async (t) => {
  const document = documentOf(PETS, { components: { securitySchemes: SCHEMES, schemas: { Pet: PET } } })
  const preview = async (raw: string | Uint8Array, type: string) => await vault.request('POST', '/v1/openapi/preview', { raw, headers: { 'content-type': type } })
  const yaml = `openapi: 3.0.3\ninfo: {title: Acme, version: "1"}\nservers: [{url: "${provider.url}"}]\npaths:\n  /account:\n    get: {operationId: getAccount}\n`
  const form = new FormData()
  form.set('document', new Blob([JSON.stringify(document)]), 'openapi.json')
  form.set('choices', JSON.stringify({ select: { names: ['get_pet'] } }))
  const posted = new Response(form)
  const answers: [what: string, answer: Awaited<ReturnType<typeof preview>>, actions: string[]][] = [
    ['bare JSON', await preview(JSON.stringify(document), 'application/json'), ['get_account', 'get_pet', 'delete_pet', 'create_pet']],
    ['bare YAML', await preview(yaml, 'application/yaml'), ['get_account']], ['any type', await preview(yaml, 'text/plain; charset=utf-8'), ['get_account']],
    ['an envelope', await preview(JSON.stringify({ document, select: { paths: ['/pets/'] } }), 'application/json'), ['get_pet', 'delete_pet']],
    ['an envelope with a text', await preview(JSON.stringify({ document: yaml }), 'application/json'), ['get_account']],
    ['a form', await preview(new Uint8Array(await posted.arrayBuffer()), posted.headers.get('content-type') ?? ''), ['get_pet']],
    ['a URL', await preview(JSON.stringify({ url: `${provider.url}/openapi.json` }), 'application/json'), ['fetched']],
  ]
  for (const [what, answer, actions] of answers) {
    t.equal(answer.status, 200, `${what}: ${answer.text.slice(0, 200)}`)
    t.strictSame((answer.body.actions as { name: string }[]).map(({ name }) => name), actions, what)
    t.ok(checkPreview.Check(answer.body), `${what}: as the contract has it`)
  }
  t.match(answers[6]?.[1].body.servers, [{ url: '/v9', problem: null }], 'relative to where it came from')

  const refused: [what: string, raw: string, type: string, expected: Loose][] = [
    ['nothing', '', 'application/json', { status: 422, body: { code: 'openapi_invalid', errors: [{ message: 'is missing' }] } }],
    ['no document', '{"hello": 1}', 'application/json', { status: 422, body: { code: 'openapi_invalid', errors: [{ pointer: '', message: /neither `openapi`/ }] } }],
    ['a place in it', JSON.stringify(documentOf({})), 'application/json', { status: 422, body: { code: 'openapi_invalid', detail: 'The document has no operations.', errors: [{ pointer: '/paths' }] } }],
    ['an unknown choice', JSON.stringify({ document, colour: 'red' }), 'application/json', { status: 400, body: { code: 'request_invalid', errors: [{ pointer: '/colour' }] } }],
    ['a wrong choice', JSON.stringify({ document, auth: { type: 'api_key' } }), 'application/json', { status: 400, body: { code: 'request_invalid', errors: [{ pointer: '/auth/in', message: 'is required' }, { pointer: '/auth/name', message: 'is required' }] } }],
    ['an auth that there is none of', JSON.stringify({ document, auth: { type: 'digest' } }), 'application/json', { status: 400, body: { errors: [{ pointer: '/auth/type', message: 'must be one of ["none","bearer","basic","api_key"]' }] } }],
    ['an auth that is a text', JSON.stringify({ document, auth: 'api_key' }), 'application/json', { status: 400, body: { errors: [{ pointer: '/auth' }] } }],
    ['both', JSON.stringify({ document, url: 'https://a.dev' }), 'application/json', { status: 400, body: { errors: [{ pointer: '/url' }] } }],
    ['a document of no kind', JSON.stringify({ document: 5 }), 'application/json', { status: 400, body: { errors: [{ pointer: '/document' }] } }],
    ['a form of no kind', 'x', 'multipart/form-data; boundary=y', { status: 422, body: { code: 'openapi_invalid' } }],
    ['a server of the inside', JSON.stringify({ document, servers: { live: 'http://169.254.169.254/' } }), 'application/json', { status: 422, body: { errors: [{ pointer: '/servers' }] } }],
    ['a header of the connection', JSON.stringify({ document, auth: { type: 'api_key', in: 'header', name: 'Host' } }), 'application/json', { status: 400, body: { code: 'request_invalid', errors: [{ pointer: '/auth/name' }] } }],
    ['hosts said twice', JSON.stringify({ document, servers: { live: 'https://a.dev' } }).replace('{"document"', '{"servers":{"live":"https://b.dev"},"document"'), 'application/json', { status: 400, body: { errors: [{ message: /same name twice/ }] } }],
    ['an envelope too deep', `{"document":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`, 'application/json', { status: 400, body: { errors: [{ message: /levels deep/ }] } }],
    ['a file', JSON.stringify({ url: 'file:///etc/passwd' }), 'application/json', { status: 400, body: { errors: [{ pointer: '/url' }] } }],
    ['metadata', JSON.stringify({ url: 'http://169.254.169.254/latest' }), 'application/json', { status: 422, body: { errors: [{ pointer: '/url', message: /can’t be fetched/ }] } }],
    ['the operator’s own', JSON.stringify({ url: `${internal.url}/openapi.json` }), 'application/json', { status: 422, body: { errors: [{ pointer: '/url', message: /, unless an operator lists [\d.]+:\d+ in EGRESS_ALLOW_DOCUMENT$/ }] } }],
    ['a redirect', JSON.stringify({ url: `${provider.url}/moved.json` }), 'application/json', { status: 422, body: { errors: [{ message: /redirects are not followed/ }] } }],
  ]
  const nothing = new FormData()
  nothing.set('document', JSON.stringify(document))
  nothing.set('choices', 'null')
  const sent = new Response(nothing)
  t.match(await preview(new Uint8Array(await sent.arrayBuffer()), sent.headers.get('content-type') ?? ''), { status: 400, body: { errors: [{ pointer: '/choices' }] } }, 'choices that are null')
  for (const [what, raw, type, expected] of refused) t.match(await preview(raw, type), expected, what)
  t.equal(internal.received.length, 0)
  t.match(await preview(Buffer.alloc(30 * 1_048_576, 0x20), 'application/json'), { status: 413, body: { code: 'body_too_large' } })
  t.match(await vault.request('GET', `${W}/integrations`), { body: { integrations: [], next_cursor: null } }, 'nothing is kept')
})

t.test('made, read, used, and deleted', async (t) => {
  const api = await create(documentOf(PETS, { components: { securitySchemes: SCHEMES, schemas: { Pet: PET } } }), { name: 'Acme pets' })
  t.ok(checkView.Check(api), JSON.stringify(checkView.Errors(api)[1]))
  t.match(api, { id: /^int_/, workspace_id: 'acme', name: 'Acme pets', revision: 1, environments: ['sandbox', 'live'], separation: 'none', etag: '"1"', action_count: 4, diff: null, auth: [{ id: 'key', credentials: { properties: { key: { writeOnly: true } } } }] })
  t.match(await vault.request('GET', `${W}/integrations`), { body: { integrations: [{ id: api.id, action_count: 4 }] } })
  t.match(await vault.request('GET', `${W}/integrations/${api.id}/actions/create_pet`), { body: { effect: 'unsafe', input: { required: ['body'], properties: { body: { $ref: '#/$defs/Pet' } }, $defs: { Pet: { required: ['name'] } } } } })
  t.match(await vault.request('GET', `${W}/integrations/${api.id}/actions/none`), { status: 404 })
  t.match(await vault.request('GET', `${W}/integrations/${api.id}?revision=2`), { status: 422, body: { code: 'revision_unknown' } })
  t.match(await vault.request('GET', `/v1/workspaces/other/integrations/${api.id}`), { status: 404 })
  t.match(await vault.request('POST', '/v1/workspaces/other/connections', { body: { integration: api.id, environment: 'sandbox', name: 'x', credentials: { key: KEY } } }), { status: 422, body: { code: 'integration_unknown' } }, 'of no other workspace')

  const connection = await connect(api.id, { allowed_actions: ['get_pet', 'create_pet'] })
  provider.received.length = 0
  t.match(await invoke(connection, 'get_pet', { input: { path: { id: 7 } } }), { status: 200, body: { outcome: 'succeeded', output: { url: '/pets/7' } } })
  t.match(provider.received, [{ method: 'GET', url: '/pets/7', headers: { 'x-key': KEY } }])
  t.match(await invoke(connection, 'create_pet', { input: { body: { name: 'Rex' } } }), { body: { outcome: 'succeeded' } })
  t.equal(provider.received[1]?.body, '{"name":"Rex"}')
  t.match(await invoke(connection, 'get_pet', { input: { path: { id: 'seven' } } }), { status: 422, body: { errors: [{ pointer: '/input/path/id' }] } })
  t.match(await invoke(connection, 'delete_pet', { input: { path: { id: 7 } } }), { status: 403, body: { code: 'action_not_allowed' } })
  t.match(await invoke(connection, 'get_pet', { input: { path: { id: 7 } }, dry_run: true }), { body: { request: { url: `${provider.url}/pets/7`, headers: { 'x-key': '[credential]' } } } })
  t.match(await vault.request('POST', `${W}/connections/${connection}/resolve`, { body: { environment: 'sandbox' } }), { body: { credentials: { key: KEY }, request: { base_url: provider.url, headers: { 'x-key': KEY } } } })
  t.match(await vault.request('POST', `${W}/connections/${connection}/test`), { body: { result: 'ok' } })
  t.match(await vault.request('POST', `${W}/connections/${connection}/rotate`, { body: { credentials: { key: 'wrong-CanaryKey-0000001' }, test: true } }), { status: 422, body: { code: 'credential_refused' } })
  t.match(await vault.request('POST', `${W}/connections/${connection}/rotate`, { body: { credentials: { key: 'CanaryApiKey-rotated-0001' } } }), { status: 200 })
  t.match(await vault.request('PATCH', `${W}/connections/${connection}`, { body: { allowed_actions: ['fly'] }, headers: { 'if-match': '*' } }), { status: 422, body: { code: 'actions_invalid' } })
  t.match(await vault.request('GET', `${W}/connections?integration=${api.id}`), { body: { connections: [{ id: connection, integration_revision: 1 }] } })

  const inUse = await vault.request('DELETE', `${W}/integrations/${api.id}`)
  t.match(inUse, { status: 409, body: { code: 'integration_in_use', connections: [{ id: connection, environment: 'sandbox' }] } })
  const live = await vault.mint({ scopes: ['integrations:write'], environments: ['live'] })
  t.match(await vault.request('DELETE', `${W}/integrations/${api.id}`, { token: live }), { status: 403, body: { code: 'insufficient_scope', detail: /not for sandbox/ } })
  t.match(await vault.request('PUT', `${W}/integrations/${api.id}`, { token: live, body: { document: documentOf(ACCOUNT) } }), { status: 403 })
  await vault.request('DELETE', `${W}/connections/${connection}?force=true`)
  t.match(await vault.request('DELETE', `${W}/integrations/${api.id}`, { headers: { 'if-match': '"9"' } }), { status: 412 })
  t.match(await vault.request('DELETE', `${W}/integrations/${api.id}`), { status: 204 })
  t.match(await vault.request('DELETE', `${W}/integrations/${api.id}`), { status: 404 })
  const events = (await vault.request('GET', `${W}/audit-events?limit=200`)).body.audit_events as { event: string, details: Loose | null }[]
  t.strictSame(events.filter(({ details }) => details?.['integration'] === api.id).map(({ event }) => event).filter((event) => event.startsWith('integration.')), ['integration.deleted', 'integration.created'])
})

t.test('a procedure stays on the revision it was built with', async (t) => {
  const id = await create(documentOf(PETS, { components: { securitySchemes: SCHEMES, schemas: { Pet: PET } } })).then((api) => api.id)
  const connection = await connect(id)
  const next = documentOf({
    ...ACCOUNT, '/pets': { post: { operationId: 'createPet', requestBody: { required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } } } } } },
    '/v2/pets/{id}': { get: { operationId: 'getPet', parameters: [{ name: 'id', in: 'path', required: true, schema: { type: ['integer', 'string'] } }] } }, '/new': { get: { operationId: 'brandNew' } },
  }, { servers: [{ url: 'https://evil.vendor.dev' }], components: { securitySchemes: { key: { type: 'apiKey', in: 'query', name: 'leak' } }, schemas: { Pet: { ...PET, required: ['name', 'colour'] } } } })
  const revised = await vault.request('PUT', `${W}/integrations/${id}`, { body: { document: next }, headers: { 'if-match': '"1"' } })
  t.match(revised, { status: 200, body: { revision: 2, etag: '"2"', revisions: [{ revision: 2, changes: { added: 1, changed: 1, breaking: 1, removed: 1 } }, { revision: 1, changes: null }] } })
  t.strictSame(revised.body.diff, { added: ['brand_new'], changed: ['get_pet'], breaking: [{ name: 'create_pet', reasons: ['/body/colour is required now'] }], removed: ['delete_pet'] })
  t.ok(checkView.Check(revised.body))
  t.match(await vault.request('PUT', `${W}/integrations/${id}`, { body: { document: next } }), { status: 200, body: { revision: 2 } }, 'the same again is nothing new')
  t.match(await vault.request('PUT', `${W}/integrations/${id}`, { body: { document: documentOf(ACCOUNT) }, headers: { 'if-match': '"1"' } }), { status: 412, body: { code: 'etag_mismatch' } })

  provider.received.length = 0
  t.match(await invoke(connection, 'delete_pet', { revision: 1, input: { path: { id: 7 } } }), { body: { outcome: 'succeeded' } }, 'removed in revision 2, there in 1')
  t.match(await invoke(connection, 'delete_pet', { input: { path: { id: 7 } } }), { status: 404, body: { code: 'action_unknown', detail: /Revision 2 has removed this action.*`revision`: 1/ } }, 'a tombstone')
  t.match(await invoke(connection, 'nope'), { status: 404, body: { code: 'action_unknown', detail: /^No revision of this integration has such an action\. Revision 2 has: .*\bget_pet\b/ } })
  t.match(await invoke(connection, 'delete_pet', { revision: 2, input: { path: { id: 7 } } }), { status: 404 })
  t.match(await invoke(connection, 'brand_new', { revision: 1 }), { status: 404, body: { detail: /does not have this action yet; revision 2 has/ } })
  t.match(await invoke(connection, 'brand_new', { revision: 3 }), { status: 422, body: { code: 'revision_unknown' } })
  t.match(await invoke(connection, 'nonsense'), { status: 404, body: { detail: /No revision/ } })
  t.match(await invoke(connection, 'get_pet', { input: { path: { id: 7 } } }), { body: { output: { url: '/v2/pets/7' } } }, 'the newest unless told')
  t.match(await invoke(connection, 'get_pet', { revision: 1, input: { path: { id: 7 } } }), { body: { output: { url: '/pets/7' } } })
  t.ok(provider.received.every(({ url, headers }) => headers['x-key'] === KEY && !url.includes('leak')), 'the new document moves no credential')
  t.equal(provider.received.length, 3)
  const stripe = await vault.connect('acme')
  t.match(await invoke(stripe, 'get_balance', { revision: 1 }), { status: 422, body: { code: 'revision_unknown', detail: /has no revisions/ } })
  const keyed = async (revision: number) => await vault.request('POST', `${W}/connections/${connection}/invoke`, { body: { environment: 'sandbox', action: 'get_account', revision }, headers: { 'idempotency-key': 'one' } })
  t.match([await keyed(1), await keyed(1), await keyed(2)], [{ body: { replayed: false } }, { body: { replayed: true } }, { status: 409, body: { code: 'idempotency_conflict' } }])
  await vault.stop()
  await vault.start()
  t.match(await invoke(connection, 'delete_pet', { revision: 1, input: { path: { id: 8 } } }), { body: { outcome: 'succeeded' } }, 'after a restart, too')
  t.match(await vault.request('GET', `${W}/integrations/${id}?revision=1`), { body: { revision: 1, newest_revision: 2, action_count: 4 } })
})

t.test('every kind of credential', async (t) => {
  const id = (await create(documentOf({
    '/bearer': { get: { operationId: 'bearer', security: [{ token: [] }] } }, '/basic': { get: { operationId: 'basic', security: [{ login: [] }] } }, '/both': { get: { operationId: 'both', security: [{ key: [], session: [] }] } },
    '/open': { get: { operationId: 'open', security: [] } }, '/machine': { get: { operationId: 'machine', security: [{ machine: ['read'] }] } }, '/query': { get: { operationId: 'query', security: [{ inQuery: [] }] } },
  }, {
    components: {
      securitySchemes: {
        ...SCHEMES, token: { type: 'http', scheme: 'bearer' }, login: { type: 'http', scheme: 'basic' }, session: { type: 'apiKey', in: 'cookie', name: 'sid' }, inQuery: { type: 'apiKey', in: 'query', name: 'api_key' },
        machine: { type: 'oauth2', flows: { clientCredentials: { tokenUrl: `${provider.url}/token`, scopes: { read: '' } } } },
      },
    },
  }))).id
  const secret = 'CanarySecret-0000000001'
  const ways: [auth: string, entered: Loose, action: string, sent: Loose][] = [
    ['token', { credentials: { token: secret } }, 'bearer', { headers: { authorization: `Bearer ${secret}` } }],
    ['login', { credentials: { login_username: 'ada', login_password: secret } }, 'basic', { headers: { authorization: `Basic ${Buffer.from(`ada:${secret}`).toString('base64')}` } }],
    ['login', { credentials: { login_username: secret } }, 'basic', { headers: { authorization: `Basic ${Buffer.from(`${secret}:`).toString('base64')}` } }],
    ['key_and_session', { credentials: { key: KEY, session: secret } }, 'both', { headers: { 'x-key': KEY, cookie: `sid=${secret}` } }],
    ['in_query', { credentials: { in_query: secret } }, 'query', { url: `/query?api_key=${secret}` }],
    ['machine', { credentials: { client_secret: secret }, config: { client_id: 'client' } }, 'machine', { headers: { authorization: 'Bearer CanaryIssuedToken-000001' } }],
    ['none', { credentials: {} }, 'open', { headers: { authorization: undefined, 'x-key': undefined } }],
  ]
  for (const [auth, entered, action, sent] of ways) {
    const connection = await connect(id, { auth, ...entered })
    t.match(await invoke(connection, action), { body: { outcome: 'succeeded' } }, auth)
    t.match(provider.received.at(-1), sent, auth)
    if (auth !== 'none') t.match(await invoke(connection, 'open'), { body: { outcome: 'succeeded' } }, `${auth}: nothing is sent to who asks for nothing`)
    t.notMatch(JSON.stringify(provider.received.at(-1)?.headers), /Canary/)
    t.match(await invoke(connection, auth === 'token' ? 'basic' : 'bearer'), { status: 403, body: { code: 'action_not_allowed' } }, `${auth} is not another’s`)
  }
  t.match(await vault.request('POST', `${W}/connections`, { body: { integration: id, environment: 'sandbox', name: 'w', auth: 'nope', credentials: {} } }), { status: 422, body: { code: 'auth_unknown' } })
})

t.test('where it is, is said when it is connected, and never again', async (t) => {
  const regional = (await create(documentOf(ACCOUNT, { servers: [{ url: 'https://{region}.vendor.dev/{base}', variables: { region: { default: 'eu', enum: ['eu', 'us'] }, base: { default: 'v1' } } }] }))).id
  const connection = await connect(regional, { config: { region: 'us' } })
  t.match(await invoke(connection, 'get_account', { dry_run: true }), { body: { request: { url: 'https://us.vendor.dev/v1/account' } } })
  t.match(await vault.request('PATCH', `${W}/connections/${connection}`, { body: { config: { region: 'eu' } }, headers: { 'if-match': '*' } }), { status: 422, body: { code: 'config_invalid' } }, 'frozen with the credential')
  const anywhere = (await create(documentOf(ACCOUNT, { servers: [] }))).id
  for (const host of ['evil.com/', 'a@b.dev', 'a b', '', '../x']) {
    t.match(await vault.request('POST', `${W}/connections`, { body: { integration: anywhere, environment: 'sandbox', name: 'e', credentials: { key: KEY }, config: { api_host: host } } }), { status: 422 }, host)
  }
  t.match(await vault.request('POST', `${W}/connections`, { body: { integration: anywhere, environment: 'sandbox', name: 'inside', credentials: { key: KEY }, config: { api_host: internal.endpoint } } }), { status: 422, body: { code: 'config_invalid', detail: /operator’s own/ } }, 'what is open to operators’ manifests is closed to tenants')
  const metadata = await connect(anywhere, { config: { api_host: '169.254.169.254' } })
  t.match(await invoke(metadata, 'get_account'), { status: 403, body: { code: 'egress_blocked' } })
  const elsewhere = (await create(documentOf(ACCOUNT), { servers: { live: 'https://live.vendor.dev' } })).id
  t.match(await vault.request('POST', `${W}/connections`, { body: { integration: elsewhere, environment: 'sandbox', name: 'y', credentials: { key: KEY } } }), { status: 409, body: { code: 'environment_mismatch' } })
  t.equal(internal.received.length, 0)
})

t.test('connected in a browser', async (t) => {
  const id = (await create(documentOf(PETS, { components: { securitySchemes: SCHEMES, schemas: { Pet: PET } } }), { name: 'Acme in a browser' })).id
  const open = async (more: Loose = {}) => (await vault.request('POST', `${W}/connect-sessions`, { body: { integration: id, environment: 'sandbox', name: `B ${++made}`, actor: 'ada', return_url: 'https://app.example/done', ...more } })).body as { connect_url: string, connect_session: { id: string } }
  const session = await open()
  const person = new Person()
  const page = await person.visit(session.connect_url)
  t.match(page.text, /Acme in a browser/)
  const field = page.forms.flatMap(({ fields }) => fields).find(({ name }) => name.endsWith('key'))?.name ?? ''
  const refused = await person.submit(page, { [field]: 'wrong-CanaryKey-0000001' }, ({ fields }) => fields.some(({ name }) => name === field))
  t.match(refused.text, /not accept|refuse/i)
  const done = await person.submit(page, { [field]: KEY }, ({ fields }) => fields.some(({ name }) => name === field))
  const returned = new URL(done.leadsTo ?? done.headers.get('location') ?? '')
  t.match(await vault.request('DELETE', `${W}/integrations/${id}`), { status: 409, body: { code: 'integration_in_use', detail: /Somebody is connecting it/ } })
  const completed = await vault.request('POST', `${W}/connect-sessions/${session.connect_session.id}/complete`, { body: { completion_code: returned.searchParams.get('completion_code'), actor: 'ada' } })
  t.match(completed, { status: 200 })
  const connection = (completed.body.connection ?? completed.body).id as string
  t.match(await invoke(connection, 'get_pet', { input: { path: { id: 1 } } }), { body: { outcome: 'succeeded' } })
  const ways = (await create(documentOf({ '/open': { get: { operationId: 'open', security: [] } }, '/both': { get: { operationId: 'both', security: [{ key: [], login: [] }] } } }, {
    components: { securitySchemes: { key: { type: 'apiKey', in: 'query', name: 'k' }, login: { type: 'http', scheme: 'basic' } } }, servers: [{ url: 'https://{tenant}.vendor.dev' }],
  }))).id
  const two = new Person()
  const choice = await two.visit((await open({ integration: ways })).connect_url)
  t.match(choice.text, /key and login/)
  t.match(choice.text, /No credential/)

  t.match(await vault.request('POST', `${W}/connect-sessions`, { body: { integration: 'int_00000000000000000000000000', environment: 'sandbox', name: 'Z', actor: 'ada', return_url: 'https://app.example/' } }), { status: 422, body: { code: 'integration_unknown' } })
})

t.test('repeated, at once, and in number', async (t) => {
  const body = { document: documentOf(ACCOUNT), name: 'Once' }
  const post = async (changes: Loose = {}) => await vault.request('POST', '/v1/workspaces/once/integrations', { body: { ...body, ...changes }, headers: { 'idempotency-key': 'k1' } })
  const first = await post()
  const again = await post()
  t.match([first, again], [{ status: 201 }, { status: 201, body: { id: first.body.id } }])
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  t.match(await post({ name: 'Twice' }), { status: 409, body: { code: 'idempotency_conflict' } })
  const gone = await vault.request('POST', '/v1/workspaces/once/integrations', { body, headers: { 'idempotency-key': 'k2' } })
  t.match(await vault.request('DELETE', `/v1/workspaces/once/integrations/${gone.body.id as string}`), { status: 204 })
  t.match(await vault.request('POST', '/v1/workspaces/once/integrations', { body, headers: { 'idempotency-key': 'k2' } }), { status: 409, body: { code: 'idempotency_conflict', detail: /deleted since/ } })
  const revising = await Promise.all(['/b', '/c', '/d'].map(async (path) => await vault.request('PUT', `/v1/workspaces/once/integrations/${first.body.id as string}`, { body: { document: documentOf({ [path]: { get: {} } }) }, headers: { 'if-match': '"1"' } })))
  t.strictSame(revising.map(({ status }) => status).sort(), [200, 412, 412], 'one of them is first')
  const many = await Promise.all(Array.from({ length: 14 }, async () => await vault.request('POST', '/v1/openapi/preview', { body })))
  const statuses = many.map(({ status }) => status)
  t.ok(statuses.filter((status) => status === 200).length >= 6, 'two at a time, four of a caller’s wait')
  t.ok(statuses.every((status) => status === 200 || status === 503), 'or are told to come again')
  for (const answer of many) if (answer.status === 503) t.match(answer.headers.get('retry-after'), /^\d+$/)
  await vault.database.query('insert into integrations (workspace_id, id, revision, created_by, updated_by) select \'full\', \'int_\' || lpad(n::text, 26, \'0\'), 0, \'test\', \'test\' from generate_series(1, 200) n')
  t.match(await vault.request('POST', '/v1/workspaces/full/integrations', { body }), { status: 409, body: { code: 'integration_limit' } })
  for (let index = 0; index < 3; index++) await vault.request('POST', '/v1/workspaces/paged/integrations', { body })
  const page = await vault.request('GET', '/v1/workspaces/paged/integrations?limit=2')
  const rest = await vault.request('GET', `/v1/workspaces/paged/integrations?limit=2&cursor=${page.body.next_cursor as string}`)
  t.strictSame([page.body.integrations.length, rest.body.integrations.length, rest.body.next_cursor], [2, 1, null])
})

t.test('nothing of a credential is where it should not be', async (t) => {
  t.notMatch(vault.logs.join('\n'), /Canary/)
})
