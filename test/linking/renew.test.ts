import t from 'tap'
import { startLinkVault, type Linked } from '../support/linking.ts'
import { startGoCardless, startJira, startLinear, startSlack, startXero } from '../support/standins/index.ts'
import { eventually, STRIPE_KEY } from '../support/vault.ts'

/** Tokens renewed when they are needed. */
const [linear, jira, xero, slack, gocardless] = await Promise.all([startLinear(), startJira(), startXero(), startSlack({ rotation: true }), startGoCardless()])
const standins = { linear, jira, xero, slack, gocardless }
const vault = await startLinkVault(standins)
t.teardown(async () => {
  await vault.close()
  await Promise.all(Object.values(standins).map((standin) => standin.close()))
})
const W = 'ws_renewing'
const apps = { jira: await vault.enterApp(jira) }
for (const standin of [linear, xero, slack, gocardless]) await vault.enterApp(standin)

const at = (id: string) => `/v1/workspaces/${W}/connections/${id}`
const get = async (id: string) => (await vault.request('GET', at(id))).body as Record<string, unknown>
const resolve = async (id: string, more = {}) => await vault.request('POST', `${at(id)}/resolve`, { body: { environment: 'sandbox', ...more } })
const invoke = async (id: string, action: string, input: object) => await vault.request('POST', `${at(id)}/invoke`, { body: { environment: 'sandbox', action, input } })
const token = (answer: Awaited<ReturnType<typeof resolve>>) => answer.body.credentials?.access_token as string | undefined
const link = async (integration: keyof typeof standins, more = {}): Promise<Linked> => await vault.link(W, { integration, auth: 'oauth', ...more })
/** Everybody's clock. */
const advance = async (seconds: number) => {
  await vault.database.advance(`${seconds} seconds`)
  for (const { authority } of Object.values(standins)) authority.advance(seconds)
}
const day = 86_400

t.test('an ended token is renewed, once for all who ask', async (t) => {
  const { id } = await link('linear')
  const first = await resolve(id)
  const before = linear.counts.refreshes
  t.match(first.body, { freshness: 'fresh' })
  await advance(day)
  const answers = await Promise.all(Array.from({ length: 12 }, async () => await resolve(id)))
  t.equal(linear.counts.refreshes, before + 1, 'one flight')
  t.equal(linear.authority.reuses, 0)
  t.equal(new Set(answers.map(token)).size, 1)
  t.not(token(answers[0] ?? first), token(first))
  const view = await get(id)
  t.match(view, { status: 'active', version_number: 2, last_refreshed_at: String, expires_at: String, name: String })
  const versions = await vault.database.query('select state, sealed is null as destroyed from credential_versions where connection_id = $1 order by number', [id])
  t.strictSame(versions, [{ state: 'destroyed', destroyed: true }, { state: 'current', destroyed: false }], 'the one before is destroyed')
  await advance(day)
  t.match(await invoke(id, 'create_issue', { teamId: 'team', title: 'x' }), { status: 200 }, 'with the refresh token that came with it')
  t.equal(linear.counts.refreshes, before + 2)
  t.match((await vault.events(W, id)).filter(({ event }) => event === 'connection.refreshed'), [{ outcome: 'ok' }, { outcome: 'ok' }])
})

t.test('a renewal takes over all that it does not bring', async (t) => {
  const { id } = await link('jira')
  const kept = 'app_owner, app_id, granted_scopes, grant_holder, hosts, host_config, field_set, previews, environment'
  const current = async () => await vault.database.query(`select ${kept} from credential_versions where connection_id = $1 and state = 'current'`, [id])
  const linked = await current()
  t.match(linked, [{ app_id: String, granted_scopes: Array, host_config: { cloud_id: String } }])
  for (let renewal = 0; renewal < 7; renewal++) {
    t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 200 })
    await advance(30)
  }
  t.strictSame(await current(), linked)
  const numbers = await vault.database.query<{ number: number }>('select number from credential_versions where connection_id = $1 order by number', [id])
  t.strictSame(numbers.map(({ number }) => number), [3, 4, 5, 6, 7, 8], 'of those that were destroyed a few are kept')
})

t.test('how long it is to last', async (t) => {
  const { id } = await link('xero', { account: 'acme' })
  const before = xero.counts.refreshes
  await advance(1_000)
  t.match((await resolve(id, { min_ttl_seconds: 300 })).body, { freshness: 'fresh' })
  t.equal(xero.counts.refreshes, before, 'it lasts that long')
  t.match((await resolve(id, { min_ttl_seconds: 1_500 })).body, { freshness: 'fresh' })
  t.equal(xero.counts.refreshes, before + 1)
  t.match((await resolve(id, { min_ttl_seconds: 3_600 })).body, { freshness: 'stale_usable' }, 'more than any token lasts')
})

