import { join } from 'node:path'
import t from 'tap'
import { createAgent } from '../../src/sdk/agent/index.ts'
import { createClient, VaultTimeoutError, type RequestEvent } from '../../src/sdk/client/index.ts'
import { makeFolder } from '../support/folder.ts'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

/** Calls that take their time, and a vault that is away for a while. */
const vault = await startTestVault()
t.teardown(async () => { await vault.close() })
const seen: RequestEvent[] = []
const client = createClient({ url: vault.urls.internal, token: vault.token, onRequest: (event) => { seen.push(event) } })
const W = { workspace_id: 'acme' }

t.test('a call that an agent makes later', async (t) => {
  const group = await client.createAgentGroup({ ...W, name: 'Client', environment: 'sandbox' })
  const { code } = await client.createEnrolmentCode({ ...W, group_id: group.id })
  const connection = await client.createConnection({ ...W, integration: 'private', environment: 'sandbox', name: 'Private', credentials: {}, config: { group: group.id } })
  const silent = { info: () => {}, warn: () => {}, error: () => {} }
  let finish: () => void = () => {}
  const finished = new Promise<void>((resolve) => { finish = resolve })
  const agent = createAgent({
    url: vault.urls.public, identityFile: join(makeFolder('agent'), 'identity.json'), enrolmentCode: code, log: silent,
    actions: { slow: { effect: 'unsafe', input: { type: 'object' }, run: async (input) => { await finished; return { given: input } } } },
  })
  const work = agent.start()
  t.teardown(async () => {
    await agent.stop()
    await work.catch(() => undefined)
  })
  await eventually(async () => (await client.getAgentGroup({ ...W, group_id: group.id })).online)

  const call = { ...W, connection_id: connection.id, environment: 'sandbox', action: 'slow', input: { x: 1 }, mode: 'async' } as const
  const accepted = await client.invoke(call, { idempotencyKey: 'run_1/slow' })
  t.match(accepted, { state: 'queued', replayed: false, invocation_id: /^inv_/ })
  const again = await client.invoke(call, { idempotencyKey: 'run_1/slow' })
  t.equal(again.invocation_id, accepted.invocation_id, 'under one key it is one call')
  const of = { ...W, invocation_id: accepted.invocation_id }
  t.match(await client.invocation(of), { state: /queued|running/, result: null })

  const error: unknown = await client.waitFor(of, { deadlineMs: 400 }).catch((thrown: unknown) => thrown)
  if (!(error instanceof VaultTimeoutError)) throw new Error('it did not end in time')
  t.match(error, { timeoutMs: 400, retryable: true, operation: 'getInvocation' })
  const reason = new Error('enough')
  const leaving = new AbortController()
  const left = client.waitFor(of, { signal: leaving.signal })
  setTimeout(() => { leaving.abort(reason) }, 50)
  t.equal(await left.catch((thrown: unknown) => thrown), reason)

  const waiting = client.waitFor(of)
  finish()
  t.match(await waiting, { state: 'ended', result: { outcome: 'succeeded', output: { given: { x: 1 } } }, problem: null })
  await t.rejects(client.waitFor({ ...W, invocation_id: connection.id }), { name: 'VaultApiError', status: 400, code: 'request_invalid' })
  await t.rejects(client.invocation({ workspace_id: 'other', invocation_id: accepted.invocation_id }), { code: 'not_found', status: 404 })

  // A wait outlasts the vault.
  const next = await client.invoke({ ...call, input: { x: 2 } })
  await vault.database.setReachable(false)
  seen.length = 0
  const through = client.waitFor({ ...W, invocation_id: next.invocation_id }, { retries: 0 })
  await eventually(async () => seen.some(({ status, failure }) => status === 503 && failure === 'database_unavailable'))
  await vault.database.setReachable(true)
  t.match(await through, { state: 'ended', result: { output: { given: { x: 2 } } } })
})

t.test('a vault whose database is away for a moment', async (t) => {
  const connection = await client.createConnection({ ...W, integration: 'stripe', environment: 'sandbox', name: 'Stripe', credentials: { secret_key: STRIPE_KEY } })
  const of = { ...W, connection_id: connection.id }
  await vault.database.setReachable(false)
  seen.length = 0
  await t.rejects(client.updateConnection({ ...of, name: 'Other' }, { ifMatch: connection.etag }), { code: 'database_unavailable', status: 503, retryable: true, attempts: 1, retryAfterMs: 1_000 })
  const resolving = client.resolve({ ...of, environment: 'sandbox' }, { retries: 10 })
  await eventually(async () => seen.some(({ operation, retryInMs }) => operation === 'resolveConnection' && retryInMs !== undefined && retryInMs >= 1_000))
  await vault.database.setReachable(true)
  t.equal((await resolving).credentials['secret_key'], STRIPE_KEY)
  t.match(seen.at(-1), { operation: 'resolveConnection', status: 200 })
})
