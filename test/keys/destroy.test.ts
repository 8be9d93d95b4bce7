import t, { type Test } from 'tap'
import { createWire } from '../support/agent.ts'
import { countRows, fillWorkspace, startEverything, tenantTables } from '../support/everything.ts'
import { consentAndChoose, returned } from '../support/linking.ts'
import { Person } from '../support/person.ts'
import { startVaultProcess, type VaultProcess } from '../support/process.ts'
import { eventually, STRIPE_KEY } from '../support/vault.ts'

/** The end of a workspace: what goes, what stays, and what others see of it. */
const everything = await startEverything()
const { vault, linear, stripe: provider } = everything
const { database } = vault
const tables = await tenantTables(everything)
t.teardown(() => everything.close())

const destroy = async (workspace: string, token?: string) => await vault.request('DELETE', `/v1/workspaces/${workspace}`, token === undefined ? {} : { token })
const keysOf = async (workspace: string) => await database.query<{ id: string, state: string, wrapped: Buffer | null, ended_at: Date | null }>('select id, state, wrapped, ended_at from workspace_keys where workspace_id = $1 order by id', [workspace])
const count = async (workspace: string) => await countRows(everything, tables, workspace)
/** Without what goes by itself while a slow machine runs this: leases end, revocations are tried again. */
const settled = ({ relay_chunks: _chunks, open_invocations: _open, revocations: _grants, used_challenges: _spent, ...counts }: Record<string, number>) => counts
/** What is derived from the record may come once more, until the record says that it is over. */
const gone = async (workspace: string) => await eventually(async () => Object.keys(await count(workspace)).length === 0)

/** Another process on the same database. */
async function startReplica (t: Test, settings: Record<string, string>): Promise<(path: string) => Promise<{ status: number, code: string | undefined }>> {
  const replica: VaultProcess = await startVaultProcess({ DATABASE_URL: database.serviceUrl, KEYRING_FILE: vault.keyringFile, NODE_ENV: 'test', ...settings })
  t.teardown(async () => { await replica.kill('SIGTERM') })
  return async (path) => {
    const response = await fetch(`${replica.urls.internal}${path}/resolve`, {
      method: 'POST', headers: { authorization: `Bearer ${vault.token}`, 'content-type': 'application/json' }, body: JSON.stringify({ environment: 'sandbox' }),
    })
    return { status: response.status, code: (await response.json() as { code?: string }).code }
  }
}

