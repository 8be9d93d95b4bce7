import t from 'tap'
import type { AppId, WorkspaceId } from '../../src/ids.ts'
import { startLinkVault, type Linked } from '../support/linking.ts'
import { seedLinked } from '../support/seed.ts'
import { startJira, startLinear, startXero } from '../support/standins/index.ts'
import { eventually } from '../support/vault.ts'

/** Renewals that nobody asks for, and what interrupts them. */
const [linear, jira, xero] = await Promise.all([startLinear(), startJira(), startXero()])
const standins = { linear, jira, xero }
const vault = await startLinkVault(standins)
t.teardown(async () => {
  await vault.close()
  await Promise.all(Object.values(standins).map((standin) => standin.close()))
})
const W = 'ws_schedule'
const apps = { jira: await vault.enterApp(jira) }
for (const standin of [linear, xero]) await vault.enterApp(standin)

const at = (id: string) => `/v1/workspaces/${W}/connections/${id}`
const get = async (id: string) => (await vault.request('GET', at(id))).body as Record<string, unknown>
const resolve = async (id: string) => await vault.request('POST', `${at(id)}/resolve`, { body: { environment: 'sandbox' } })
const link = async (integration: keyof typeof standins, more = {}): Promise<Linked> => await vault.link(W, { integration, auth: 'oauth', ...more })
const remove = async (...ids: string[]) => { for (const id of ids) await vault.request('DELETE', `${at(id)}?force=true`) }
const refreshed = async (id: string) => (await vault.events(W, id)).filter(({ event }) => event === 'connection.refreshed')
/** Only the vault’s clock: at the provider everything is as fresh as it was. */
const advance = async (seconds: number) => { await vault.database.advance(`${seconds} seconds`) }
const version = async (id: string, number: number) => await eventually(async () => { const view = await get(id); return view['version_number'] === number && view })
const ticks = async () => Number(/vault_job_seconds_count\{job="refresh-tokens",result="ok"\} (\d+)/.exec(await (await fetch(`${vault.urls.operations}/metrics`)).text())?.[1])
const column = async (id: string, name: string) => (await vault.database.query<{ value: unknown }>(`select ${name} as value from connections where id = $1`, [id]))[0]?.value

t.test('ahead of the end, by itself, again and again', async (t) => {
  const { id } = await link('xero')
  t.match(await get(id), { next_refresh_at: String, last_refreshed_at: null })
  const due = ((Date.parse((await get(id))['next_refresh_at'] as string) - Date.now()) / 1_000)
  t.ok(due > 1_400 && due <= 1_501, `${due} seconds of 1800`)
  for (const number of [2, 3]) {
    await advance(1_510)
    const view = await version(id, number)
    t.match(view, { status: 'active', last_refreshed_at: String, next_refresh_at: String })
  }
  t.equal(xero.authority.reuses, 0)
  t.match(await refreshed(id), [{ outcome: 'ok' }, { outcome: 'ok' }])
  t.match(await vault.request('POST', `${at(id)}/disable`), { status: 200 })
  await advance(1_510)
  await version(id, 4)
  t.match(await get(id), { status: 'disabled' }, 'also while it is disabled')
  await remove(id)
})

t.test('an answer that came, and a process that did not get to read it', async (t) => {
  const { id } = await link('linear')
  await vault.database.query('revoke insert on credential_versions from connection_vault_service')
  const before = linear.counts.refreshes
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 500 })
  t.equal(linear.counts.refreshes, before + 1, 'the token is spent')
  t.match(await vault.database.query('select version_id from refresh_answers where connection_id = $1', [id]), [{ version_id: String }], 'and the answer is kept')
  await vault.database.query('grant insert on credential_versions to connection_vault_service')
  await advance(31)
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 200, body: { version_number: 2, status: 'active' } })
  t.equal(linear.counts.refreshes, before + 1, 'it was read, and nothing asked again')
  t.strictSame(await vault.database.query('select 1 from refresh_answers'), [])
  t.match(await resolve(id), { status: 200 })
  t.equal(linear.authority.reuses, 0)

  // The answer is bound to its place: it can't be put under another connection.
  const other = await link('linear')
  await vault.database.query('revoke insert on credential_versions from connection_vault_service')
  await vault.request('POST', `${at(id)}/refresh`)
  await vault.database.query('grant insert on credential_versions to connection_vault_service')
  await vault.database.query('update refresh_answers set connection_id = $1, version_id = (select current_version from connections where id = $1)', [other.id])
  await vault.database.query('update connections set refresh_started_at = now() where id = $1', [other.id])
  t.match(await vault.request('POST', `${at(other.id)}/refresh`), { status: 500, body: { code: 'integrity_failure' } })
  await vault.database.query('delete from refresh_answers')
  await remove(id, other.id)
})

