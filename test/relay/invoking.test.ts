import t from 'tap'
import { createWire } from '../support/agent.ts'
import { startTestVault, type Answer } from '../support/vault.ts'

/** Calls that agents make, step by step, each as an agent with its own ideas would. */
const vault = await startTestVault()
t.teardown(async () => { await vault.close() })
const wire = createWire(vault)
const W = '/v1/workspaces/acme'

const ACTIONS = [
  { name: 'read_ledger', effect: 'read', input: { type: 'object', properties: { year: { type: 'integer' } }, required: ['year'], additionalProperties: false } },
  { name: 'set_rate', effect: 'idempotent', input: { type: 'object' } },
  { name: 'post_entry', effect: 'unsafe', input: { type: 'object' } },
]
let made = 0
const newGroup = async (environment = 'sandbox') => (await vault.request('POST', `${W}/agent-groups`, { body: { name: `Group ${++made}`, environment } })).body.id as string
const connect = async (group: string, more: object = {}) => await vault.request('POST', `${W}/connections`, {
  body: { integration: 'private', environment: 'sandbox', name: `Private ${++made}`, credentials: {}, config: { group }, ...more },
})
const stage = async () => {
  const group = await newGroup()
  const connection = (await connect(group)).body.id as string
  const agent = await wire.join(group, ACTIONS)
  const invoke = async (body: object, headers: Record<string, string> = {}): Promise<Answer> =>
    await vault.request('POST', `${W}/connections/${connection}/invoke`, { body: { environment: 'sandbox', ...body }, headers })
  const status = async (id: string) => (await vault.request('GET', `${W}/invocations/${id}`)).body as { state: string }
  const events = async () => {
    const { audit_events: records } = (await vault.request('GET', `${W}/audit-events?connection_id=${connection}`)).body as { audit_events: { event: string, outcome: string }[] }
    return records.map((record) => `${record.event} ${record.outcome}`).reverse()
  }
  return { group, connection, agent, invoke, status, events }
}
/** Time passes for the database alone. */
const later = async (seconds: number, columns = ['lease_until', 'offer_until', 'queue_until', 'deadline_at']) => {
  await vault.database.query(`update relay_invocations set ${columns.map((column) => `${column} = ${column} - interval '${seconds} seconds'`).join(', ')} where state <> 'ended'`)
}

t.test('a connection that names a group', async (t) => {
  const group = await newGroup()
  const created = await connect(group)
  t.match(created, { status: 201, body: { integration: 'private', auth: 'agents', config: { group }, hosts: [], preview: {}, status: 'active' } })
  const id = created.body.id as string
  t.match(await connect('grp_00000000000000000000000000'), { status: 422, body: { code: 'config_invalid', errors: [{ pointer: '/config/group' }] } })
  t.match(await connect(await newGroup('live')), { status: 422, body: { code: 'config_invalid' } }, 'of the other environment')
  t.match(await connect('x'), { status: 422, body: { code: 'config_invalid', errors: [{ pointer: '/config/group', message: /agent group/ }] } })
  t.match(await connect(group, { credentials: { key: 'CanarySecret' } }), { status: 422, body: { code: 'credential_invalid' } })
  t.match(await connect(group, { allowed_actions: ['Not an action'] }), { status: 422, body: { code: 'actions_invalid' } })
  t.match(await vault.request('POST', `${W}/connections/${id}/resolve`, { body: { environment: 'sandbox' } }), { status: 409, body: { code: 'private_connection' } })
  t.match(await vault.request('POST', `${W}/connections/${id}/request`, { body: { environment: 'sandbox', method: 'GET', path: '/' } }), { status: 409, body: { code: 'private_connection' } })
  t.match(await vault.request('POST', `${W}/connections/${id}/test`), { status: 200, body: { result: 'unreachable', detail: '0 of the group’s 0 agents are there.' } })
  t.match(await vault.request('DELETE', `${W}/agent-groups/${group}`), { status: 409, body: { code: 'agent_group_in_use', connections: [{ id }] } })
  t.match(await vault.request('PATCH', `${W}/connections/${id}`, { body: { config: { group: await newGroup() } }, headers: { 'if-match': '*' } }), { status: 422, body: { code: 'config_invalid' } }, 'another group is a rotation')
  const other = await newGroup()
  t.match(await vault.request('POST', `${W}/connections/${id}/rotate`, { body: { credentials: {}, config: { group: other } } }), { status: 200, body: { config: { group: other } } })
  t.match(await vault.request('DELETE', `${W}/agent-groups/${group}`), { status: 409 }, 'it could be rolled back to')
  t.match(await vault.request('POST', `${W}/connections/${id}/rollback`), { status: 200, body: { config: { group } } })
  t.match(await vault.request('DELETE', `${W}/connections/${id}`), { status: 204 })
  t.match(await vault.request('DELETE', `${W}/agent-groups/${group}`), { status: 204 })
  const { integrations } = (await vault.request('GET', '/v1/integrations')).body as { integrations: { id: string }[] }
  t.ok(integrations.some(({ id }) => id === 'private'))
})

