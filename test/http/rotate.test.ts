import t from 'tap'
import { retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

const NEXT_KEY = ['rk', 'test', '51CanaryNextKey000000000077'].join('_')
const LAST_KEY = ['sk', 'test', '51CanaryLastKey000000000099'].join('_')

/** Accepts the next key only, as a provider does once the old one was revoked. */
let asked = 0
const provider = await startProvider((received, reply) => {
  asked++
  if (received.headers.authorization === `Bearer ${LAST_KEY}`) { json(reply, 403, { error: { message: 'restricted' } }); return }
  if (received.headers.authorization !== `Bearer ${NEXT_KEY}`) { json(reply, 401, { error: { type: 'invalid_request_error', message: `Invalid API Key: ${received.headers.authorization}` } }); return }
  json(reply, 200, { object: 'balance', livemode: false })
})
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url, ['stripe', 'wise', 'jira']), EGRESS_ALLOW_PROVIDER: provider.endpoint })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})

const at = (id: string, rest = '') => `/v1/workspaces/acme/connections/${id}${rest}`
const resolved = async (id: string) => (await vault.request('POST', at(id, '/resolve'), { body: { environment: 'sandbox' } })).body.credentials?.secret_key as string | undefined
const rotate = (id: string, body: object, headers = {}) => vault.request('POST', at(id, '/rotate'), { body, headers })
const versions = async (id: string) => (await vault.request('GET', at(id, '/versions'))).body.versions as { state: string, id: string, grace_until: string | null, destroyed_at: string | null, number: number }[]
const sealedCount = async (id: string) => (await vault.database.query('select from credential_versions where connection_id = $1 and sealed is not null', [id])).length

t.test('everybody gets the new credential from the next call on', async (t) => {
  const id = await vault.connect('acme')
  t.equal(await resolved(id), STRIPE_KEY)
  const rotated = await rotate(id, { credentials: { secret_key: NEXT_KEY } }, { 'x-actor': 'user_3' })
  t.match(rotated.body, { version_number: 2, preview: { secret_key: 'rk_test_…0077' }, status: 'active', updated_by: 'user_3', etag: '"2"' })
  t.notMatch(rotated.text, /Canary/)
  t.equal(await resolved(id), NEXT_KEY)
  t.match(await versions(id), [{ number: 2, state: 'current', id: rotated.body.credential_version }, { number: 1, state: 'previous', grace_until: /^20/ }])
})

t.test('a rotation that is asked for twice under one key is done once', async (t) => {
  const id = await vault.connect('acme')
  const under = (key: string) => ({ 'idempotency-key': key })
  const body = { credentials: { secret_key: NEXT_KEY } }
  const first = await rotate(id, body, under('rot-1'))
  const second = await rotate(id, body, under('rot-1'))
  t.match([first, second], [{ status: 200, body: { version_number: 2 } }, { status: 200, body: { version_number: 2 } }])
  t.same([first, second].map(({ headers }) => headers.get('idempotent-replayed')), [null, 'true'])
  t.match(await versions(id), [{ number: 2, state: 'current' }, { number: 1, state: 'previous' }], 'what can be rolled back to is still there')
  t.match((await rotate(id, { credentials: { secret_key: LAST_KEY } }, under('rot-1'))).body, { status: 409, code: 'idempotency_conflict' })
  t.match((await rotate(await vault.connect('acme'), body, under('rot-1'))).body, { status: 409, code: 'idempotency_conflict' }, 'of another connection')
  const raced = await Promise.all(Array.from({ length: 5 }, async () => await rotate(id, { credentials: { secret_key: LAST_KEY } }, under('rot-2'))))
  t.ok(raced.every(({ status, body: { code } }) => status === 200 || code === 'etag_mismatch'), JSON.stringify(raced.map(({ status }) => status)))
  t.match(await versions(id), [{ number: 3, state: 'current' }, { number: 2, state: 'previous' }, { number: 1, state: 'destroyed' }])
  t.match((await rotate(id, body)).body, { version_number: 4 }, 'without a key each is one')
  const tested = async () => await rotate(id, { ...body, test: true }, under('rot-3'))
  t.match(await tested(), { status: 200, body: { version_number: 5 } })
  const before = asked
  t.match(await tested(), { status: 200, body: { version_number: 5 } })
  t.equal(asked, before, 'the provider, which may refuse by now what it took, is not asked again')
  await vault.database.advance('25 hours')
  t.match(await tested(), { status: 200, body: { version_number: 6 } })
  t.equal(asked, before + 1, 'a day later the key is another one')
})

