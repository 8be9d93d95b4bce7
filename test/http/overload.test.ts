import { connect as openSocket } from 'node:net'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { createBearerToken } from '../../src/crypto/index.ts'
import { createWire } from '../support/agent.ts'
import { readManifest, retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, startTestVault, type Answer, type TestVault } from '../support/vault.ts'

/** More requests than there is room for. What is asserted is who is answered and how; how fast is for the benchmark. */
const W = '/v1/workspaces/acme'

function createCalls (vault: TestVault) {
  const resolve = (id: string, token?: string) => vault.request('POST', `${W}/connections/${id}/resolve`, { body: { environment: 'sandbox' }, ...token !== undefined && { token } })
  const invoke = (id: string, body: object, token?: string) =>
    vault.request('POST', `${W}/connections/${id}/invoke`, { body: { environment: 'sandbox', ...body }, ...token !== undefined && { token } })
  const rename = async (id: string, token: string) => {
    const { headers } = await vault.request('GET', `${W}/connections/${id}`)
    const etag = headers.get('etag') ?? ''
    return (name: string) => vault.request('PATCH', `${W}/connections/${id}`, { body: { name }, headers: { 'if-match': etag }, token })
  }
  const work = async (state: string, listener = 'internal') => {
    const text = await (await fetch(`${vault.urls.operations}/metrics`)).text()
    return Number(new RegExp(`^vault_work\\{listener="${listener}",state="${state}"\\} (\\d+)$`, 'm').exec(text)?.[1])
  }
  return { resolve, invoke, rename, work }
}

/** A refusal as callers are promised it. */
function checkRefusal (t: Test, { status, headers, body }: Answer): void {
  t.match(body, { status: 503, code: 'overloaded', retryable: true, type: 'urn:connection-vault:error:overloaded', instance: /^req_/ })
  t.match({ status, after: headers.get('retry-after'), type: headers.get('content-type'), cache: headers.get('cache-control') },
    { status: 503, after: /^[1-9]$/, type: 'application/problem+json', cache: 'no-store' })
  t.equal(headers.get('x-request-id'), body.instance)
}

/** A flood from this process must leave it some time for its own. */
const soon = () => new Promise((resolve) => { setTimeout(resolve, 2) })

/** Keeps a row from being changed, and with it all requests that would, until it is called. */
async function lockConnection (vault: TestVault, id: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: vault.database.superUrl })
  client.on('error', () => {})
  await client.connect()
  await client.query('begin')
  await client.query('select from connections where id = $1 for update', [id])
  return async () => {
    await client.query('rollback')
    await client.end()
  }
}

t.test('one token whose requests are stuck', async (t) => {
  const vault = await startTestVault({ WORK_IN_FLIGHT: '8' })
  t.teardown(() => vault.close())
  const { resolve, rename, work } = createCalls(vault)
  const [noisy, polite] = [await vault.mint({ preset: 'dashboard' }), await vault.mint({ preset: 'runtime' })]
  const id = await vault.connect('acme')
  const change = await rename(id, noisy)
  // Before a token was accepted once it is one of many strangers.
  t.equal((await vault.request('GET', `${W}/connections`, { token: noisy })).status, 200)
  t.equal((await resolve(id, polite)).status, 200)

  const unlock = await lockConnection(vault, id)
  const stuck = Array.from({ length: 40 }, (_, n) => change(`Name ${n}`))
  await eventually(async () => await work('inside') === 4)
  const politeAnswers = await Promise.all(Array.from({ length: 4 }, () => resolve(id, polite)))
  t.same(politeAnswers.map(({ status }) => status), [200, 200, 200, 200], 'another token has its own half')
  for (let times = 0; times < 20; times++) t.equal((await resolve(id, polite)).status, 200)
  for (const path of ['livez', 'readyz', 'metrics']) t.equal((await fetch(`${vault.urls.operations}/${path}`)).status, 200, path)
  await eventually(async () => await work('waiting') === 0)
  await unlock()

  const answers = await Promise.all(stuck)
  const refused = answers.filter(({ status }) => status === 503)
  t.equal(answers.length - refused.length, 4, 'those that had a place were answered')
  for (const answer of answers) if (answer.status === 503) checkRefusal(t, answer); else t.ok([200, 412].includes(answer.status), `${answer.status}`)
  const text = await (await fetch(`${vault.urls.operations}/metrics`)).text()
  const counted = (result: string) => Number(new RegExp(`^vault_admissions_total\\{listener="internal",result="${result}"\\} (\\d+)$`, 'm').exec(text)?.[1])
  t.equal(counted('queue_full') + counted('too_late'), 36)
  t.ok(counted('too_late') >= 4, 'four at least have waited')
  t.match(text, /vault_refusals_total\{code="overloaded"\} 36/)
  await eventually(async () => await work('inside') === 0)
  t.ok(vault.logs.some((line) => /requests were turned away/.test(line)))
})