t.test('what is wrong before anything is asked', async (t) => {
  const { invoke, agent, connection } = await stage()
  t.match(await invoke({ action: 'unknown' }), { status: 404, body: { code: 'action_unknown', detail: /They run: post_entry, read_ledger, set_rate/ } })
  t.match(await invoke({ action: 'read_ledger', input: { year: 'x', more: 1 } }), { status: 422, body: { code: 'input_invalid', errors: [{ pointer: /^\/input/ }] } })
  t.match(await invoke({ action: 'read_ledger', input: { year: 1 }, revision: 1 }), { status: 422, body: { code: 'revision_unknown' } })
  t.match(await invoke({ action: 'read_ledger', input: { year: 1 }, store_as: { name: 'x' } }), { status: 422, body: { code: 'input_invalid' } })
  t.match(await invoke({ action: 'read_ledger', input: { year: 1 }, timeout_ms: 130_000 }), { status: 400, body: { errors: [{ pointer: '/timeout_ms' }] } })
  t.match(await invoke({ action: 'read_ledger', input: { year: 1 }, encrypted_input: { jwe: {}, digest: 'a'.repeat(43) } }), { status: 400, body: { errors: [{ pointer: '/encrypted_input' }] } })
  t.match(await invoke({ environment: 'live', action: 'read_ledger', input: { year: 1 } }), { status: 409, body: { code: 'environment_mismatch' } })
  t.match(await invoke({ action: 'read_ledger', input: { year: 1 }, dry_run: true }), {
    status: 200, body: { dry_run: true, relay: { action: 'read_ledger', effect: 'read', agents: 1, agents_online: 1, input: { year: 1 } } },
  })
  t.match(await vault.request('POST', `${W}/connections/${connection}/test`), { body: { result: 'ok', detail: '1 of the group’s 1 agents is there.' } })
  await vault.request('PATCH', `${W}/connections/${connection}`, { body: { allowed_actions: ['set_rate'] }, headers: { 'if-match': '*' } })
  t.match(await invoke({ action: 'read_ledger', input: { year: 1 } }), { status: 403, body: { code: 'action_not_allowed' } })
  t.match(await agent.poll(), { status: 204 }, 'nobody was asked anything')
  const stripe = await vault.connect('acme')
  for (const more of [{ mode: 'async' }, { queue_seconds: 5 }, { encrypted_input: { jwe: {}, digest: 'a'.repeat(43) } }]) {
    t.match(await vault.request('POST', `${W}/connections/${stripe}/invoke`, { body: { environment: 'sandbox', action: 'get_balance', ...more } }), { status: 422, body: { code: 'mode_unsupported', detail: /^`(mode: async|queue_seconds|encrypted_input)` is for private connections, and this is none\.$/ } })
  }
})

