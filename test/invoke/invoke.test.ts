import t from 'tap'
import { isPrivate, loadCatalog } from '../../src/catalog/index.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { CREDENTIALS, type SampleCredential } from '../support/credentials.ts'
import { json, startProvider, type Received } from '../support/provider.ts'
import { sample } from '../support/sample.ts'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

const provider = await startProvider((_received, reply) => { json(reply, 200, { ok: true }) })
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url), EGRESS_ALLOW_PROVIDER: provider.endpoint, RESPONSE_LIMIT_BYTES: '1000000' })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})
t.beforeEach(() => {
  provider.received.length = 0
  provider.answer = (_received, reply) => { json(reply, 200, { ok: true }) }
})

const at = (id: string, rest = '') => `/v1/workspaces/acme/connections/${id}${rest}`
const invoke = (id: string, body: object, headers = {}) => vault.request('POST', at(id, '/invoke'), { body: { environment: 'sandbox', ...body }, headers })
const records = async (id: string, event: string) => (await vault.request('GET', `/v1/workspaces/acme/audit-events?event=${event}&connection_id=${id}`)).body.audit_events as Record<string, unknown>[]
const ACTIONS = {
  read: { action: 'list_applicants', input: {} },
  unsafe: { action: 'create_applicant', input: { first_name: 'Ada', last_name: 'L' } },
} as const
const payment = { action: 'create_payment_intent', input: { amount: 2000, currency: 'usd', metadata: { order: '6735' } } }

t.test('an action, from input to outcome', async (t) => {
  provider.answer = (_received, reply) => { json(reply, 200, { id: 'pi_1', echoed: `Bearer ${STRIPE_KEY}` }, { 'request-id': 'req_stripe', 'set-cookie': 'a=b', 'x-ratelimit-remaining': '7' }) }
  const id = await vault.connect('acme', { config: { connected_account: 'acct_1234567890abcdef' } })
  const answer = await invoke(id, { ...payment, context: { procedure_id: 'proc_1', step_id: 'charge' } }, { 'idempotency-key': 'order-6735' })
  t.equal(answer.status, 200)
  t.match(answer.body, {
    invocation_id: /^inv_/, outcome: 'succeeded', attempts: 1, replayed: false, output: { id: 'pi_1', echoed: '[redacted]' },
    provider: { status: 200, request_id: 'req_stripe', headers: { 'request-id': 'req_stripe', 'x-ratelimit-remaining': '7' } },
  })
  t.notMatch(answer.text, /set-cookie|Canary/)
  const [received] = provider.received as [Received]
  t.match(received, { method: 'POST', url: '/v1/payment_intents', body: 'amount=2000&currency=usd&metadata[order]=6735' })
  t.match(received.headers, {
    authorization: `Bearer ${STRIPE_KEY}`, 'stripe-account': 'acct_1234567890abcdef', 'content-type': 'application/x-www-form-urlencoded', 'idempotency-key': 'order-6735', 'user-agent': 'connection-vault',
  })
  t.match(await records(id, 'invoke.started'), [{ outcome: 'ok', invocation_id: answer.body.invocation_id, context: { procedure_id: 'proc_1', step_id: 'charge' }, details: { action: 'create_payment_intent', effect: 'unsafe', integration: 'stripe' } }])
  t.match(await records(id, 'invoke.finished'), [{ outcome: 'ok', details: { status: 200, attempts: 1, provider_request_id: 'req_stripe' } }])
  const usage = await eventually(async () => {
    const { body } = await vault.request('GET', at(id, '/usage'))
    return body.uses.length > 0 && (body as { uses: object[] })
  })
  t.match(usage.uses, [{ procedure_id: 'proc_1', step_id: 'charge', uses: 1 }])
})