t.test('a flood of one token', async (t) => {
  const vault = await startTestVault({ WORK_IN_FLIGHT: '16', RATE_LIMIT_PER_MINUTE: '1000000' })
  t.teardown(() => vault.close())
  const { resolve, work } = createCalls(vault)
  const [noisy, polite] = [await vault.mint({ preset: 'runtime' }), await vault.mint({ preset: 'runtime' })]
  const id = await vault.connect('acme')
  for (const token of [noisy, polite]) t.equal((await resolve(id, token)).status, 200)

  const flooding = new AbortController()
  const counts = new Map<number, number>()
  // Twice what may be at work and waiting of a burst.
  const senders = Array.from({ length: 80 }, async () => {
    while (!flooding.signal.aborted) {
      const answer = await resolve(id, noisy)
      counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1)
      if (answer.status === 503) await soon()
      if (answer.status === 503 && (answer.body.code !== 'overloaded' || answer.headers.get('retry-after') === null)) counts.set(0, 1)
    }
  })
  const polites: number[] = []
  while (polites.length < 30) polites.push((await resolve(id, polite)).status)
  flooding.abort()
  await Promise.all(senders)
  t.ok(polites.filter((status) => status === 200).length >= 28, `the polite one got ${polites.filter((status) => status === 200).length} of 30`)
  t.same([...counts.keys()].sort(), [200, 503], 'answered, or told to come back')
  t.ok((counts.get(200) ?? 0) >= 30, `${counts.get(200)} of the flood’s were answered`)
  t.ok((counts.get(503) ?? 0) >= 30, `${counts.get(503)} were not`)
  await eventually(async () => await work('inside') === 0 && await work('waiting') === 0)
  t.same((await Promise.all(Array.from({ length: 8 }, () => resolve(id, noisy)))).map(({ status }) => status), Array.from({ length: 8 }, () => 200), 'and afterwards all is as before')
})

t.test('a flood of tokens that nobody knows', async (t) => {
  const vault = await startTestVault({ WORK_IN_FLIGHT: '8' })
  t.teardown(() => vault.close())
  const { resolve } = createCalls(vault)
  const known = await vault.mint({ preset: 'runtime' })
  const id = await vault.connect('acme')
  t.equal((await resolve(id, known)).status, 200)
  const flooding = new AbortController()
  const counts = new Map<number, number>()
  const senders = Array.from({ length: 60 }, async () => {
    while (!flooding.signal.aborted) {
      const { status } = await resolve(id, createBearerToken().token)
      counts.set(status, (counts.get(status) ?? 0) + 1)
      await soon()
    }
  })
  const answers: number[] = []
  while (answers.length < 30) answers.push((await resolve(id, known)).status)
  flooding.abort()
  await Promise.all(senders)
  t.ok(answers.filter((status) => status === 200).length >= 28, 'however many tokens they make up, strangers are one caller')
  t.same([...counts.keys()].filter((status) => ![401, 503].includes(status)), [])
  t.ok((counts.get(503) ?? 0) > 0)
})

