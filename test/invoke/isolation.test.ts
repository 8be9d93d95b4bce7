import { writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { readManifest, retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, startTestVault } from '../support/vault.ts'

/** A hung, slow or absent provider must not hurt others. */
const hung = await startProvider(() => {})
const fine = await startProvider((_received, reply) => { json(reply, 200, { ok: true }) })
const dir = retargetCatalog(hung.url, ['stripe'])
for (const [id, provider] of [['fine', fine], ['narrow', fine]] as const) {
  const manifest = { ...readManifest('onfido'), id, name: id, servers: { sandbox: provider.url, live: provider.url }, hosts: [provider.endpoint] }
  const conventions = { ...manifest.conventions, ...id === 'narrow' && { concurrency: 1 } }
  writeFileSync(join(dir, `${id}.yaml`), JSON.stringify({ ...manifest, conventions }))
}
const vault = await startTestVault({
  CATALOG_DIR: dir, EGRESS_ALLOW_PROVIDER: `${hung.endpoint},${fine.endpoint}`, CALLS_PER_CONNECTION: '2', CALLS_PER_ORIGIN: '6', RESPONSE_LIMIT_BYTES: '67108864',
})
t.teardown(async () => {
  await vault.close()
  await hung.close()
  await fine.close()
})
t.beforeEach(() => { hung.received.length = fine.received.length = 0 })

const invoke = (id: string, timeoutMs: number, more: object = { action: 'get_balance' }, workspace = 'acme') =>
  vault.request('POST', `/v1/workspaces/${workspace}/connections/${id}/invoke`, { body: { environment: 'sandbox', timeout_ms: timeoutMs, ...more } })
const onfido = (integration: string, workspace = 'acme') => vault.connect(workspace, { integration, credentials: { api_token: 'api_sandbox.abcdefghijk.abcdefghijklmnopqrstuvwxyz012345' } })
const LIST = { action: 'list_applicants' }

t.test('calls of one connection, and those that may wait', async (t) => {
  const id = await vault.connect('acme')
  const calls = [invoke(id, 5_000), invoke(id, 5_000)]
  await eventually(async () => hung.received.length === 2)
  // Their patience ends long before the two do.
  calls.push(...Array.from({ length: 8 }, () => invoke(id, 2_000)))
  await new Promise((resolve) => { setTimeout(resolve, 200) })
  const refused = await invoke(id, 2_000)
  t.match(refused.body, { status: 429, code: 'concurrency_limited', retryable: true })
  t.equal(refused.headers.get('retry-after'), '1')
  t.equal(hung.received.length, 2, 'two are under way')

  const startedMs = performance.now()
  t.match((await invoke(await onfido('fine'), 2_000, LIST)).body, { outcome: 'succeeded' }, 'another provider’s are not held up')
  t.ok(performance.now() - startedMs < 1_500)
  const other = await vault.connect('acme')
  const another = invoke(other, 300)
  t.match((await another).body, { code: 'upstream_timeout' }, 'another connection has a turn of its own')
  const limited = invoke(await vault.connect('acme'), 300)
  const results = (await Promise.all(calls)).map((call) => call.body.code as string)
  t.same(results.filter((code) => code === 'upstream_timeout').length, 2)
  t.same(results.filter((code) => code === 'concurrency_limited').length, 8, 'whose turn did not come in time')
  t.match((await limited).body, { code: 'upstream_timeout' })
  const started = await vault.database.query("select from audit_events where event = 'invoke.started' and connection_id = $1", [id])
  t.equal(started.length, 2, 'what was not sent was not begun')
})

t.test('calls to one host', async (t) => {
  const ids = await Promise.all(Array.from({ length: 4 }, () => vault.connect('acme')))
  const calls = ids.slice(0, 3).map((id) => invoke(id, 3_000))
  await eventually(async () => hung.received.length === 3)
  calls.push(invoke(ids[3] ?? '', 300))
  const another = invoke(await vault.connect('globex'), 300, undefined, 'globex')
  const codes = (await Promise.all(calls)).map((call) => call.body.code as string).sort()
  t.same(codes, ['concurrency_limited', 'upstream_timeout', 'upstream_timeout', 'upstream_timeout'], 'a workspace has half of its places')
  t.match((await another).body, { code: 'upstream_timeout' }, 'and another one the other half')
})

t.test('large answers', async (t) => {
  const begin = (reply: ServerResponse) => { reply.writeHead(200, { 'content-type': 'application/json' }).write(`["${'x'.repeat(200_000)}",`) }
  const ids = await Promise.all([1, 2, 3].map(() => onfido('fine')))
  const other = await onfido('fine', 'globex')
  const get = (id: string, timeoutMs: number, workspace?: string) => invoke(id, timeoutMs, LIST, workspace)

  fine.answer = (_received, reply) => { begin(reply) }
  const stuck = ids.slice(0, 2).map((id) => get(id, 3_000))
  await eventually(async () => fine.received.length === 2)
  await new Promise((resolve) => { setTimeout(resolve, 200) })
  fine.answer = (_received, reply) => {
    begin(reply)
    reply.end('1]')
  }
  // Of 256 MiB for such as may have 64.
  const waiting = get(ids[2] ?? '', 20_000)
  t.match((await get(other, 2_000, 'globex')).body, { outcome: 'succeeded', output: [/^x{200000}$/, 1] }, 'another workspace has room')
  t.same(await Promise.race([waiting.then(() => 'done'), Promise.all(stuck).then((ended) => ended.map(({ body }) => body.code as string))]), ['upstream_timeout', 'upstream_timeout'])
  t.match((await waiting).body, { outcome: 'succeeded', output: [/^x{200000}$/, 1] }, 'who waits goes on when there is room again')

  const empties = Buffer.from(`[${'{},'.repeat(1_000_000)}{}]`)
  for (const [headers, body] of [[{}, empties], [{ 'content-encoding': 'gzip' }, gzipSync(empties)]] as const) {
    fine.answer = (_received, reply) => { reply.writeHead(200, { 'content-type': 'application/json', ...headers }).end(body) }
    const { body: { outcome, output } } = await get(other, 10_000, 'globex')
    t.equal(outcome, 'succeeded')
    t.equal(output, empties.toString(), 'what would take a hundred times its size is handed on as text')
  }
  fine.answer = (_received, reply) => { json(reply, 200, { ok: true }) }
})

t.test('a provider that takes one call at a time of a connection gets them one after the other', async (t) => {
  let inside = 0
  let most = 0
  fine.answer = (_received, reply) => {
    most = Math.max(most, ++inside)
    setTimeout(() => {
      inside--
      json(reply, 200, {})
    }, 20)
  }
  const id = await onfido('narrow')
  const calls = await Promise.all(Array.from({ length: 5 }, () => invoke(id, 5_000, LIST)))
  t.ok(calls.every((call) => call.body.outcome === 'succeeded'))
  t.equal(most, 1)
})

t.test('whoever goes away leaves the queue', async (t) => {
  const id = await vault.connect('acme')
  const first = [invoke(id, 1_000), invoke(id, 1_000)]
  await eventually(async () => hung.received.length === 2)
  const gone = new AbortController()
  const waiting = Array.from({ length: 8 }, () => fetch(`${vault.urls.internal}/v1/workspaces/acme/connections/${id}/invoke`, {
    method: 'POST', signal: gone.signal, headers: { authorization: `Bearer ${vault.token}`, 'content-type': 'application/json' }, body: JSON.stringify({ environment: 'sandbox', action: 'get_balance' }),
  }).catch(() => undefined))
  await eventually(async () => (await invoke(id, 100)).body.code === 'concurrency_limited')
  gone.abort()
  await Promise.all(waiting)
  await Promise.all(first)
  hung.received.length = 0
  t.match((await invoke(id, 200)).body, { code: 'upstream_timeout' })
  t.equal(hung.received.length, 1, 'none of them was sent')
})

t.test('a provider that can’t be reached is asked less and less, and found again', async (t) => {
  const absent = await startProvider(() => {})
  await absent.close()
  const dir = retargetCatalog(absent.url, ['stripe'])
  await vault.stop()
  await vault.start({ CATALOG_DIR: dir, EGRESS_ALLOW_PROVIDER: absent.endpoint })
  const id = await vault.connect('acme')
  t.match((await invoke(id, 5_000)).body, { code: 'upstream_unreachable', detail: /refuses connections/ })
  const second = await invoke(id, 5_000)
  t.match(second.body, { code: 'upstream_unreachable', detail: /paused for another \d+ ms/ }, 'after five failures in a row')
  const startedMs = performance.now()
  t.match((await invoke(id, 5_000, { action: 'create_payment_intent', input: { amount: 1, currency: 'usd' } })).body, { code: 'upstream_unreachable' }, 'nothing is in doubt')
  t.ok(performance.now() - startedMs < 900, 'and nobody waits for it')
})