t.test('rollback re-points, and can be undone', async (t) => {
  const id = await vault.connect('acme')
  t.match((await vault.request('POST', at(id, '/rollback'))).body, { status: 409, code: 'rollback_unavailable' })
  await rotate(id, { credentials: { secret_key: NEXT_KEY } })
  const back = await vault.request('POST', at(id, '/rollback'))
  t.match(back.body, { version_number: 1 })
  t.equal(await resolved(id), STRIPE_KEY)
  t.match((await vault.request('POST', at(id, '/rollback'))).body, { version_number: 2 })
  t.equal(await resolved(id), NEXT_KEY)
  t.match((await rotate(id, { credentials: { secret_key: LAST_KEY } })).body, { version_number: 3 }, 'numbers are never used again')
  t.match(await versions(id), [{ number: 3, state: 'current' }, { number: 2, state: 'previous' }, { number: 1, state: 'destroyed', destroyed_at: /^20/ }])
  t.equal(await sealedCount(id), 2)
})

t.test('of destroyed versions the last few stay, of any number', async (t) => {
  const id = await vault.connect('acme')
  for (let time = 0; time < 12; time++) await rotate(id, { credentials: { secret_key: NEXT_KEY }, grace_seconds: time % 2 === 0 ? 0 : 3_600 })
  const left = await versions(id)
  t.same(left.map(({ number, state }) => `${number} ${state}`), ['13 current', '12 previous', '11 destroyed', '10 destroyed', '9 destroyed', '8 destroyed'])
  t.equal(await resolved(id), NEXT_KEY)
  t.equal((await vault.database.query('select from audit_events where connection_id = $1 and event = \'connection.rotated\'', [id])).length, 12, 'the record has all')
})

t.test('grace', async (t) => {
  const now = await vault.connect('acme')
  await rotate(now, { credentials: { secret_key: NEXT_KEY }, grace_seconds: 0 })
  t.match(await versions(now), [{ state: 'current' }, { state: 'destroyed' }], 'no grace destroys at once')
  t.match((await vault.request('POST', at(now, '/rollback'))).body, { code: 'rollback_unavailable' })

  const later = await vault.connect('acme')
  await rotate(later, { credentials: { secret_key: NEXT_KEY }, grace_seconds: 60 })
  await vault.database.advance('61 seconds')
  t.match((await vault.request('POST', at(later, '/rollback'))).body, { code: 'rollback_unavailable' }, 'past its grace, destroyed already or not')
  await eventually(async () => await sealedCount(later) === 1)
  t.match(await versions(later), [{ state: 'current' }, { state: 'destroyed', grace_until: null }])
  const events = await vault.request('GET', `/v1/workspaces/acme/audit-events?event=version.destroyed&connection_id=${later}`)
  t.match(events.body.audit_events, [{ principal: { kind: 'system' }, outcome: 'ok' }])
  await vault.database.advance('-61 seconds')
  for (const grace of [-1, 2_592_001, 1.5, '1']) t.match((await rotate(now, { credentials: { secret_key: NEXT_KEY }, grace_seconds: grace })).body, { code: 'request_invalid' }, String(grace))
})

