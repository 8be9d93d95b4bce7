import t from 'tap'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

const vault = await startTestVault()
t.teardown(() => vault.close())

const at = (workspace: string, rest = '') => `/v1/workspaces/${workspace}/connections${rest}`
const stripe = (changes: Record<string, unknown> = {}) => ({ integration: 'stripe', environment: 'sandbox', name: 'Stripe', credentials: { secret_key: STRIPE_KEY }, ...changes })

t.test('create, read, list', async (t) => {
  const created = await vault.request('POST', at('crud'), {
    body: stripe({ name: '  Stripe Sandbox ', labels: { team: 'payments' }, expires_on: '2081-05-01', config: { connected_account: 'acct_1234567890abcdef' }, allowed_actions: ['get_balance'] }),
    headers: { 'x-actor': 'user_7' },
  })
  t.equal(created.status, 201)
  t.match(created.body, {
    workspace_id: 'crud', integration: 'stripe', environment: 'sandbox', name: 'Stripe Sandbox', auth: 'api_key', status: 'active', status_reason: null,
    config: { connected_account: 'acct_1234567890abcdef' }, preview: { secret_key: 'sk_test_…0042' }, account: null, version_number: 1, hosts: ['api.stripe.com'],
    expires_on: '2081-05-01', expires_at: '2081-05-02T00:00:00.000Z', last_used_at: null, labels: { team: 'payments' }, allowed_actions: ['get_balance'], allowed_hosts: null,
    created_by: 'user_7', updated_by: 'user_7', etag: '"1"',
  })
  t.notMatch(created.text, /Canary/)
  t.equal(created.headers.get('etag'), '"1"')
  t.equal(created.headers.get('location'), at('crud', `/${created.body.id}`))
  t.equal(created.headers.get('cache-control'), 'no-store')

  const got = await vault.request('GET', at('crud', `/${created.body.id}`))
  t.same(got.body, created.body)
  const listed = await vault.request('GET', at('crud'))
  t.same(listed.body, { connections: [created.body], next_cursor: null })
  const versions = await vault.request('GET', at('crud', `/${created.body.id}/versions`))
  t.match(versions.body.versions, [{ id: created.body.credential_version, number: 1, state: 'current', preview: { secret_key: 'sk_test_…0042' }, grace_until: null }])
})

t.test('a new vault, everybody at once, on a pool that is too small', async (t) => {
  const small = await startTestVault({ DATABASE_POOL_SIZE: '2' })
  t.teardown(() => small.close())
  // In each, the tenant's key, the vault's own and the transaction are all wanted at the same time.
  for (const workspace of ['one', 'two', 'three']) {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => small.request('POST', at(workspace), { body: stripe({ name: `Stripe ${index}` }) })))
    t.same(new Set(answers.map((one) => one.status)), new Set([201]), workspace)
  }
})

t.test('filters and pages', async (t) => {
  for (const [index, environment] of ['sandbox', 'live', 'sandbox', 'live', 'sandbox'].entries()) {
    const key = STRIPE_KEY.replace('test', environment === 'live' ? 'live' : 'test')
    await vault.connect('pages', { name: `Number ${index}`, environment, credentials: { secret_key: key }, labels: index % 2 === 0 ? { even: 'yes', n: String(index) } : {} })
  }
  await vault.connect('pages', { integration: 'wise', name: 'Wise Überweisung', credentials: { api_token: 'a1b2c3d4-e5f6-a7b8-c9d0-e1f2a3b4c5d6' } })
  const names = async (query: string) => ((await vault.request('GET', at('pages', query))).body.connections as { name: string }[]).map((one) => one.name)
  t.same(await names(''), ['Wise Überweisung', 'Number 4', 'Number 3', 'Number 2', 'Number 1', 'Number 0'], 'newest first')
  t.same(await names('?environment=live'), ['Number 3', 'Number 1'])
  t.same(await names('?integration=wise'), ['Wise Überweisung'])
  t.same(await names('?q=über'), ['Wise Überweisung'])
  t.same(await names('?q=%25'), [], 'a percent sign is no wildcard')
  t.same(await names('?label=even'), ['Number 4', 'Number 2', 'Number 0'])
  t.same(await names('?label=n=2'), ['Number 2'])
  t.same(await names('?status=active&environment=live&q=number'), ['Number 3', 'Number 1'])
  t.same(await names('?status=disabled'), [])

  const seen: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const page = await vault.request('GET', at('pages', `?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`))
    seen.push(...(page.body.connections as { name: string }[]).map((one) => one.name))
    cursor = page.body.next_cursor as string | null
  }
  t.equal(seen.length, 6)
  t.equal(new Set(seen).size, 6)
  for (const query of ['?cursor=nonsense', '?limit=0', '?limit=201', '?limit=x', '?nope=1', '?environment=test', '?status=odd']) {
    t.match((await vault.request('GET', at('pages', query))).body, { status: 400, code: 'request_invalid' }, query)
  }
})