t.test('everything of it goes, nothing of others, at every process', async (t) => {
  const CACHE_SECONDS = 3
  const filled = await fillWorkspace(everything, 'acme')
  const neighbour = await fillWorkspace(everything, 'acme-2')
  const [told, untold] = await Promise.all([startReplica(t, { KEY_CACHE_SECONDS: '86400' }), startReplica(t, { KEY_CACHE_SECONDS: String(CACHE_SECONDS), DATABASE_NOTIFY: 'off' })])
  const its = `/v1/workspaces/acme/connections/${filled.stripe}`
  const here = async (path: string) => {
    const { status, body } = await vault.request('POST', `${path}/resolve`, { body: { environment: 'sandbox' } })
    return { status, code: body.code as string | undefined }
  }
  const resolvers = { here, told, untold }
  for (const resolve of Object.values(resolvers)) t.match(await resolve(its), { status: 200 })
  await database.query(`create schema backup; create table backup.connections as select * from connections; create table backup.versions as select * from credential_versions;
    create table backup.keys as select * from workspace_keys`)

  const before = await count('acme')
  t.same(Object.keys(before).sort(), tables, 'there was something in every table')
  const others = await count('acme-2')
  const keys = await keysOf('acme')
  const { status, body } = await destroy('acme')
  t.equal(status, 200)
  t.match(body, { workspace_id: 'acme', destroyed_at: String, keys: keys.map(({ id }) => id), statement: /backups/ })
  t.same(body.rows, before, 'the certificate says what there was')
  t.equal(body.grants_left, 4, 'one linked, two not confirmed, one that its provider did not take back')
  for (const resolve of Object.values(resolvers)) t.match(await resolve(its), { status: 404, code: 'not_found' }, 'at once')
  await gone('acme')
  t.match(await keysOf('acme'), keys.map(({ id }) => ({ id, state: 'destroyed', wrapped: null, ended_at: Date })))
  t.same(settled(await count('acme-2')), settled(others))
  t.match(await here(`/v1/workspaces/acme-2/connections/${neighbour.stripe}`), { status: 200 })
  t.match(await filled.agent.poll(), { status: 401, body: { code: 'agent_unauthenticated' } })
  t.match(await neighbour.agent.poll(), { status: 200 })

  const { body: { audit_events: records } } = await vault.request('GET', '/v1/workspaces/acme/audit-events?limit=200')
  const [record] = (records as { event: string, details: Record<string, unknown> }[]).filter(({ event }) => event === 'workspace.destroyed')
  t.same(record?.details, { keys: body.keys, grants_left: 4, ...Object.fromEntries(Object.entries(before).map(([table, rows]) => [`rows.${table}`, rows])) }, 'it is on record')
  for (const event of ['connection.created', 'connection.resolved', 'invoke.finished']) t.ok((records as { event: string }[]).some((one) => one.event === event), `${event} survives`)
  await eventually(async () => (await database.query('select from audit_unsealed')).length === 0)
  t.match(await vault.request('GET', '/v1/audit/verify'), { status: 200, body: { ok: true } })

  // Its rows copied back from a backup, without the keys.
  const startedMs = performance.now()
  for (const [table, copy] of [['connections', 'connections'], ['credential_versions', 'versions']] as const) {
    const [columns] = await database.query<{ names: string }>(`select string_agg(quote_ident(attname), ', ') as names from pg_attribute where attrelid = '${table}'::regclass and attnum > 0 and not attisdropped and attgenerated = ''`)
    await database.query(`insert into ${table} (${columns?.names}) select ${columns?.names} from backup.${copy} where workspace_id = 'acme' and '${filled.stripe}' in (id, ${table === 'connections' ? 'id' : 'connection_id'})`)
  }
  for (const name of ['here', 'told'] as const) t.match(await resolvers[name](its), { status: 500, code: 'integrity_failure' }, `${name}: nothing opens`)
  await eventually(async () => (await untold(its)).status === 500)
  const tookMs = performance.now() - startedMs
  t.ok(tookMs < CACHE_SECONDS * 1_000 + 1_500, `a process that is not told forgets by itself: after ${Math.round(tookMs)} ms`)
  t.match(await destroy('acme'), { status: 200, body: { keys: [], rows: { connections: Number, credential_versions: Number } } })
  t.same(await count('acme'), {})
  t.match(await keysOf('acme'), keys.map(() => ({ state: 'destroyed', wrapped: null })))

  await t.test('and the id is free again', async (t) => {
    const again = await vault.request('POST', '/v1/workspaces/acme/connections', {
      body: { integration: 'stripe', environment: 'sandbox', name: 'Stripe', credentials: { secret_key: STRIPE_KEY } }, headers: { 'idempotency-key': 'create-1' },
    })
    t.equal(again.status, 201, 'by the same name, under the same idempotency key')
    t.not(again.body.id, filled.stripe)
    for (const resolve of Object.values(resolvers)) t.match(await resolve(`/v1/workspaces/acme/connections/${again.body.id as string}`), { status: 200 })
    const now = await keysOf('acme')
    t.match(now.filter(({ state }) => state === 'current'), [{ wrapped: Buffer }], 'under a key of its own')
    t.notOk(keys.some(({ id }) => id === now.find(({ state }) => state === 'current')?.id))
    const { columns } = await vault.withRooms(async (rooms) => await rooms.keys.inspect())
    t.same(columns.filter(({ brokenRows }) => brokenRows > 0), [])
  })
})

t.test('again, and of one that never was', async (t) => {
  await vault.connect('twice')
  t.match(await destroy('twice'), { status: 200, body: { rows: { connections: 1, credential_versions: 1 }, grants_left: 0 } })
  for (const workspace of ['twice', 'never']) t.match(await destroy(workspace), { status: 200, body: { workspace_id: workspace, keys: [], rows: {}, grants_left: 0 } })
  t.equal((await database.query("select from audit_events where event = 'workspace.destroyed' and workspace_id = 'twice'")).length, 2, 'each on record')
  t.match(await destroy('not%20one'), { status: 404, body: { code: 'not_found' } })
})

t.test('much', async (t) => {
  // More than one statement takes at a time, in a table with a key and in one without.
  const id = await vault.connect('large')
  await database.query(`insert into idempotency_keys (workspace_id, key_hash, fingerprint, resource_id) select 'large', sha256(n::text::bytea), '', 'x' from generate_series(1, 12000) as n;
    insert into connection_uses select 'large', '${id}', 'p' || n, '', 1, now(), now() from generate_series(1, 5000) as n`)
  t.match(await destroy('large'), { status: 200, body: { rows: { idempotency_keys: 12_000, connection_uses: 5_000, connections: 1, credential_versions: 1 } } })
  t.same(await count('large'), {})
})

