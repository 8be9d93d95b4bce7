import { request as httpRequest } from 'node:http'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { newId } from '../../src/ids.ts'
import { createClient, VaultApiError, type ClientOptions, type OperationName, type RequestEvent } from '../../src/sdk/client/index.ts'
import { OPERATIONS } from '../../src/sdk/client/operations.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

/** The client against a whole vault. */
const provider = await startProvider((_received, reply) => { json(reply, 200, { object: 'balance', livemode: false }) })
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url), EGRESS_ALLOW_PROVIDER: provider.endpoint })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})

const connect = (more: Partial<ClientOptions> = {}) => {
  const seen: RequestEvent[] = []
  const whose = 'getToken' in more ? {} : { token: vault.token }
  return { client: createClient({ url: vault.urls.internal, ...whose, onRequest: (event) => { seen.push(event) }, ...more }), seen }
}
const { client, seen } = connect()
const W = { workspace_id: 'acme' }
let made = 0
const create = async (more: object = {}) =>
  await client.createConnection({ ...W, integration: 'stripe', environment: 'sandbox', name: `Client ${++made}`, credentials: { secret_key: STRIPE_KEY }, ...more })
const of = ({ id }: { id: string }) => ({ ...W, connection_id: id })

async function refused (t: Test, call: Promise<unknown>, expected: object): Promise<VaultApiError> {
  const error = await call.then(() => undefined, (thrown: unknown) => thrown)
  if (!(error instanceof VaultApiError)) throw new Error(`not refused: ${inspect(error)}`)
  t.match(error, expected, error.code)
  return error
}

t.test('the life of a connection', async (t) => {
  const connection = await create()
  t.match(connection, { id: /^conn_/, status: 'active', preview: { secret_key: /…0042$/ } })
  t.notMatch(inspect(connection), STRIPE_KEY)

  const renamed = await client.updateConnection({ ...of(connection), name: 'Renamed' }, { ifMatch: connection.etag })
  t.match(renamed, { name: 'Renamed', id: connection.id })
  await refused(t, client.updateConnection({ ...of(connection), name: 'Lost' }, { ifMatch: connection.etag }), { status: 412, code: 'etag_mismatch', retryable: false })
  await refused(t, client.updateConnection({ ...of(connection), name: 'Blind' }), { status: 428, code: 'etag_required' })
  t.equal((await client.getConnection(of(connection))).name, 'Renamed')

  const rotated = await client.rotateConnection({ ...of(connection), credentials: { secret_key: STRIPE_KEY.replace('0042', '0043') } })
  t.equal(rotated.version_number, 2)
  t.match((await client.resolve({ ...of(connection), environment: 'sandbox' })).credentials, { secret_key: /0043$/ }, 'from the next call on')
  t.match(await client.listVersions(of(connection)), { versions: [{ number: 2, state: 'current' }, { number: 1, state: 'previous' }] })
  await client.rollbackConnection(of(connection))
  t.match((await client.resolve({ ...of(connection), environment: 'sandbox' })).credentials, { secret_key: STRIPE_KEY })

  t.match(await client.disableConnection(of(connection)), { status: 'disabled' })
  await refused(t, client.resolve({ ...of(connection), environment: 'sandbox' }), { status: 409, code: 'connection_disabled' })
  t.match(await client.enableConnection(of(connection)), { status: 'active' })
  t.match(await client.testConnection(of(connection)), { result: 'ok' })

  await client.setReferences({ ...of(connection), references: [{ procedure_id: 'proc_1', step_id: 'charge' }] })
  t.match(await client.getUsage(of(connection)), { references: [{ procedure_id: 'proc_1', step_id: 'charge' }] })
  const inUse = await refused(t, client.deleteConnection(of(connection)), { status: 409, code: 'connection_in_use' })
  t.ok('in_use' in inUse.extensions, 'what else the problem says')
  t.equal(await client.deleteConnection({ ...of(connection), force: true }), undefined)
  await refused(t, client.getConnection(of(connection)), { status: 404, code: 'not_found' })
})