t.test('a call and its answer', async (t) => {
  const { invoke, agent, status, events } = await stage()
  const answer = invoke({ action: 'read_ledger', input: { year: 2_026 }, context: { run_id: 'run-1' } })
  const { body } = await agent.poll(5)
  t.match(body, { invocations: [{ invocation_id: /^inv_/, action: 'read_ledger', effect: 'read', lease_token: /^[\w-]{43}$/, lease_seconds: 8 }] })
  const [offer] = body.invocations
  const it = agent.of(offer)
  t.match(await agent.poll(), { status: 204 }, 'offered to one at a time')
  t.match(await it.heartbeat(), { status: 409, body: { code: 'lease_lost' } }, 'not before it is claimed')
  const claimed = await it.claim()
  t.match(claimed, { status: 200, body: { action: 'read_ledger', effect: 'read', input: '{"year":2026}', encrypted: false, attempt: 1, lease_seconds: 30, heartbeat_seconds: 10 } })
  t.ok(claimed.body.deadline_ms > 20_000 && claimed.body.deadline_ms <= 30_000)
  t.match(await it.claim(), { status: 200, body: { input: '{"year":2026}', attempt: 1 } }, 'claimed twice by one: the first answer was lost')
  t.match(await status(offer.invocation_id), { state: 'running', result: null, problem: null })
  t.match(await it.heartbeat(), { status: 200, body: { cancel: false, lease_seconds: 30 } })
  t.match(await it.result({ outcome: 'succeeded', output: '{"total": 12345678901234567890, "rows": []}' }), { status: 204 })
  t.match(await it.result({ outcome: 'succeeded', output: '{"total": 1}' }), { status: 204 }, 'said twice')
  const result = await answer
  t.match(result, { status: 200, body: { invocation_id: offer.invocation_id, outcome: 'succeeded', provider: null, agent_id: agent.id, attempts: 1, replayed: false } })
  t.match(result.text, /"total":12345678901234567890/, 'a number stays what it is')
  t.match(await it.claim(), { status: 409, body: { code: 'lease_lost' } })
  t.match(await status(offer.invocation_id), { state: 'ended', result: { outcome: 'succeeded' } })
  t.same((await events()).slice(-2), ['invoke.started ok', 'invoke.finished ok'])
  const [row] = await vault.database.query<{ input: Buffer | null, result: Buffer }>('select input, result from relay_invocations order by id desc limit 1')
  t.equal(row?.input, null, 'the input is gone')
  t.notMatch(row?.result.toString('latin1'), /total/, 'the result is sealed')

  const failing = invoke({ action: 'post_entry', input: {} })
  const [second] = (await agent.poll(5)).body.invocations
  await agent.of(second).claim()
  t.match(await agent.of(second).result({ outcome: 'failed', error: { class: 'action_failed', message: 'The books are closed.' } }), { status: 204 })
  t.match(await failing, { status: 200, body: { outcome: 'failed', output: null, error: { class: 'action_failed', message: 'The books are closed.' } } })
})

t.test('results that do not fit', async (t) => {
  const { invoke, agent } = await stage()
  const answer = invoke({ action: 'read_ledger', input: { year: 1 } })
  const [offer] = (await agent.poll(5)).body.invocations
  const it = agent.of(offer)
  t.match(await it.result({ outcome: 'succeeded', output: '1' }), { status: 409, body: { code: 'lease_lost' } }, 'before it was claimed')
  await it.claim()
  t.match(await it.result({ outcome: 'succeeded', output: '{"a":' }), { status: 400, body: { code: 'request_invalid', errors: [{ pointer: '/output', message: 'is no JSON' }] } })
  t.match(await it.result({ outcome: 'succeeded', output: JSON.stringify('x'.repeat(1_048_576)) }), { status: 413, body: { code: 'result_too_large' } })
  for (const [deep, detail] of [['['.repeat(100_000) + ']'.repeat(100_000), /deeper than 200/], [`${'{"a":'.repeat(201)}1${'}'.repeat(201)}`, /deeper than 200/]] as const) {
    t.match(await it.result({ outcome: 'succeeded', output: deep }), { status: 413, body: { code: 'result_too_large', detail } })
  }
  t.match(await it.result({ outcome: 'succeeded', output: `[${'{},'.repeat(100_000)}0]` }), { status: 413, body: { code: 'result_too_large', detail: /more than 100000 objects and arrays/ } })
  for (let number = 0; number < 3; number++) await it.chunk(number, `${number === 0 ? '[' : ''}${'1,'.repeat(340_000)}${number === 2 ? '0]' : ''}`)
  t.match(await it.result({ outcome: 'succeeded', chunks: 3 }), { status: 413, body: { code: 'result_too_large', detail: /more than 1000000 elements/ } })
  t.match(await it.result({ outcome: 'won', output: '1' }), { status: 400 })
  t.match(await it.result({ outcome: 'succeeded', output: '1', chunks: 1 }), { status: 400, body: { errors: [{ pointer: '/chunks' }] } })
  t.match(await it.result({ outcome: 'succeeded', chunks: 4 }), { status: 400, body: { errors: [{ pointer: '/chunks' }] } }, 'pieces that were never sent')
  const piece = 'x'.repeat(1_048_576 - 1)
  t.match(await it.chunk(0, `"${piece}`), { status: 204 })
  for (let number = 1; number < 32; number++) await it.chunk(number, piece)
  t.match(await it.chunk(32, piece), { status: 413, body: { code: 'result_too_large' } }, '33 MB')
  t.match(await it.result({ outcome: 'succeeded', chunks: 32 }), { status: 400, body: { errors: [{ pointer: '/output', message: 'is no JSON' }] } })
  t.match(await it.chunk(31, `${piece.slice(1)}"`), { status: 204 }, 'sent again')
  t.match(await it.result({ outcome: 'succeeded', chunks: 32 }), { status: 204 })
  const { status, body } = await answer
  t.equal(status, 200)
  t.ok(body.output.length > 33_000_000, `${body.output.length as number} characters came through`)

  const stranger = await wire.join(await newGroup(), ACTIONS)
  t.match(await wire.call(`invocations/${offer.invocation_id as string}/result`, { lease_token: offer.lease_token, outcome: 'succeeded', output: '1' }, stranger.token), { status: 404 }, 'of another group')
  t.match(await wire.call(`invocations/${offer.invocation_id as string}/claim`, { lease_token: offer.lease_token }, stranger.token), { status: 404 })
  t.match(await wire.call('poll', { capacity: 1, wait_seconds: 0 }), { status: 401, body: { code: 'agent_unauthenticated' } })
  t.match(await wire.call('poll', { capacity: 0, wait_seconds: 51 }, agent.token), { status: 400 })
})

