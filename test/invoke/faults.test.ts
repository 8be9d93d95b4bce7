import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { loadCatalog } from '../../src/catalog/index.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { json, startProvider, type Received } from '../support/provider.ts'
import { sample } from '../support/sample.ts'
import { eventually, startTestVault } from '../support/vault.ts'

const provider = await startProvider((_received, reply) => { json(reply, 200, { ok: true }) })
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url), EGRESS_ALLOW_PROVIDER: provider.endpoint, RESPONSE_LIMIT_BYTES: '1000000' })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})
t.beforeEach(() => { provider.received.length = 0 })

const at = (id: string, rest = '') => `/v1/workspaces/acme/connections/${id}${rest}`
const invoke = (id: string, body: object, headers = {}) => vault.request('POST', at(id, '/invoke'), { body: { environment: 'sandbox', ...body }, headers })
const records = async (id: string, event: string) => (await vault.request('GET', `/v1/workspaces/acme/audit-events?event=${event}&connection_id=${id}`)).body.audit_events as Record<string, unknown>[]
const payment = { action: 'create_payment_intent', input: { amount: 2000, currency: 'usd' } }

type Fault = (received: Received, reply: ServerResponse) => void
/** `attempts`: how often a read or an idempotent action is sent; an unsafe one is sent once whatever happens. */
const FAULTS: Record<string, { fault: Fault, read: string, idempotent: string, unsafe: string, attempts: number }> = {
  hangs: { fault: () => {}, read: 'upstream_timeout', idempotent: 'upstream_timeout', unsafe: 'outcome_unknown', attempts: 1 },
  closes: { fault: (_received, reply) => { reply.destroy() }, read: 'upstream_unreachable', idempotent: 'upstream_unreachable', unsafe: 'outcome_unknown', attempts: 3 },
  'closes half way': { fault: (_received, reply) => { reply.writeHead(200, { 'content-length': '100', 'content-type': 'application/json' }).write('{"half":'); setTimeout(() => { reply.destroy() }, 20) }, read: 'upstream_unreachable', idempotent: 'upstream_unreachable', unsafe: 'outcome_unknown', attempts: 3 },
  'answers 50 MB': { fault: (_received, reply) => { reply.writeHead(200, { 'content-type': 'application/json' }); for (let part = 0; part < 50; part++) reply.write('x'.repeat(1_000_000)); reply.end() }, read: 'response_too_large', idempotent: 'response_too_large', unsafe: 'response_too_large', attempts: 1 },
  'redirects elsewhere': { fault: (_received, reply) => { reply.writeHead(302, { location: 'https://evil.example/' }).end() }, read: 'failed config_error', idempotent: 'failed config_error', unsafe: 'failed config_error', attempts: 1 },
  'answers HTML': { fault: (_received, reply) => { reply.writeHead(200, { 'content-type': 'text/html' }).end('<html>') }, read: 'failed provider_unavailable', idempotent: 'failed provider_unavailable', unsafe: 'failed provider_unavailable', attempts: 1 },
  'answers broken JSON': { fault: (_received, reply) => { reply.writeHead(200, { 'content-type': 'application/json' }).end('{"a":') }, read: 'failed provider_unavailable', idempotent: 'failed provider_unavailable', unsafe: 'failed provider_unavailable', attempts: 1 },
  'answers 500': { fault: (_received, reply) => { json(reply, 500, {}) }, read: 'failed provider_unavailable', idempotent: 'failed provider_unavailable', unsafe: 'failed provider_unavailable', attempts: 1 },
  'answers 503': { fault: (_received, reply) => { json(reply, 503, {}) }, read: 'failed provider_unavailable', idempotent: 'failed provider_unavailable', unsafe: 'failed provider_unavailable', attempts: 3 },
  'answers 429 without a time': { fault: (_received, reply) => { json(reply, 429, {}) }, read: 'failed rate_limited', idempotent: 'failed rate_limited', unsafe: 'failed rate_limited', attempts: 1 },
  'answers 429 for longer than there is': { fault: (_received, reply) => { json(reply, 429, {}, { 'retry-after': '3600' }) }, read: 'failed rate_limited', idempotent: 'failed rate_limited', unsafe: 'failed rate_limited', attempts: 1 },
  'answers 429': { fault: (_received, reply) => { json(reply, 429, {}, { 'retry-after': '1' }) }, read: 'failed rate_limited', idempotent: 'failed rate_limited', unsafe: 'failed rate_limited', attempts: 3 },
  'answers with a gzip bomb': { fault: (_received, reply) => { reply.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50_000_000))) }, read: 'response_too_large', idempotent: 'response_too_large', unsafe: 'response_too_large', attempts: 1 },
  'answers with damaged gzip': { fault: (_received, reply) => { reply.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end('no gzip') }, read: 'upstream_unreachable', idempotent: 'upstream_unreachable', unsafe: 'outcome_unknown', attempts: 3 },
  'speaks no HTTP': { fault: (_received, reply) => { reply.socket?.end('what is HTTP?\r\n\r\n') }, read: 'upstream_unreachable', idempotent: 'upstream_unreachable', unsafe: 'outcome_unknown', attempts: 3 },
  'announces less than it sends': { fault: (_received, reply) => { reply.socket?.end('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n{"a":1}') }, read: 'failed provider_unavailable', idempotent: 'failed provider_unavailable', unsafe: 'failed provider_unavailable', attempts: 1 },
  'answers 403': { fault: (_received, reply) => { json(reply, 403, {}) }, read: 'failed permission', idempotent: 'failed permission', unsafe: 'failed permission', attempts: 1 },
  'answers 422': { fault: (_received, reply) => { json(reply, 422, {}) }, read: 'failed input', idempotent: 'failed input', unsafe: 'failed input', attempts: 1 },
}
const ACTIONS = {
  read: { action: 'list_applicants', input: {} },
  idempotent: { action: 'delete_applicant', input: { applicant_id: 'a' } },
  unsafe: { action: 'create_applicant', input: { first_name: 'Ada', last_name: 'L' } },
} as const

