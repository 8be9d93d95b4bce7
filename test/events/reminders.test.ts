import t from 'tap'
import { startLinkVault } from '../support/linking.ts'
import { startXero } from '../support/standins/index.ts'
import { eventually, STRIPE_KEY } from '../support/vault.ts'

/** Reminders of credentials that end; time is moved, never slept through. */
const xero = await startXero()
const vault = await startLinkVault({ xero })
t.teardown(async () => {
  await vault.close()
  await xero.close()
})
const W = 'ws_reminders'
const at = (id: string) => `/v1/workspaces/${W}/connections/${id}`

/** Starts the vault anew, whose jobs all run at once, and waits for what they have to say. */
const remind = async (): Promise<void> => {
  await vault.stop()
  await vault.start()
  await eventually(async () => /vault_job_seconds_count\{job="remind",result="ok"\} [1-9]/.test(await (await fetch(`${vault.urls.operations}/metrics`)).text()))
  await eventually(async () => (await vault.database.query('select 1 from events where seq is null')).length === 0)
}
const said = async (id: string) => {
  const { body } = await vault.request('GET', '/v1/events?type=connection.expiring&limit=200')
  return (body.events as { data: Record<string, unknown> }[]).filter(({ data }) => data['connection_id'] === id).map(({ data }) => data['days_left'])
}
/** Moves the clock to so many hours before a connection ends. */
const leave = async (id: string, hours: number) => {
  // In seconds: an interval of days would move with the zone's clocks.
  await vault.database.query(`update test_clock set shift = make_interval(secs => extract(epoch from
    (select deadline from connections where id = $1) - make_interval(hours => $2) - statement_timestamp())::double precision)`, [id, hours])
}
const change = async (id: string, changes: object) => await vault.request('PATCH', at(id), { headers: { 'if-match': '*' }, body: changes })

t.test('30, 14, 7 and 1 day ahead, once each, in a zone that moves its clocks', async (t) => {
  await vault.database.query('do $$ begin execute format(\'alter database %I set timezone to %L\', current_database(), \'America/New_York\'); end $$')
  // The clocks there move on 2077-03-14.
  const id = await vault.connect(W, { expires_on: '2077-03-20' })
  const disabled = await vault.connect(W, { expires_on: '2077-03-20' })
  await vault.request('POST', `${at(disabled)}/disable`)
  const endless = await vault.connect(W)
  t.match(await vault.request('GET', at(id)), { body: { expires_at: '2077-03-21T00:00:00.000Z' } })
  const steps: [hours: number, expected: number[]][] = [
    [31 * 24, []], [30 * 24 + 1, []], [30 * 24, [30]], [29 * 24, [30]], [14 * 24 + 1, [30]], [14 * 24, [30, 14]],
    [7 * 24 + 1, [30, 14]], [6 * 24, [30, 14, 6]], [25, [30, 14, 6]],
    [24, [30, 14, 6, 1]], [1, [30, 14, 6, 1]], [-1, [14, 6, 1]],
  ]
  for (const [hours, expected] of steps) {
    await leave(id, hours)
    await remind()
    t.strictSame(await said(id), expected, `${hours} hours before`)
  }
  t.strictSame(await said(disabled), [])
  t.strictSame(await said(endless), [])
  // The first has been cleared by now: it is 30 days old.
  const { body } = await vault.request('GET', '/v1/events?type=connection.expiring&limit=1')
  t.match(body.events, [{ data: { workspace_id: W, environment: 'sandbox', connection_id: id, integration: 'stripe', expires_at: '2077-03-21T00:00:00.000Z', days_left: 14 } }])
})

t.test('another end, other reminders', async (t) => {
  const id = await vault.connect(W, { expires_on: '2078-01-31' })
  await leave(id, 5 * 24)
  await remind()
  t.strictSame(await said(id), [5], 'of marks that were passed unseen, only the nearest')
  t.equal((await change(id, { expires_on: '2078-02-05' })).status, 200)
  await remind()
  t.strictSame(await said(id), [5, 10])
  t.equal((await change(id, { expires_on: null })).status, 200)
  await remind()
  t.strictSame(await said(id), [5, 10])
})

t.test('another credential, another end', async (t) => {
  const id = await vault.connect(W, { expires_on: '2078-06-30' })
  const rotate = async (body: object) => await vault.request('POST', `${at(id)}/rotate`, { body: { credentials: { secret_key: `${STRIPE_KEY.slice(0, -4)}0099` }, ...body } })
  await leave(id, 6 * 24)
  t.match(await rotate({ expires_on: '2026-01-01' }), { status: 400, body: { code: 'request_invalid', errors: [{ pointer: '/expires_on' }] } })
  t.match(await rotate({ expires_on: '2078-07-05' }), { status: 200, body: { expires_on: '2078-07-05', version_number: 2 } })
  await remind()
  t.strictSame(await said(id), [11])
  t.match(await rotate({}), { status: 200, body: { expires_on: null, expires_at: null } })
  await change(id, { expires_on: '2078-06-28' })
  t.match(await vault.request('POST', `${at(id)}/rollback`), { status: 200, body: { expires_on: null } })
  await remind()
  t.strictSame(await said(id), [11], 'of what is no longer used nobody is reminded')
})

t.test('a token that nothing renews', async (t) => {
  await vault.enterApp(xero, { scopes: { oauth: ['openid', 'accounting.invoices', 'accounting.settings.read'] } })
  const { id } = await vault.link(W, { integration: 'xero', auth: 'oauth' })
  t.match(await vault.request('GET', at(id)), { body: { next_refresh_at: null, expires_at: String } })
  await remind()
  t.strictSame(await said(id), [1])
  t.match(await vault.request('GET', at(id)), { body: { status: 'active' } })
  await leave(id, -1)
  await eventually(async () => (await vault.request('GET', at(id))).body.status === 'needs_reauth')
  t.match(await vault.request('GET', at(id)), { body: { status_reason: 'token_ended' } }, 'its end is seen without anybody using it')
  t.match((await vault.events(W, id)).filter(({ event }) => event === 'connection.needs_reauth'), [{ outcome: 'ok', reason: 'token_ended' }], 'and said once')
  const resolved = await vault.request('POST', `${at(id)}/resolve`, { body: { environment: 'sandbox' } })
  t.match(resolved, { status: 409, body: { code: 'connection_needs_reauth', detail: /Link the account again/ } })
})

t.test('one that is renewed', async (t) => {
  await vault.enterApp(xero, { workspace: W })
  const { id } = await vault.link(W, { integration: 'xero', auth: 'oauth' })
  t.match(await vault.request('GET', at(id)), { body: { next_refresh_at: String } })
  await remind()
  t.strictSame(await said(id), [], 'has nothing to be reminded of, although its token ends within the hour')
})