t.test('a test first: a refused credential changes nothing', async (t) => {
  const id = await vault.connect('acme')
  const refused = await rotate(id, { credentials: { secret_key: `${STRIPE_KEY}x` }, test: true })
  t.match(refused.body, { status: 422, code: 'credential_refused', detail: /Invalid API Key: Bearer \[redacted\]|Invalid API Key: \[redacted\]/ })
  t.notMatch(refused.text, /Canary/)
  t.equal(await resolved(id), STRIPE_KEY)
  t.match((await rotate(id, { credentials: { secret_key: NEXT_KEY }, test: true })).body, { version_number: 2 })
  t.match((await rotate(id, { credentials: { secret_key: LAST_KEY }, test: true })).body, { version_number: 3 }, 'limited is valid')

  const answer = provider.answer
  provider.answer = (_received, reply) => { reply.destroy() }
  t.match((await rotate(id, { credentials: { secret_key: NEXT_KEY }, test: true })).body, { status: 502, code: 'upstream_unreachable', detail: /nothing was changed/ })
  provider.answer = (_received, reply) => { json(reply, 200, { livemode: true }) }
  t.match((await rotate(id, { credentials: { secret_key: NEXT_KEY }, test: true })).body, { code: 'credential_refused', detail: /does not belong to its sandbox/ })
  provider.answer = answer
  t.equal((await versions(id)).length, 3)
  const records = await vault.request('GET', `/v1/workspaces/acme/audit-events?event=invoke.started&connection_id=${id}`)
  t.equal(records.body.audit_events.length, 5, 'every test is on record before it is sent')
})

t.test('what does not fit is refused', async (t) => {
  const id = await vault.connect('acme')
  const refused: [object, string][] = [
    [{ credentials: {} }, 'credential_invalid'], [{ credentials: { secret_key: NEXT_KEY.replace('test', 'live') } }, 'credential_invalid'], [{}, 'request_invalid'],
    [{ credentials: { secret_key: NEXT_KEY, nope: 'x' } }, 'credential_invalid'], [{ credentials: { secret_key: NEXT_KEY }, config: { nope: 'x' } }, 'config_invalid'],
    [{ credentials: { secret_key: NEXT_KEY }, allowed_hosts: ['evil.example'] }, 'hosts_invalid'], [{ credentials: { secret_key: NEXT_KEY }, extra: 1 }, 'request_invalid'],
  ]
  for (const [body, code] of refused) t.match((await rotate(id, body)).body, { code }, JSON.stringify(body))
  t.match((await rotate('conn_00000000000000000000000000', { credentials: { secret_key: NEXT_KEY } })).body, { code: 'not_found' })
  t.equal(await resolved(id), STRIPE_KEY)
})

t.test('config travels with the credential', async (t) => {
  const id = await vault.connect('acme', { config: { connected_account: 'acct_1234567890abcdef' } })
  t.match((await rotate(id, { credentials: { secret_key: NEXT_KEY } })).body, { config: { connected_account: 'acct_1234567890abcdef' } }, 'kept')
  t.match((await rotate(id, { credentials: { secret_key: NEXT_KEY }, config: { connected_account: 'acct_abcdef1234567890' } })).body, { config: { connected_account: 'acct_abcdef1234567890' } })
})

t.test('concurrent rotations leave one current version, and lose none silently', async (t) => {
  const id = await vault.connect('acme')
  const keys = Array.from({ length: 6 }, (_, index) => `${STRIPE_KEY}${index}`)
  const results = await Promise.all(keys.map((secret_key) => rotate(id, { credentials: { secret_key } })))
  const won = results.filter((one) => one.status === 200)
  t.ok(won.length >= 1)
  for (const one of results) if (one.status !== 200) t.match(one.body, { status: 412, code: 'etag_mismatch', detail: /nothing was replaced/ })
  const states = (await versions(id)).map((one) => one.state)
  t.equal(states.filter((state) => state === 'current').length, 1)
  t.equal(states.length, 1 + won.length)
})

t.test('a limit on hosts outlives a rotation', async (t) => {
  const id = await vault.connect('acme')
  const host = provider.endpoint
  t.match((await vault.request('PATCH', at(id), { body: { allowed_hosts: [host] }, headers: { 'if-match': '*' } })).body, { allowed_hosts: [host] })
  t.match((await rotate(id, { credentials: { secret_key: NEXT_KEY } })).body, { allowed_hosts: [host], hosts: [host] })
  t.match((await rotate(id, { credentials: { secret_key: NEXT_KEY }, allowed_hosts: [host] })).body, { allowed_hosts: [host], hosts: [host] }, 'a rotation that names hosts seals for those, and they are a limit for the next')
})