t.test('an answer that was read late, and the next one lost', async (t) => {
  const { id } = await link('linear')
  await vault.database.query('revoke insert on credential_versions from connection_vault_service')
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 500 })
  await vault.database.query('grant insert on credential_versions to connection_vault_service')
  await advance(31)
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 200, body: { version_number: 2 } })
  linear.fail.token = ['lost']
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 503, body: { code: 'refresh_failed' } }, 'the first that is lost of its token')
  t.match(await get(id), { status: 'active' })
  t.equal(await column(id, 'lost_answers'), 1)
  await remove(id)
})

t.test('a process that was gone before it had an answer', async (t) => {
  const { id } = await link('xero')
  const before = xero.counts.refreshes
  // As it is after a kill: claimed, begun, never ended.
  await vault.database.query('update connections set lease_owner = \'gone\', lease_until = vault_now() + interval \'30 s\', refresh_started_at = vault_now(), fence = fence + 1 where id = $1', [id])
  const held = vault.request('POST', `${at(id)}/refresh`)
  await advance(31)
  t.match(await held, { status: 200, body: { version_number: 2 } }, 'within the provider’s grace the token is sent once more')
  t.match(await refreshed(id), [{ outcome: 'unknown', reason: 'interrupted' }, { outcome: 'ok' }])
  t.equal(xero.counts.refreshes, before + 1)

  const strict = await link('linear')
  const open = async () => await vault.database.query('update connections set refresh_started_at = vault_now() where id = $1', [strict.id])
  await open()
  const asked = linear.counts.refreshes
  t.match(await vault.request('POST', `${at(strict.id)}/refresh`), { status: 503, body: { code: 'refresh_failed' } }, 'without a grace it waits until little is left to lose')
  t.equal(linear.counts.refreshes, asked)
  t.match(await resolve(strict.id), { status: 200 }, 'what there is is served meanwhile')
  t.equal(await column(strict.id, 'lost_answers'), 1)
  await open()
  t.match(await vault.request('POST', `${at(strict.id)}/refresh`), { status: 409, body: { code: 'connection_needs_reauth' } }, 'twice in a row: nobody knows any more')
  t.match(await get(strict.id), { status: 'needs_reauth', status_reason: 'refresh_outcome_unknown' })
  t.match(await resolve(strict.id), { status: 200 }, 'and still, as long as it lasts')
  t.equal(linear.counts.refreshes, asked)
  await remove(id, strict.id)
})

t.test('answers that are lost on the way', async (t) => {
  const { id } = await link('linear')
  linear.fail.token = ['lost']
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 503, body: { code: 'refresh_failed' } })
  t.match(await refreshed(id), [{ outcome: 'unknown', reason: 'outcome_unknown' }])
  const sent = linear.counts.tokenRequests
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 503 })
  t.equal(linear.counts.tokenRequests, sent, 'not sent again while the token works')
  await advance(86_350)
  const view = await eventually(async () => { const now = await get(id); return now['status'] === 'needs_reauth' && now })
  t.match(view, { status_reason: 'refresh_outcome_unknown' }, 'sent once more at the last moment, and refused')
  t.equal(linear.counts.tokenRequests, sent + 1)
  t.equal((await vault.events(W, id)).filter(({ event }) => event === 'connection.needs_reauth').length, 1)
  await remove(id)

  const within = await link('xero')
  xero.fail.token = ['lost']
  t.match(await vault.request('POST', `${at(within.id)}/refresh`), { status: 503 })
  t.match(await vault.request('POST', `${at(within.id)}/refresh`), { status: 200, body: { version_number: 2 } }, 'the grace gives the same answer again')
  t.equal(await column(within.id, 'lost_answers'), 0)
  xero.fail.token = ['invalid_grant']
  t.match(await vault.request('POST', `${at(within.id)}/refresh`), { status: 409 })
  t.match(await get(within.id), { status_reason: 'refresh_outcome_unknown' }, 'the first request may have come late: who looks for the reason is sent the right way')
  await remove(within.id)
})