t.test('who may', async (t) => {
  await vault.connect('guarded')
  const asked = async (grants: Parameters<typeof vault.mint>[0]) => await destroy('guarded', await vault.mint(grants))
  for (const preset of ['runtime', 'dashboard'] as const) t.match(await asked({ preset }), { status: 403, body: { code: 'insufficient_scope' } }, preset)
  t.match(await asked({ preset: 'ops', workspaces: ['another'] }), { status: 404 }, 'not of this workspace')
  for (const environment of ['sandbox', 'live']) t.match(await asked({ preset: 'ops', environments: [environment] }), { status: 403, body: { code: 'insufficient_scope', detail: /both environments/ } }, `of ${environment} alone`)
  t.match(await vault.request('DELETE', '/v1/workspaces/guarded', { token: null }), { status: 401 })
  t.match(await count('guarded'), { connections: 1 })
  t.match(await asked({ scopes: ['workspaces:destroy'], workspaces: ['guarded'] }), { status: 200, body: { rows: { connections: 1 } } })
})

interface Stirred {
  readonly said: { readonly what: string, readonly status: number, readonly text: string }[]
  readonly certificate: { readonly status: number, readonly body: Record<string, unknown> }
}

/** Everybody is busy in a workspace while it ends. Answers with what was said to them. */
async function stir (workspace: string, delayMs: number): Promise<Stirred> {
  const W = `/v1/workspaces/${workspace}`
  const said: Stirred['said'] = []
  const connections = await Promise.all([0, 1].map(async () => await vault.connect(workspace)))
  const linked = await vault.link(workspace, { integration: 'linear', auth: 'oauth' })
  const { body: { id: group } } = await vault.request('POST', `${W}/agent-groups`, { body: { name: 'ERP', environment: 'sandbox' } }) as { body: { id: string } }
  const wire = createWire(vault)
  const agent = await wire.join(group, [{ name: 'post_entry', effect: 'unsafe', input: {} }], workspace)
  const code = await wire.newCode(group, workspace)
  const { body: { id: behind } } = await vault.request('POST', `${W}/connections`, { body: { integration: 'private', environment: 'sandbox', name: 'Private', credentials: {}, config: { group } } }) as { body: { id: string } }
  const confirmed = returned(await consentAndChoose(new Person(), (await vault.openSession(workspace, { integration: 'linear' })).url, { integration: 'linear', auth: 'oauth' }))
  const over = new AbortController()
  let turn = 0
  const busy = async (what: string, work: (turn: number) => Promise<{ status: number, text?: string, body?: unknown }>) => {
    while (!over.signal.aborted) {
      const answer = await work(++turn).catch((error: unknown) => ({ status: 599, text: String(error), body: undefined }))
      said.push({ what, status: answer.status, text: answer.text ?? JSON.stringify(answer.body) })
    }
  }
  const post = async (path: string, body: object, headers: Record<string, string> = {}) => await vault.request('POST', `${W}${path}`, { body, headers })
  const [first = '', second = ''] = connections
  const running = [
    busy('create', async (turn) => await post('/connections', { integration: 'stripe', environment: 'sandbox', name: `New ${turn}`, credentials: { secret_key: STRIPE_KEY } }, { 'idempotency-key': `c${turn}` })),
    busy('resolve', async () => await post(`/connections/${first}/resolve`, { environment: 'sandbox' })),
    busy('rotate', async () => await post(`/connections/${second}/rotate`, { credentials: { secret_key: STRIPE_KEY }, test: false })),
    busy('invoke', async (turn) => await post(`/connections/${first}/invoke`, { environment: 'sandbox', action: 'create_payment_intent', input: { amount: 100, currency: 'usd' } }, { 'idempotency-key': `i${turn}` })),
    busy('references', async () => await vault.request('PUT', `${W}/connections/${second}/references`, { body: { references: [{ procedure_id: 'p' }] } })),
    busy('refresh', async () => await post(`/connections/${linked.id}/refresh`, {})),
    busy('sweep', async () => await vault.request('POST', '/v1/keys/rotate', { body: { target: 'workspace', workspace_id: workspace } })),
    busy('app', async () => await vault.request('PUT', `${W}/oauth-apps/xero/live`, { body: { client_id: 'c', client_secret: 'CanarySecret-000002' } })),
    busy('queue', async (turn) => await post(`/connections/${behind}/invoke`, { environment: 'sandbox', action: 'post_entry', input: {}, mode: 'async', queue_seconds: 60 }, turn % 2 === 0 ? {} : { 'idempotency-key': `q${turn}` })),
    busy('token', async () => await wire.login(agent)),
    busy('agent', async () => {
      const polled = await agent.poll(1, 1)
      const [offer] = (polled.body as { invocations?: { invocation_id: string, lease_token: string }[] } | undefined)?.invocations ?? []
      if (offer === undefined) return polled
      const it = agent.of(offer)
      for (const step of [await it.claim(), await it.chunk(0, '"x"'), await it.heartbeat(), await it.result({ outcome: 'succeeded', chunks: 1 })]) said.push({ what: 'agent', status: step.status, text: JSON.stringify(step.body) })
      return polled
    }),
    busy('session', async () => {
      const opened = await post('/connect-sessions', { environment: 'sandbox', actor: 'user-1', return_url: 'https://app.example.com/x', name: `S ${++turn}`, integration: 'linear' })
      if (opened.status !== 201) return opened
      const page = await consentAndChoose(new Person(), opened.body.connect_url as string, { integration: 'linear', auth: 'oauth' }).catch((error: unknown) => ({ status: 404, text: String(error) }))
      return { status: page.status, text: page.text }
    }),
  ]
  await new Promise((resolve) => { setTimeout(resolve, delayMs) })
  const [certificate] = await Promise.all([
    destroy(workspace),
    vault.complete(workspace, confirmed).then(({ status, text }) => { said.push({ what: 'complete', status, text }) }),
    wire.call('enrol', { code, public_key: agent.keys.publicKey, name: 'box 2' }).then(({ status, body }) => { said.push({ what: 'enrol', status, text: JSON.stringify(body) }) }),
  ])
  over.abort()
  await Promise.all(running)
  return { said, certificate }
}

