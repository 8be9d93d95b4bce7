import t from 'tap'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

const vault = await startTestVault()
t.teardown(() => vault.close())

const events = async (query = '', workspace = 'acme', token?: string) => await vault.request('GET', `/v1/workspaces/${workspace}/audit-events${query}`, token === undefined ? {} : { token })

t.test('what happened, to whom it concerns', async (t) => {
  const id = await vault.connect('acme')
  const live = await vault.connect('acme', { environment: 'live', credentials: { secret_key: STRIPE_KEY.replace('test', 'live') } })
  for (let times = 0; times < 5; times++) await vault.request('POST', `/v1/workspaces/acme/connections/${id}/resolve`, { body: { environment: 'sandbox' }, headers: { 'x-actor': 'user_1' } })
  const all = await events()
  t.match(all.body.audit_events[0], { id: /^aud_/, event: 'connection.resolved', outcome: 'ok', actor: 'user_1', connection_id: id, principal: { kind: 'service_token', id: /^tok_/ }, request_id: /^req_/ })
  t.equal(all.body.audit_events.length, 7)
  t.equal((await events('?event=connection.created')).body.audit_events.length, 2)
  t.equal((await events(`?connection_id=${live}`)).body.audit_events.length, 1)
  t.same((await events('', 'other')).body.audit_events, [])

  const seen: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const page = await events(`?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
    seen.push(...(page.body.audit_events as { id: string }[]).map((one) => one.id))
    cursor = page.body.next_cursor as string | null
  }
  t.same(seen, (all.body.audit_events as { id: string }[]).map((one) => one.id))
  const middle = all.body.audit_events[3].occurred_at as string
  const before = (await events(`?to=${middle}`)).body.audit_events.length as number
  const after = (await events(`?from=${middle}`)).body.audit_events.length as number
  t.equal(before + after, 7)
  for (const query of ['?from=yesterday', '?cursor=x', '?connection_id=x', '?nope=1', '?from=2026-01-01']) t.match((await events(query)).body, { status: 400, code: 'request_invalid' }, query)

  const sandboxOnly = await vault.mint({ preset: 'dashboard', environments: ['sandbox'] })
  t.equal((await events('', 'acme', sandboxOnly)).body.audit_events.length, 6, 'nothing of live')
})

t.test('refusals are on record', async (t) => {
  const thief = await vault.mint({ preset: 'runtime', workspaces: ['thief'] })
  const id = await vault.connect('guarded')
  await vault.request('POST', `/v1/workspaces/guarded/connections/${id}/resolve`, { body: { environment: 'sandbox' }, token: thief })
  await vault.request('GET', '/v1/workspaces/guarded/connections', { token: thief, headers: { 'x-actor': 'user_x' } })
  await vault.request('GET', '/v1/workspaces/guarded/connections', { token: 'nonsense' })
  const found = await eventually(async () => {
    const { body } = await events('?event=request.refused', 'guarded')
    return body.audit_events.length === 2 && (body.audit_events as object[])
  })
  t.match(found, [
    { outcome: 'refused', reason: 'insufficient_scope', actor: 'user_x', details: { route: 'GET /v1/workspaces/:workspace_id/connections' } },
    { outcome: 'refused', reason: 'not_found', connection_id: id, details: { route: 'POST /v1/workspaces/:workspace_id/connections/:connection_id/resolve' } },
  ])
  const [stranger] = await eventually(async () => {
    const rows = await vault.database.query("select outcome, reason, workspace_id, details from audit_events where principal_kind = 'anonymous'")
    return rows.length > 0 && rows
  })
  t.match(stranger, { outcome: 'refused', reason: 'unauthenticated', workspace_id: null, details: { count: 1, sources: ['127.0.0.1'] } })
  t.match(await (await fetch(`${vault.urls.operations}/metrics`)).text(), /vault_refusals_total\{code="unauthenticated"\} 1/)
})

t.test('the chain, by API', async (t) => {
  const verified = await eventually(async () => {
    const { body } = await vault.request('GET', '/v1/audit/verify')
    return body.ok === true && body.events > 10 && (body as object)
  })
  t.match(verified, { ok: true, findings: [] })
  await vault.database.query("update audit_events set actor = 'somebody else' where actor = 'user_x'")
  t.match((await vault.request('GET', '/v1/audit/verify')).body, { ok: false, findings: [{ kind: 'events_changed', at: /^bat_/ }] })
  t.match((await vault.request('GET', '/v1/audit/verify?checkpoint=nonsense')).body, { status: 400 })
  const workspaceOnly = await vault.mint({ preset: 'ops', workspaces: ['acme'] })
  t.match((await vault.request('GET', '/v1/audit/verify', { token: workspaceOnly })).body, { status: 403 })
})