t.test('leases that are lost', async (t) => {
  const { invoke, agent, group, status, events } = await stage()
  const other = await wire.join(group, ACTIONS)

  t.comment('an offer that nobody claims')
  const first = invoke({ action: 'set_rate', input: {} })
  const [unclaimed] = (await agent.poll(5)).body.invocations
  t.match(await other.poll(), { status: 204 })
  await later(11, ['offer_until'])
  const [again] = (await other.poll(5)).body.invocations
  t.equal(again.invocation_id, unclaimed.invocation_id, 'goes to somebody else')
  t.match(await agent.of(unclaimed).claim(), { status: 409, body: { code: 'lease_lost' } })

  t.comment('an idempotent call whose agent falls silent')
  const lost = other.of(again)
  await lost.claim()
  await later(31, ['lease_until'])
  const [third] = (await agent.poll(5)).body.invocations
  t.equal(third.invocation_id, again.invocation_id, 'is run again')
  t.match(await agent.of(third).claim(), { status: 200, body: { attempt: 2 } })
  t.match(await lost.result({ outcome: 'succeeded', output: '"late"' }), { status: 409, body: { code: 'lease_lost' } }, 'and who ran it first comes too late')
  await agent.of(third).result({ outcome: 'succeeded', output: '"second"' })
  t.match(await first, { status: 200, body: { output: 'second', attempts: 2 } })
  t.same((await events()).slice(-4), ['invoke.started ok', 'invoke.requeued ok', 'invoke.result_refused refused', 'invoke.finished ok'])

  t.comment('its result comes before anybody else has taken it')
  const fourth = invoke({ action: 'read_ledger', input: { year: 1 } })
  const [quick] = (await agent.poll(5)).body.invocations
  await agent.of(quick).claim()
  await later(31, ['lease_until'])
  await vault.database.query("update agents set actions = '[]', announced_at = vault_now()")
  while ((await status(quick.invocation_id)).state !== 'queued') await new Promise((resolve) => { setTimeout(resolve, 50) })
  t.match(await agent.of(quick).result({ outcome: 'succeeded', output: '"after all"' }), { status: 204 })
  t.match(await fourth, { status: 200, body: { output: 'after all', attempts: 1 } })
})