t.test('while everybody is busy in it', async (t) => {
  delete linear.fail.revoke
  const before = vault.logs.length
  provider.answer = (_received, reply) => {
    setTimeout(() => { reply.writeHead(200, { 'content-type': 'application/json' }).end('{"livemode":false,"id":"ch_1"}') }, 20)
  }
  const seen = new Map<string, Set<number>>()
  for (let round = 0; round < 5; round++) {
    const workspace = `busy-${round}`
    await vault.enterApp(linear, { workspace })
    const { said, certificate } = await stir(workspace, 100 + round * 150)
    t.equal(certificate.status, 200, JSON.stringify(certificate.body))
    for (const { what, status, text } of said) {
      seen.set(what, (seen.get(what) ?? new Set()).add(status))
      if (status >= 500 && status !== 503) t.fail(`${what}: ${status} ${text}`)
    }
    const destroyed = new Set(certificate.body['keys'] as string[])
    // What came after the end is a new life: complete, and under a key of its own.
    const { columns } = await vault.withRooms(async (rooms) => await rooms.keys.inspect())
    t.same(columns.filter(({ brokenRows }) => brokenRows > 0), [], 'nothing that is left does not open')
    for (const table of ['credential_versions', 'invocation_results', 'oauth_app_secrets', 'pending_links', 'oauth_states', 'refresh_answers', 'revocations', 'relay_chunks']) {
      const rows = await database.query<{ key_id: string }>(`select key_id from ${table} where workspace_id = $1 and sealed is not null`, [workspace])
      t.notOk(rows.some(({ key_id: key }) => destroyed.has(key)), `${table}: ${rows.length} rows of a new life`)
    }
    t.same(await database.query("select id from connections c where workspace_id = $1 and not exists (select from credential_versions v where v.workspace_id = c.workspace_id and v.connection_id = c.id and v.state = 'current')", [workspace]), [], 'no half connection')
    t.same(await database.query('select id from revocations where workspace_id = $1', [workspace]), [])
    await eventually(async () => (await vault.request('GET', '/v1/keys/sweep')).body.state === 'idle')
    t.equal((await destroy(workspace)).status, 200)
    await gone(workspace)
  }
  for (const [what, statuses] of seen) t.ok(statuses.size > 0, `${what}: ${[...statuses].sort().join(' ')}`)
  const kinds = ['resolve', 'rotate', 'references', 'queue']
  for (const what of kinds) t.ok(seen.get(what)?.has(what === 'queue' ? 202 : 200), `${what} went well before the end`)
  // Which of them come after it is a matter of luck.
  t.ok(kinds.filter((what) => seen.get(what)?.has(404)).length >= 2, 'and found nothing after it')
  const inside = vault.logs.slice(before).filter((line) => line.includes('"level":"error"')).map((line) => line.replace(/^.* < /, ''))
  t.same(inside, [])
  // Uses are derived from the record: of a connection that goes in this moment they are derived again, as of none.
  const failed = vault.logs.slice(before).filter((line) => line.includes('"msg":"a job failed') && !/23503.*"job":"derive-uses"/.test(line))
  t.same(failed, [], 'no job stumbled')
  await eventually(async () => (await database.query('select from audit_unsealed')).length === 0)
  t.match(await vault.request('GET', '/v1/audit/verify'), { status: 200, body: { ok: true } })
})
