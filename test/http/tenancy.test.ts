import t from 'tap'
import { SCOPES } from '../../src/access/index.ts'
import { ROUTE_TABLE } from '../../src/http/index.ts'
import { createWire } from '../support/agent.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { startTestVault, STRIPE_KEY, type Answer } from '../support/vault.ts'

/**
 * Every route × another workspace × another environment × a missing scope × no caller at all. The
 * rows come from the route table: a new route is in the matrix or this fails.
 */
const provider = await startProvider((_received, reply) => { json(reply, 200, { livemode: false }) })
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url, ['stripe']), EGRESS_ALLOW_PROVIDER: provider.endpoint, RETURN_ORIGINS: 'https://app.example' })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})

/** A body that is right for the route, so that nothing but the caller is wrong. */
const BODIES: Readonly<Record<string, object>> = {
  'POST /v1/workspaces/:workspace_id/connections': { integration: 'stripe', environment: 'sandbox', name: 'New', credentials: { secret_key: STRIPE_KEY } },
  'PATCH /v1/workspaces/:workspace_id/connections/:connection_id': { name: 'Changed' },
  'POST /v1/workspaces/:workspace_id/connections/:connection_id/rotate': { credentials: { secret_key: `${STRIPE_KEY}9` } },
  'PUT /v1/workspaces/:workspace_id/connections/:connection_id/references': { references: [] },
  'POST /v1/workspaces/:workspace_id/connections/:connection_id/resolve': { environment: 'sandbox' },
  'POST /v1/workspaces/:workspace_id/resolve': { environment: 'sandbox', connection_ids: ['conn_00000000000000000000000000'] },
  'POST /v1/workspaces/:workspace_id/connections/:connection_id/invoke': { environment: 'sandbox', action: 'get_balance' },
  'POST /v1/workspaces/:workspace_id/connections/:connection_id/request': { environment: 'sandbox', method: 'GET', path: '/v1/balance' },
  'POST /v1/workspaces/:workspace_id/connect-sessions': { integration: 'stripe', environment: 'sandbox', name: 'Linked', actor: 'ada', return_url: 'https://app.example/' },
  'POST /v1/workspaces/:workspace_id/connect-sessions/:session_id/complete': { completion_code: 'guess', actor: 'mallory' },
  'PUT /v1/oauth-apps/:integration/:environment': { client_id: 'client', client_secret: 'CanarySecret-0001' },
  'PUT /v1/workspaces/:workspace_id/oauth-apps/:integration/:environment': { client_id: 'client', client_secret: 'CanarySecret-0002' },
  'POST /v1/openapi/preview': { document: { openapi: '3.1.0', paths: { '/pets': { get: {} } } } },
  'POST /v1/workspaces/:workspace_id/integrations': { document: { openapi: '3.1.0', paths: { '/pets': { get: {} } } } },
  'PUT /v1/workspaces/:workspace_id/integrations/:integration_id': { document: { openapi: '3.1.0', paths: { '/cats': { get: {} } } } },
  'POST /v1/workspaces/:workspace_id/agent-groups': { name: 'ERP', environment: 'sandbox' },
  'POST /v1/webhooks': { url: 'https://hooks.example.com/' },
  'PATCH /v1/webhooks/:webhook_id': { enabled: false },
  'POST /v1/webhooks/:webhook_id/rotate-secret': {},
  'POST /v1/webhooks/:webhook_id/replay': { from: '2026-01-01T00:00:00Z' },
  'POST /v1/keys/rotate': { target: 'workspace', workspace_id: 'victim' },
  'POST /v1/keys/sweep': {},
  'POST /v1/keys/retire': {},
  'POST /v1/service-tokens': { name: 'x', preset: 'runtime', workspaces: ['*'], environments: ['*'] },
}

