import t from 'tap'
import { planDelivery } from '../../src/ledger/deliver.ts'
import { newId } from '../../src/ids.ts'
import { clear, createHooks, hook, startReceiver, verify } from '../support/receiver.ts'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

/** What operators do with webhooks, and their secrets. */
const receivers = [await startReceiver(), await startReceiver(), await startReceiver()] as const
const [main, second, moved] = receivers
const vault = await startTestVault({ EGRESS_ALLOW_WEBHOOK: receivers.map(({ endpoint }) => endpoint).join(',') })
t.teardown(async () => {
  await vault.close()
  await Promise.all(receivers.map((receiver) => receiver.close()))
})
const W = 'ws_hooks'
const { make, view, listed, remove, got } = createHooks(vault)

t.test('a secret is replaced, with both for a while', async (t) => {
  const rotated = await make(main)
  const answer = await vault.request('POST', `${hook(rotated.id)}/rotate-secret`, { body: { overlap_seconds: 3_600 } })
  t.match(answer, { status: 200, body: { secret: /^whsec_/, webhook: { previous_secret_until: String } } })
  const secret = answer.body.secret as string
  t.not(secret, rotated.secret)
  await vault.connect(W)
  await got(main, 1)
  for (const valid of [secret, rotated.secret]) t.ok(main.received[0] && verify(valid, main.received[0]))
  await vault.database.advance('61 minutes')
  t.match(await view(rotated), { previous_secret_until: null })
  clear(main)
  await vault.connect(W)
  await got(main, 1)
  t.throws(() => main.received[0] && verify(rotated.secret, { ...main.received[0] }))
  t.match(await vault.request('POST', `${hook(rotated.id)}/rotate-secret`, { body: { overlap_seconds: 0 } }), { body: { webhook: { previous_secret_until: null } } })
  await eventually(async () => (await vault.database.query('select 1 from webhook_secrets')).length === 1)
  t.pass('what is over is destroyed')
  await remove(rotated)
  clear(main)
})

t.test('an edit of what somebody else has changed since is refused', async (t) => {
  const { id } = await make(main)
  const read = await vault.request('GET', hook(id))
  t.equal(read.headers.get('etag'), '"1"')
  t.equal(read.body.etag, '"1"')
  const edit = async (ifMatch: string | undefined, body: object) => await vault.request('PATCH', hook(id), { body, ...ifMatch !== undefined && { headers: { 'if-match': ifMatch } } })
  const edits = await Promise.all(['one', 'two', 'three'].map(async (description) => await edit('"1"', { description })))
  t.same(edits.map(({ status }) => status).toSorted(), [200, 412, 412], 'of three at once one is taken')
  const taken = edits.find(({ status }) => status === 200)
  t.match(taken?.body, { etag: '"2"' })
  t.equal(taken?.headers.get('etag'), '"2"')
  t.match(edits.find(({ status }) => status === 412)?.body, { code: 'etag_mismatch', detail: 'It is at revision 2 by now.' })
  t.match(await edit('"2"', { enabled: false }), { status: 200, body: { etag: '"3"', status: 'disabled' } })
  t.match(await edit('"2"', { enabled: true }), { status: 412 })
  t.match(await edit('W/"3"', { enabled: true }), { status: 412 }, 'a weak tag never matches')
  t.match(await vault.request('PATCH', hook(newId('webhook')), { body: { enabled: true }, headers: { 'if-match': 'W/"3"' } }), { status: 404 }, 'what is not there is not there, whatever the tag')
  t.match(await edit('3', { enabled: true }), { status: 400, body: { code: 'request_invalid' } })
  t.match(await edit('*', { enabled: true }), { status: 200, body: { etag: '"4"' } })
  t.match(await edit(undefined, { description: null }), { status: 200, body: { etag: '"5"', description: null } })
  t.match(await vault.request('DELETE', hook(id), { headers: { 'if-match': '"4"' } }), { status: 412 })
  t.match(await vault.request('DELETE', hook(id), { headers: { 'if-match': '"5"' } }), { status: 204 })
  t.match(await vault.request('DELETE', hook(id), { headers: { 'if-match': '"5"' } }), { status: 404 })
})

