import t from 'tap'
import { retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

let acceptsKeys = false
const provider = await startProvider((_received, reply) => {
  if (acceptsKeys) json(reply, 200, { livemode: false })
  else json(reply, 401, { error: { message: 'Expired API Key' } })
})
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url, ['stripe']), EGRESS_ALLOW_PROVIDER: provider.endpoint })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})

const at = (id: string, rest = '') => `/v1/workspaces/acme/connections/${id}${rest}`
const resolve = (id: string, body: object = { environment: 'sandbox' }, token?: string) => vault.request('POST', at(id, '/resolve'), { body, ...token !== undefined && { token } })
const records = async (id: string, event: string) => (await vault.request('GET', `/v1/workspaces/acme/audit-events?event=${event}&connection_id=${id}`)).body.audit_events as object[]

t.test('the credential, ready to use', async (t) => {
  const id = await vault.connect('acme', { config: { connected_account: 'acct_1234567890abcdef' } })
  const context = { procedure_id: 'proc_1', run_id: 'run_1', step_id: 'step_1' }
  const answer = await resolve(id, { environment: 'sandbox', context })
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('cache-control'), 'no-store')
  t.match(answer.body, {
    connection_id: id, integration: 'stripe', environment: 'sandbox', auth: 'api_key', version: /^ver_/, expires_at: null, freshness: 'fresh',
    credentials: { secret_key: STRIPE_KEY, connected_account: 'acct_1234567890abcdef' },
    request: { base_url: provider.url, headers: { authorization: `Bearer ${STRIPE_KEY}`, 'stripe-account': 'acct_1234567890abcdef' }, query: {} },
  })
  t.match(await records(id, 'connection.resolved'), [{ outcome: 'ok', version_id: answer.body.version, context, environment: 'sandbox', request_id: answer.headers.get('x-request-id'), principal: { kind: 'service_token' } }])
})

t.test('a connection that is used again is used as it is now', async (t) => {
  const id = await vault.connect('acme')
  const change = async (set: string) => { await vault.database.query(`update connections set ${set} where id = $1`, [id]) }
  const twice = async () => [(await resolve(id)).status, (await resolve(id)).status]
  t.same(await twice(), [200, 200])
  // Behind the vault's back, as another process would: nothing tells this one.
  await change('disabled_at = vault_now()')
  t.match(await resolve(id), { status: 409, body: { code: 'connection_disabled' } })
  await change('disabled_at = null')
  t.same(await twice(), [200, 200])
  await change("health = 'needs_reauth', health_reason = 'credential_refused'")
  t.match(await resolve(id), { status: 409, body: { code: 'connection_needs_reauth' } })
  await change("health = 'active', health_reason = null")
  t.same(await twice(), [200, 200])
  const before = (await records(id, 'connection.resolved')).length
  const key = `${STRIPE_KEY}Rotated`
  t.match(await vault.request('POST', at(id, '/rotate'), { body: { credentials: { secret_key: key } } }), { status: 200 })
  t.match(await resolve(id), { status: 200, body: { credentials: { secret_key: key } } }, 'never the one before')
  // Many at once, and a change in their midst: each gets what it is on record with, or nothing.
  const answers = await Promise.all(Array.from({ length: 40 }, async (_, n) => {
    if (n === 20) await change('disabled_at = vault_now()')
    return await resolve(id)
  }))
  const served = answers.filter(({ status }) => status === 200)
  t.ok(answers.every(({ status, body }) => status === 200 || body.code === 'connection_disabled'))
  t.equal((await records(id, 'connection.resolved')).length - before, served.length + 1, 'as many records as credentials')
  await change('disabled_at = null')
  t.same(await twice(), [200, 200])
  const [other, third] = [await vault.connect('acme'), await vault.connect('acme')]
  t.equal((await resolve(other)).status, 200)
  await change('disabled_at = vault_now()')
  const many = await vault.request('POST', '/v1/workspaces/acme/resolve', { body: { environment: 'sandbox', connection_ids: [other, id, third] } })
  t.match(many.body, { results: [{ connection_id: other, credential: {} }, { connection_id: id, problem: { code: 'connection_disabled' } }, { connection_id: third, credential: {} }] })
  await vault.database.query('delete from connections where id = $1', [id])
  t.match(await resolve(id), { status: 404 })
})

t.test('sandbox and live never mix', async (t) => {
  const id = await vault.connect('acme')
  t.match((await resolve(id, { environment: 'live' })).body, { status: 409, code: 'environment_mismatch', detail: /sandbox connection and the run is live/ })
  const liveOnly = await vault.mint({ preset: 'runtime', environments: ['live'] })
  t.match((await resolve(id, { environment: 'sandbox' }, liveOnly)).body, { status: 404, code: 'not_found' }, 'outside the token’s environments it does not exist')
  t.match((await resolve(id, { environment: 'live' }, liveOnly)).body, { status: 404, code: 'not_found' })
  t.same(await records(id, 'connection.resolved'), [])
  const reader = await vault.mint({ preset: 'dashboard', environments: ['live'] })
  t.match(await vault.request('GET', '/v1/workspaces/acme/connections?environment=sandbox', { token: reader }), { status: 200, body: { connections: [], next_cursor: null } })
  const refusals = await eventually(async () => {
    const found = await records(id, 'request.refused')
    return found.length === 3 && found
  })
  t.match(refusals.map((one) => (one as { reason: string }).reason).toSorted(), ['environment_mismatch', 'not_found', 'not_found'])
})