t.test('an unsafe call is handed out once', async (t) => {
  const { invoke, agent, status, events } = await stage()
  const answer = invoke({ action: 'post_entry', input: {} }, { 'idempotency-key': 'entry-1' })
  const [offer] = (await agent.poll(5)).body.invocations
  const it = agent.of(offer)
  await it.claim()
  await later(31, ['lease_until'])
  t.match(await answer, { status: 502, body: { code: 'outcome_unknown', invocation_id: offer.invocation_id } })
  t.match(await agent.poll(), { status: 204 }, 'nobody gets it again')
  t.match(await it.heartbeat(), { status: 409, body: { code: 'lease_lost' } })
  t.match(await status(offer.invocation_id), { state: 'ended', result: null, problem: { code: 'outcome_unknown' } })
  t.match(await invoke({ action: 'post_entry', input: {} }, { 'idempotency-key': 'entry-1' }), { status: 502, body: { code: 'outcome_unknown' } }, 'the same for a repeat with its key')
  t.match(await it.result({ outcome: 'succeeded', output: '"posted"' }), { status: 204 }, 'its late word is the only truth')
  t.match(await status(offer.invocation_id), { state: 'ended', result: { outcome: 'succeeded', output: 'posted' }, problem: null })
  t.match(await invoke({ action: 'post_entry', input: {} }, { 'idempotency-key': 'entry-1' }), { status: 200, body: { output: 'posted', replayed: true } })
  t.same((await events()).slice(-5), ['invoke.started ok', 'invoke.finished unknown', 'invoke.replayed ok', 'invoke.result_late ok', 'invoke.replayed ok'])
})

t.test('deadlines', async (t) => {
  const { invoke, agent, status } = await stage()
  t.match(await invoke({ action: 'set_rate', input: {}, timeout_ms: 300 }), { status: 503, body: { code: 'agent_offline', detail: /Nothing was run/ } }, 'nobody took it')
  t.match(await agent.poll(), { status: 204 }, 'and nobody will')
  for (const [action, code] of [['read_ledger', 'upstream_timeout'], ['post_entry', 'outcome_unknown']] as const) {
    const answer = invoke({ action, input: { year: 1 }, timeout_ms: 1_000 })
    const [offer] = (await agent.poll(5)).body.invocations
    t.match(await agent.of(offer).claim(), { status: 200, body: { deadline_ms: Number } })
    t.match(await answer, { body: { code } })
    t.match(await agent.of(offer).heartbeat(), { status: 200, body: { cancel: true } }, 'its agent is told to stop')
    t.match(await agent.of(offer).result({ outcome: 'unknown' }), { status: 204 })
    t.match(await status(offer.invocation_id), { state: 'ended', problem: { code: 'outcome_unknown' } })
  }
})

