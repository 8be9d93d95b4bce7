import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { json, startProvider } from '../support/provider.ts'
import { startTestVault } from '../support/vault.ts'

/** Calls of imported actions: how their input may look, and where they may go. */
type Loose = Record<string, unknown>
const provider = await startProvider((_received, reply) => { json(reply, 200, {}) })
const elsewhere = await startProvider((_received, reply) => { json(reply, 200, { access_token: 'a-token-of-a-thief', expires_in: 600 }) })
const vault = await startTestVault({ EGRESS_ALLOW_CUSTOM_API: `${provider.endpoint},${elsewhere.endpoint}` })
t.teardown(async () => {
  await vault.close()
  await Promise.all([provider.close(), elsewhere.close()])
})

const W = '/v1/workspaces/acme'
const KEY = 'CanaryApiKey-0000000000042'
const SCHEMES = { key: { type: 'apiKey', in: 'header', name: 'X-Key' } }
const PET = { type: 'object', required: ['name'], properties: { name: { type: 'string' } } }
const ID = [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }]
const PET_BODY = { content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } } } }

const create = async (paths: Loose): Promise<string> => {
  const document = {
    openapi: '3.1.0', info: { title: 'Acme', version: '1' }, servers: [{ url: provider.url }], security: [{ key: [] }], paths,
    components: { securitySchemes: SCHEMES, schemas: { Pet: PET } },
  }
  const answer = await vault.request('POST', `${W}/integrations`, { body: { document } })
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.body.id as string
}
let made = 0
const connect = async (integration: string, more: Loose = {}): Promise<string> => {
  const answer = await vault.request('POST', `${W}/connections`, { body: { integration, environment: 'sandbox', name: `C ${++made}`, credentials: { key: KEY }, ...more } })
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.body.id as string
}
const invoke = async (connection: string, action: string, more: Loose = {}) =>
  await vault.request('POST', `${W}/connections/${connection}/invoke`, { body: { environment: 'sandbox', action, ...more } })

t.test('a client is sent for a token where it was entered for, and nowhere else', async (t) => {
  provider.answer = ({ url }, reply) => { json(reply, 200, url === '/token' ? { access_token: 'CanaryToken-000000000042', expires_in: 600 } : {}) }
  t.teardown(() => { provider.answer = (_received, reply) => { json(reply, 200, {}) } })
  const clientCredentials = { tokenUrl: `${elsewhere.url}/token`, scopes: {} }
  const document = {
    openapi: '3.1.0', info: { title: 'Machines', version: '1' }, servers: [{ url: provider.url }], security: [{ machine: [] }],
    paths: { '/account': { get: { operationId: 'getAccount' } } }, components: { securitySchemes: { machine: { type: 'oauth2', flows: { clientCredentials } } } },
  }
  const { body: { id } } = await vault.request('POST', `${W}/integrations`, { body: { document } })
  const client = { credentials: { client_secret: 'CanaryClientSecret-0001' }, config: { client_id: 'client-1' } }
  const honest = await connect(id, { ...client, allowed_hosts: [new URL(provider.url).host] })
  t.match((await invoke(honest, 'get_account')).body, { outcome: 'succeeded' }, 'also beside a limit on where calls go')
  t.equal(elsewhere.received.length, 1)
  const { body } = await vault.request('GET', `${W}/connections/${honest}`)
  t.same([body.hosts, body.allowed_hosts], [[new URL(provider.url).host], [new URL(provider.url).host]])

  // By whoever may write rows and has no key.
  const pasted = await connect(await create({ '/account': { get: { operationId: 'getAccount' } } }))
  const [{ integration } = { integration: '' }] = await vault.database.query<{ integration: string }>('select integration from connections where id = $1', [pasted])
  await vault.database.query(`insert into integration_revisions select (jsonb_populate_record(r, jsonb_build_object('revision', 2, 'head', jsonb_set(head::jsonb, '{auth,0}', $2)))).*
    from integration_revisions r where integration_id = $1`, [integration, JSON.stringify({
    id: 'api_key', label: 'Key', fields: [{ name: 'who', label: 'Who', secret: false }, { name: 'key', label: 'Key', secret: true }, { name: 'access_token', label: 'Token', secret: true, required: false }],
    inject: [{ header: 'Authorization', value: 'Bearer {access_token}' }],
    oauth: {
      grant: 'client_credentials', client: { id: 'who', secret: 'key' }, token_url: `${elsewhere.url}/token`, scopes: { default: [] }, pkce: 'never', client_auth: 'basic',
      token_request: 'form', token_answer: {}, access_token_seconds: null, refresh: { issued: 'never', rotates: false },
    },
  })])
  await vault.database.query('update connections set integration_revision = 2, auth = \'api_key\', config = \'{"who":"x"}\' where id = $1', [pasted])
  for (const way of ['resolve', 'invoke', 'test']) {
    const answer = await vault.request('POST', `${W}/connections/${pasted}/${way}`, { body: way === 'test' ? {} : { environment: 'sandbox', ...way === 'invoke' && { action: 'get_account' } } })
    t.not(answer.body.outcome, 'succeeded', answer.text)
  }
  t.equal(elsewhere.received.length, 1, 'nothing more was sent there')
})

