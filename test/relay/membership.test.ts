import { sign } from 'node:crypto'
import t from 'tap'
import { createWire, newAgentKeys, signChallenge } from '../support/agent.ts'
import { startTestVault } from '../support/vault.ts'

/** How a program in a customer's network becomes an agent, shows that it is one, and stops being one. */
const vault = await startTestVault()
t.teardown(async () => { await vault.close() })
const W = '/v1/workspaces/acme/agent-groups'

const { call, newCode, enrol, login, join } = createWire(vault)
let made = 0
const newGroup = async (environment = 'sandbox') => (await vault.request('POST', W, { body: { name: `Group ${++made}`, environment } })).body.id as string
const ACTION = { name: 'read_ledger', effect: 'read', input: { type: 'object', properties: { year: { type: 'integer' } }, additionalProperties: false } }
const announcement = (actions: unknown[] = [ACTION], more = {}) => ({ sdk_version: '0.1.0', protocol_version: 1, host: 'erp-1', actions, ...more })

t.test('groups', async (t) => {
  const created = await vault.request('POST', W, { body: { name: 'ERP', environment: 'sandbox' } })
  t.match(created, { status: 201, body: { id: /^grp_/, workspace_id: 'acme', name: 'ERP', environment: 'sandbox' } })
  t.match(await vault.request('POST', W, { body: { name: ' erp ', environment: 'sandbox' } }), { status: 409, body: { code: 'name_taken' } })
  t.match(await vault.request('POST', W, { body: { name: 'ERP', environment: 'live' } }), { status: 201 })
  for (const name of ['a\u0007b', 'a\nb', 'a\u202eb', 'a\u2066b', ' ']) t.match(await vault.request('POST', W, { body: { name, environment: 'sandbox' } }), { status: 400, body: { code: 'request_invalid' } }, JSON.stringify(name))
  t.match(await vault.request('GET', `${W}?environment=live`), { body: { agent_groups: [{ environment: 'live' }], next_cursor: null } })
  const page = await vault.request('GET', `${W}?limit=1`)
  t.match(await vault.request('GET', `${W}?limit=1&cursor=${page.body.next_cursor as string}`), { body: { agent_groups: [{ id: created.body.id as string }], next_cursor: null } })
  const sandbox = await vault.mint({ scopes: ['agents:write', 'connections:read'], environments: ['sandbox'] })
  const live = (await vault.request('GET', `${W}?environment=live`)).body.agent_groups[0].id as string
  t.match(await vault.request('GET', `${W}/${live}`, { token: sandbox }), { status: 404 }, 'of no other environment')
  t.match(await vault.request('POST', `${W}/${live}/enrolment-codes`, { token: sandbox }), { status: 404 })
  t.match(await vault.request('POST', W, { token: sandbox, body: { name: 'x', environment: 'live' } }), { status: 404 })
  t.match(await vault.request('DELETE', `${W}/${live}`), { status: 204 })
  t.match(await vault.request('GET', `${W}/${live}`), { status: 404 })
  t.match(await vault.request('POST', W, { body: { name: 'חשבונות ＥＲＰ', environment: 'sandbox' } }), { status: 201 }, 'from right to left by itself')
})

t.test('enrolment', async (t) => {
  const group = await newGroup()
  const issued = await vault.request('POST', `${W}/${group}/enrolment-codes`)
  t.match(issued, { status: 201, body: { code: /^cve_[\w-]{43}$/, expires_at: /Z$/ } })
  const { publicKey } = newAgentKeys()
  const bring = async (code: string, key = publicKey) => await call('enrol', { code, public_key: key, name: 'box' })
  t.match(await bring('cve_guess'), { status: 403, body: { code: 'enrolment_refused' } }, 'guessed')
  const notKeys = ['A'.repeat(42), 'A'.repeat(44), `${'A'.repeat(42)}!`]
  for (const key of notKeys) t.match(await bring(issued.body.code as string, key), { status: 400, body: { code: 'request_invalid' } }, key)
  t.match(await bring(issued.body.code as string), { status: 201, body: { agent_id: /^agt_/, group_id: group, workspace_id: 'acme', environment: 'sandbox' } })
  t.match(await bring(issued.body.code as string), { status: 403, body: { code: 'enrolment_refused' } }, 'used')
  const old = await newCode(group)
  const raced = await newCode(group)
  t.strictSame((await Promise.all([bring(raced), bring(raced), bring(raced)])).map(({ status }) => status).sort(), [201, 403, 403], 'of three at once, one')
  await vault.database.advance('16 minutes')
  t.match(await bring(old), { status: 403, body: { code: 'enrolment_refused' } }, 'expired')
  t.match((await vault.request('GET', `${W}/${group}/agents`)).body.agents, [{ name: 'box', revoked_at: null, host: null }, { name: 'box' }])
  t.notMatch(JSON.stringify(await vault.database.query('select * from enrolment_codes')), /cve_/)
  await vault.database.advance('0')
})