t.test('a connection that needed reauth is active again', async (t) => {
  const id = await vault.connect('acme')
  t.match((await vault.request('POST', at(id, '/test'))).body, { result: 'auth_failed' })
  t.match((await vault.request('GET', at(id))).body, { status: 'needs_reauth', status_reason: 'credential_refused' })
  t.match((await rotate(id, { credentials: { secret_key: NEXT_KEY } })).body, { status: 'active', status_reason: null })
  t.equal(await resolved(id), NEXT_KEY)
})

t.test('ciphertext moved in the database opens nowhere else', async (t) => {
  const [a, b, live, other] = [await vault.connect('acme'), await vault.connect('acme'), await vault.connect('acme', { environment: 'live', credentials: { secret_key: STRIPE_KEY.replace('test', 'live') } }), await vault.connect('other')]
  const [c, d] = [await vault.connect('acme'), await vault.connect('acme')]
  await rotate(c, { credentials: { secret_key: NEXT_KEY } })
  const moves: [name: string, sql: string, values: string[], use: () => Promise<{ status: number, body: { code?: string } }>][] = [
    ['to another connection', 'update credential_versions t set sealed = s.sealed, key_id = s.key_id from credential_versions s where s.connection_id = $1 and t.connection_id = $2', [a, b], () => vault.request('POST', at(b, '/resolve'), { body: { environment: 'sandbox' } })],
    ['to another tenant', 'update credential_versions t set sealed = s.sealed, key_id = s.key_id from credential_versions s where s.connection_id = $1 and t.connection_id = $2', [a, other], () => vault.request('POST', `/v1/workspaces/other/connections/${other}/resolve`, { body: { environment: 'sandbox' } })],
    ['to another environment', 'update credential_versions t set sealed = s.sealed, key_id = s.key_id from credential_versions s where s.connection_id = $1 and t.connection_id = $2', [a, live], () => vault.request('POST', at(live, '/resolve'), { body: { environment: 'live' } })],
    ['to another version', 'update credential_versions t set sealed = s.sealed from credential_versions s where s.connection_id = $1 and t.connection_id = $1 and s.number = 1 and t.number = 2', [c], () => vault.request('POST', at(c, '/resolve'), { body: { environment: 'sandbox' } })],
    ['with hosts that only the connection names', "update connections set allowed_hosts = '{evil.example}' where id = $1", [d], () => vault.request('POST', at(d, '/request'), { body: { environment: 'sandbox', host: 'evil.example', method: 'GET', path: '/' } })],
    ['with other hosts', "update credential_versions set hosts = '{evil.example}' where connection_id = $1", [a], () => vault.request('POST', at(a, '/invoke'), { body: { environment: 'sandbox', action: 'get_balance' } })],
  ]
  for (const [name, sql, values, use] of moves) {
    await vault.database.query(sql, values)
    const answer = await use()
    // With other hosts, the call is blocked before anything is opened.
    if (name.startsWith('with ')) t.match(answer.body, { code: 'egress_blocked' }, name)
    else t.match(answer.body, { status: 500, code: 'integrity_failure' }, name)
    t.notMatch(JSON.stringify(answer.body), /Canary|credentials/)
  }
  for (const id of [a, d]) t.match((await vault.request('POST', at(id, '/resolve'), { body: { environment: 'sandbox' } })).body, { code: 'integrity_failure' }, 'nor is it handed out for other hosts')
  const failures = await eventually(async () => {
    const { body } = await vault.request('GET', '/v1/workspaces/acme/audit-events?event=integrity.failed')
    const events = body.audit_events as object[]
    return events.length >= 4 && events
  })
  t.match(failures[0], { outcome: 'failed', reason: 'integrity_failure' })
  const metrics = await (await fetch(`${vault.urls.operations}/metrics`)).text()
  t.match(metrics, /vault_integrity_failures_total [4-9]/)
})