t.test('a token that lives for seconds is used for most of them', async (t) => {
  const { id } = await link('linear')
  await vault.database.query("update credential_versions set token_expires_at = created_at + interval '20 seconds' where connection_id = $1", [id])
  const before = linear.counts.refreshes
  for (let use = 0; use < 3; use++) t.match(await resolve(id), { status: 200, body: { version: String } })
  await advance(12)
  t.match(await invoke(id, 'create_issue', { teamId: 'team', title: 'x' }), { status: 200 })
  t.equal(linear.counts.refreshes, before, 'as it was stored')
  await advance(4)
  t.match(await resolve(id), { status: 200 })
  t.equal(linear.counts.refreshes, before + 1, 'with a few left it may end on its way')
})

t.test('a valid token is served whatever renewing comes to', async (t) => {
  const { id } = await link('jira')
  const now = token(await resolve(id))
  await advance(10)
  for (const failure of ['html502', 'unavailable', 'rate_limited', 'redirect'] as const) {
    jira.fail.token = [failure]
    const answer = await resolve(id, { min_ttl_seconds: 3_599 })
    t.match(answer, { status: 200, body: { freshness: 'stale_usable' } }, failure)
    t.equal(token(answer), now)
    jira.fail.token = []
  }
  t.match(await get(id), { status: 'active' })
  await advance(3_601)
  await resolve(id)
  await advance(3_601)
  for (const failure of ['html502', 'rate_limited', 'unavailable'] as const) {
    jira.fail.token = [failure]
    const answer = await resolve(id)
    t.match(answer, { status: 503, body: { code: 'refresh_failed', retryable: true } }, failure)
    if (failure === 'rate_limited') t.equal(answer.headers.get('retry-after'), '3', 'the provider’s own word')
    t.match(await get(id), { status: 'active' }, 'and stays what it is')
  }
  jira.fail.token = []
  await eventually(async () => (await resolve(id)).status === 200)
  t.match(await get(id), { status: 'active' }, 'once it is back')

  await advance(3_601)
  jira.fail.token = ['lost']
  t.match(await resolve(id), { status: 503, body: { code: 'refresh_failed' } }, 'spent, and nobody has the answer')
  t.match((await vault.events(W, id)).at(-1), { event: 'connection.refreshed', outcome: 'unknown' })
  t.match(await resolve(id), { status: 200 }, 'within the provider’s grace the old one is good once more')
  t.equal(jira.authority.reuses, 1)
})

t.test('a grant that has been taken away', async (t) => {
  const { id } = await link('xero', { account: 'globex' })
  const now = token(await resolve(id))
  await advance(10)
  const asked = async () => (await vault.events(W, id)).filter(({ event }) => event === 'connection.refreshed').length
  xero.fail.token = 'invalid_grant'
  t.equal(token(await resolve(id, { min_ttl_seconds: 1_799 })), now, 'the token is good until its end')
  t.match(await get(id), { status: 'needs_reauth', status_reason: 'grant_rejected' })
  t.equal(token(await resolve(id, { min_ttl_seconds: 1_799 })), now)
  t.match(await invoke(id, 'get_organisation', {}), { status: 200 })
  t.equal(await asked(), 1, 'it is asked once')
  await advance(1_801)
  delete xero.fail.token
  t.match(await resolve(id), { status: 409, body: { code: 'connection_needs_reauth' } })
  t.equal(await asked(), 1)
  t.equal((await vault.events(W, id)).filter(({ event }) => event === 'connection.needs_reauth').length, 1, 'said once')
  const again = await link('xero', { account: 'globex', session: { connection_id: id } })
  t.match(again, { id, status: 'active' }, 'linked anew, in place')
  t.match(await resolve(id), { status: 200 })
})

t.test('a grant that has been taken away is not back because its last token is taken', async (t) => {
  const { id } = await link('linear')
  linear.fail.token = 'invalid_grant'
  await vault.request('POST', `${at(id)}/refresh`)
  delete linear.fail.token
  const dead = { status: 'needs_reauth', status_reason: 'grant_rejected' }
  const { version } = (await resolve(id)).body as { version: string }
  t.match(await resolve(id, { rejected_version: version }), { status: 409, body: { code: 'connection_needs_reauth', detail: 'The provider no longer renews this grant. Link the account again.' } })
  t.match(await vault.request('POST', `${at(id)}/test`), { status: 200, body: { result: 'ok' } })
  t.match(await get(id), dead, 'after a test')
  await vault.database.query('update connections set refusals = 1 where id = $1', [id])
  const etag = (await vault.request('GET', at(id))).headers.get('etag')
  t.match(await invoke(id, 'create_issue', { teamId: 'team', title: 'x' }), { status: 200 })
  await eventually(async () => (await vault.database.query('select refusals from connections where id = $1', [id]))[0]?.['refusals'] === 0)
  t.match(await get(id), dead, 'after a call')
  t.equal((await vault.request('GET', at(id))).headers.get('etag'), etag, 'and nothing that is shown has changed')
  t.notOk((await vault.events(W, id)).some(({ event }) => event === 'connection.recovered'))
})

