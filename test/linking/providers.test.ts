import t, { type Test } from 'tap'
import { startLinkVault, type LinkHow } from '../support/linking.ts'
import { ACME_SITE, startAlloy, startGoCardless, startJira, startLinear, startOnfido, startSlack, startXero, type Standin } from '../support/standins/index.ts'

/** Each provider's whole way, as its facts file describes it: link, resolve, invoke, delete. */
const [slack, linear, jira, xero] = await Promise.all([startSlack({ rotation: true }), startLinear(), startJira(), startXero()])
const [gocardless, onfido, alloy] = await Promise.all([startGoCardless(), startOnfido(), startAlloy()])
const standins: Record<string, Standin> = { slack, linear, jira, xero, gocardless, onfido, alloy }
const vault = await startLinkVault(standins)
t.teardown(async () => {
  await vault.close()
  await Promise.all(Object.values(standins).map((standin) => standin.close()))
})
const W = 'ws_providers'

for (const standin of [slack, linear, jira, xero, gocardless]) await vault.enterApp(standin)

const resolve = async (id: string, more = {}) => await vault.request('POST', `/v1/workspaces/${W}/connections/${id}/resolve`, { body: { environment: 'sandbox', ...more } })
const invoke = async (id: string, action: string, input: object) =>
  await vault.request('POST', `/v1/workspaces/${W}/connections/${id}/invoke`, { body: { environment: 'sandbox', action, input } })

interface Expected extends LinkHow {
  readonly standin: Standin
  /** The upstream account on record. */
  readonly reached?: { id: string, label: string | null }
  readonly config?: Record<string, string>
  readonly call: readonly [action: string, input: object]
  /** Whether anything works upstream after the deletion. */
  readonly endsUpstream: boolean
}

async function walk (t: Test, of: Expected): Promise<void> {
  const { standin } = of
  const before = standin.counts.tokenRequests
  const connection = await vault.link(W, of)
  t.equal(standin.counts.tokenRequests, before + 1, 'one token request')
  t.match(connection, { integration: of.integration, status: 'active', account: of.reached ?? null, config: of.config ?? {} })

  const resolved = await resolve(connection.id)
  t.equal(resolved.status, 200, resolved.text)
  const [token] = standin.authority.live().access.slice(-1)
  t.ok(resolved.text.includes(token ?? 'none'), 'the token that the provider issued')
  t.notOk(resolved.text.includes('refresh_token'), 'never the refresh token')

  const called = await invoke(connection.id, ...of.call)
  t.match(called, { status: 200 }, called.text)
  t.equal(standin.counts.tokenRequests, before + 1, 'still one')

  const at = `/v1/workspaces/${W}/connections/${connection.id}`
  t.match((await vault.request('POST', `${at}/test`)).body, { result: 'ok', account: of.reached ?? null })
  t.match((await vault.request('GET', at)).body, { account: of.reached ?? null }, 'whatever a test calls it')

  const deleted = await vault.request('DELETE', `/v1/workspaces/${W}/connections/${connection.id}?force=true`)
  t.equal(deleted.status, 204, deleted.text)
  const events = async () => (await vault.events(W, connection.id)).filter(({ event }) => event === 'grant.revoked' || event === 'grant.discarded')
  const [revoked] = await eventuallySome(events)
  t.match(revoked, of.endsUpstream ? { event: 'grant.revoked', outcome: 'ok', reason: null } : { event: 'grant.discarded', outcome: 'ok', reason: 'no_endpoint' })
  t.equal(standin.authority.live().access.includes(token ?? ''), !of.endsUpstream, 'upstream')
}

async function eventuallySome<T> (list: () => Promise<T[]>): Promise<T[]> {
  const deadline = performance.now() + 10_000
  for (;;) {
    const some = await list()
    if (some.length > 0 || performance.now() > deadline) return some
    await new Promise((resolve) => { setTimeout(resolve, 30) })
  }
}

