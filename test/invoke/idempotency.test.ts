import t from 'tap'
import { retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, startTestVault } from '../support/vault.ts'

const provider = await startProvider((_received, reply) => { json(reply, 200, { ok: true }) })
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url), EGRESS_ALLOW_PROVIDER: provider.endpoint })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})
let answered = 0
t.beforeEach(() => {
  provider.received.length = 0
  provider.answer = (_received, reply) => { json(reply, 201, { id: `appl_${++answered}` }) }
})

const at = (id: string, rest = '') => `/v1/workspaces/acme/connections/${id}${rest}`
const invoke = (id: string, body: object, key: string) => vault.request('POST', at(id, '/invoke'), { body: { environment: 'sandbox', ...body }, headers: { 'idempotency-key': key } })
const onfido = (changes = {}) => vault.connect('acme', { integration: 'onfido', credentials: { api_token: 'api_sandbox.abcdefghijk.abcdefghijklmnopqrstuvwxyz012345' }, ...changes })
const UNSAFE = { action: 'create_applicant', input: { first_name: 'Ada', last_name: 'L' } }
const READ = { action: 'list_applicants', input: { page: 1 } }
/** Lets the claim of a key's invocation end, as if its process had died. */
const die = () => vault.database.query("update idempotency_keys set held_until = vault_now() - interval '1 second' where held_until is not null")

t.test('a repeat gets the answer of the first', async (t) => {
  const id = await onfido()
  const first = await invoke(id, UNSAFE, 'order-1')
  t.match(first.body, { outcome: 'succeeded', replayed: false, provider: { status: 201 } })
  t.equal(first.headers.get('idempotent-replayed'), null)
  const second = await invoke(id, { ...UNSAFE, input: { body: { last_name: 'L', first_name: 'Ada' } } }, 'order-1')
  t.match(second.body, { code: 'idempotency_conflict' }, 'input in another shape is another request')
  const third = await invoke(id, { action: UNSAFE.action, input: { last_name: 'L', first_name: 'Ada' } }, 'order-1')
  t.same(third.body, { ...first.body, replayed: true }, 'in another order it is the same')
  t.equal(third.headers.get('idempotent-replayed'), 'true')
  t.equal(provider.received.length, 1)
  t.match((await vault.request('GET', `/v1/workspaces/acme/audit-events?event=invoke.replayed&connection_id=${id}`)).body.audit_events, [{ invocation_id: first.body.invocation_id }])

  for (const other of [{ ...UNSAFE, input: { first_name: 'Bob', last_name: 'L' } }, READ]) t.match((await invoke(id, other, 'order-1')).body, { status: 409, code: 'idempotency_conflict' })
  t.match((await invoke(await onfido(), UNSAFE, 'order-1')).body, { code: 'idempotency_conflict' }, 'another connection is another request')
  t.match((await vault.request('POST', '/v1/workspaces/acme/connections', { body: { integration: 'stripe', environment: 'sandbox', name: 'x', credentials: { secret_key: ['sk', 'test', '0'.repeat(20)].join('_') } }, headers: { 'idempotency-key': 'order-1' } })).body, { code: 'idempotency_conflict' }, 'and so is making one')
  t.equal(provider.received.length, 1)

  const dry = await invoke(id, { ...UNSAFE, dry_run: true }, 'order-1')
  t.match(dry.body, { dry_run: true }, 'a dry run uses no key up')
  await vault.stop()
  await vault.start()
  t.same((await invoke(id, { action: UNSAFE.action, input: { first_name: 'Ada', last_name: 'L' } }, 'order-1')).body, { ...first.body, replayed: true }, 'after a restart too')
  await vault.database.advance('25 hours')
  t.match((await invoke(id, UNSAFE, 'order-1')).body, { replayed: false }, 'for a day')
  t.equal(provider.received.length, 2)
})

t.test('an answer that is too large to be kept is given once', async (t) => {
  const id = await onfido()
  provider.answer = (_received, reply) => { json(reply, 201, { id: 'appl', text: 'x'.repeat(1_100_000) }) }
  const first = await invoke(id, UNSAFE, 'large-1')
  t.match(first.body, { outcome: 'succeeded', output: { id: 'appl' } })
  const again = await invoke(id, UNSAFE, 'large-1')
  t.match(again.body, { status: 502, code: 'response_too_large', retryable: false, detail: /given again/, invocation_id: first.body.invocation_id, replayed: true })
  t.equal(provider.received.length, 1, 'and the call is not made again')
  for (const replayed of [false, false]) t.match((await invoke(id, READ, 'large-2')).body, { outcome: 'succeeded', replayed }, 'a read is')
  t.equal(provider.received.length, 3)
  const [{ bytes } = { bytes: NaN }] = await vault.database.query<{ bytes: number }>('select max(octet_length(sealed)) as bytes from invocation_results')
  t.ok(bytes < 1_100_000)
})