t.test('a grant that has been taken away, whose token has no end of its own', async (t) => {
  const { id } = await link('linear')
  await vault.database.query('update credential_versions set token_expires_at = null where connection_id = $1', [id])
  linear.fail.token = 'invalid_grant'
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 409, body: { code: 'connection_needs_reauth' } })
  delete linear.fail.token
  t.match(await get(id), { status: 'needs_reauth', status_reason: 'grant_rejected' })
  t.match(await resolve(id), { status: 200 }, 'served until it is refused')
  t.match(await invoke(id, 'create_issue', { teamId: 'team', title: 'x' }), { status: 200 })
  linear.authority.expire()
  for (let call = 0; call < 3; call++) t.match((await invoke(id, 'create_issue', { teamId: 'team', title: 'x' })).body, { error: { class: 'reauthorise' } })
  await eventually(async () => (await get(id))['status_reason'] === 'credential_refused')
  t.match(await resolve(id), { status: 409, body: { code: 'connection_needs_reauth' } })
  t.equal((await vault.events(W, id)).filter(({ event }) => event === 'connection.needs_reauth').length, 1, 'said once')
})

t.test('the app’s secret is found wrong by a link', async (t) => {
  const { client, id: appId } = await vault.enterApp(linear, { workspace: 'ws_misconfigured' })
  const events = async (type: string) => {
    const { body } = await vault.request('GET', `/v1/events?type=${type}&limit=200`)
    return (body.events as { data: { app_id?: string } }[]).filter(({ data }) => data.app_id === appId)
  }
  const [right] = client.secrets.splice(0)
  await t.rejects(vault.link('ws_misconfigured', { integration: 'linear', auth: 'oauth' }))
  await eventually(async () => (await events('oauth_app.broken')).length > 0)
  t.equal((await events('oauth_app.broken')).length, 1)
  if (right !== undefined) client.secrets.push(right)
  t.match(await vault.link('ws_misconfigured', { integration: 'linear', auth: 'oauth' }), { status: 'active' })
  await eventually(async () => (await events('oauth_app.recovered')).length === 1)
})

t.test('the app’s secret is not the provider’s', async (t) => {
  const { id } = await link('jira')
  const { client } = apps.jira
  const old = client.secret
  const now = jira.addSecret(client)
  client.secrets.splice(client.secrets.indexOf(old), 1)
  await advance(3_601)
  t.match(await resolve(id), { status: 502, body: { code: 'oauth_app_broken' } })
  t.match(await vault.request('POST', `${at(id)}/test`), { status: 502, body: { code: 'oauth_app_broken' } })
  t.match(await get(id), { status: 'active' }, 'the app is broken, not the connection')
  t.match(await vault.request('PUT', '/v1/oauth-apps/jira/sandbox', { body: { client_id: client.id, client_secret: now, overlap_seconds: 600 } }), { status: 200, body: { previous_secret_until: String } })
  const said = async (type: string) => ((await vault.request('GET', `/v1/events?type=${type}&limit=200`)).body.events as { data: { app_id?: string } }[]).filter(({ data }) => data.app_id === apps.jira.id).length
  await eventually(async () => await said('oauth_app.broken') === 1)
  t.match(await resolve(id), { status: 200 })
  await eventually(async () => await said('oauth_app.recovered') === 1)

  const next = jira.addSecret(client)
  t.match(await vault.request('PUT', '/v1/oauth-apps/jira/sandbox', { body: { client_id: client.id, client_secret: next } }), { status: 200 })
  client.secrets.splice(client.secrets.indexOf(next), 1)
  await advance(3_601)
  t.match(await resolve(id), { status: 200 }, 'entered here before it counts there: the one before still does')
})