t.test('Slack, as a bot', async (t) => {
  await walk(t, {
    standin: slack, integration: 'slack', auth: 'oauth', account: 'acme', reached: { id: 'T0ACME001', label: 'Acme' },
    call: ['send_message', { channel: 'C1', text: 'hello' }], endsUpstream: true,
  })
})

t.test('Slack, as a person', async (t) => {
  await walk(t, {
    standin: slack, integration: 'slack', auth: 'oauth_user', account: 'globex', reached: { id: 'U0GLOBEX1', label: 'Globex' },
    call: ['send_message', { channel: 'C1', text: 'hello' }], endsUpstream: true,
  })
})

t.test('Slack, for a whole organisation', async (t) => {
  const call = ['list_channels', { team_id: 'T0ACME001' }] as const
  await walk(t, { standin: slack, integration: 'slack', auth: 'oauth', account: 'starship', reached: { id: 'E0STARSHP', label: 'Starship' }, call, endsUpstream: true })
  await walk(t, { standin: slack, integration: 'slack', auth: 'oauth_user', account: 'starship', reached: { id: 'W0STARSHP', label: 'Starship' }, call, endsUpstream: true })
})

t.test('Linear', async (t) => {
  await walk(t, {
    standin: linear, integration: 'linear', auth: 'oauth', reached: { id: '22222222-aaaa-4aaa-8aaa-000000000001', label: 'Acme' },
    call: ['create_issue', { teamId: 'team', title: 'From a procedure' }], endsUpstream: true,
  })
})

t.test('Linear, as the app', async (t) => {
  const asked = () => linear.requestsTo('/oauth/authorize').map(({ url }) => new URL(url, linear.url).searchParams.get('actor'))
  t.notOk(asked().includes('app'), 'a person stays one')
  await walk(t, {
    standin: linear, integration: 'linear', auth: 'oauth_app', reached: { id: '22222222-aaaa-4aaa-8aaa-000000000001', label: 'Acme' },
    call: ['create_issue', { teamId: 'team', title: 'From a procedure', createAsUser: 'Ada' }], endsUpstream: true,
  })
  t.equal(asked().at(-1), 'app')
})

t.test('Jira, with one site', async (t) => {
  await walk(t, {
    standin: jira, integration: 'jira', auth: 'oauth', reached: { id: ACME_SITE.id, label: 'acme' }, config: {},
    call: ['get_issue', { issueIdOrKey: 'OPS-1' }], endsUpstream: false,
  })
})

t.test('Xero, with several organisations', async (t) => {
  await walk(t, {
    standin: xero, integration: 'xero', auth: 'oauth', account: 'several', choose: 'Globex GmbH', reached: { id: '7e000000-4444-4444-8444-000000000003', label: 'Globex GmbH' },
    config: { tenant_id: '7e000000-4444-4444-8444-000000000003' }, call: ['list_contacts', {}], endsUpstream: true,
  })
})

t.test('GoCardless', async (t) => {
  await walk(t, {
    standin: gocardless, integration: 'gocardless', auth: 'oauth', reached: { id: 'OR000ACME', label: null }, call: ['list_payments', {}], endsUpstream: true,
  })
})

interface Machine {
  readonly standin: Standin
  readonly auth: string
  readonly credentials: object
  readonly config: object
  clientOf (id: string): object
  readonly call: readonly [action: string, input: object]
}