t.test('faults of a provider, by effect of the action', async (t) => {
  const id = await vault.connect('acme', { integration: 'onfido', credentials: { api_token: 'api_sandbox.abcdefghijk.abcdefghijklmnopqrstuvwxyz012345' } })
  for (const [name, expected] of Object.entries(FAULTS)) {
    for (const effect of ['read', 'idempotent', 'unsafe'] as const) {
      provider.answer = expected.fault
      provider.received.length = 0
      const { body, status } = await invoke(id, { ...ACTIONS[effect], timeout_ms: name === 'hangs' ? 150 : 5_000 })
      const got = body.outcome === undefined ? body.code as string : `${body.outcome} ${body.error.class}`
      t.equal(got, expected[effect], `${name}, ${effect}`)
      const attempts = effect === 'unsafe' ? 1 : expected.attempts
      t.equal(provider.received.length, attempts, `${name}, ${effect}: sent ${attempts} times`)
      if (body.attempts !== undefined) t.equal(body.attempts, attempts)
      t.match(await records(id, 'invoke.finished'), [{ details: { attempts } }], 'and so it says in the record')
      if (body.code !== undefined) {
        t.match(body, { status, detail: /./, invocation_id: /^inv_/ })
        const [finished] = await records(id, 'invoke.finished')
        t.match(finished, { invocation_id: body.invocation_id, outcome: body.code === 'outcome_unknown' ? 'unknown' : 'failed' }, 'the end is on record')
      }
    }
  }
  const started = await vault.database.query("select from audit_events where event = 'invoke.started' and connection_id = $1", [id])
  const finished = await vault.database.query("select from audit_events where event = 'invoke.finished' and connection_id = $1", [id])
  t.equal(started.length, finished.length)
})

t.test('an unsafe action is made again only under an idempotency key', async (t) => {
  const flaky: Fault = (_received, reply) => {
    if (provider.received.length === 1) json(reply, 503, {})
    else if (provider.received.length === 2) reply.destroy()
    else json(reply, 200, { id: 'pi_1' })
  }
  const id = await vault.connect('acme')
  provider.answer = flaky
  const answer = await invoke(id, payment)
  t.match(answer.body, { outcome: 'succeeded', attempts: 3, output: { id: 'pi_1' } })
  t.same(provider.received.map((one) => one.headers['idempotency-key']), Array.from({ length: 3 }, () => answer.body.invocation_id as string), 'the same key each time, of this invocation')
  t.same(new Set(provider.received.map((one) => one.body)).size, 1)

  provider.received.length = 0
  t.match((await invoke(id, payment, { 'idempotency-key': 'order-1' })).body, { outcome: 'succeeded', attempts: 3 })
  t.same(provider.received.map((one) => one.headers['idempotency-key']), ['order-1', 'order-1', 'order-1'], 'the caller’s own key if there is one')

  // Sent once and perhaps carried out, then answered with nothing that says so: not a failure to be repeated.
  for (const last of [503, 429, 409]) {
    provider.received.length = 0
    provider.answer = (_received, reply) => {
      if (provider.received.length === 1) reply.destroy()
      else json(reply, last, {})
    }
    const lost = await invoke(id, payment)
    t.match(lost.body, { status: 502, code: 'outcome_unknown', retryable: false }, `broken off, then ${last}`)
    t.match(await records(id, 'invoke.finished'), [{ outcome: 'unknown', invocation_id: lost.body.invocation_id }])
  }
  provider.answer = flaky
  const wise = await vault.connect('acme', { integration: 'wise', name: 'no header', credentials: { api_token: 'a1b2c3d4-e5f6-a7b8-c9d0-e1f2a3b4c5d6' } })
  provider.received.length = 0
  const unsafe = loadCatalog().require('wise').manifest.actions.find((action) => action.effect === 'unsafe')?.name ?? ''
  const input = sample(loadCatalog().require('wise').requireAction(unsafe).schema, 'all') as Record<string, unknown>
  t.match((await invoke(wise, { action: unsafe, input })).body, { outcome: 'failed', attempts: 1, error: { class: 'provider_unavailable' } })
})

t.test('a caller that goes away ends the waiting between attempts', async (t) => {
  const id = await vault.connect('acme')
  provider.answer = (_received, reply) => { json(reply, 429, {}, { 'retry-after': '4' }) }
  const gone = new AbortController()
  const call = fetch(`${vault.urls.internal}${at(id, '/invoke')}`, {
    method: 'POST', signal: gone.signal, headers: { authorization: `Bearer ${vault.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ environment: 'sandbox', action: 'get_balance' }),
  })
  await eventually(async () => provider.received.length === 1)
  gone.abort()
  await t.rejects(call)
  const [finished] = await eventually(async () => {
    const found = await records(id, 'invoke.finished')
    return found.length === 1 && found
  })
  t.match(finished, { outcome: 'failed', reason: 'rate_limited', details: { attempts: 1 } })
  t.ok((finished?.['details'] as { duration_ms: number }).duration_ms < 4_000)
})