t.test('only what was asked for', async (t) => {
  const some = await make(main, { event_types: ['connection.deleted', 'connection.rotated'], environments: ['live'] })
  const id = await vault.connect(W)
  await vault.request('DELETE', `/v1/workspaces/${W}/connections/${id}?force=true`, { headers: { 'if-match': '*' } })
  const live = await vault.connect(W, { environment: 'live', credentials: { secret_key: STRIPE_KEY.replace('test', 'live') } })
  await vault.request('DELETE', `/v1/workspaces/${W}/connections/${live}?force=true`, { headers: { 'if-match': '*' } })
  const [only] = await got(main, 1)
  t.match(only, { type: 'connection.deleted', data: { connection_id: live, environment: 'live' } })
  t.match(await vault.request('PATCH', hook(some.id), { body: { event_types: null, environments: ['sandbox'], url: second.hook, description: null } }), { status: 200, body: { url: second.hook, event_types: null } })
  await vault.connect(W)
  await got(second, 1)
  t.equal(main.received.length, 1)
  await remove(some)
  clear(main, second)
})

t.test('a test delivery', async (t) => {
  const tried = await make(moved, { event_types: ['connection.deleted'] })
  t.match(await vault.request('POST', `${hook(tried.id)}/test`), { status: 200, body: { result: 'delivered', status: 204, detail: 'Answered 204.' } })
  t.match(moved.received[0] && verify(tried.secret, moved.received[0]), { type: 'webhook.test', data: { webhook_id: tried.id } })
  moved.answer = (_received, reply) => { reply.writeHead(503).end('Canary-body'.repeat(10_000)) }
  t.match(await vault.request('POST', `${hook(tried.id)}/test`), { body: { result: 'failed', status: 503 } })
  moved.answer = (_received, reply) => { reply.writeHead(200).end('x'.repeat(200_000)) }
  t.match(await vault.request('POST', `${hook(tried.id)}/test`), { body: { result: 'delivered', status: 200 } }, 'its words are not looked at')
  await vault.request('PATCH', hook(tried.id), { body: { enabled: false } })
  t.match(await vault.request('POST', `${hook(tried.id)}/test`), { body: { status: 200 } }, 'also before it is enabled')
  t.strictSame(await listed(tried), [])
  await vault.database.query('update webhooks set url = \'http://169.254.169.254/latest\' where id = $1', [tried.id])
  t.match(await vault.request('POST', `${hook(tried.id)}/test`), { body: { result: 'failed', status: null, detail: 'The address is not one that the vault calls.' } })
  await remove(tried)
})