t.test('what is kept is sealed, and bound to its place', async (t) => {
  const id = await onfido()
  provider.answer = (_received, reply) => { json(reply, 201, { id: 'canaryoutput', big: 1 }) }
  await invoke(id, UNSAFE, 'sealed-1')
  await invoke(id, UNSAFE, 'sealed-2')
  const rows = await vault.database.query<{ invocation_id: string, sealed: Buffer }>('select * from invocation_results order by created_at desc limit 2')
  t.notMatch(JSON.stringify(rows) + rows.map((row) => row.sealed.toString('latin1')).join(''), /canaryoutput|Ada/)
  const [one, two] = rows
  await vault.database.query('update invocation_results set sealed = $1 where invocation_id = $2', [one?.sealed, two?.invocation_id])
  t.match((await invoke(id, UNSAFE, 'sealed-1')).body, { status: 500, code: 'integrity_failure' }, 'another invocation’s result can’t be put in its place')
})

t.test('numbers beyond 2^53 survive the keeping', async (t) => {
  const id = await onfido()
  provider.answer = (_received, reply) => { reply.writeHead(200, { 'content-type': 'application/json' }).end('{"id":12345678901234567890}') }
  const first = await invoke(id, UNSAFE, 'big')
  t.match(first.text, /"id":12345678901234567890/)
  t.match((await invoke(id, UNSAFE, 'big')).text, /"id":12345678901234567890.*"replayed":true/)
})

t.test('calls that race with one key', async (t) => {
  const id = await onfido()
  provider.answer = (_received, reply) => { setTimeout(() => { json(reply, 201, { id: 'one' }) }, 200) }
  const race = await Promise.all(Array.from({ length: 20 }, () => invoke(id, UNSAFE, 'race')))
  t.equal(provider.received.length, 1)
  t.equal(race.filter((one) => one.body.replayed === false).length, 1)
  t.equal(new Set(race.map((one) => one.body.invocation_id as string)).size, 1)
  t.ok(race.every((one) => one.body.output.id === 'one'))

  provider.answer = (_received, reply) => { setTimeout(() => { json(reply, 201, { id: 'slow' }) }, 1_500) }
  const slow = invoke(id, UNSAFE, 'slow')
  await eventually(async () => provider.received.length === 2)
  t.match((await invoke(id, { ...UNSAFE, timeout_ms: 300 }, 'slow')).body, { status: 409, code: 'invocation_running', retryable: true, invocation_id: /^inv_/ }, 'waiting has an end')
  t.match((await slow).body, { replayed: false, output: { id: 'slow' } })
})

t.test('guards come before a replay', async (t) => {
  const id = await onfido()
  await invoke(id, UNSAFE, 'guarded')
  t.match((await vault.request('POST', at(id, '/invoke'), { body: { environment: 'live', ...UNSAFE }, headers: { 'idempotency-key': 'guarded' } })).body, { code: 'environment_mismatch' })
  const { body: { etag } } = await vault.request('GET', at(id))
  await vault.request('PATCH', at(id), { body: { allowed_actions: ['list_applicants'] }, headers: { 'if-match': etag as string } })
  t.match((await invoke(id, UNSAFE, 'guarded')).body, { code: 'action_not_allowed' })
  await vault.request('PATCH', at(id), { body: { allowed_actions: null }, headers: { 'if-match': '*' } })
  await vault.request('POST', at(id, '/disable'))
  t.match((await invoke(id, UNSAFE, 'guarded')).body, { code: 'connection_disabled' })
  await vault.request('POST', at(id, '/enable'))
  t.match((await invoke(id, UNSAFE, 'guarded')).body, { replayed: true })
})

t.test('what was made is told although the credential is refused since', async (t) => {
  const id = await onfido()
  const made = await invoke(id, UNSAFE, 'before-the-end')
  provider.answer = (_received, reply) => { json(reply, 401, { error: { type: 'authorization_error' } }) }
  t.match((await vault.request('POST', at(id, '/test'))).body, { result: 'auth_failed' })
  const calls = provider.received.length
  t.match(await invoke(id, UNSAFE, 'before-the-end'), { status: 200, body: { ...made.body, replayed: true } })
  t.match(await invoke(id, UNSAFE, 'after-the-end'), { status: 409, body: { code: 'connection_needs_reauth' } }, 'another is not begun')
  t.match(await invoke(id, { ...UNSAFE, dry_run: true }, 'before-the-end'), { status: 409 })
  t.equal(provider.received.length, calls)
  provider.answer = (_received, reply) => { json(reply, 200, { applicants: [] }) }
  t.match((await vault.request('POST', at(id, '/test'))).body, { result: 'ok' })
  t.match(await invoke(id, UNSAFE, 'after-the-end'), { status: 200, body: { replayed: false } }, 'its key was left free')
})