t.test('callers who leave', async (t) => {
  const vault = await startTestVault({ WORK_IN_FLIGHT: '8' })
  t.teardown(() => vault.close())
  const { resolve, rename, work } = createCalls(vault)
  const id = await vault.connect('acme')
  const change = await rename(id, vault.token)
  const unlock = await lockConnection(vault, id)
  const { host, port } = { host: '127.0.0.1', port: Number(new URL(vault.urls.internal).port) }
  const head = `PATCH ${W}/connections/${id} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${vault.token}\r\nif-match: "1"\r\ncontent-type: application/json\r\n`
  const body = '{"name":"Left"}'
  const whole = Array.from({ length: 4 }, () => openSocket(port, host, function (this: ReturnType<typeof openSocket>) { this.write(`${head}content-length: ${body.length}\r\n\r\n${body}`) }))
  await eventually(async () => await work('inside') === 4)
  const waiting = openSocket(port, host, () => { waiting.write(`${head}content-length: ${body.length}\r\n\r\n${body}`) })
  await eventually(async () => await work('inside') + await work('waiting') >= 4)
  for (const socket of [...whole, waiting]) socket.on('error', () => {}).destroy()
  await eventually(async () => await work('waiting') === 0)
  t.equal(await work('inside'), 4, 'what they asked for is still at work')
  await unlock()
  await eventually(async () => await work('inside') === 0)

  const half = openSocket(port, host, () => { half.write(`${head}content-length: 1000\r\n\r\n{`) })
  await eventually(async () => await work('inside') === 1)
  half.on('error', () => {}).destroy()
  await eventually(async () => await work('inside') === 0)
  t.equal((await resolve(id)).status, 200)
  t.ok([200, 412].includes((await change('After')).status))
})

t.test('what is refused without being read', async (t) => {
  const vault = await startTestVault({ WORK_IN_FLIGHT: '4' })
  t.teardown(() => vault.close())
  const { rename, work } = createCalls(vault)
  const id = await vault.connect('acme')
  const change = await rename(id, vault.token)
  const unlock = await lockConnection(vault, id)
  const stuck = [change('One'), change('Two')]
  await eventually(async () => await work('inside') === 2)
  const small = await change('Three')
  checkRefusal(t, small)
  t.not(small.headers.get('connection'), 'close', 'the connection serves the next request')
  const large = await vault.request('POST', `${W}/connections/${id}/invoke`, { raw: ' '.repeat(100_000) })
  checkRefusal(t, large)
  t.equal(large.headers.get('connection'), 'close', 'a large body is not read to its end')
  await unlock()
  await Promise.all(stuck)
})