t.test('a credential is not shown by accident', async (t) => {
  const connection = await create()
  const got = await client.resolve({ ...of(connection), environment: 'sandbox', context: { procedure_id: 'proc_1' } })
  t.equal(got.credentials['secret_key'], STRIPE_KEY)
  t.equal(got.request.headers['authorization'], `Bearer ${STRIPE_KEY}`)
  t.match(got, { connection_id: connection.id, freshness: 'fresh', expires_at: null })
  for (const shown of [got, { ...got }, [got], got.credentials, got.request, got.request.headers, { nested: { request: got.request } }]) {
    t.notMatch(inspect(shown, { depth: null }), STRIPE_KEY)
    t.notMatch(JSON.stringify(shown), STRIPE_KEY)
  }
  t.match(inspect(got.credentials), /secret_key: '\[secret\]'/)
  t.match(JSON.parse(JSON.stringify(got.request)), { base_url: provider.url, headers: { authorization: '[secret]' }, query: {} })
  t.same(Object.keys(got).filter((name) => ['credentials', 'request'].includes(name)), [], 'also in a runtime that knows neither of the two ways to be shown')

  // It is there to be used.
  const { headers } = got.request
  t.equal(new Headers(headers).get('authorization'), `Bearer ${STRIPE_KEY}`)
  await (await fetch(`${got.request.base_url}/by/fetch`, { headers })).arrayBuffer()
  await new Promise((resolve) => { httpRequest(`${got.request.base_url}/by/http`, { headers }, (answer) => { answer.resume().on('end', resolve) }).end() })
  t.same(provider.received.filter(({ url }) => url.startsWith('/by/')).map((one) => [one.url, one.headers.authorization]), [['/by/fetch', `Bearer ${STRIPE_KEY}`], ['/by/http', `Bearer ${STRIPE_KEY}`]])
  t.same({ ...got.credentials }, { secret_key: STRIPE_KEY })
  t.equal(Object.getPrototypeOf(Object.getPrototypeOf(headers)), null, 'what HTTP clients take for a plain object')
  t.ok(headers.hasOwnProperty('authorization') && headers.constructor === Object) // eslint-disable-line no-prototype-builtins
})

t.test('many at once, in the order they were asked for', async (t) => {
  const [one, two] = [await create(), await create()]
  await client.disableConnection(of(two))
  const unknown = Array.from({ length: 230 }, () => newId('connection'))
  const ids = [one.id, ...unknown.slice(0, 120), two.id, ...unknown.slice(120), one.id]
  seen.length = 0
  const results = await client.resolveMany({ ...W, environment: 'sandbox', connection_ids: ids })
  t.same(results.map((result) => result.connection_id), ids)
  t.equal(seen.filter(({ operation }) => operation === 'resolveConnections').length, 3, '232 different ones are three requests')
  t.equal(results[0]?.credential?.credentials['secret_key'], STRIPE_KEY)
  t.equal(results.at(-1)?.credential, results[0]?.credential, 'one that is asked for twice is resolved once')
  t.ok(results[121]?.error instanceof VaultApiError)
  t.match(results[121]?.error, { code: 'connection_disabled', status: 409 })
  t.equal(results.filter((result) => result.error?.code === 'not_found').length, 230)
  t.notMatch(inspect(results, { depth: null }) + JSON.stringify(results), STRIPE_KEY)
  t.same(await client.resolveMany({ ...W, environment: 'sandbox', connection_ids: [] }), [])
  const mixed = [one.id, one.id, ...unknown.slice(0, 148), 'conn_1', ...Array.from({ length: 40 }, (_, at) => `nonsense ${at}`), one.id]
  const apart = await client.resolveMany({ ...W, environment: 'sandbox', connection_ids: mixed })
  t.same(apart.map((result) => result.connection_id), mixed)
  t.match(apart[150]?.error, { code: 'request_invalid', status: 400, errors: [{ pointer: '/connection_ids/150' }] }, 'one that can be no id, under its place in the whole list')
  t.equal(apart.filter((result) => result.error?.code === 'request_invalid').length, 41)
  t.equal(apart.filter((result) => result.credential !== undefined).length, 3, 'keeps none of the others')
  await refused(t, client.resolveMany({ ...W, environment: 'nowhere' as 'live', connection_ids: mixed }), { status: 400, errors: [{ pointer: '/environment' }] })
  await refused(t, connect({ token: 'cvt_none' }).client.resolveMany({ ...W, environment: 'sandbox', connection_ids: ids }), { status: 401, code: 'unauthenticated' })
})