/** A connection whose token the vault fetches by itself, with a client that was pasted. */
async function walkMachine (t: Test, of: Machine): Promise<void> {
  const { standin, auth, credentials, config, call } = of
  const asked = () => standin.counts.clientCredentials
  const before = asked()
  const created = await vault.request('POST', `/v1/workspaces/${W}/connections`, { body: { integration: standin.id, auth, environment: 'sandbox', name: auth, credentials, config } })
  t.equal(created.status, 201, created.text)
  const { id } = created.body as { id: string }

  const [first, second] = await Promise.all([resolve(id), resolve(id)])
  t.equal(asked(), before + 1, 'two at once share one token')
  t.match(first, { status: 200 }, first.text)
  const token = standin.authority.live().access.at(-1) ?? 'none'
  t.match(first.body.credentials, { access_token: token })
  t.match(second.body.credentials, { access_token: token })
  for (const secret of Object.values(credentials) as string[]) t.notOk(first.text.includes(secret), 'the client’s secret stays in the vault')
  t.match(await invoke(id, ...call), { status: 200 })
  t.equal(asked(), before + 1, 'kept')

  await vault.database.advance('1 hour')
  t.match(await invoke(id, ...call), { status: 200 })
  t.equal(asked(), before + 2, 'its time is over: issued anew')
  standin.authority.expire()
  t.match(await invoke(id, ...call), { status: 200 }, 'the provider was quicker to end it')
  t.equal(asked(), before + 3)
  t.match((await vault.request('POST', `/v1/workspaces/${W}/connections/${id}/test`)).body, { result: 'ok' })
  standin.authority.expire()
  t.match((await vault.request('POST', `/v1/workspaces/${W}/connections/${id}/test`)).body, { result: 'ok' }, 'of an ended token, a test gets another')

  const other = standin.register()
  const newSecret = Object.fromEntries(Object.keys(credentials).map((name) => [name, other.secret]))
  const rotated = await vault.request('POST', `/v1/workspaces/${W}/connections/${id}/rotate`, {
    body: { credentials: newSecret, config: { ...config, ...of.clientOf(other.id) }, grace_seconds: 600 },
  })
  t.equal(rotated.status, 200, rotated.text)
  t.match(await invoke(id, ...call), { status: 200 }, 'by the new client')
  t.match(await vault.request('POST', `/v1/workspaces/${W}/connections/${id}/rollback`), { status: 200 }, 'tokens that came since do not take the way back')
  t.match(await invoke(id, ...call), { status: 200 }, 'by the one before')

  for (const client of standin.authority.clients) client.secrets.length = 0
  standin.authority.expire()
  t.match((await invoke(id, ...call)).body, { error: { class: 'reauthorise' } }, 'its client is refused')
  t.match((await vault.request('GET', `/v1/workspaces/${W}/connections/${id}`)).body, { status: 'needs_reauth', status_reason: 'credential_refused' })
  const asks = standin.counts.tokenRequests
  t.match(await invoke(id, ...call), { status: 409, body: { code: 'connection_needs_reauth' } })
  t.match(await resolve(id), { status: 409, body: { code: 'connection_needs_reauth' } })
  t.equal(standin.counts.tokenRequests, asks, 'and it is not asked again')
  t.equal((await vault.request('DELETE', `/v1/workspaces/${W}/connections/${id}?force=true`)).status, 204)
}

t.test('Onfido, by client credentials', async (t) => {
  const client = onfido.register()
  await walkMachine(t, {
    standin: onfido, auth: 'oauth_client', credentials: { oauth_client_secret: client.secret }, config: { oauth_client_id: client.id, region: 'eu' },
    clientOf: (id) => ({ oauth_client_id: id }), call: ['create_applicant', { first_name: 'Ada', last_name: 'Lovelace' }],
  })
})

t.test('Alloy, by client credentials', async (t) => {
  const client = alloy.register()
  await walkMachine(t, {
    standin: alloy, auth: 'bearer', credentials: { secret: client.secret }, config: { token: client.id },
    clientOf: (id) => ({ token: id }), call: ['get_workflow_parameters', {}],
  })
})

t.test('nothing of it is in the log', async (t) => {
  const said = vault.logs.join('')
  t.ok(said.length > 1_000)
  for (const standin of Object.values(standins)) for (const secret of standin.authority.secrets) t.notOk(said.includes(secret), standin.id)
})