t.test('one hung provider', async (t) => {
  const hung = await startProvider(() => {})
  const fine = await startProvider((_received, reply) => { json(reply, 200, { ok: true }) })
  const dir = retargetCatalog(hung.url, ['stripe'])
  const manifest = { ...readManifest('onfido'), id: 'fine', name: 'fine', servers: { sandbox: fine.url, live: fine.url }, hosts: [fine.endpoint] }
  writeFileSync(join(dir, 'fine.yaml'), JSON.stringify(manifest))
  const vault = await startTestVault({
    CATALOG_DIR: dir, EGRESS_ALLOW_PROVIDER: `${hung.endpoint},${fine.endpoint}`, WORK_IN_FLIGHT: '8', CALLS_IN_FLIGHT: '16',
  })
  t.teardown(async () => {
    await vault.close()
    await hung.close()
    await fine.close()
  })
  const { resolve, invoke, work } = createCalls(vault)
  const [noisy, polite] = [await vault.mint({ preset: 'runtime' }), await vault.mint({ preset: 'runtime' })]
  const stuckId = await vault.connect('acme')
  const fineId = await vault.connect('acme', { integration: 'fine', credentials: { api_token: 'api_sandbox.abcdefghijk.abcdefghijklmnopqrstuvwxyz012345' } })
  for (const token of [noisy, polite]) t.equal((await resolve(fineId, token)).status, 200)

  const stuck: Promise<Answer>[] = []
  for (let one = 1; one <= 8; one++) {
    stuck.push(invoke(stuckId, { action: 'get_balance', timeout_ms: 6_000 }, noisy))
    await eventually(async () => await work('outside') === one)
  }
  t.equal(await work('inside'), 0, 'whoever waits for a provider is not at work')
  const refused = await invoke(stuckId, { action: 'get_balance', timeout_ms: 6_000 }, noisy)
  t.match(refused.body, { status: 503, code: 'overloaded', detail: /Nothing was sent/ })
  t.equal(refused.headers.get('retry-after'), '1')
  t.equal(hung.received.length, 8)

  t.same((await Promise.all(Array.from({ length: 4 }, () => resolve(fineId, noisy)))).map(({ status }) => status), [200, 200, 200, 200], 'the same token resolves')
  for (let times = 0; times < 5; times++) {
    t.match((await invoke(fineId, { action: 'list_applicants' }, polite)).body, { outcome: 'succeeded' }, 'another’s calls of another provider go through')
    t.equal((await resolve(stuckId, polite)).status, 200)
  }
  for (const { body } of await Promise.all(stuck)) t.match(body, { code: 'upstream_timeout' })
  await eventually(async () => await work('outside') === 0)
  const started = await vault.database.query("select from audit_events where event = 'invoke.started' and connection_id = $1", [stuckId])
  t.equal(started.length, 8, 'what was refused was not begun')
})

t.test('agents that wait for work', async (t) => {
  const vault = await startTestVault({ WORK_IN_FLIGHT: '8', CALLS_IN_FLIGHT: '8' })
  t.teardown(() => vault.close())
  const { work } = createCalls(vault)
  const wire = createWire(vault)
  const group = (await vault.request('POST', `${W}/agent-groups`, { body: { name: 'Group', environment: 'sandbox' } })).body.id as string
  const agent = await wire.join(group, [{ name: 'read_ledger', effect: 'read', input: { type: 'object' } }])
  const leaving = new AbortController()
  const polls: Promise<unknown>[] = []
  for (let one = 0; one < 12; one++) {
    polls.push(agent.poll(30, 1, leaving.signal).catch(() => undefined))
    await eventually(async () => await work('inside', 'public') === 0)
  }
  t.equal(await work('outside', 'public'), 0)
  t.equal((await wire.login(agent)).status, 200, 'hold no place')
  leaving.abort()
  await Promise.all(polls)
})

t.test('a listener on `localhost` is bounded on both of its addresses', async (t) => {
  const vault = await startTestVault({ WORK_IN_FLIGHT: '4', INTERNAL_HOST: 'localhost' })
  t.teardown(() => vault.close())
  const { rename, work } = createCalls(vault)
  const id = await vault.connect('acme')
  const change = await rename(id, vault.token)
  const unlock = await lockConnection(vault, id)
  const stuck = [change('One'), change('Two')]
  await eventually(async () => await work('inside') === 2)
  const { port } = new URL(vault.urls.internal)
  let answered = 0
  for (const host of ['127.0.0.1', '[::1]']) {
    const response = await fetch(`http://${host}:${port}${W}/connections`, { headers: { authorization: `Bearer ${vault.token}` } }).catch(() => undefined)
    if (response === undefined) continue
    answered++
    t.match({ status: response.status, code: (await response.json() as { code: string }).code }, { status: 503, code: 'overloaded' }, host)
  }
  t.ok(answered >= 1)
  await unlock()
  await Promise.all(stuck)
  await eventually(async () => await work('inside') === 0)
})