t.test('a group and a code that are asked for twice are made once', async (t) => {
  const under = (key: string) => ({ headers: { 'idempotency-key': key } })
  const body = { name: 'Once', environment: 'sandbox' }
  const first = await vault.request('POST', W, { body, ...under('group-1') })
  const second = await vault.request('POST', W, { body, ...under('group-1') })
  t.match([first.status, second.status], [201, 201])
  t.strictSame(second.body, first.body)
  t.strictSame([first.headers.get('idempotent-replayed'), second.headers.get('idempotent-replayed')], [null, 'true'])
  const conflict = { status: 409, body: { code: 'idempotency_conflict' } }
  t.match(await vault.request('POST', W, { body: { ...body, name: 'Twice' }, ...under('group-1') }), conflict)
  const raced = await Promise.all(Array.from({ length: 5 }, async () => await vault.request('POST', W, { body: { ...body, name: 'Raced' }, ...under('race') })))
  t.equal(new Set(raced.map((one) => one.body.id as string)).size, 1)
  t.equal(raced.filter((one) => one.headers.get('idempotent-replayed') === null).length, 1)
  t.match(await vault.request('POST', '/v1/workspaces/other/agent-groups', { body: { ...body, name: 'Elsewhere' }, ...under('group-1') }), { status: 201 }, 'keys are a workspace’s own')

  const codes = `${W}/${first.body.id as string}/enrolment-codes`
  const code = await vault.request('POST', codes, under('code-1'))
  const again = await vault.request('POST', codes, under('code-1'))
  t.match([code.status, again.status], [201, 201])
  t.strictSame(again.body, { expires_at: code.body.expires_at as string }, 'without the code')
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  t.match(await vault.request('POST', `${W}/${raced[0]?.body.id as string}/enrolment-codes`, under('code-1')), conflict, 'of another group')
  t.match(await vault.database.query("select count(*)::int as n from audit_events where event = 'enrolment_code.created' and details->>'group_id' = $1", [first.body.id]), [{ n: 1 }])
  t.match(await call('enrol', { code: code.body.code, public_key: newAgentKeys().publicKey, name: 'box\u0007' }), { status: 400, body: { errors: [{ pointer: '/name' }] } })
  t.match(await call('enrol', { code: code.body.code, public_key: newAgentKeys().publicKey, name: 'box' }), { status: 201 })
  t.match(await vault.request('POST', codes, under('code-1')), conflict, 'used')
  t.match(await vault.request('POST', codes, under('not a key')), { status: 400, body: { code: 'request_invalid' } })

  const gone = raced[0]?.body.id as string
  t.match(await vault.request('DELETE', `${W}/${gone}`), { status: 204 })
  t.match(await vault.request('POST', W, { body: { ...body, name: 'Raced' }, ...under('race') }), conflict, 'deleted since')
})