t.test('what a vault refuses', async (t) => {
  const connection = await create()
  const taken = { ...W, integration: 'stripe', environment: 'sandbox', name: connection.name, credentials: { secret_key: STRIPE_KEY } } as const
  await refused(t, client.createConnection(taken), { status: 409, code: 'name_taken', retryable: false, attempts: 1, operation: 'createConnection' })
  const invalid = await refused(t, client.createConnection({ ...taken, name: 'Other', credentials: { secret_key: 'CanarySecretValue-1' } }), { status: 422, code: 'credential_invalid', requestId: /^req_/ })
  t.match(invalid.errors, [{ pointer: '/credentials/secret_key', message: String }])
  t.notMatch(inspect(invalid, { depth: null, showHidden: true }) + JSON.stringify(invalid) + String(invalid.stack), /CanarySecretValue/)
  // Types would not let it pass; JavaScript does.
  await refused(t, client.resolve({ ...of(connection), environment: 'production' as 'live' }), { status: 400, code: 'request_invalid' })
  await refused(t, client.resolve({ ...of(connection), environment: 'live' }), { status: 409, code: 'environment_mismatch' })

  const missing = await refused(t, client.resolve({ ...W, connection_id: newId('connection'), environment: 'sandbox' }), { status: 404, code: 'not_found' })
  const foreign = await refused(t, client.resolve({ workspace_id: 'other', connection_id: connection.id, environment: 'sandbox' }), { status: 404 })
  t.same([foreign.code, foreign.detail, foreign.extensions], [missing.code, missing.detail, missing.extensions])

  const narrow = connect({ token: await vault.mint({ preset: 'runtime', workspaces: ['acme'] }) }).client
  t.equal((await narrow.resolve({ ...of(connection), environment: 'sandbox' })).connection_id, connection.id)
  await refused(t, narrow.getConnection(of(connection)), { status: 403, code: 'insufficient_scope' })

  const token = ['cvt', 'wrong', 'TokenCanary'].join('_')
  const stranger = await refused(t, connect({ token }).client.getConnection(of(connection)), { status: 401, code: 'unauthenticated' })
  t.notMatch(inspect(stranger, { depth: null, showHidden: true }) + JSON.stringify(stranger) + String(stranger.stack), /TokenCanary/)
})

t.test('a token that was replaced is asked for anew', async (t) => {
  const connection = await create()
  const first = await client.createServiceToken({ name: 'first', preset: 'dashboard', workspaces: ['acme'], environments: ['*'] })
  const second = await client.createServiceToken({ name: 'second', preset: 'dashboard', workspaces: ['acme'], environments: ['*'] })
  let token = first.token ?? ''
  let asked = 0
  const { client: dashboard, seen } = connect({ getToken: async () => { asked++; return token } })
  t.equal((await dashboard.getConnection(of(connection), { actor: 'user_42' })).id, connection.id)
  t.equal(asked, 1)
  await client.revokeServiceToken({ token_id: first.service_token.id })
  await eventually(async () => (await vault.request('GET', `/v1/workspaces/acme/connections/${connection.id}`, { token })).status === 401)
  seen.length = 0
  await refused(t, dashboard.getConnection(of(connection)), { code: 'unauthenticated', attempts: 1 })
  let given = 0
  const { client: renewing, seen: attempts } = connect({ getToken: () => given++ === 0 ? token : (token = second.token ?? '') })
  const renamed = await renewing.updateConnection({ ...of(connection), name: 'By another token' }, { ifMatch: connection.etag })
  t.equal(renamed.name, 'By another token', 'also what is not safe to repeat: nothing had been done')
  t.same(attempts.map(({ status, failure }) => [status, failure]), [[401, 'unauthenticated'], [200, undefined]])
  await t.rejects(connect({ getToken: () => { throw new Error('the file is not there') } }).client.getKeys(), { message: 'the file is not there' })
})

t.test('lists, page after page', async (t) => {
  const workspace = { workspace_id: 'pages' }
  for (const name of ['a', 'b', 'c', 'd', 'e']) await client.createConnection({ ...workspace, integration: 'stripe', environment: 'sandbox', name, credentials: { secret_key: STRIPE_KEY } })
  seen.length = 0
  const names: string[] = []
  for await (const { name } of client.each('listConnections', { ...workspace, limit: 2 })) names.push(name)
  t.same(names, ['e', 'd', 'c', 'b', 'a'])
  t.equal(seen.length, 3)
  seen.length = 0
  for await (const { name } of client.each('listConnections', { ...workspace, limit: 2, q: 'd' })) t.equal(name, 'd')
  t.match(await client.each('listConnections', { ...workspace, limit: 2 }).next(), { value: { name: 'e' } })
  t.equal(seen.length, 2, 'no page is asked for before it is needed')
  for await (const one of client.each('listAuditEvents', { ...workspace, event: 'connection.created', limit: 3 })) names.push(one.event)
  t.equal(names.filter((name) => name === 'connection.created').length, 5)
  const feed = await client.readEvents({ limit: 1 })
  t.match(feed, { next_cursor: String, events: [{ id: /^evt_/ }] })
  t.not((await client.readEvents({ limit: 1, cursor: feed.next_cursor })).events[0]?.id, feed.events[0]?.id)
})