t.test('a rotation that asks for a test where there is none says that nothing was tried', async (t) => {
  const connection = await connect(await create({ '/pets': { post: { operationId: 'createPet', requestBody: PET_BODY } } }))
  const warningsOf = async (more: object) => {
    const { status, body } = await vault.request('POST', `${W}/connections/${connection}/rotate`, { body: { credentials: { key: `${KEY}-next` }, ...more } })
    t.equal(status, 200)
    return body.warnings as string[]
  }
  const [untested, ...others] = await warningsOf({ test: true })
  t.match(untested, / has no test request: the new credential has not been tried\. /)
  t.same(others, await warningsOf({}), 'who did not ask is told the rest')
})

t.test('a limit on hosts that was given at the start outlives a rotation', async (t) => {
  const elsewhere = 'https://files.acme-corp.dev'
  const id = await create({ '/account': { get: { operationId: 'getAccount' } }, '/file': { get: { operationId: 'getFile', servers: [{ url: elsewhere }] } } })
  const host = new URL(provider.url).host
  const hostsOf = async (connection: string) => {
    const { body } = await vault.request('GET', `${W}/connections/${connection}`)
    return { hosts: body.hosts as string[], allowed: body.allowed_hosts as string[] | null, other: (await invoke(connection, 'get_file', { dry_run: true })).status }
  }
  const rotate = async (connection: string, more = {}) => {
    const { status } = await vault.request('POST', `${W}/connections/${connection}/rotate`, { body: { credentials: { key: `${KEY}-next` }, ...more } })
    t.equal(status, 200)
  }
  const limited = await connect(id, { allowed_hosts: [host] })
  t.strictSame(await hostsOf(limited), { hosts: [host], allowed: [host], other: 403 })
  await rotate(limited)
  t.match(await hostsOf(limited), { allowed: [host], other: 403 }, 'which said nothing of hosts')
  const later = await connect(id)
  t.match(await hostsOf(later), { allowed: null, other: 200 })
  await rotate(later, { allowed_hosts: [host] })
  await rotate(later)
  t.match(await hostsOf(later), { allowed: [host], other: 403 })
})