t.test('a create that is repeated', async (t) => {
  const key = { 'idempotency-key': 'hook-1' }
  const body = { url: main.hook }
  const answers = await Promise.all([1, 2, 3].map(async () => await vault.request('POST', '/v1/webhooks', { body, headers: key })))
  t.strictSame(answers.map(({ status }) => status), [201, 201, 201])
  t.equal(new Set(answers.map((answer) => answer.body.webhook.id as string)).size, 1)
  t.equal(answers.filter((answer) => answer.body.secret !== undefined).length, 1, 'shown once')
  t.equal(answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true').length, 2)
  t.match(await vault.request('POST', '/v1/webhooks', { body: { url: second.hook }, headers: key }), { status: 409, body: { code: 'idempotency_conflict' } })
  await remove({ id: answers[0]?.body.webhook.id as string, secret: '' })
  t.match(await vault.request('POST', '/v1/webhooks', { body, headers: key }), { status: 409, body: { detail: /deleted since/ } })
})

t.test('bad input', async (t) => {
  const wrong: [object, number, string][] = [
    [{}, 400, 'request_invalid'], [{ url: 5 }, 400, 'request_invalid'], [{ url: 'ftp://a.example/' }, 400, 'request_invalid'],
    [{ url: 'https://hooks.example.com/', event_types: [] }, 400, 'request_invalid'], [{ url: 'https://hooks.example.com/', event_types: ['nothing'] }, 400, 'request_invalid'],
    [{ url: 'https://hooks.example.com/', environments: ['prod'] }, 400, 'request_invalid'], [{ url: 'https://hooks.example.com/', secret: 'mine' }, 400, 'request_invalid'],
    [{ url: 'https://hooks.example.com/', description: 'two\nlines' }, 400, 'request_invalid'],
    ...['http://hooks.example.com/', 'https://127.0.0.1/', 'https://localhost/', 'https://169.254.169.254/', 'https://[::1]/', 'https://2130706433/', 'https://u:p@hooks.example.com/',
      'https://hooks.internal/', 'https://hooks.example.com/#x', 'https://%', 'https://a b/', 'http://10.0.0.1:8080/',
      'https://hooks.example.com:0/', `https://${'a.'.repeat(126)}com/`, 'https://hooks.example.com/ ', 'https://hooks.example.com/a b', 'https://hooks.example.com/\u2028', 'https://hooks.example.com/\u00a0',
      'https://hooks.example.com/\u202e'].map((url): [object, number, string] => [{ url }, 422, 'webhook_invalid']),
  ]
  for (const [body, status, code] of wrong) t.match(await vault.request('POST', '/v1/webhooks', { body }), { status, body: { code } }, encodeURI(JSON.stringify(body)))
  const { id } = await make(main)
  t.match(await vault.request('PATCH', hook(id), { body: {} }), { status: 400 })
  t.match(await vault.request('PATCH', hook(id), { body: { url: 'https://localhost/' } }), { status: 422, body: { errors: [{ pointer: '/url', message: /, unless an operator lists localhost:443 in EGRESS_ALLOW_WEBHOOK$/ }] } })
  for (const body of [{}, { to: '2026-01-01T00:00:00Z' }, { from: 'yesterday' }, { from: '2026-01-01T00:00:00Z', event_ids: ['evt_00000000000000000000000000'] }, { event_ids: ['x'] }]) {
    t.match(await vault.request('POST', `${hook(id)}/replay`, { body }), { status: 400, body: { code: 'request_invalid' } }, JSON.stringify(body))
  }
  t.match(await vault.request('POST', `${hook(id)}/rotate-secret`, { body: { overlap_seconds: -1 } }), { status: 400 })
  t.match(await vault.request('GET', `${hook(id)}/deliveries?state=lost`), { status: 400 })
  t.match(await vault.request('GET', `${hook(id)}/deliveries?cursor=eA`), { status: 400 })
  const none = hook('wh_00000000000000000000000000')
  for (const [method, path, body] of [['GET', none], ['DELETE', none], ['PATCH', none, { enabled: true }], ['POST', `${none}/test`], ['POST', `${none}/replay`, { from: '2026-01-01T00:00:00Z' }],
    ['POST', `${none}/rotate-secret`, {}], ['GET', `${none}/deliveries`]] as [string, string, object?][]) {
    t.match(await vault.request(method, path, body === undefined ? {} : { body }), { status: 404, body: { code: 'not_found' } }, `${method} ${path}`)
  }
  await remove({ id, secret: '' })
  await Promise.all(Array.from({ length: 104 }, async () => await vault.request('POST', '/v1/webhooks', { body: { url: 'https://hooks.example.com/' } })))
  t.equal((await vault.request('GET', '/v1/webhooks')).body.webhooks.length, 100, 'a bound that a race does not pass')
  t.match(await vault.request('POST', '/v1/webhooks', { body: { url: 'https://hooks.example.com/' } }), { status: 409, body: { code: 'webhook_limit' } })
  await vault.database.query('delete from webhooks')
})

t.test('a secret in another’s place signs nothing', async (t) => {
  const [one, two] = [await make(main), await make(second)]
  await vault.database.query('update webhook_secrets a set sealed = b.sealed, key_id = b.key_id from webhook_secrets b where a.webhook_id = $1 and b.webhook_id = $2', [one.id, two.id])
  t.match(await vault.request('POST', `${hook(one.id)}/test`), { status: 500, body: { code: 'integrity_failure' } })
  await vault.connect(W)
  await got(second, 1)
  t.equal(main.received.length, 0)
  const kept = JSON.stringify(await vault.database.query('select encode(sealed, \'escape\') as sealed, * from webhook_secrets'))
  for (const { secret } of [one, two]) {
    for (const form of [secret.slice(6), secret.slice(6, 30), Buffer.from(secret.slice(6), 'base64').toString('hex')]) t.notOk(kept.includes(form) || vault.logs.join('').includes(form))
  }
  await remove(one, two)
})

t.test('what is on record', async (t) => {
  const names = (await vault.database.query<{ event: string, host: string | null }>('select event, details ->> \'host\' as host from audit_events where event like \'webhook.%\'')).map(({ event }) => event)
  for (const name of ['created', 'updated', 'deleted', 'secret_rotated', 'disabled']) t.ok(names.includes(`webhook.${name}`), name)
})

t.test('when it is tried again', async (t) => {
  const delays = Array.from({ length: 12 }, (_, index) => planDelivery(index + 1, 0, 0.5))
  t.strictSame(delays, [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800, 28_800, 28_800])
  t.equal(planDelivery(1, 0, 0), 4)
  t.equal(planDelivery(1, 0, 1), 6)
  t.equal(planDelivery(1, 100, 0.5), 100)
  t.equal(planDelivery(9, 100, 0.5), 28_800)
  t.equal(planDelivery(1, 9_999_999, 0.5), 86_400, 'an endpoint can’t stop it for weeks')
})