t.test('an unsafe call whose process died is never made again', async (t) => {
  const id = await onfido()
  provider.answer = () => {}
  const lost = invoke(id, { ...UNSAFE, timeout_ms: 1_500 }, 'dead-unsafe')
  await eventually(async () => provider.received.length === 1)
  await die()
  t.match((await invoke(id, UNSAFE, 'dead-unsafe')).body, { status: 502, code: 'outcome_unknown', invocation_id: /^inv_/ })
  t.equal(provider.received.length, 1)
  t.match((await lost).body, { code: 'outcome_unknown' })
})

t.test('a read whose process died is made by the next', async (t) => {
  const id = await onfido()
  let hang = true
  provider.answer = (_received, reply) => { if (!hang) json(reply, 200, { id: 'again' }) }
  const lost = invoke(id, { ...READ, timeout_ms: 1_500 }, 'dead-read')
  await eventually(async () => provider.received.length === 1)
  await die()
  hang = false
  t.match((await invoke(id, READ, 'dead-read')).body, { outcome: 'succeeded', replayed: false })
  t.match((await lost).body, { code: 'upstream_timeout' }, 'the first was only paused: its end changes nothing')
  t.match((await invoke(id, READ, 'dead-read')).body, { output: { id: 'again' }, replayed: true })
})

t.test('an unsafe call whose process died before it was on record is made by the next', async (t) => {
  const id = await onfido()
  let hang = true
  provider.answer = (_received, reply) => { if (!hang) json(reply, 201, { id: 'first time' }) }
  const lost = invoke(id, { ...UNSAFE, timeout_ms: 1_500 }, 'dead-early')
  await eventually(async () => provider.received.length === 1)
  await vault.database.query("delete from audit_events where event = 'invoke.started' and connection_id = $1", [id])
  await die()
  hang = false
  t.match((await invoke(id, UNSAFE, 'dead-early')).body, { outcome: 'succeeded', replayed: false, output: { id: 'first time' } })
  t.match((await lost).body, { code: 'outcome_unknown' })
})

t.test('an end that is not known stays so', async (t) => {
  const id = await onfido()
  provider.answer = (_received, reply) => { reply.destroy() }
  const first = await invoke(id, UNSAFE, 'unknown')
  t.match(first.body, { status: 502, code: 'outcome_unknown' })
  provider.answer = (_received, reply) => { json(reply, 201, {}) }
  t.match((await invoke(id, UNSAFE, 'unknown')).body, { status: 502, code: 'outcome_unknown', detail: first.body.detail, invocation_id: first.body.invocation_id, replayed: true })
  t.equal(provider.received.length, 1)
})

t.test('which ends leave the key free', async (t) => {
  const id = await onfido()
  const after = async (answer: typeof provider.answer, what: object, key: string) => {
    provider.answer = answer
    await invoke(id, what, key)
    provider.answer = (_received, reply) => { json(reply, 201, {}) }
    return (await invoke(id, what, key)).body as { outcome: string, replayed: boolean }
  }
  for (const status of [401, 403, 429]) t.match(await after((_received, reply) => { json(reply, status, {}) }, UNSAFE, `free-${status}`), { outcome: 'succeeded', replayed: false }, `turned away with ${status}`)
  for (const status of [400, 404, 409, 500, 503]) t.match(await after((_received, reply) => { json(reply, status, {}) }, UNSAFE, `kept-${status}`), { outcome: 'failed', replayed: true }, `answered with ${status}`)
  t.match(await after((_received, reply) => { json(reply, 500, {}) }, READ, 'read-500'), { outcome: 'succeeded', replayed: false }, 'a read may always be made again')
  t.match(await after((_received, reply) => { reply.destroy() }, READ, 'read-broken'), { outcome: 'succeeded', replayed: false })
  const stripe = await vault.connect('acme')
  const payment = { action: 'create_payment_intent', input: { amount: 1, currency: 'usd' } }
  provider.answer = (_received, reply) => { json(reply, 500, {}) }
  await invoke(stripe, payment, 'stripe-500')
  provider.answer = (_received, reply) => { json(reply, 200, {}) }
  t.match((await invoke(stripe, payment, 'stripe-500')).body, { outcome: 'succeeded', replayed: false }, 'the provider itself sees to it that it is done once')
  t.same(new Set(provider.received.filter((one) => one.url === '/v1/payment_intents').map((one) => one.headers['idempotency-key'])), new Set(['stripe-500']))
})

t.test('requests have keys too', async (t) => {
  const id = await onfido()
  const send = (body: object) => vault.request('POST', at(id, '/request'), { body: { environment: 'sandbox', method: 'POST', path: '/applicants', body, encoding: 'json' }, headers: { 'idempotency-key': 'raw-1' } })
  const first = await send({ a: 1 })
  t.same((await send({ a: 1 })).body, { ...first.body, replayed: true })
  t.match((await send({ a: 2 })).body, { code: 'idempotency_conflict' })
})

t.test('what is past its day is forgotten', async (t) => {
  await vault.database.advance('30 hours')
  await vault.stop()
  await vault.start()
  await eventually(async () => (await vault.database.query('select from invocation_results')).length === 0)
  t.same(await vault.database.query('select from idempotency_keys'), [])
})