t.test('actions', async (t) => {
  const connection = await create()
  const call = { ...of(connection), environment: 'sandbox', action: 'get_balance' } as const
  const done = await client.invoke(call, { idempotencyKey: 'run_1 step_1'.replace(' ', '/') })
  t.match(done, { outcome: 'succeeded', output: { object: 'balance' }, replayed: false, provider: { status: 200 } })
  const again = await client.invoke(call, { idempotencyKey: 'run_1/step_1' })
  t.match(again, { invocation_id: done.invocation_id, replayed: true })
  const dry = await client.invoke({ ...call, dry_run: true })
  t.match(dry, { dry_run: true, request: { method: 'GET', headers: { authorization: /\[credential\]/ } } })
  await refused(t, client.invoke({ ...call, action: 'no_such' }), { status: 404, code: 'action_unknown' })
  await refused(t, client.invoke({ ...call, action: 'create_payment_intent', input: { amount: 'much' } }), { status: 422, code: 'input_invalid', errors: [{ pointer: String }] })
  t.match(await client.request({ ...of(connection), environment: 'sandbox', method: 'GET', path: '/v1/balance', query: { x: 1 } }), { outcome: 'succeeded' })
  t.equal(provider.received.at(-1)?.url, '/v1/balance?x=1')

  const sent = provider.received.length
  await client.invoke({ ...call, action: 'create_customer', input: {} })
  t.equal(provider.received.at(-1)?.headers['idempotency-key']?.slice(0, 4), 'inv_', 'no key is made up here: it is the vault’s own')
  t.equal(provider.received.length, sent + 1)
})

t.test('every operation has its route', async (t) => {
  const empty = connect({ token: await vault.mint({ scopes: ['requests:send'], workspaces: ['nobody'] }) }).client as unknown as Record<string, (input: object) => Promise<unknown>>
  const wrapped: Partial<Record<OperationName, string>> = { resolveConnection: 'resolve', resolveConnections: 'resolveMany', invokeAction: 'invoke', sendRequest: 'request', getInvocation: 'invocation' }
  const ids = { connection: 'connection_id', session: 'session_id', invocation: 'invocation_id', group: 'group_id', agent: 'agent_id', webhook: 'webhook_id', token: 'token_id', integration: 'integration_id' } as const
  const params: Record<string, string> = { workspace_id: 'nobody', integration: 'stripe', environment: 'sandbox', action: 'get_balance' }
  for (const [kind, name] of Object.entries(ids)) params[name] = newId(kind as keyof typeof ids)
  for (const [name, { path }] of Object.entries(OPERATIONS) as [OperationName, { path: string }][]) {
    const input: Record<string, unknown> = Object.fromEntries([...path.matchAll(/\{(\w+)\}/g)].map(([, key = '']) => [key, params[key]]))
    if (name === 'resolveConnections') input['connection_ids'] = [newId('connection')]
    const run = empty[wrapped[name] ?? name]
    if (run === undefined) throw new Error(`the client has no ${name}`)
    await refused(t, run(input), { status: /^(403|400)$/, code: name === 'sendRequest' ? /request_invalid/ : /insufficient_scope|request_invalid/, operation: name })
  }
  t.ok(Object.isFrozen(client))
})

t.test('too many requests, and a vault that ends', async (t) => {
  const connection = await create()
  await vault.stop()
  await vault.start({ RATE_LIMIT_PER_MINUTE: '2' })
  const { client: limited, seen } = connect({ deadlineMs: 2_000 })

  const startedMs = performance.now()
  for (let times = 0; times < 2; times++) t.equal((await limited.getConnection(of(connection))).id, connection.id)
  const error = await refused(t, limited.getConnection(of(connection)), { code: 'rate_limited', status: 429, retryable: true, attempts: 1 })
  t.ok((error.retryAfterMs ?? 0) > 2_000)
  t.ok(performance.now() - startedMs < 2_000, 'a wait that is longer than the deadline is not begun')
  t.ok(seen.every(({ retryInMs }) => retryInMs === undefined))

  const { internal: url } = vault.urls
  await vault.stop()
  const late = createClient({ url, token: vault.token, retries: 1 })
  await t.rejects(late.resolve({ ...of(connection), environment: 'sandbox' }), { name: 'VaultConnectionError', reason: 'unreachable', code: 'ECONNREFUSED', mayHaveArrived: false, retryable: true, attempts: 2 })
})