t.test('answered later', async (t) => {
  const { invoke, agent, status, group } = await stage()
  const asked = await invoke({ action: 'set_rate', input: { rate: 1 }, mode: 'async' }, { 'idempotency-key': 'rate-1' })
  t.match(asked, { status: 202, body: { invocation_id: /^inv_/, state: 'queued', status_url: `${W}/invocations/${asked.body.invocation_id as string}`, replayed: false } })
  t.equal(asked.headers.get('location'), asked.body.status_url)
  t.match(await invoke({ action: 'set_rate', input: { rate: 1 }, mode: 'async' }, { 'idempotency-key': 'rate-1' }), { status: 202, body: { invocation_id: asked.body.invocation_id, replayed: true } })
  t.match(await invoke({ action: 'set_rate', input: { rate: 2 }, mode: 'async' }, { 'idempotency-key': 'rate-1' }), { status: 409, body: { code: 'idempotency_conflict' } })
  t.match(await status(asked.body.invocation_id), { state: 'queued', action: 'set_rate', result: null, problem: null })
  const [offer] = (await agent.poll(5)).body.invocations
  await agent.of(offer).claim()
  await agent.of(offer).result({ outcome: 'succeeded', output: 'null' })
  t.match(await status(asked.body.invocation_id), { state: 'ended', result: { outcome: 'succeeded', output: null, agent_id: agent.id } })
  t.match(await vault.request('GET', `/v1/workspaces/other/invocations/${asked.body.invocation_id as string}`), { status: 404 })
  const live = await vault.mint({ preset: 'runtime', environments: ['live'] })
  t.match(await vault.request('GET', `${W}/invocations/${asked.body.invocation_id as string}`, { token: live }), { status: 404 })

  t.comment('cancelled')
  const queued = await invoke({ action: 'post_entry', input: {}, mode: 'async' })
  t.match(await vault.request('POST', `${W}/invocations/${queued.body.invocation_id as string}/cancel`), { status: 200, body: { state: 'ended', problem: { code: 'invocation_cancelled' } } })
  const running = await invoke({ action: 'post_entry', input: {}, mode: 'async' })
  const [taken] = (await agent.poll(5)).body.invocations
  t.equal(taken.invocation_id, running.body.invocation_id, 'the cancelled one is not offered')
  await agent.of(taken).claim()
  t.match(await vault.request('POST', `${W}/invocations/${running.body.invocation_id as string}/cancel`), { status: 200, body: { state: 'running', cancel_requested: true } })
  t.match(await agent.of(taken).heartbeat(), { body: { cancel: true } })
  await agent.of(taken).result({ outcome: 'succeeded', output: '1' })
  t.match(await vault.request('POST', `${W}/invocations/${running.body.invocation_id as string}/cancel`), { status: 200, body: { state: 'ended', result: { output: 1 } } }, 'its end stays')

  t.comment('nobody there')
  await vault.database.query("update agents set last_seen_at = last_seen_at - interval '2 minutes'")
  t.match(await invoke({ action: 'post_entry', input: {} }), { status: 503, body: { code: 'agent_offline' } })
  t.match(await invoke({ action: 'post_entry', input: {}, mode: 'async' }), { status: 503, body: { code: 'agent_offline' } })
  const patient = await invoke({ action: 'post_entry', input: {}, mode: 'async', queue_seconds: 3_600 })
  t.equal(patient.status, 202)
  await later(1_800)
  t.match(await agent.poll(5), { status: 200, body: { invocations: [{ invocation_id: patient.body.invocation_id }] } }, 'half an hour later')
  await later(1_801)
  const expired = async () => (await status(patient.body.invocation_id)).state === 'ended'
  while (!await expired()) await new Promise((resolve) => { setTimeout(resolve, 50) })
  t.match(await status(patient.body.invocation_id), { problem: { code: 'agent_offline' } })

  t.comment('and people are told')
  const types = async () => {
    const { events } = (await vault.request('GET', '/v1/events?limit=200')).body as { events: { type: string, data: { group_id?: string } }[] }
    return events.filter((event) => event.data.group_id === group).map((event) => event.type)
  }
  const until = async (expected: string[]) => {
    for (let tries = 0; tries < 200 && (await types()).length < expected.length; tries++) await new Promise((resolve) => { setTimeout(resolve, 100) })
    t.same(await types(), expected)
  }
  await until(['agent_group.online'])
  t.match(await vault.request('GET', `${W}/agent-groups/${group}`), { body: { online: true } })
  await vault.database.query("update agents set last_seen_at = last_seen_at - interval '2 minutes'")
  await until(['agent_group.online', 'agent_group.offline'])
})

t.test('revoked at every step', async (t) => {
  const { invoke, agent, group, status } = await stage()
  const second = await wire.join(group, ACTIONS)
  const answer = invoke({ action: 'post_entry', input: {} })
  const [offer] = (await agent.poll(5)).body.invocations
  await agent.of(offer).claim()
  const held = agent.poll(50)
  t.match(await vault.request('DELETE', `${W}/agent-groups/${group}/agents/${agent.id}`), { status: 204 })
  t.match(await held, { status: 403, body: { code: 'agent_revoked' } }, 'what it waits for is answered at once')
  for (const refused of [await agent.poll(), await agent.of(offer).claim(), await agent.of(offer).heartbeat(), await agent.of(offer).result({ outcome: 'succeeded', output: '1' }), await agent.of(offer).chunk(0, '1')]) {
    t.match(refused, { status: 403, body: { code: 'agent_revoked' } })
  }
  t.match(await answer, { status: 502, body: { code: 'outcome_unknown', detail: 'The agent that had it was revoked. Check before you repeat it.' } }, 'nobody waits for its lease')
  const next = invoke({ action: 'set_rate', input: {} })
  const [other] = (await second.poll(5)).body.invocations
  await second.of(other).claim()
  await second.of(other).result({ outcome: 'succeeded', output: '1' })
  t.match(await next, { status: 200 })
  t.match(await status(other.invocation_id), { result: { agent_id: second.id } })
})