t.test('input that is flat', async (t) => {
  const id = await create({
    '/pets/{id}': { get: { operationId: 'getPet', parameters: ID } },
    '/pets': { post: { operationId: 'createPet', requestBody: { required: true, ...PET_BODY } } },
    '/search': { get: { operationId: 'search', parameters: [{ name: 'query', in: 'query', schema: { type: 'string' } }, { name: 'X-Page', in: 'header', schema: { type: 'integer' } }] } },
    '/twice': { post: { operationId: 'twice', parameters: [{ name: 'name', in: 'query', schema: { type: 'string' } }], requestBody: PET_BODY } },
  })
  const connection = await connect(id)
  const requestOf = async (action: string, input: object) => {
    const { status, body } = await invoke(connection, action, { input, dry_run: true })
    return status === 200 ? body.request as Loose : body as Loose
  }
  t.match(await requestOf('get_pet', { id: 7 }), { url: `${provider.url}/pets/7` })
  t.match(await requestOf('get_pet', { path: { id: 7 } }), { url: `${provider.url}/pets/7` })
  t.match(await requestOf('search', { query: 'cats', 'X-Page': 2 }), { url: `${provider.url}/search?query=cats`, headers: { 'x-page': '2' } }, 'a parameter may be called like a place')
  t.match(await requestOf('search', { query: { query: 'cats' } }), { url: `${provider.url}/search?query=cats` })
  t.match(await requestOf('create_pet', { name: 'Rex', age: 3 }), { body: { name: 'Rex', age: 3 } }, 'what is no parameter is the body’s')
  t.match(await requestOf('twice', { name: 'Rex' }), { code: 'input_invalid', errors: [{ pointer: '/input/name', message: /^stands in query and body/ }] })
  t.match(await requestOf('twice', { query: { name: 'a' }, body: { name: 'b' } }), { url: `${provider.url}/twice?name=a`, body: { name: 'b' } })
  t.match(await requestOf('get_pet', { id: 7, colour: 'red' }), { code: 'input_invalid', errors: [{ pointer: '/input/colour', message: 'is not known here: the action takes id' }] })
  t.match(await requestOf('get_pet', {}), { code: 'input_invalid', errors: [{ pointer: '/input/path/id', message: 'is required' }] })
})

t.test('a credential goes out whatever its parameter is called', async (t) => {
  const seen: { url: string | undefined, headers: readonly string[] }[] = []
  // Node's own `headers` have no room for such a name.
  const named = createServer((request, reply) => {
    seen.push({ url: request.url, headers: request.rawHeaders })
    json(reply, 200, {})
  })
  await new Promise<void>((resolve) => { named.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { named.close() })
  const { port } = named.address() as AddressInfo
  const schemes = { query: { type: 'apiKey', in: 'query', name: '__proto__' }, header: { type: 'apiKey', in: 'header', name: '__proto__' } }
  const other = await startTestVault({ EGRESS_ALLOW_CUSTOM_API: `127.0.0.1:${port}` })
  t.teardown(async () => { await other.close() })
  for (const [scheme, definition] of Object.entries(schemes)) {
    const document = {
      openapi: '3.1.0', info: { title: `By ${scheme}`, version: '1' }, servers: [{ url: `http://127.0.0.1:${port}` }], security: [{ [scheme]: [] }], paths: { '/a': { get: { operationId: 'a' } } },
      components: { securitySchemes: { [scheme]: definition } },
    }
    const api = await other.request('POST', `${W}/integrations`, { body: { document } })
    t.equal(api.status, 201, api.text)
    const { body } = await other.request('POST', `${W}/connections`, { body: { integration: api.body.id, environment: 'sandbox', name: scheme, credentials: { [scheme]: KEY } } })
    const of = `${W}/connections/${body.id as string}`
    const { text } = await other.request('POST', `${of}/invoke`, { body: { environment: 'sandbox', action: 'a', dry_run: true } })
    t.match(text, /"__proto__":"\[credential\]"|__proto__=%5Bcredential%5D/, `${scheme}, in a dry run`)
    t.equal((await other.request('POST', `${of}/invoke`, { body: { environment: 'sandbox', action: 'a' } })).status, 200)
    const resolved = await other.request('POST', `${of}/resolve`, { body: { environment: 'sandbox' } })
    t.match(resolved.text, `"__proto__":"${KEY}"`, `${scheme}, resolved`)
  }
  t.match(seen.map(({ url }) => url), [`/a?__proto__=${KEY}`, '/a'])
  const { headers = [] } = seen[1] ?? {}
  t.equal(headers[headers.indexOf('__proto__') + 1], KEY)
})