t.test('a signature for a challenge, a token for a signature', async (t) => {
  const agent = await enrol(await newGroup())
  const other = await enrol(await newGroup())
  const { challenge } = (await call('challenge', { agent_id: agent.id })).body as { challenge: string }
  const refused = { status: 401, body: { code: 'agent_unauthenticated' } }
  t.match(await call('token', { challenge, signature: signChallenge(other.keys, challenge) }), refused, 'of another agent')
  t.match(await call('token', { challenge, signature: sign(null, Buffer.from(challenge), agent.keys.privateKey).toString('base64url') }), refused, 'of the bare challenge')
  t.match(await call('token', { challenge: challenge.replace(agent.id, other.id), signature: signChallenge(other.keys, challenge.replace(agent.id, other.id)) }), refused, 'of a challenge that was changed')
  t.match(await call('token', { challenge: `${challenge}x`, signature: signChallenge(agent.keys, `${challenge}x`) }), refused)
  const token = await call('token', { challenge, signature: signChallenge(agent.keys, challenge) })
  t.match(token, { status: 200, body: { access_token: /^cva\./, token_type: 'Bearer', expires_in: 600 } })
  t.match(await call('token', { challenge, signature: signChallenge(agent.keys, challenge) }), refused, 'a challenge is answered once')
  const nobody = (await call('challenge', { agent_id: 'agt_00000000000000000000000000' })).body['challenge'] ?? ''
  t.match(nobody, /^cvc\./, 'whether there is such an agent is not said')
  t.match(await call('token', { challenge: nobody, signature: signChallenge(agent.keys, nobody) }), refused)
  for (const wrong of [undefined, 'nonsense', challenge, `${token.body['access_token'] ?? ''}x`, vault.token]) t.match(await call('announce', announcement(), wrong), refused)
  t.match(await call('announce', announcement(), token.body['access_token']), { status: 200, body: { agent_id: agent.id } })
})

t.test('what an agent can run', async (t) => {
  const group = await newGroup()
  const [one, two] = [await enrol(group), await enrol(group)]
  const [first, second] = [(await login(one)).body['access_token'], (await login(two)).body['access_token']]
  t.match(await call('announce', announcement(), first), { status: 200 })
  t.match(await call('announce', announcement([ACTION, { ...ACTION, name: 'post_entry', effect: 'unsafe', output: { type: 'object' } }]), second), { status: 200 })
  t.match((await vault.request('GET', `${W}/${group}`)).body, { actions: [{ name: 'post_entry', effect: 'unsafe', agents: 1, output: {} }, { name: 'read_ledger', agents: 2, output: null }], conflicts: [] })
  t.match(await call('announce', announcement([{ ...ACTION, effect: 'unsafe' }]), first), { status: 200 })
  t.match((await vault.request('GET', `${W}/${group}`)).body, { conflicts: ['read_ledger'] })
  t.match((await vault.request('GET', `${W}/${group}/agents`)).body.agents, [{ host: 'erp-1', sdk_version: '0.1.0', protocol_version: 1, last_seen_at: /Z$/ }, {}])
  t.match(await call('announce', announcement([ACTION], { host: 'erp\u202e1' }), first), { status: 400, body: { errors: [{ pointer: '/host' }] } })
  t.match(await call('announce', announcement([], { protocol_version: 2 }), first), { status: 426, body: { code: 'agent_outdated', detail: /version 1 to 1/ } })
  const wrong: [unknown[], RegExp][] = [[[ACTION, ACTION], /^\/actions\/1\/name$/], [[{ ...ACTION, name: 'Read' }], /^\/actions\/0\/name$/], [[{ ...ACTION, effect: 'maybe' }], /^\/actions\/0\/effect$/], [[{ ...ACTION, extra: 1 }], /extra/], [[{ ...ACTION, input: 5 }], /^\/actions\/0\/input$/]]
  const third = (await login(await enrol(group))).body['access_token']
  for (const [actions, pointer] of wrong) t.match(await call('announce', announcement(actions), third), { status: 400, body: { code: 'request_invalid', errors: [{ pointer }] } }, pointer.source)
  const fourth = (await login(await enrol(group))).body['access_token']
  t.match(await call('announce', announcement([{ ...ACTION, input: { type: 'object', properties: { a: { pattern: '(a+)+$' } } } }]), fourth), { status: 200 }, 'a pattern is shown and not run')
  const doubling = Object.fromEntries(Array.from({ length: 45 }, (_, at) => [`d${at}`, at === 44 ? { type: 'object' } : { allOf: [{ $ref: `#/$defs/d${at + 1}` }, { $ref: `#/$defs/d${at + 1}` }] }]))
  const endless = await call('announce', announcement([{ ...ACTION, input: { $ref: '#/$defs/d0', $defs: doubling } }]), fourth)
  t.match(endless, { status: 400, body: { errors: [{ pointer: '/actions/0/input', message: 'takes too long to check' }] } }, 'nor does a schema hold up everybody')
  const many = await call('announce', announcement(Array.from({ length: 30 }, (_, at) => ({ ...ACTION, name: `a${at}`, input: { $ref: '#/$defs/d0', $defs: doubling } }))), fourth)
  t.equal(many.status, 400)
  t.ok((many.body['errors'] as unknown as object[]).length < 20, 'nor do many')
  let refused: Awaited<ReturnType<typeof call>> | undefined
  for (let sent = 0; refused === undefined && sent < 6; sent++) {
    const answer = await call('announce', announcement(), second)
    if (answer.status !== 200) refused = answer
  }
  t.match(refused, { status: 429, body: { code: 'rate_limited' } }, 'what is compiled is bounded')
  t.match(await call('announce', announcement(), first), { status: 200 }, 'for each agent')
})

