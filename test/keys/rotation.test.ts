import t, { type Test } from 'tap'
import { createWire } from '../support/agent.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

/** From one key to the next, with something sealed in every table a caller can reach. */
const provider = await startProvider((_received, reply) => { json(reply, 200, { livemode: false, id: 'ch_1' }) })
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url, ['stripe']), EGRESS_ALLOW_PROVIDER: provider.endpoint })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})

const W = '/v1/workspaces/acme'
const connection = await vault.connect('acme')
const other = await vault.connect('other')
await vault.request('PUT', '/v1/oauth-apps/linear/sandbox', { body: { client_id: 'ours', client_secret: 'CanarySecret-0001' } })
await vault.request('PUT', `${W}/oauth-apps/linear/live`, { body: { client_id: 'theirs', client_secret: 'CanarySecret-0002' } })
const hook = await vault.request('POST', '/v1/webhooks', { body: { url: 'https://hooks.example.com/' } })
const group = await vault.request('POST', `${W}/agent-groups`, { body: { name: 'ERP', environment: 'sandbox' } })
const agent = await createWire(vault).join(group.body.id as string, [{ name: 'post_entry', effect: 'unsafe', input: {} }], 'acme')
const behind = await vault.request('POST', `${W}/connections`, { body: { integration: 'private', environment: 'sandbox', name: 'Private', credentials: {}, config: { group: group.body.id as string } } })
const queued = await vault.request('POST', `${W}/connections/${behind.body.id as string}/invoke`, { body: { environment: 'sandbox', action: 'post_entry', mode: 'async', queue_seconds: 3_600 } })
const charge = async () => await vault.request('POST', `${W}/connections/${connection}/invoke`, {
  body: { environment: 'sandbox', action: 'create_payment_intent', input: { amount: 100, currency: 'usd' } }, headers: { 'idempotency-key': 'charge-1' },
})
const charged = await charge()
const createAgain = async () => await vault.request('POST', `${W}/connections`, {
  body: { integration: 'stripe', environment: 'sandbox', name: 'Once', credentials: { secret_key: STRIPE_KEY } }, headers: { 'idempotency-key': 'create-1' },
})
const created = await createAgain()

const keys = async () => await vault.database.query<{ workspace_id: string | null, id: string, state: string, kek_id: string, wrapped: boolean }>(`
  select null as workspace_id, id, state, kek_id, wrapped is not null as wrapped from system_keys
  union all select workspace_id, id, state, kek_id, wrapped is not null from workspace_keys order by 1 nulls first, 2`)
const sweep = async () => (await vault.request('GET', '/v1/keys/sweep')).body as Record<string, unknown>
const swept = async () => await eventually(async () => {
  const now = await sweep()
  return now['state'] === 'idle' && now
})
const post = async (path: string, body: object) => await vault.request('POST', path, { body })
const resolve = async (id = connection, workspace = 'acme') => await vault.request('POST', `/v1/workspaces/${workspace}/connections/${id}/resolve`, { body: { environment: 'sandbox' } })
const inspect = async () => await vault.withRooms(async (rooms) => await rooms.keys.inspect())
const works = async (t: Test, why: string) => {
  t.match(await resolve(), { status: 200, body: { credentials: { secret_key: STRIPE_KEY } } }, why)
  t.match(await charge(), { status: 200, body: { invocation_id: charged.body.invocation_id as string, replayed: true } }, 'a repeat finds its first')
  t.match(await createAgain(), { status: 201, body: { id: created.body.id as string } })
  const { keys: made, columns } = await inspect()
  t.same(made.broken, [])
  t.same(columns.filter(({ brokenRows }) => brokenRows > 0), [])
  return columns
}

t.test('what there is', async (t) => {
  t.equal(charged.status, 200)
  t.equal(queued.status, 202)
  const columns = await works(t, 'before')
  const filled = columns.filter(({ rows }) => rows > 0).map(({ table, column }) => `${table}.${column}`)
  t.same(filled.sort(), ['credential_versions.sealed', 'invocation_results.sealed', 'oauth_app_secrets.sealed', 'relay_invocations.input', 'webhook_secrets.sealed'])
  const { body } = await vault.request('GET', '/v1/keys')
  t.match(body, { keks: [{ provider: 'local', overdue: false }, { provider: 'local' }], rows_to_reseal: [], sweep: { state: 'idle' } })
  t.same((body.keks as { current_for: string[] }[]).flatMap((kek) => kek.current_for).sort(), ['live', 'sandbox', 'system'])
})