t.test('a token refused before its time', async (t) => {
  const { id } = await link('slack')
  const before = slack.counts.refreshes
  slack.authority.expire()
  t.match(await invoke(id, 'send_message', { channel: 'C1', text: 'once' }), { status: 200, body: { output: { ok: true } } })
  t.equal(slack.counts.refreshes, before + 1, 'renewed, and the call made again')
  t.equal(slack.requestsTo('/api/chat.postMessage').length, 2)

  const version = (await resolve(id)).body.version as string
  slack.authority.expire()
  const answer = await resolve(id, { rejected_version: version })
  t.equal(slack.counts.refreshes, before + 2, 'a runtime that got a 401 says so')
  t.not(answer.body.version, version)
  t.equal((await resolve(id, { rejected_version: version })).body.version, answer.body.version, 'the one after is not blamed for it')
  t.equal(slack.counts.refreshes, before + 2)
})

t.test('a token refused before its time, found by a test', async (t) => {
  const { id } = await link('linear')
  const test = async () => await vault.request('POST', `${at(id)}/test`)
  const before = linear.counts.refreshes
  linear.authority.expire()
  t.match(await test(), { status: 200, body: { result: 'ok', account: { label: 'Acme' } } }, 'renewed, and tested again')
  t.equal(linear.counts.refreshes, before + 1)
  t.match(await get(id), { status: 'active', version_number: 2 })
  t.notOk((await vault.events(W, id)).some(({ event }) => event === 'connection.needs_reauth'))

  linear.authority.expire()
  linear.fail.token = ['unavailable']
  t.match(await test(), { status: 503, body: { code: 'refresh_failed', retryable: true } }, 'nothing is known of the grant')
  t.match(await get(id), { status: 'active' })

  linear.fail.token = 'invalid_grant'
  t.match(await test(), { status: 200, body: { result: 'auth_failed' } }, 'neither the token nor the grant is good')
  delete linear.fail.token
  t.match(await get(id), { status: 'needs_reauth', status_reason: 'credential_refused' })
  t.match((await resolve(id)).body, { code: 'connection_needs_reauth', detail: 'The provider refuses the credential. Link the account again.' })
  t.equal((await vault.events(W, id)).filter(({ event }) => event === 'connection.needs_reauth').length, 1, 'said once')
})

t.test('on request', async (t) => {
  const { id } = await link('linear')
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 200, body: { version_number: 2, last_refreshed_at: String } })
  linear.fail.token = ['unavailable']
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 503, body: { code: 'refresh_failed' } })
  const endless = await link('gocardless')
  t.match(await vault.request('POST', `${at(endless.id)}/refresh`), { status: 409, body: { code: 'refresh_unavailable', detail: /^The provider gave no refresh token .* link it again\.$/ } })
  t.match(await resolve(endless.id), { status: 200, body: { expires_at: null, freshness: 'fresh' } })
  const pasted = await vault.request('POST', `/v1/workspaces/${W}/connections`, { body: { integration: 'linear', auth: 'api_key', environment: 'sandbox', name: 'pasted', credentials: { api_key: `lin_api_${'a'.repeat(40)}` } } })
  t.match(await vault.request('POST', `${at(pasted.body.id as string)}/refresh`), { status: 409, body: { code: 'refresh_unavailable', detail: 'The credential was pasted: rotate the connection.' } }, STRIPE_KEY.slice(0, 2))
})

t.test('what happens meanwhile', async (t) => {
  const { id, name } = await link('linear')
  // Before it is due: the vault's own schedule may be the first to ask.
  linear.fail.token = ['slow_reset']
  await advance(day)
  const waiting = resolve(id)
  await eventually(async () => (await vault.database.query('select 1 from connections where id = $1 and lease_until is not null', [id])).length === 1)
  const { etag } = await get(id)
  t.match(await vault.request('PATCH', at(id), { headers: { 'if-match': etag as string }, body: { name: `${name} renamed` } }), { status: 200 })
  t.match(await vault.request('POST', `${at(id)}/disable`), { status: 200 })
  t.match(await waiting, { status: 503, body: { code: 'refresh_failed' } }, 'the provider never answered')
  t.match(await get(id), { status: 'disabled', name: `${name} renamed` })
  t.match(await resolve(id), { status: 409, body: { code: 'connection_disabled' } })
  t.match(await vault.request('POST', `${at(id)}/refresh`), { status: 200 }, 'renewing goes on while it is disabled')
  t.match(await vault.request('POST', `${at(id)}/enable`), { status: 200 })
  t.match(await resolve(id), { status: 200 })

  linear.fail.token = ['slow_reset']
  await advance(day)
  const doomed = resolve(id)
  await eventually(async () => (await vault.database.query('select 1 from connections where id = $1 and lease_until > vault_now()', [id])).length === 1)
  t.match(await vault.request('DELETE', `${at(id)}?force=true`), { status: 204 })
  t.match(await doomed, { status: 404 })
})
