import t from 'tap'
import { createClient, VaultConnectionError, VaultError, VaultTimeoutError, type ClientOptions, type RequestEvent } from '../../src/sdk/client/index.ts'
import { C, calls, failed, GOOD, ONCE, REPEATABLE, TOKEN } from '../support/client-calls.ts'
import { answers, startMisbehaving, type Behaviour } from '../support/misbehaving.ts'
import { eventually } from '../support/vault.ts'

/** When the client sends a request again, and how long it waits. */
const server = await startMisbehaving()
t.teardown(async () => { await server.close() })

const { json, problem, html, drop, dropWithin, hang, hangWithin, later } = answers
const connect = (more: Partial<ClientOptions> = {}) => createClient({ url: server.url, token: TOKEN, ...more })

t.test('what is sent again, and what is not', async (t) => {
  const client = connect()
  const broken: Record<string, Behaviour> = { drop, dropWithin, gateway: html(502), away: problem(503, 'database_unavailable', { retryable: true }), keys: problem(503, 'kek_unavailable', { retryable: true }) }
  for (const [name, behaviour] of Object.entries(broken)) {
    for (const call of REPEATABLE) {
      server.script(behaviour, GOOD)
      await t.resolves(calls[call](client), `${call} after ${name}`)
      t.equal(server.heard.length, 2)
      t.same(server.heard[0], server.heard[1], 'the same request, under the same key')
    }
    for (const call of ONCE) {
      server.script(behaviour, GOOD)
      await failed(t, calls[call](client), VaultError, { attempts: 1, mayHaveArrived: true })
      t.equal(server.heard.length, 1, `${call} after ${name}: once`)
    }
  }
  server.script(drop)
  await failed(t, calls.resolve(client), VaultConnectionError, { attempts: 3, reason: 'broken', retryable: true, mayHaveArrived: true })
  await failed(t, calls.bare(client), VaultConnectionError, { attempts: 1, reason: 'broken', retryable: false, mayHaveArrived: true })
  server.script(drop)
  await failed(t, client.resolve(C, { retries: 0 }), VaultConnectionError, { attempts: 1 })
  t.equal(server.heard.length, 1)
})

t.test('keys', async (t) => {
  server.script(GOOD)
  const client = connect()
  await calls.create(client)
  await calls.create(client)
  await calls.keyed(client)
  await calls.bare(client)
  await calls.post(client)
  await calls.code(client)
  await client.createConnection({ workspace_id: 'acme', integration: 'stripe', environment: 'sandbox', name: 'A', credentials: {} }, { idempotencyKey: 'mine' })
  const keys = server.heard.map(({ headers }) => headers['idempotency-key'])
  t.match(keys.slice(0, 2), [/^[0-9a-f-]{36}$/, /^[0-9a-f-]{36}$/])
  t.not(keys[0], keys[1])
  t.same(keys.slice(2), ['run_1/step_1', undefined, undefined, undefined, 'mine'])
})

t.test('turned away before anything was done: sent again, whatever it is', async (t) => {
  for (const code of ['rate_limited', 'concurrency_limited', 'overloaded', 'shutting_down', 'issuer_unavailable']) {
    for (const call of [...REPEATABLE, ...ONCE]) {
      server.script(problem(503, code, { retryable: true }), GOOD)
      await t.resolves(calls[call](connect()), `${call} after ${code}`)
    }
  }
})

t.test('what the vault has tried, or does not know, is not sent again', async (t) => {
  for (const [status, code, retryable] of [[502, 'outcome_unknown', false], [504, 'upstream_timeout', true], [502, 'upstream_unreachable', true], [503, 'agent_offline', true], [500, 'internal', false]] as const) {
    server.script(problem(status, code, { retryable }), GOOD)
    await failed(t, calls.keyed(connect()), VaultError, { code, status, retryable, attempts: 1, mayHaveArrived: true, requestId: 'req_1' })
    t.equal(server.heard.length, 1)
  }
})