t.test('revoked, at once', async (t) => {
  const group = await newGroup()
  const agent = await enrol(group)
  const token = (await login(agent)).body['access_token']
  t.match(await call('announce', announcement(), token), { status: 200 })
  t.match(await vault.request('DELETE', `${W}/${group}`), { status: 409, body: { code: 'agent_group_in_use', agents: [{ id: agent.id, name: 'box 1' }] } })
  t.match(await vault.request('DELETE', `${W}/${await newGroup()}/agents/${agent.id}`), { status: 404 }, 'of another group')
  t.match(await vault.request('DELETE', `${W}/${group}/agents/${agent.id}`), { status: 204 })
  t.match(await vault.request('DELETE', `${W}/${group}/agents/${agent.id}`), { status: 204 }, 'again changes nothing')
  t.match(await call('announce', announcement(), token), { status: 403, body: { code: 'agent_revoked' } }, 'although its token lasts')
  t.match(await login(agent), { status: 403, body: { code: 'agent_revoked' } })
  t.match((await vault.request('GET', `${W}/${group}`)).body, { actions: [] })
  t.match(await vault.request('DELETE', `${W}/${group}`), { status: 204 })
  const events = (await vault.request('GET', '/v1/workspaces/acme/audit-events?limit=200')).body.audit_events as { event: string, principal: { kind: string }, details: Record<string, string> | null }[]
  const told = events.filter(({ details }) => details?.['group_id'] === group).map(({ event, principal }) => `${event} ${principal.kind}`)
  t.strictSame(told, ['agent_group.deleted service_token', 'agent.revoked service_token', 'agent.enrolled agent', 'enrolment_code.created service_token', 'agent_group.created service_token'])
})