const MISSING = { connection: 'conn_00000000000000000000000000', session: 'cs_00000000000000000000000000', integration: 'int_00000000000000000000000000', group: 'grp_00000000000000000000000000', invocation: 'inv_00000000000000000000000000' }
const opened = await vault.request('POST', '/v1/workspaces/victim/connect-sessions', {
  body: { integration: 'stripe', environment: 'sandbox', name: 'Victim’s', actor: 'victim', return_url: 'https://app.example/' },
})
const DOCUMENT = { openapi: '3.1.0', info: { title: 'Victim’s', version: '1' }, servers: [{ url: 'https://api.victim.dev' }], paths: { '/pets': { get: { operationId: 'listPets' } } } }
const imported = await vault.request('POST', '/v1/workspaces/victim/integrations', { body: DOCUMENT })
const grouped = await vault.request('POST', '/v1/workspaces/victim/agent-groups', { body: { name: 'Victim’s', environment: 'sandbox' } })
await createWire(vault).join(grouped.body.id as string, [{ name: 'post_entry', effect: 'unsafe', input: {} }], 'victim')
const behind = await vault.request('POST', '/v1/workspaces/victim/connections', {
  body: { integration: 'private', environment: 'sandbox', name: 'Private', credentials: {}, config: { group: grouped.body.id as string } },
})
const invoked = await vault.request('POST', `/v1/workspaces/victim/connections/${behind.body.id as string}/invoke`, {
  body: { environment: 'sandbox', action: 'post_entry', mode: 'async', queue_seconds: 3_600 },
})
const VICTIM = { connection: await vault.connect('victim'), session: opened.body.connect_session.id as string, integration: imported.body.id as string, group: grouped.body.id as string, invocation: invoked.body.invocation_id as string }
const app = await vault.request('PUT', '/v1/workspaces/victim/oauth-apps/linear/sandbox', { body: { client_id: 'victim-client', client_secret: 'CanarySecret-0000' } })
const rows = Object.entries(ROUTE_TABLE).flatMap(([route, access]) => access === 'open' ? [] : [{ route, access }])

interface Ids { workspace: string, connection: string, session: string, integration: string, group: string, invocation: string }

function call (route: string, ids: Ids, token: string | null): Promise<Answer> {
  const [method = '', pattern = ''] = route.split(' ')
  const path = pattern.replace(':workspace_id', ids.workspace).replace(':connection_id', ids.connection).replace(':session_id', ids.session)
    .replace(':token_id', 'tok_00000000000000000000000000').replace(':webhook_id', 'wh_00000000000000000000000000').replace(':integration_id', ids.integration).replace(':group_id', ids.group).replace(':invocation_id', ids.invocation).replace(':agent_id', 'agt_00000000000000000000000000').replace(':action', pattern.includes('workspaces') ? 'list_pets' : 'get_balance').replace(':integration', pattern.includes('oauth-apps') ? 'linear' : 'stripe').replace(':environment', 'sandbox')
  return vault.request(method, path, { token, ...BODIES[route] && { body: BODIES[route] }, headers: method === 'PATCH' ? { 'if-match': '*' } : {} })
}

/** A problem without what differs from request to request. */
const shape = ({ status, body }: Answer) => ({ status, body: { ...body as object, instance: undefined } })

t.test('the matrix has every route', async (t) => {
  t.ok(rows.length >= 22, `${rows.length} routes`)
  for (const { route } of rows) if (/^(POST|PUT|PATCH) .*(connections|resolve|invoke|request|rotate|references|service-tokens|connect-sessions|complete|:environment|webhooks|:webhook_id|preview|integrations|:integration_id|agent-groups|rotate-secret|replay)$/.test(route)) t.ok(route in BODIES, `${route} has a body`)
})

t.test('no caller, no answer', async (t) => {
  for (const { route } of rows) t.match(await call(route, { workspace: 'victim', ...VICTIM }, null), { status: 401, body: { code: 'unauthenticated' } }, route)
})

t.test('a caller of another workspace sees what a missing object looks like', async (t) => {
  const thief = await vault.mint({ scopes: [...SCOPES], workspaces: ['thief'] })
  for (const { route, access } of rows) {
    const answer = await call(route, { workspace: 'victim', ...VICTIM }, thief)
    if (access.over === 'shared') { t.equal(answer.status, 200, `${route}: the catalog is for all`); continue }
    if (access.over === 'tenants') { t.match(answer, { status: 403, body: { code: 'insufficient_scope' } }, `${route}: not for one tenant`); continue }
    t.match(answer, { status: 404, body: { code: 'not_found' } }, route)
    t.same(shape(await call(route, { workspace: 'victim', ...MISSING }, thief)), shape(answer), `${route}: the same as for a missing one`)
    t.same(shape(await call(route, { workspace: 'nowhere', ...MISSING }, thief)), shape(answer), `${route}: and as in a workspace that is empty`)
    t.notMatch(answer.text, /victim|Canary/)
    if (!/:(connection|session|integration|group|invocation)_id/.test(route)) continue
    const own = await call(route, { workspace: 'thief', ...VICTIM }, thief)
    t.same(shape(own), shape(await call(route, { workspace: 'thief', ...MISSING }, thief)), `${route}: through the own workspace, too`)
    t.equal(own.status, 404)
  }
})