t.test('Retry-After', async (t) => {
  for (const wait of ['1', () => new Date(Date.now() + 2_000).toUTCString()]) {
    server.script(problem(503, 'overloaded', { retryable: true }, { 'retry-after': typeof wait === 'string' ? wait : wait() }), GOOD)
    const waits: RequestEvent[] = []
    const startedMs = performance.now()
    await calls.resolve(connect({ onRequest: (event) => { waits.push(event) } }))
    const lastedMs = performance.now() - startedMs
    t.ok(lastedMs >= 990 && lastedMs < 5_000, `${lastedMs} ms`)
    t.match(waits, [{ attempt: 1, status: 503, failure: 'overloaded', requestId: 'req_1', retryInMs: Number }, { attempt: 2, status: 200, failure: undefined, retryInMs: undefined }])
  }
  server.script(problem(429, 'rate_limited', { retryable: true }, { 'retry-after': '60' }), GOOD)
  const startedMs = performance.now()
  await failed(t, calls.resolve(connect({ deadlineMs: 5_000 })), VaultError, { code: 'rate_limited', attempts: 1, retryAfterMs: 60_000 })
  t.ok(performance.now() - startedMs < 2_000, 'a wait beyond the deadline is not begun')
  for (const senseless of ['soon', '-5', '99999999999']) {
    server.script(problem(503, 'overloaded', { retryable: true }, { 'retry-after': senseless }), GOOD)
    await t.resolves(calls.resolve(connect()), senseless)
  }
})

t.test('time', async (t) => {
  const client = connect({ timeoutMs: 150 })
  for (const behaviour of [hang, hangWithin, later(1_000, GOOD)]) {
    server.script(behaviour, GOOD)
    await t.resolves(calls.resolve(client))
    t.equal(server.heard.length, 2)
  }
  server.script(hang)
  await failed(t, calls.resolve(client), VaultTimeoutError, { attempts: 3, timeoutMs: 150, retryable: true, mayHaveArrived: true })
  server.script(hang)
  await failed(t, client.invoke({ ...C, action: 'charge' }, { timeoutMs: 150 }), VaultTimeoutError, { attempts: 1, retryable: false, mayHaveArrived: true })
  t.equal(server.heard.length, 1)
  await eventually(async () => server.connections.open <= 1)
  t.pass('requests that nobody waits for are ended')

  const startedMs = performance.now()
  server.script(hang)
  const { attempts } = await failed(t, client.resolve(C, { retries: 50, deadlineMs: 500 }), VaultTimeoutError, {})
  t.ok(attempts >= 2 && attempts <= 4, `${attempts} attempts`)
  t.ok(performance.now() - startedMs < 1_500)

  server.script(hang)
  const saidMs = performance.now()
  await failed(t, connect({ deadlineMs: 300 }).resolve(C), VaultTimeoutError, { attempts: 1 })
  server.script(hang)
  await failed(t, connect({ deadlineMs: 300 }).invoke({ ...C, action: 'charge' }), VaultTimeoutError, { attempts: 1 })
  t.ok(performance.now() - saidMs < 3_000, 'what is said for the client holds, though one attempt may take longer')

  // As long as the vault may take, and the way back.
  server.script(later(400, json({ invocation_id: 'inv_1', outcome: 'succeeded' })))
  t.match(await client.invoke({ ...C, action: 'charge', timeout_ms: 300 }), { outcome: 'succeeded' }, 'a call to a provider has its own time')
})

t.test('the caller ends it', async (t) => {
  const reason = new Error('no longer needed')
  server.script(hang)
  const hung = new AbortController()
  const waiting = connect().resolve(C, { signal: hung.signal })
  await eventually(async () => server.heard.length === 1)
  hung.abort(reason)
  t.equal(await waiting.catch((error: unknown) => error), reason)

  server.script(problem(503, 'overloaded', { retryable: true }, { 'retry-after': '30' }))
  const paused = new AbortController()
  const retrying = connect().resolve(C, { signal: paused.signal })
  await eventually(async () => server.heard.length === 1)
  setTimeout(() => { paused.abort(reason) }, 50)
  t.equal(await retrying.catch((error: unknown) => error), reason, 'while it waits, too')

  server.script(GOOD)
  t.equal(await connect().resolve(C, { signal: AbortSignal.abort(reason) }).catch((error: unknown) => error), reason)
  t.equal(server.heard.length, 0, 'nothing was sent')
  const lasting = new AbortController()
  const client = connect()
  let listeners = 0
  const { addEventListener, removeEventListener } = lasting.signal
  lasting.signal.addEventListener = (...args: Parameters<typeof addEventListener>) => { listeners++; addEventListener.apply(lasting.signal, args) }
  lasting.signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => { listeners--; removeEventListener.apply(lasting.signal, args) }
  for (let times = 0; times < 20; times++) await client.resolve(C, { signal: lasting.signal })
  t.equal(listeners, 0, 'a signal that lasts keeps no trace of calls that are over')
})