t.test('a connection that is used again is used as it is now', async (t) => {
  const id = await vault.connect('acme')
  const read = async () => await invoke(id, { action: 'get_balance' })
  const change = async (set: string) => { await vault.database.query(`update connections set ${set} where id = $1`, [id]) }
  const sent = () => provider.received.splice(0).map(({ headers }) => headers.authorization)
  for (let times = 0; times < 3; times++) t.match(await read(), { status: 200, body: { outcome: 'succeeded' } })
  t.same(sent(), Array.from({ length: 3 }, () => `Bearer ${STRIPE_KEY}`))
  // Behind the vault's back, as another process would: nothing tells this one.
  await change('disabled_at = vault_now()')
  t.match(await read(), { status: 409, body: { code: 'connection_disabled' } })
  await change('disabled_at = null, allowed_actions = \'{list_charges}\'')
  t.match(await read(), { status: 403, body: { code: 'action_not_allowed' } })
  await change('allowed_actions = \'{}\'')
  t.match(await read(), { status: 403, body: { code: 'action_not_allowed', detail: 'This connection allows no action.' } })
  await change('allowed_actions = null, allowed_hosts = \'{elsewhere.example}\'')
  t.match(await read(), { status: 403, body: { code: 'egress_blocked' } })
  t.same(sent(), [], 'nothing left')
  await change('allowed_hosts = null')
  t.match(await read(), { status: 200 })
  const key = `${STRIPE_KEY}Rotated`
  t.match(await vault.request('POST', at(id, '/rotate'), { body: { credentials: { secret_key: key } } }), { status: 200 })
  provider.received.length = 0
  t.match(await read(), { status: 200 })
  t.same(sent(), [`Bearer ${key}`], 'never the one before')
  t.match(await vault.request('POST', at(id, '/request'), { body: { environment: 'sandbox', method: 'GET', path: '/v1/balance' } }), { status: 200 })
  await change('disabled_at = vault_now()')
  t.match(await vault.request('POST', at(id, '/request'), { body: { environment: 'sandbox', method: 'GET', path: '/v1/balance' } }), { status: 409 })
  const [started, finished] = [await records(id, 'invoke.started'), await records(id, 'invoke.finished')]
  t.same(started.map((one) => one['invocation_id']), finished.map((one) => one['invocation_id']), 'a call that was not made is not on record')
  t.equal(started.length, 6)
})

t.test('every action of every integration reaches its provider as its manifest says', async (t) => {
  const integrations = loadCatalog().list().filter(({ manifest }) => !isPrivate(manifest))
  t.same(Object.keys(CREDENTIALS).sort(), integrations.map((one) => one.manifest.id), 'all of them but what agents reach')
  const refused = { error_code: 'INVALID_API_KEYS', ok: false, error: 'invalid_auth', errors: [{ extensions: { type: 'authentication error' } }] }
  for (const integration of integrations) {
    const { manifest } = integration
    const { auth, credentials, config, sends, tested } = CREDENTIALS[manifest.id] as SampleCredential
    const id = await vault.connect('acme', { integration: manifest.id, name: manifest.id, auth, credentials, config: config ?? {} })
    for (const { name, method } of manifest.actions) {
      provider.received.length = 0
      const input = sample(integration.requireAction(name).schema, 'all') as Record<string, unknown>
      const answer = await invoke(id, { action: name, input })
      t.match(answer.body, { outcome: 'succeeded' }, `${manifest.id}.${name}`)
      const [received] = provider.received
      t.equal(received?.method, method)
      t.match(received?.headers, sends, `${manifest.id}.${name} is authorised`)
    }
    provider.answer = (_received, reply) => { json(reply, 200, tested) }
    t.match((await vault.request('POST', at(id, '/test'))).body, { result: 'ok', account: manifest.test?.account === undefined ? null : { id: /./ } }, `${manifest.id} can be tested`)
    provider.answer = (_received, reply) => { json(reply, 401, refused) }
    t.match((await vault.request('POST', at(id, '/test'))).body, { result: 'auth_failed' })
    provider.answer = (_received, reply) => { json(reply, 200, { ok: true }) }
  }
})

t.test('a provider that can’t be reached', async (t) => {
  const id = await vault.connect('acme')
  const other = await startProvider(() => {})
  await other.close()
  await vault.stop()
  await vault.start({ CATALOG_DIR: retargetCatalog(other.url), EGRESS_ALLOW_PROVIDER: other.endpoint })
  t.match((await invoke(id, payment)).body, { status: 403, code: 'egress_blocked', detail: /not a host this connection’s credential may go to/ }, 'a manifest that moved does not take the old credential along')
  const fresh = await vault.connect('acme')
  t.match((await invoke(fresh, payment)).body, { status: 502, code: 'upstream_unreachable', retryable: true }, 'even an unsafe call: nothing was sent')
  t.match((await vault.request('POST', at(fresh, '/test'))).body, { result: 'unreachable' })
  t.match((await vault.request('GET', at(fresh))).body, { status: 'active' }, 'a network failure never calls a key invalid')

  await vault.stop()
  await vault.start({ CATALOG_DIR: retargetCatalog(other.url), EGRESS_ALLOW_PROVIDER: '' })
  t.match((await invoke(fresh, payment)).body, { status: 403, code: 'egress_blocked', detail: /plain http is not called/ })
  await vault.stop()
  await vault.start()
})