t.test('names are unique in a workspace and environment, without regard to case', async (t) => {
  await vault.connect('names', { name: 'Ｓtripe Éins' })
  const again = await vault.request('POST', at('names'), { body: stripe({ name: 'stripe éINS' }) })
  t.match(again.body, { status: 409, code: 'name_taken' })
  t.ok(await vault.connect('names', { name: 'stripe éins', environment: 'live', credentials: { secret_key: STRIPE_KEY.replace('test', 'live') } }))
  t.ok(await vault.connect('names2', { name: 'stripe éins' }))
  const race = await Promise.all(Array.from({ length: 8 }, async () => (await vault.request('POST', at('names'), { body: stripe({ name: 'race' }) })).status))
  t.same(race.toSorted(), [201, 409, 409, 409, 409, 409, 409, 409])
})

t.test('idempotent creation', async (t) => {
  const headers = { 'idempotency-key': 'once-1' }
  const first = await vault.request('POST', at('idem'), { body: stripe(), headers })
  const second = await vault.request('POST', at('idem'), { body: stripe(), headers })
  t.equal(second.status, 201)
  t.equal(second.body.id, first.body.id)
  t.equal(first.headers.get('idempotent-replayed'), null)
  t.equal(second.headers.get('idempotent-replayed'), 'true')
  t.match((await vault.request('POST', at('idem'), { body: stripe({ name: 'Other' }), headers })).body, { status: 409, code: 'idempotency_conflict' })
  const otherSecret = await vault.request('POST', at('idem'), { body: stripe({ credentials: { secret_key: `${STRIPE_KEY}9` } }), headers })
  t.match(otherSecret.body, { code: 'idempotency_conflict' }, 'another secret is another request')
  t.equal((await vault.request('POST', at('idem2'), { body: stripe(), headers })).status, 201, 'keys are a workspace’s own')

  const race = await Promise.all(Array.from({ length: 6 }, () => vault.request('POST', at('idem'), { body: stripe({ name: 'Raced' }), headers: { 'idempotency-key': 'race' } })))
  t.same(new Set(race.map((one) => one.status)), new Set([201]))
  t.equal(new Set(race.map((one) => one.body.id as string)).size, 1)
  t.equal(race.filter((one) => one.headers.get('idempotent-replayed') === null).length, 1)

  await vault.request('DELETE', at('idem', `/${first.body.id}`))
  t.match((await vault.request('POST', at('idem'), { body: stripe(), headers })).body, { code: 'idempotency_conflict', detail: /deleted since/ })
  await vault.database.advance('25 hours')
  t.equal((await vault.request('POST', at('idem'), { body: stripe(), headers })).status, 201, 'a day later the key is free')
  t.match((await vault.request('POST', at('idem'), { body: stripe(), headers: { 'idempotency-key': 'with space' } })).body, { code: 'request_invalid' })
})