t.test('a lease that ends during the request', async (t) => {
  const { id } = await link('xero')
  xero.fail.token = ['slow']
  const slow = vault.request('POST', `${at(id)}/refresh`)
  await eventually(async () => await column(id, 'lease_until') !== null)
  // Another process has claimed it since.
  await vault.database.query('update connections set fence = fence + 1 where id = $1', [id])
  t.match(await slow, { status: 200, body: { version_number: 2, status: 'active' } }, 'it holds the only live token: it is taken all the same')
  t.match(await resolve(id), { status: 200 })
  t.match(await (await fetch(`${vault.urls.operations}/metrics`)).text(), /vault_refresh_lost_leases_total [1-9]/)

  // Somebody has given another credential meanwhile: that one stays.
  xero.fail.token = ['slow']
  const late = vault.request('POST', `${at(id)}/refresh`)
  await eventually(async () => await column(id, 'lease_until') !== null)
  await link('xero', { session: { connection_id: id } })
  t.equal((await late).status, 200, 'the caller gets the newer one')
  t.match(await get(id), { version_number: 3 })
  await remove(id)
})

t.test('an app that is refused', async (t) => {
  const connections = await Promise.all(Array.from({ length: 4 }, async () => await link('jira')))
  const { client } = apps.jira
  const old = client.secret
  const next = jira.addSecret(client)
  client.secrets.splice(client.secrets.indexOf(old), 1)
  await advance(3_500)
  const broken = async () => await vault.database.query('select event from audit_events where event like \'oauth_app.%\' and details->>\'app_id\' = $1 and event in (\'oauth_app.broken\', \'oauth_app.recovered\') order by occurred_at', [apps.jira.id])
  await eventually(async () => (await broken()).length > 0)
  await eventually(async () => (await Promise.all(connections.map(async ({ id }) => Date.parse((await get(id))['next_refresh_at'] as string) - Date.now() > 3_600_000))).every(Boolean))
  t.strictSame(await broken(), [{ event: 'oauth_app.broken' }], 'said once')
  for (const { id } of connections) t.match(await get(id), { status: 'active' }, 'nothing is wrong with its connections')
  const sent = jira.counts.tokenRequests
  t.ok(sent > 0)
  t.match(await vault.request('POST', `${at(connections[0]?.id ?? '')}/refresh`), { status: 502, body: { code: 'oauth_app_broken' } })
  t.equal(jira.counts.tokenRequests, sent, 'while it is paused nobody asks')
  await vault.request('PUT', '/v1/oauth-apps/jira/sandbox', { body: { client_id: client.id, client_secret: next } })
  t.match(await vault.request('POST', `${at(connections[0]?.id ?? '')}/refresh`), { status: 200 })
  await advance(1_000)
  for (const { id } of connections.slice(1)) await version(id, 2)
  await remove(...connections.map(({ id }) => id))
})

t.test('a provider that hangs, with 10,000 connections due, holds up no other', async (t) => {
  const [model, one] = [await link('jira'), await link('linear')]
  const hosts = (await get(model.id))['hosts'] as string[]
  const soon = new Date(Date.now() + 1_800_000)
  const ids = await vault.withRooms(async (rooms) => await seedLinked(rooms,
    { workspaceId: W as WorkspaceId, environment: 'sandbox', integration: 'jira', auth: 'oauth', hosts, app: { owner: '', id: apps.jira.id as AppId } },
    Array.from({ length: 10_000 }, (_, index) => ({ accessToken: `access-${index}`, refreshToken: `refresh-${index}`, expiresAt: soon, nextRefreshAt: new Date(soon.getTime() - 600_000) }))))
  jira.fail.token = 'slow_reset'
  await advance(1_300)
  await eventually(async () => jira.counts.tokenRequests > 0)
  await vault.database.query('update connections set next_refresh_at = vault_now() where id = $1', [one.id])
  const before = await ticks()
  await version(one.id, 2)
  t.ok(await ticks() - before <= 2, 'by the tick that was under way, or the next')
  const [backlog] = await vault.database.query<{ due: number }>('select count(*)::int as due from connections where integration = \'jira\' and next_refresh_at <= vault_now()')
  t.ok((backlog?.due ?? 0) > 5_000, `${backlog?.due} were still due at the dead one`)
  delete jira.fail.token
  await vault.database.query('delete from connections where id = any ($1)', [ids])
  await remove(one.id, model.id)
})