t.test('one workspace', async (t) => {
  const before = await keys()
  t.match(await post('/v1/keys/rotate', { target: 'workspace', workspace_id: 'acme', environment: 'sandbox' }), { status: 202, body: { state: 'running', requested_by: String } })
  const done = await swept()
  t.match(done, { keys_made: 1, keys_rewrapped: 0, rows_failed: 0, finished_at: String })
  t.equal(done['rows_done'], done['rows_total'])
  t.ok(Number(done['rows_done']) >= 3, `${String(done['rows_done'])} rows`)
  const after = await keys()
  t.equal(after.length, before.length + 1)
  t.same(after.filter(({ workspace_id: owner }) => owner !== 'acme'), before.filter(({ workspace_id: owner }) => owner !== 'acme'), 'nobody else’s')
  const [old] = after.filter(({ state }) => state === 'previous')
  for (const table of ['credential_versions', 'invocation_results', 'oauth_app_secrets']) {
    t.same(await vault.database.query(`select from ${table} where key_id = $1`, [old?.id]), [], table)
  }
  await works(t, 'after')

  t.match(await post('/v1/keys/retire', {}), { status: 200, body: { retired: 1, kept: [] } })
  t.match(await keys().then((all) => all.find(({ id }) => id === old?.id)), { state: 'retired', wrapped: true }, 'its bytes wait for a minute')
  await vault.database.advance('61 seconds')
  t.equal(await vault.withRooms(async (rooms) => await rooms.keys.erase()), 1)
  t.match(await keys().then((all) => all.find(({ id }) => id === old?.id)), { state: 'retired', wrapped: false })
  t.match(await post('/v1/keys/retire', {}), { status: 200, body: { retired: 0, kept: [] } })
  await works(t, 'and without the old key')
  const { body } = await vault.request('GET', `${W}/audit-events?limit=20`)
  const said = (body.audit_events as { event: string }[]).map(({ event }) => event)
  for (const event of ['key.rotated', 'key.sweep_requested', 'key.retired', 'key.erased']) t.ok(said.includes(event), event)
})

t.test('the agent’s call, sealed again while it waited', async (t) => {
  const { body } = await agent.poll(1)
  t.match(await agent.of(body.invocations[0]).claim(), { status: 200, body: { action: 'post_entry' } })
  t.match(await resolve(other, 'other'), { status: 200 })
})

t.test('the vault’s own key', async (t) => {
  await vault.request('POST', `/v1/webhooks/${hook.body.webhook.id as string}/rotate-secret`, { body: {} })
  t.match(await post('/v1/keys/rotate', { target: 'system' }), { status: 202 })
  t.match(await swept(), { keys_made: 1, rows_failed: 0 })
  await works(t, 'fingerprints of the day before are still known')
  const kept = await post('/v1/keys/retire', {})
  t.match(kept, { status: 200, body: { retired: 0, kept: [{ workspace_id: null, rows: [{ table: 'audit_chain', column: 'mac' }] }] } }, 'the record is under its MAC')
  t.match(await vault.request('GET', '/v1/audit/verify'), { status: 200, body: { ok: true } })
})

t.test('KEKs', async (t) => {
  const { addLocalKeks, removeLocalKek } = await import('../../src/crypto/index.ts')
  const before = await keys()
  const fresh = addLocalKeks(vault.keyringFile, ['sandbox', 'live', 'system'], { use: true, now: new Date() })
  const { body } = await vault.request('GET', '/v1/keys')
  t.equal((body.keks as unknown[]).length, 5, 'the file was read again')
  t.match(await post('/v1/keys/rotate', { target: 'kek' }), { status: 202 })
  t.match(await swept(), { keys_made: 0, rows_done: 0, keys_rewrapped: (await keys()).filter(({ wrapped }) => wrapped).length })
  for (const key of (await keys()).filter(({ wrapped }) => wrapped)) t.ok(fresh.includes(key.kek_id), `${key.id} is under ${key.kek_id}`)
  await works(t, 'under other KEKs')
  const old = [...new Set(before.filter(({ wrapped }) => wrapped).map(({ kek_id: kek }) => kek))]
  for (const kek of old) {
    t.match(await post('/v1/keys/retire', { kek_id: kek }), { status: 200, body: { retired: 1 } })
    removeLocalKek(vault.keyringFile, kek)
  }
  t.match(await post('/v1/keys/retire', { kek_id: fresh[0] }), { status: 409, body: { code: 'key_in_use' } })
  t.match(await post('/v1/keys/retire', { kek_id: 'nope' }), { status: 404 })
  await vault.stop()
  await vault.start()
  await works(t, 'and started without the old ones')
})