t.test('a last day is not past', async (t) => {
  const day = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(0, 10)
  // The westernmost zone is twelve hours behind UTC: what is today there is not past (less the time this test takes). A day before is.
  const [today, past] = [day(-11.9), day(-36)]
  const refusal = { status: 400, body: { code: 'request_invalid', detail: 'A credential whose last day is past can’t be entered.', errors: [{ pointer: '/expires_on', message: 'is in the past: today is the earliest' }] } }
  for (const expires_on of [past, '0001-01-01', '1969-12-31']) t.match(await vault.request('POST', at('days'), { body: stripe({ expires_on }) }), refusal, expires_on)
  const headers = { 'idempotency-key': 'days-1' }
  t.match(await vault.request('POST', at('days'), { body: stripe({ expires_on: past }), headers }), refusal)
  t.match(await vault.request('GET', at('days')), { body: { connections: [] } }, 'nothing is kept')
  const { body: made } = await vault.request('POST', at('days'), { body: stripe({ expires_on: today }), headers })
  t.match(made, { expires_on: today }, 'a key is not used up by a refusal')
  const change = async (changes: object) => await vault.request('PATCH', at('days', `/${made.id}`), { body: changes, headers: { 'if-match': '*' } })
  for (const good of [day(0), '9999-12-31', null, today]) t.match(await change({ expires_on: good }), { status: 200, body: { expires_on: good } }, String(good))
  t.match(await change({ expires_on: past }), refusal)
  t.match(await vault.request('GET', at('days', `/${made.id}`)), { body: { expires_on: today } })
  await vault.database.query('update connections set expires_on = $1 where id = $2', [past, made.id])
  t.match(await change({ name: 'Renamed', expires_on: past }), { status: 200, body: { name: 'Renamed', expires_on: past } }, 'what is there may be sent back with the rest')
  t.match(await vault.request('POST', at('days'), { body: stripe({ expires_on: today }), headers }), { status: 201, body: { id: made.id } }, 'a repeat is answered as long as its key lasts')
})

t.test('changes need the ETag', async (t) => {
  const id = await vault.connect('edit', { name: 'Before' })
  const path = at('edit', `/${id}`)
  t.match((await vault.request('PATCH', path, { body: { name: 'After' } })).body, { status: 428, code: 'etag_required' })
  for (const etag of ['"99"', 'W/"1"', '"x"']) t.match((await vault.request('PATCH', path, { body: { name: 'After' }, headers: { 'if-match': etag } })).body, { status: 412, code: 'etag_mismatch' }, etag)
  for (const etag of ['1', 'x', '"1']) t.match((await vault.request('PATCH', path, { body: { name: 'After' }, headers: { 'if-match': etag } })).body, { status: 400, errors: [{ pointer: '/headers/if-match' }] }, etag)
  const changed = await vault.request('PATCH', path, {
    body: { name: 'After', labels: { a: 'b' }, expires_on: '2080-01-01', allowed_actions: ['get_balance', 'create_refund'], config: { connected_account: 'acct_1234567890abcdef' } },
    headers: { 'if-match': '"1"', 'x-actor': 'user_9' },
  })
  t.match(changed.body, { name: 'After', labels: { a: 'b' }, expires_on: '2080-01-01', allowed_actions: ['get_balance', 'create_refund'], etag: '"2"', updated_by: 'user_9', config: { connected_account: 'acct_1234567890abcdef' } })
  t.equal(changed.headers.get('etag'), '"2"')
  t.match((await vault.request('PATCH', path, { body: { expires_on: null, allowed_actions: null }, headers: { 'if-match': '*' } })).body, { expires_on: null, expires_at: null, allowed_actions: null, name: 'After' })

  const refused: [object, string][] = [
    [{ allowed_actions: ['nope'] }, 'actions_invalid'], [{ config: { connected_account: 'bad' } }, 'config_invalid'], [{ config: { nope: 'x' } }, 'config_invalid'],
    [{ config: { secret_key: 'x' } }, 'config_invalid'], [{ allowed_hosts: ['evil.example'] }, 'hosts_invalid'], [{ allowed_hosts: ['*.stripe.com'] }, 'hosts_invalid'],
    [{}, 'request_invalid'], [{ name: '' }, 'request_invalid'], [{ name: 'a\u0007b' }, 'request_invalid'], [{ credentials: {} }, 'request_invalid'], [{ environment: 'live' }, 'request_invalid'],
    [{ expires_on: '2080-13-01' }, 'request_invalid'], [{ labels: { 'a b': 'x' } }, 'request_invalid'], [{ allowed_hosts: [] }, 'request_invalid'],
  ]
  for (const [body, code] of refused) t.match((await vault.request('PATCH', path, { body, headers: { 'if-match': '*' } })).body, { code }, JSON.stringify(body))
  await vault.connect('edit', { name: 'Taken' })
  t.match((await vault.request('PATCH', path, { body: { name: 'TAKEN' }, headers: { 'if-match': '*' } })).body, { code: 'name_taken' })

  const race = await Promise.all(['a', 'b', 'c'].map((name) => vault.request('PATCH', path, { body: { name }, headers: { 'if-match': '"3"' } })))
  t.same(race.map((one) => one.status).toSorted(), [200, 412, 412], 'of concurrent changes one wins')
})