t.test('guards answer in their order', async (t) => {
  const id = await vault.connect('acme', { allowed_actions: ['get_balance'] })
  const wrong = { environment: 'live', action: 'nope', input: { nope: 1 } }
  t.match((await invoke(id, wrong)).body, { status: 409, code: 'environment_mismatch' })
  await vault.request('POST', at(id, '/disable'))
  t.match((await invoke(id, { ...wrong, environment: 'sandbox' })).body, { status: 409, code: 'connection_disabled' })
  await vault.request('POST', at(id, '/enable'))
  t.match((await invoke(id, { action: 'nope', input: {} })).body, { status: 404, code: 'action_unknown', detail: /create_payment_intent/ })
  t.match((await invoke(id, { action: 'create_refund', input: { nope: 1 } })).body, { status: 403, code: 'action_not_allowed', detail: /get_balance/ })
  t.match((await invoke(id, { action: 'get_balance', input: { nope: 1 } })).body, { status: 422, code: 'input_invalid', errors: [{ pointer: '/input/nope' }] })
  t.equal((await invoke(id, { action: 'get_balance' })).status, 200)
  t.match((await vault.request('POST', at(id, '/request'), { body: { environment: 'sandbox', method: 'GET', path: '/v1/balance' } })).body, { status: 403, code: 'action_not_allowed' }, 'a list of actions is no list if any call goes')
  t.equal(provider.received.length, 1)
})

t.test('a dry run shows everything and sends nothing', async (t) => {
  const id = await vault.connect('acme')
  const answer = await invoke(id, { ...payment, dry_run: true })
  t.same(answer.body, {
    dry_run: true,
    request: {
      method: 'POST', url: `${provider.url}/v1/payment_intents`, body: 'amount=2000&currency=usd&metadata[order]=6735',
      headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: 'Bearer [credential]', 'idempotency-key': '[invocation_id]' },
    },
  })
  t.match((await invoke(id, { ...payment, dry_run: true }, { 'idempotency-key': 'order-9' })).body, { request: { headers: { 'idempotency-key': 'order-9' } } })
  const jira = await vault.connect('acme', { integration: 'jira', credentials: { api_token: 'ATATT3xFfGF0abcdefghijklmnop' }, config: { site_url: 'https://acme.atlassian.net', email: 'ada@acme.example' } })
  t.match((await invoke(jira, { action: 'search_issues', input: { jql: 'project = A' }, dry_run: true })).body, { request: { headers: { authorization: 'Basic [credential]' }, body: { jql: 'project = A' } } })
  t.equal(provider.received.length, 0)
  t.same(await records(id, 'invoke.started'), [])
})

t.test('any call within the integration’s server', async (t) => {
  const id = await vault.connect('acme')
  const send = (body: object) => vault.request('POST', at(id, '/request'), { body: { environment: 'sandbox', ...body } })
  const answer = await send({ method: 'POST', path: '/v1/tax/calculations', query: { expand: ['line_items'] }, headers: { 'Stripe-Version': '2026-08-26.dahlia' }, body: { currency: 'usd', line_items: [{ amount: 1 }] } })
  t.match(answer.body, { outcome: 'succeeded' })
  t.match(provider.received, [{ method: 'POST', url: '/v1/tax/calculations?expand[0]=line_items', body: 'currency=usd&line_items[0][amount]=1', headers: { 'stripe-version': '2026-08-26.dahlia', authorization: `Bearer ${STRIPE_KEY}` } }])
  t.match(await records(id, 'invoke.started'), [{ details: { action: '(request)', effect: 'unsafe' } }])
  for (const body of [
    { method: 'GET', path: 'https://evil.example/' }, { method: 'GET', path: '//evil.example/' }, { method: 'GET', path: '/v1/../../admin' }, { method: 'GET', path: '/%2e%2e/admin' },
    { method: 'GET', path: '/x', headers: { authorization: 'Bearer mine' } }, { method: 'GET', path: '/x', headers: { host: 'evil.example' } }, { method: 'GET', path: '/x', headers: { 'x-a': 'b\r\nc: d' } },
    { method: 'POST', path: '/x', body: 'text' },
  ]) t.match((await send(body)).body, { status: 422, code: 'input_invalid' }, JSON.stringify(body))
  t.match((await send({ method: 'TRACE', path: '/x' })).body, { code: 'request_invalid' })
  t.equal(provider.received.length, 1)
  const without = await vault.mint({ preset: 'runtime' })
  t.match((await vault.request('POST', at(id, '/request'), { body: { environment: 'sandbox', method: 'GET', path: '/x' }, token: without })).body, { status: 403, code: 'insufficient_scope', detail: /requests:send/ })
})

