import t from 'tap'
import { createEvents } from '../../src/ledger/index.ts'
import { createLog } from '../../src/log.ts'
import { clear, createHooks, hook, startReceiver, verify } from '../support/receiver.ts'
import { eventually, startTestVault } from '../support/vault.ts'

/** Deliveries to endpoints of the host product, which misbehave. */
const receivers = [await startReceiver(), await startReceiver(), await startReceiver(), await startReceiver()] as const
const [main, second, gone, dead] = receivers
const vault = await startTestVault({ EGRESS_ALLOW_WEBHOOK: receivers.map(({ endpoint }) => endpoint).join(',') })
t.teardown(async () => {
  await vault.close()
  await Promise.all(receivers.map((receiver) => receiver.close()))
})
const W = 'ws_hooks'

const { make, view, listed, remove, got } = createHooks(vault)

t.test('signed, and checked by the library of the standard', async (t) => {
  const all = await make(main, { description: 'Rapidfolio' })
  t.match(all.secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  t.match(await view(all), { url: main.hook, description: 'Rapidfolio', event_types: null, environments: ['sandbox', 'live'], status: 'enabled', last_delivered_at: null })
  t.notMatch(JSON.stringify(await vault.request('GET', '/v1/webhooks')), all.secret.slice(6))
  const id = await vault.connect(W)
  const [delivery] = await got(main, 1)
  t.match(delivery, { id: /^evt_/, type: 'connection.created', data: { connection_id: id, workspace_id: W, environment: 'sandbox', integration: 'stripe' } })
  const [received] = main.received
  t.match(received, { method: 'POST', url: '/hooks', headers: { 'content-type': 'application/json', 'webhook-id': delivery?.id ?? '', 'user-agent': 'connection-vault' } })
  t.strictSame(received && verify(all.secret, received), delivery)
  t.throws(() => received && verify(all.secret, { ...received, body: `${received.body} ` }), 'a body that was touched')
  t.throws(() => received && verify('whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', received), 'another secret')
  const [{ body: { events: [event] } }] = [await vault.request('GET', '/v1/events')]
  t.strictSame(event, delivery, 'the feed says the same')
  t.match(await eventually(async () => { const [done] = await listed(all); return done?.['state'] === 'delivered' && done }), { event_id: delivery?.id, attempts: 1, last_status: 204, last_error: null, next_attempt_at: null })
  t.match(await view(all), { last_delivered_at: String, failing_since: null })
  await remove(all)
  t.equal((await vault.request('GET', hook(all.id))).status, 404)
  clear(main)
})

t.test('tried again until it is taken, as the same event', async (t) => {
  const flaky = await make(main)
  const answers = [500, 429, 302, 204]
  main.answer = (_received, reply) => {
    const status = answers.shift() ?? 204
    reply.writeHead(status, { ...status === 429 && { 'retry-after': '1000' }, ...status === 302 && { location: `${second.url}/elsewhere` } }).end()
  }
  await vault.connect(W)
  await got(main, 1)
  t.match(await eventually(async () => { const [one] = await listed(flaky); return one?.['last_status'] === 500 && one }), { state: 'pending', attempts: 1, last_error: 'Answered 500.' })
  t.match(await view(flaky), { failing_since: String })
  await vault.database.advance('7 seconds')
  await got(main, 2)
  await eventually(async () => (await listed(flaky))[0]?.['last_status'] === 429)
  await vault.database.advance('15 minutes')
  await new Promise((resolve) => { setTimeout(resolve, 1_300) })
  t.equal(main.received.length, 2, 'not before the endpoint’s own word')
  await vault.database.advance('2 minutes')
  await got(main, 3)
  await eventually(async () => (await listed(flaky))[0]?.['last_status'] === 302)
  t.match(await listed(flaky), [{ last_error: 'Answered 302; redirects are not followed.' }])
  t.equal(second.received.length, 0)
  await vault.database.advance('15 minutes')
  await got(main, 4)
  await eventually(async () => (await listed(flaky))[0]?.['state'] === 'delivered')
  t.equal(new Set(main.received.map(({ headers }) => headers['webhook-id'])).size, 1)
  t.equal(new Set(main.received.map(({ body }) => body)).size, 1)
  t.match(await view(flaky), { failing_since: null })
  await remove(flaky)
  clear(main)
})

t.test('an endpoint that is never there', async (t) => {
  const other = await make(second, { event_types: ['webhook.disabled'] })
  const lost = await make(dead, { event_types: ['connection.created'] })
  dead.answer = (_received, reply) => { reply.destroy() }
  await vault.connect(W)
  await got(dead, 1)
  t.match(await eventually(async () => { const [one] = await listed(lost); return one?.['last_error'] !== null && one }), { last_status: null, last_error: 'The connection broke before the endpoint had answered.' })
  await vault.database.advance('73 hours')
  await eventually(async () => (await listed(lost, '?state=failed')).length === 1)
  t.match(await view(lost), { status: 'enabled' })
  t.equal((await listed(lost, '?state=pending')).length, 0, 'three days, and that event is given up')
  await vault.connect(W)
  await vault.database.advance('48 hours')
  await eventually(async () => (await view(lost))['status'] === 'disabled')
  t.match(await view(lost), { status_reason: 'failing' })
  const [told] = await got(second, 1)
  t.match(told, { type: 'webhook.disabled', data: { webhook_id: lost.id, reason: 'failing' } })

  clear(dead)
  const missed = await vault.connect(W)
  await eventually(async () => (await vault.database.query('select 1 from events where seq is null')).length === 0)
  t.equal((await listed(lost)).length, 2, 'nothing is queued for one that is disabled')
  t.match(await vault.request('PATCH', hook(lost.id), { body: { enabled: true } }), { status: 200, body: { status: 'enabled', status_reason: null, failing_since: null } })
  const created = (await vault.request('GET', '/v1/events?type=connection.created&limit=200')).body.events.length as number
  const sinceEver = { body: { from: '2026-01-01T00:00:00Z' } }
  t.match(await vault.request('POST', `${hook(lost.id)}/replay`, sinceEver), { status: 202, body: { queued: created - 1 } }, 'of the type it is for, and not what is pending')
  const replayed = await eventually(async () => dead.received.length === created && dead.deliveries())
  t.equal(replayed.filter(({ data }) => data['connection_id'] === missed).length, 1)
  await eventually(async () => (await listed(lost, '?state=delivered')).length === created)
  t.match(await vault.request('POST', `${hook(lost.id)}/replay`, sinceEver), { body: { queued: 0 } })
  const [{ id: event = '' } = {}] = replayed
  t.match(await vault.request('POST', `${hook(lost.id)}/replay`, { body: { event_ids: [event], include_delivered: true } }), { status: 202, body: { queued: 1 } })
  t.equal((await got(dead, created + 1)).at(-1)?.id, event, 'the id is the event’s own')
  await remove(other, lost)
  clear(second, dead)
})

t.test('410 means never again', async (t) => {
  const over = await make(gone)
  gone.answer = (_received, reply) => { reply.writeHead(410).end() }
  await vault.connect(W)
  await eventually(async () => (await view(over))['status'] === 'disabled')
  t.match(await view(over), { status_reason: 'gone' })
  const asked = gone.received.length
  await vault.connect(W)
  await vault.database.advance('1 hour')
  await new Promise((resolve) => { setTimeout(resolve, 1_200) })
  t.equal(gone.received.length, asked)
  await remove(over)
  clear(gone)
})

t.test('one that hangs delays no other', async (t) => {
  const hanging = await make(dead)
  dead.answer = () => {}
  const quick = await make(main)
  const ids = await Promise.all(Array.from({ length: 30 }, async () => await vault.connect(W)))
  await eventually(async () => dead.received.length === 8)
  const told = await got(main, 30)
  t.strictSame(new Set(told.map(({ data }) => data['connection_id'])), new Set(ids))
  t.equal(told.length, 30, 'each once')
  t.equal(dead.received.length, 8, 'and no more than eight wait for it')
  await remove(hanging, quick)
  clear(main, dead)
})

t.test('two processes send each event once', async (t) => {
  const shared = await make(main)
  await vault.withRooms(async (rooms) => {
    const other = createEvents({ ...rooms, log: createLog('silent'), exceptions: new Set() })
    const connecting = Promise.all(Array.from({ length: 60 }, async () => await vault.connect(W)))
    await eventually(async () => {
      await other.publish()
      await other.deliverer.tick()
      return main.received.length >= 60
    })
    await connecting
    await other.deliverer.drain()
  })
  await eventually(async () => (await listed(shared, '?state=delivered&limit=200')).length === 60)
  t.equal(new Set(main.deliveries().map(({ id }) => id)).size, 60)
  t.equal(main.received.length, 60)
  t.strictSame((await vault.database.query<{ gaps: number }>('select (max(seq) - count(*))::int as gaps from events'))[0]?.gaps, 0)
  await remove(shared)
  clear(main)
})

t.test('counted', async (t) => {
  const metrics = await (await fetch(`${vault.urls.operations}/metrics`)).text()
  t.match(metrics, /vault_webhook_deliveries_total\{result="delivered"\} [1-9]/)
  t.match(metrics, /vault_webhook_deliveries_total\{result="failed"\} [1-9]/)
  t.match(metrics, /vault_webhook_deliveries_total\{result="given_up"\} [1-9]/)
})

t.test('a process that stops while it waits for an endpoint', async (t) => {
  const slow = await make(dead)
  dead.answer = () => {}
  await vault.connect(W)
  await got(dead, 1)
  await vault.stop()
  await vault.start()
  t.match(await listed(slow), [{ state: 'pending', attempts: 1, last_error: null }], 'which is no failure of the endpoint')
  clear(dead)
  await vault.database.advance('61 seconds')
  await got(dead, 1)
  await eventually(async () => (await listed(slow))[0]?.['state'] === 'delivered')
  t.match(await listed(slow), [{ attempts: 2 }])
  await remove(slow)
  clear(dead)
})