t.test('what is asked of a lifetime', async (t) => {
  const soon = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)
  const id = await vault.connect('acme', { expires_on: soon })
  t.match((await resolve(id, { environment: 'sandbox', min_ttl_seconds: 60 })).body, { freshness: 'fresh', expires_at: /T00:00:00.000Z$/ })
  const past = await vault.connect('acme', { expires_on: soon })
  await vault.database.query('update connections set expires_on = \'2020-01-01\' where id = $1', [past])
  t.match((await resolve(past, { environment: 'sandbox', min_ttl_seconds: 60 })).body, { freshness: 'stale_usable', credentials: { secret_key: STRIPE_KEY } }, 'the provider decides, not our calendar')
  for (const seconds of [-1, 86_401, '60']) t.match((await resolve(id, { environment: 'sandbox', min_ttl_seconds: seconds })).body, { code: 'request_invalid' })
})

t.test('refusals that callers report', async (t) => {
  const id = await vault.connect('acme')
  const { body: { version } } = await resolve(id)
  t.equal((await resolve(id, { environment: 'sandbox', rejected_version: 'ver_of_long_ago' })).status, 200)
  t.same(await records(id, 'connection.refused'), [], 'an old version is no news')
  acceptsKeys = true
  for (let times = 0; times < 3; times++) t.equal((await resolve(id, { environment: 'sandbox', rejected_version: version })).status, 200, 'it is served all the same')
  t.match(await records(id, 'connection.refused'), [{ details: { refusals: 3 } }, { details: { refusals: 2 } }, { details: { refusals: 1 } }])
  await eventually(async () => (await records(id, 'connection.tested')).length === 1)
  t.match((await vault.request('GET', at(id))).body, { status: 'active' }, 'the provider accepts it: a caller’s word alone does not take it out of use')

  acceptsKeys = false
  for (let times = 0; times < 3; times++) await resolve(id, { environment: 'sandbox', rejected_version: version })
  await eventually(async () => (await vault.request('GET', at(id))).body.status === 'needs_reauth')
  t.match((await resolve(id)).body, { status: 409, code: 'connection_needs_reauth', detail: 'The provider refuses the credential. Rotate the connection.' })
  t.match(await records(id, 'connection.needs_reauth'), [{ reason: 'credential_refused', principal: { kind: 'system' } }])
  acceptsKeys = true
  t.match((await vault.request('POST', at(id, '/test'))).body, { result: 'ok', status: 200 })
  t.equal((await resolve(id)).status, 200, 'a test that succeeds brings it back')
  t.match(await records(id, 'connection.recovered'), [{ outcome: 'ok' }])
})

t.test('many at once, each with its own result', async (t) => {
  const ids = await Promise.all([vault.connect('acme'), vault.connect('acme'), vault.connect('acme', { environment: 'live', credentials: { secret_key: STRIPE_KEY.replace('test', 'live') } })])
  const disabled = await vault.connect('acme')
  await vault.request('POST', at(disabled, '/disable'))
  const foreign = await vault.connect('foreign')
  const missing = 'conn_00000000000000000000000000'
  const answer = await vault.request('POST', '/v1/workspaces/acme/resolve', { body: { environment: 'sandbox', connection_ids: [...ids, disabled, foreign, missing] } })
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('cache-control'), 'no-store')
  t.match(answer.body.results, [
    { connection_id: ids[0], credential: { credentials: { secret_key: STRIPE_KEY } } }, { connection_id: ids[1], credential: { connection_id: ids[1] } },
    { connection_id: ids[2], problem: { status: 409, code: 'environment_mismatch' } }, { connection_id: disabled, problem: { code: 'connection_disabled' } },
    { connection_id: foreign, problem: { status: 404, code: 'not_found' } }, { connection_id: missing, problem: { status: 404, code: 'not_found' } },
  ])
  const [{ problem: a }, { problem: b }] = [answer.body.results[4], answer.body.results[5]]
  t.same(a, b, 'another tenant’s looks like one that does not exist')
  t.equal((await records(ids[0], 'connection.resolved')).length, 1)
  t.match(await records(disabled, 'connection.resolved'), [{ outcome: 'refused', reason: 'connection_disabled' }])
  for (const connection_ids of [[], Array.from({ length: 101 }, () => missing), [ids[0], ids[0]], ['nope'], 'x']) {
    t.match((await vault.request('POST', '/v1/workspaces/acme/resolve', { body: { environment: 'sandbox', connection_ids } })).body, { code: 'request_invalid' })
  }
})

t.test('what is not on record does not leave', async (t) => {
  const id = await vault.connect('acme')
  await vault.database.query('revoke insert on audit_events from connection_vault_service')
  const refused = await resolve(id)
  t.equal(refused.status, 500)
  t.notMatch(refused.text, /Canary/)
  const batch = await vault.request('POST', '/v1/workspaces/acme/resolve', { body: { environment: 'sandbox', connection_ids: [id] } })
  t.equal(batch.status, 500)
  t.notMatch(batch.text, /Canary/)
  provider.received.length = 0
  t.equal((await vault.request('POST', at(id, '/invoke'), { body: { environment: 'sandbox', action: 'get_balance' } })).status, 500)
  t.equal(provider.received.length, 0, 'nor is anything sent')
  await vault.database.query('grant insert on audit_events to connection_vault_service')
  t.equal((await resolve(id)).status, 200)
})

t.test('under load every answer has its record', async (t) => {
  const id = await vault.connect('acme')
  const answers = await Promise.all(Array.from({ length: 400 }, () => resolve(id)))
  t.ok(answers.every((one) => one.status === 200))
  const [{ n }] = await vault.database.query<{ n: number }>("select count(distinct request_id)::int as n from audit_events where connection_id = $1 and event = 'connection.resolved'", [id]) as [{ n: number }]
  t.equal(n, 400)
})