t.test('a caller of another environment sees nothing either', async (t) => {
  const live = await vault.mint({ scopes: [...SCOPES], workspaces: ['victim'], environments: ['live'] })
  for (const { route, access } of rows) {
    if (access.over !== 'workspace') continue
    const answer = await call(route, { workspace: 'victim', ...VICTIM }, live)
    if (/:(connection|session|group|invocation)_id|:environment/.test(route)) {
      t.match(answer, { status: 404, body: { code: 'not_found' } }, route)
      t.same(shape(await call(route, { workspace: 'victim', ...MISSING }, live)), shape(answer), `${route}: the same as for a missing one`)
    } else if (route.startsWith('POST') && /\/(connections|connect-sessions|agent-groups)$/.test(route)) t.match(answer, { status: 404, body: { code: 'not_found' } }, route)
    else if (route.endsWith('/resolve')) t.match(answer.body.results, [{ problem: { code: 'not_found' } }])
    else t.notMatch(answer.text, new RegExp(`${VICTIM.connection}|${VICTIM.group}|${app.body.id as string}`), `${route}: nothing of it in a list`)
  }
})

t.test('each route needs its scope, and only that', async (t) => {
  for (const { route, access } of rows) {
    const without = await vault.mint({ scopes: SCOPES.filter((scope) => scope !== access.scope) })
    const refused = await call(route, { workspace: 'victim', ...VICTIM }, without)
    t.match(refused, { status: 403, body: { code: 'insufficient_scope', detail: new RegExp(access.scope) } }, `${route} without ${access.scope}`)
    const missing = await call(route, { workspace: 'victim', ...MISSING }, without)
    t.same(shape(missing), shape(refused), `${route}: whether it exists or not`)
    const only = await vault.mint({ scopes: [access.scope] })
    const answer = await call(route, { workspace: 'scoped', ...MISSING }, only)
    t.notOk([401, 403].includes(answer.status), `${route} with nothing but ${access.scope}: ${answer.status}`)
  }
})

t.test('roles', async (t) => {
  const allowed = async (preset: 'dashboard' | 'runtime' | 'ops') => {
    const token = await vault.mint({ preset })
    const found: string[] = []
    for (const { route } of rows) if ((await call(route, { workspace: 'roles', ...MISSING }, token)).status !== 403) found.push(route)
    return found
  }
  const reaches = (routes: string[], part: string) => routes.some((route) => route.includes(part))
  const [dashboard, runtime, ops] = [await allowed('dashboard'), await allowed('runtime'), await allowed('ops')]
  t.notOk(reaches(dashboard, '/resolve') || reaches(dashboard, '/invoke') || reaches(dashboard, '/request') || reaches(dashboard, 'service-tokens'), 'the dashboard sees no credential and uses none')
  t.same(runtime.map((route) => route.split('/').at(-1)), ['resolve', 'resolve', 'invoke', ':invocation_id', 'cancel'], 'the runtime does nothing else')
  t.notOk(reaches(ops, '/resolve') || reaches(ops, '/invoke') || reaches(ops, '/request'), 'operators see no credential')
  t.ok(reaches(ops, 'service-tokens') && reaches(ops, '/rotate'))
})

t.test('the victim is as it was', async (t) => {
  t.match((await vault.request('GET', `/v1/workspaces/victim/connections/${VICTIM.connection}`)).body, { etag: '"1"', version_number: 1, status: 'active' })
  t.equal((await vault.request('GET', '/v1/workspaces/victim/connections')).body.connections.length, 2)
  t.match((await vault.request('GET', `/v1/workspaces/victim/invocations/${VICTIM.invocation}`)).body, { state: 'queued', cancel_requested: false })
  t.match((await vault.request('GET', `/v1/workspaces/victim/connect-sessions/${VICTIM.session}`)).body, { state: 'open', ended_reason: null })
  t.match((await vault.request('GET', `/v1/workspaces/victim/integrations/${VICTIM.integration}`)).body, { revision: 1, actions: [{ name: 'list_pets' }] })
  t.match((await vault.request('GET', '/v1/workspaces/victim/oauth-apps/linear/sandbox')).body, { client_id: 'victim-client', client_secret_preview: '…0000' })
})