t.test('nobody who may edit a connection can redirect its key', async (t) => {
  const site = 'https://acme.atlassian.net'
  const created = await vault.request('POST', at('hosts'), {
    body: { integration: 'jira', environment: 'live', name: 'Jira', config: { site_url: site, email: 'a@b.example' }, credentials: { api_token: 'ATATT3xFfGF0abcdefghijklmnop' } },
  })
  t.match(created.body, { hosts: ['acme.atlassian.net'], config: { site_url: site, email: 'a@b.example' }, preview: { api_token: '…mnop' } })
  const path = at('hosts', `/${created.body.id}`)
  const moved = await vault.request('PATCH', path, { body: { config: { site_url: 'https://evil.atlassian.net' } }, headers: { 'if-match': '*' } })
  t.match(moved.body, { status: 422, code: 'config_invalid', errors: [{ pointer: '/config/site_url', message: /by rotate/ }] })
  t.match((await vault.request('PATCH', path, { body: { config: { email: 'c@d.example' } }, headers: { 'if-match': '*' } })).body, { config: { site_url: site, email: 'c@d.example' } })
  const narrow = (hosts: string[] | null) => vault.request('PATCH', path, { body: { allowed_hosts: hosts }, headers: { 'if-match': '*' } })
  t.match((await narrow(['acme.atlassian.net'])).body, { allowed_hosts: ['acme.atlassian.net'] })
  t.match((await narrow(['evil.atlassian.net'])).body, { code: 'hosts_invalid' })
  for (const config of [{ site_url: 'https://evil.example', email: 'a@b.example' }, { site_url: 'https://acme.atlassian.net:8443', email: 'a@b.example' }, { email: 'a@b.example' }]) {
    const refused = await vault.request('POST', at('hosts'), { body: { integration: 'jira', environment: 'live', name: 'Evil', config, credentials: { api_token: 'ATATT3xFfGF0abcdefghijklmnop' } } })
    t.match(refused.body, { status: 422 }, JSON.stringify(config))
  }
  t.match((await vault.request('POST', at('hosts'), { body: stripe({ allowed_hosts: ['evil.example'] }) })).body, { code: 'hosts_invalid' })
  t.match((await vault.request('POST', at('hosts'), { body: stripe({ allowed_actions: ['nope'] }) })).body, { code: 'actions_invalid' })
})

t.test('disable and enable', async (t) => {
  const id = await vault.connect('onoff')
  const path = at('onoff', `/${id}`)
  t.match((await vault.request('POST', `${path}/disable`)).body, { status: 'disabled', etag: '"2"' })
  t.match((await vault.request('POST', `${path}/disable`)).body, { status: 'disabled', etag: '"2"' }, 'twice changes nothing')
  t.match((await vault.request('GET', at('onoff', '?status=disabled'))).body.connections, [{ id }])
  t.same((await vault.request('GET', at('onoff', '?status=active'))).body.connections, [])
  for (const [verb, body] of [['resolve', { environment: 'sandbox' }], ['invoke', { environment: 'sandbox', action: 'get_balance' }], ['test', undefined]] as const) {
    t.match((await vault.request('POST', `${path}/${verb}`, { body })).body, { status: 409, code: 'connection_disabled' }, verb)
  }
  t.match((await vault.request('POST', `${path}/enable`)).body, { status: 'active', etag: '"3"' })
  t.equal((await vault.request('POST', `${path}/resolve`, { body: { environment: 'sandbox' } })).status, 200)
})