t.test('a value that does not open', async (t) => {
  await vault.database.query('update credential_versions set sealed = set_byte(sealed, 90, get_byte(sealed, 90) # 1) where connection_id = $1', [other])
  await post('/v1/keys/rotate', { target: 'workspace', workspace_id: 'other' })
  t.match(await swept(), { rows_failed: 1 })
  const { columns } = await inspect()
  t.match(columns.find(({ table }) => table === 'credential_versions'), { brokenRows: 1, broken: [new RegExp(other)] })
  t.match(await post('/v1/keys/retire', {}), { body: { retired: 0, kept: [{}, { workspace_id: 'other', rows: [{ table: 'credential_versions', rows: 1 }] }] } }, 'keeps its key')
  t.ok(vault.logs.some((line) => line.includes('a sealed value does not open')))
})

t.test('asked for wrongly', async (t) => {
  t.match(await post('/v1/keys/rotate', { target: 'kek', workspace_id: 'acme' }), { status: 400, body: { code: 'request_invalid' } })
  t.match(await post('/v1/keys/rotate', { target: 'all' }), { status: 400 })
  const { body: { sweep: before } } = await vault.request('GET', '/v1/keys')
  t.match(await post('/v1/keys/rotate', { target: 'workspace', workspace_id: 'nope' }), { status: 404, body: { code: 'not_found', detail: 'The workspace nope has no keys: nothing has been sealed there, or it was destroyed.' } })
  t.same((await vault.request('GET', '/v1/keys')).body.sweep, before, 'nothing is asked for')
  t.match(await post('/v1/keys/sweep', { rows_per_second: 0 }), { status: 400 })
  t.match(await vault.request('POST', '/v1/keys/rotate', { body: { target: 'kek' }, token: await vault.mint({ preset: 'dashboard' }) }), { status: 403 })
})

t.test('two rotations at a time', async (t) => {
  await vault.database.query("update key_sweep set state = 'running', rotate_before = now() - interval '1 day', rotate_kind = 'workspace', lease_owner = 'another', lease_until = vault_now() + interval '1 hour'")
  t.match(await post('/v1/keys/rotate', { target: 'workspace' }), { status: 409, body: { code: 'rotation_running', retryable: true } })
  t.match(await post('/v1/keys/sweep', { rows_per_second: 5 }), { status: 202, body: { rows_per_second: 5 } })
  await vault.database.advance('2 hours')
  t.match(await swept(), { state: 'idle' }, 'a sweep whose process died goes on elsewhere')
})

t.test('a replica that has not heard of it', async (t) => {
  // Its cache says that the old key is current until a commit says otherwise.
  await vault.withRooms(async (rooms) => {
    const place = { kind: 'workspace', workspaceId: 'acme', environment: 'sandbox' } as const
    const binding = { purpose: 'connection-credential', scope: place, ownerId: 'x', versionId: 'y', fieldSet: [], hosts: [], hostConfig: {} } as const
    const first = await rooms.crypto.seal(binding, {})
    await post('/v1/keys/rotate', { target: 'workspace', workspace_id: 'acme' })
    await swept()
    t.equal((await rooms.crypto.seal(binding, {})).keyId, first.keyId, 'it still seals under the old one')
    const { holdCurrentKey, whileKeyChanges } = await import('../../src/store/index.ts')
    let attempts = 0
    const { keyId } = await whileKeyChanges(rooms.crypto, async () => {
      attempts++
      const sealed = await rooms.crypto.seal(binding, {})
      return await rooms.database.transaction(async (tx) => await holdCurrentKey(tx, 'acme' as never, sealed.keyId)) ? sealed : undefined
    })
    t.equal(attempts, 2)
    t.not(keyId, first.keyId)
  })
  t.match(await vault.request('POST', `${W}/connections/${connection}/rotate`, { body: { credentials: { secret_key: `${STRIPE_KEY}7` }, test: false } }), { status: 200 }, 'and a caller sees nothing of it')
})