t.test('a credential a body takes', async (t) => {
  const id = await vault.connect('acme', { integration: 'plaid', credentials: { secret: 'plaidsecretcanary0000000000001', access_token: 'access-sandbox-canary-0001' }, config: { client_id: 'abcdef0123456789abcdef01' } })
  provider.answer = (received, reply) => { json(reply, 200, { echoed: JSON.parse(received.body) as unknown }) }
  const answer = await invoke(id, { action: 'get_accounts' })
  t.same(JSON.parse(provider.received[0]?.body ?? ''), { access_token: 'access-sandbox-canary-0001' })
  t.match(answer.body.output, { echoed: { access_token: '[redacted]' } })
})

t.test('a caller that goes away ends a read and not an unsafe call', async (t) => {
  const id = await vault.connect('acme', { integration: 'onfido', credentials: { api_token: 'api_sandbox.abcdefghijk.abcdefghijklmnopqrstuvwxyz012345' } })
  let closed = 0
  provider.answer = (_received, reply) => {
    reply.once('close', () => { if (!reply.writableFinished) closed++ })
    setTimeout(() => { if (!reply.destroyed) json(reply, 201, { id: 'a' }) }, 400)
  }
  const leave = async (body: object) => {
    const controller = new AbortController()
    setTimeout(() => { controller.abort() }, 100)
    await fetch(`${vault.urls.internal}${at(id, '/invoke')}`, {
      method: 'POST', signal: controller.signal, headers: { authorization: `Bearer ${vault.token}`, 'content-type': 'application/json' }, body: JSON.stringify({ environment: 'sandbox', ...body }),
    }).then(() => { t.fail('it was to be aborted') }, () => {})
  }
  await leave(ACTIONS.read)
  await eventually(async () => closed === 1)
  await leave(ACTIONS.unsafe)
  await eventually(async () => (await records(id, 'invoke.finished')).length === 2)
  t.equal(closed, 1, 'the unsafe call was seen through')
  t.match(await records(id, 'invoke.finished'), [{ outcome: 'ok', details: { action: 'create_applicant', status: 201 } }, { outcome: 'failed', reason: 'cancelled' }])
})

t.test('refusals of a provider put the connection in doubt, and success clears it', async (t) => {
  const id = await vault.connect('acme')
  const refuse = () => { provider.answer = (_received, reply) => { json(reply, 401, { error: { message: 'no' } }) } }
  refuse()
  t.match((await invoke(id, { action: 'get_balance' })).body, { outcome: 'failed', error: { class: 'reauthorise', message: 'no' } })
  provider.answer = (_received, reply) => { json(reply, 200, { livemode: false }) }
  await invoke(id, { action: 'get_balance' })
  t.same(await vault.database.query('select refusals from connections where id = $1', [id]), [{ refusals: 0 }])
  refuse()
  for (let times = 0; times < 3; times++) await invoke(id, { action: 'get_balance' })
  await eventually(async () => (await vault.request('GET', at(id))).body.status === 'needs_reauth')
  t.match((await invoke(id, { action: 'get_balance' })).body, { status: 409, code: 'connection_needs_reauth' })
})

t.test('when the end can’t be put on record', async (t) => {
  const id = await vault.connect('acme', { integration: 'onfido', credentials: { api_token: 'api_sandbox.abcdefghijk.abcdefghijklmnopqrstuvwxyz012345' } })
  const answers = (effect: 'read' | 'unsafe') => {
    provider.answer = async (_received, reply) => {
      await vault.database.query('revoke insert on audit_events from connection_vault_service')
      json(reply, 200, { id: 'a' })
    }
    return invoke(id, ACTIONS[effect])
  }
  t.match((await answers('unsafe')).body, { status: 502, code: 'outcome_unknown', detail: /could not be put on record/ })
  await vault.database.query('grant insert on audit_events to connection_vault_service')
  t.equal((await answers('read')).status, 500)
  await vault.database.query('grant insert on audit_events to connection_vault_service')
  await eventually(async () => (await vault.database.query('select from open_invocations where connection_id = $1', [id])).length === 2)
  await vault.database.advance('2 minutes')
  await eventually(async () => (await records(id, 'invoke.finished')).length === 2)
  t.match(await records(id, 'invoke.finished'), [{ outcome: 'unknown', principal: { kind: 'system' } }, { outcome: 'unknown', principal: { kind: 'system' } }], 'recovery closes both')
  await vault.database.advance('-2 minutes')
})