t.test('a group between its agents', async (t) => {
  const group = await newGroup()
  const connection = `/v1/workspaces/acme/connections/${(await vault.request('POST', '/v1/workspaces/acme/connections', { body: { integration: 'private', environment: 'sandbox', name: 'Between', credentials: {}, config: { group } } })).body.id as string}`
  const invoke = async (body: object, more: Record<string, string> = {}) => await vault.request('POST', `${connection}/invoke`, { body: { environment: 'sandbox', ...body }, headers: more })
  const actions = [ACTION, { name: 'post_entry', effect: 'unsafe', input: { type: 'object' } }]
  t.match(await invoke({ action: 'post_entry', input: {} }), { status: 503, body: { code: 'agent_offline' } }, 'nobody has joined it yet')
  const agent = await join(group, actions)
  const done = invoke({ action: 'post_entry', input: {} }, { 'idempotency-key': 'entry-2' })
  const [offer] = (await agent.poll(5)).body.invocations
  await agent.of(offer).claim()
  await agent.of(offer).result({ outcome: 'succeeded', output: '1' })
  t.match(await done, { status: 200 })
  await vault.request('DELETE', `${W}/${group}/agents/${agent.id}`)
  t.match(await invoke({ action: 'post_entry', input: {} }), { status: 503, body: { code: 'agent_offline' } }, 'its only agent was replaced: to be tried again')
  t.match(await invoke({ action: 'post_entry', input: {}, mode: 'async' }), { status: 503, body: { code: 'agent_offline' } })
  t.match(await invoke({ action: 'post_entry', input: {} }, { 'idempotency-key': 'entry-2' }), { status: 200, body: { replayed: true } }, 'what is done is known')
  t.match(await invoke({ action: 'post_entry', input: {}, dry_run: true }), { body: { relay: { effect: 'unsafe', agents: 0, agents_online: 0 } } })
  const patient = await invoke({ action: 'read_ledger', input: { year: 'x' }, mode: 'async', queue_seconds: 60 })
  t.equal(patient.status, 202)
  const next = await join(group, actions)
  const [waiting] = (await next.poll(5)).body.invocations
  t.match(waiting, { invocation_id: patient.body.invocation_id, effect: 'unsafe' }, 'waits for the next; nobody could say what repeating it comes to')
  await next.of(waiting).claim()
  await next.of(waiting).result({ outcome: 'failed', error: { class: 'input', message: '/year' } })
  t.match((await vault.request('GET', `/v1/workspaces/acme/invocations/${patient.body.invocation_id as string}`)).body, { state: 'ended', result: { error: { class: 'input' } } })
  t.match(await invoke({ action: 'unknown' }), { status: 404, body: { code: 'action_unknown' } })
  await vault.request('PATCH', connection, { body: { allowed_actions: ['set_rate'] }, headers: { 'if-match': '*' } })
  await vault.request('DELETE', `${W}/${group}/agents/${next.id}`)
  t.match(await invoke({ action: 'post_entry', input: {}, queue_seconds: 5 }), { status: 403, body: { code: 'action_not_allowed' } })
  const broken = await join(group, actions)
  await vault.request('PATCH', connection, { body: { allowed_actions: null }, headers: { 'if-match': '*' } })
  await vault.database.query('update agents set actions = $2, announced_at = vault_now() where id = $1', [broken.id, JSON.stringify([{ name: 'odd', effect: 'read', input: { $ref: '#/nowhere' } }])])
  t.match(await invoke({ action: 'odd', input: {} }), { status: 422, body: { code: 'input_invalid', errors: [{ pointer: '/input', message: /no JSON Schema/ }] } }, 'a schema that was not looked at when it was announced')
})

t.test('strangers knock in vain, and in nobody’s way', async (t) => {
  const knock = async (code: string) => await call('enrol', { code, public_key: newAgentKeys().publicKey, name: 'x' })
  const repeated: number[] = []
  for (let times = 0; times < 7; times++) repeated.push((await knock('cve_again')).status)
  t.strictSame(repeated, [403, 403, 403, 403, 403, 429, 429], 'one code, a few times')
  const answers: Awaited<ReturnType<typeof knock>>[] = []
  for (let round = 0; round < 13; round++) answers.push(...await Promise.all(Array.from({ length: 50 }, async (_, index) => await knock(`cve_${round}_${index}`))))
  t.ok(answers.every(({ status }) => status === 403 || status === 429))
  t.equal(answers.at(0)?.status, 403)
  t.match(answers.at(-1), { status: 429, body: { code: 'rate_limited' } }, 'all together')
  const group = await newGroup()
  t.match(await enrol(group), { id: /^agt_/ }, 'who has a code is let in from the same address')
  const code = await newCode(group)
  t.strictSame((await Promise.all([knock(code), knock(code)])).map(({ status }) => status).sort(), [201, 429], 'once')
  t.match((await fetch(`${vault.urls.internal}/v1/agent/enrol`, { method: 'POST' })).status, 404, 'not on the inside')
  t.notMatch(vault.logs.join('\n'), /cve_[\w-]{43}|cva\./)
})

t.test('an agent that asks too often is told so, and no other', async (t) => {
  const group = await newGroup()
  const [eager, other] = [await enrol(group), await enrol(group)]
  const asked = await Promise.all(Array.from({ length: 70 }, async () => (await call('challenge', { agent_id: eager.id })).status))
  t.equal(asked.filter((status) => status === 200).length, 60)
  t.equal((await call('challenge', { agent_id: eager.id })).status, 429)
  t.match(await login(other), { status: 200 })
  const { challenge } = (await call('challenge', { agent_id: other.id })).body
  const guess = async () => (await call('token', { challenge, signature: 'A'.repeat(86) })).status
  const guesses = await Promise.all(Array.from({ length: 61 }, guess))
  t.ok(guesses.every((status) => status === 401 || status === 429))
  t.equal(await guess(), 429)
  t.match(await login(other), { status: 200 }, 'with another challenge')
})