t.test('where-used, and what it keeps from being deleted', async (t) => {
  const id = await vault.connect('used')
  const path = at('used', `/${id}`)
  const set = await vault.request('PUT', `${path}/references`, {
    body: { references: [{ procedure_id: 'proc_1', step_id: 'step_2', label: 'Charge' }, { procedure_id: 'proc_2' }, { procedure_id: 'proc_1', step_id: 'step_2', label: 'Charge again' }] },
  })
  t.match(set.body.references, [{ procedure_id: 'proc_1', step_id: 'step_2', label: 'Charge again' }, { procedure_id: 'proc_2', step_id: '', label: null }])
  const refused = await vault.request('DELETE', path)
  t.match(refused.body, { status: 409, code: 'connection_in_use', in_use: { references: [{ procedure_id: 'proc_1' }, { procedure_id: 'proc_2' }], uses: [] } })
  await vault.request('PUT', `${path}/references`, { body: { references: [] } })

  for (const context of [{ procedure_id: 'proc_9', step_id: 's', run_id: 'r1' }, { procedure_id: 'proc_9', step_id: 's', run_id: 'r2' }, undefined]) {
    await vault.request('POST', `${path}/resolve`, { body: { environment: 'sandbox', ...context && { context } } })
  }
  const usage = await eventually(async () => {
    const { body } = await vault.request('GET', `${path}/usage`)
    return (body.uses as { uses: number }[]).length === 2 ? body as { uses: object[], references: object[] } : undefined
  })
  t.match(usage.uses.toSorted((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1), [{ procedure_id: '', uses: 1 }, { procedure_id: 'proc_9', step_id: 's', uses: 2 }])
  t.match((await vault.request('GET', path)).body.last_used_at, /^20/)
  t.match((await vault.request('DELETE', path)).body, { code: 'connection_in_use', in_use: { uses: [{ procedure_id: '' }, { procedure_id: 'proc_9' }] } }, 'a use whose procedure is not known is one as well')
  await vault.database.advance('31 days')
  t.equal((await vault.request('DELETE', path)).status, 204, 'a use of a month ago no longer counts')
  await vault.database.advance('-31 days')
})

t.test('delete destroys', async (t) => {
  const id = await vault.connect('gone')
  const path = at('gone', `/${id}`)
  await vault.request('PUT', `${path}/references`, { body: { references: [{ procedure_id: 'p' }] } })
  t.match((await vault.request('DELETE', `${path}?force=true`, { headers: { 'if-match': '"99"' } })).body, { status: 412, code: 'etag_mismatch' })
  const deleted = await vault.request('DELETE', `${path}?force=true`, { headers: { 'if-match': '"1"' } })
  t.equal(deleted.status, 204)
  t.equal(deleted.text, '')
  t.match((await vault.request('GET', path)).body, { status: 404, code: 'not_found' })
  for (const table of ['connections', 'credential_versions', 'connection_references', 'connection_uses']) {
    const column = table === 'connections' ? 'id' : 'connection_id'
    t.same(await vault.database.query(`select from ${table} where ${column} = $1`, [id]), [], table)
  }
  t.match((await vault.request('GET', '/v1/workspaces/gone/audit-events?event=connection.deleted')).body.audit_events, [{ connection_id: id, details: { forced: true } }])
})

t.test('the catalog', async (t) => {
  const list = await vault.request('GET', '/v1/integrations')
  t.equal(list.body.integrations.length, 21)
  const one = await vault.request('GET', '/v1/integrations/stripe')
  t.match(one.body, { id: 'stripe', environments: ['sandbox', 'live'], auth: [{ id: 'api_key', credentials: { required: ['secret_key'], properties: { secret_key: { writeOnly: true } } }, config: { required: [] } }] })
  const action = (one.body.actions as { name: string }[]).find(({ name }) => name === 'create_payment_intent')
  t.match(action, { effect: 'unsafe', method: 'POST', input: { properties: { body: { required: ['amount', 'currency'] } } } })
  t.match((await vault.request('GET', '/v1/integrations/nope')).body, { status: 404, code: 'not_found' })
})
