import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeFolder } from '../support/folder.ts'
import { EMBEDDED_SUPERUSER, startEmbeddedPostgres } from '../../src/store/index.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { query } from '../support/cluster.ts'
import { startVaultProcess } from '../support/process.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually } from '../support/vault.ts'

/** kill -9 of the vault, and of its database, in the middle of everything: what was acknowledged is there. */
const dataDir = makeFolder('crash')
const provider = await startProvider((_received, reply) => { setTimeout(() => { json(reply, 200, { livemode: false }) }, Math.random() * 30) })
const settings = { DATA_DIR: dataDir, CATALOG_DIR: retargetCatalog(provider.url, ['stripe']), EGRESS_ALLOW_PROVIDER: provider.endpoint }
let vault = await startVaultProcess(settings)
t.teardown(async () => {
  await vault.kill('SIGTERM')
  await provider.close()
})
const token = readFileSync(join(dataDir, 'ops-token'), 'utf8').trim()

interface Reply {
  readonly status: number
  readonly requestId: string
  readonly body: Record<string, unknown>
}

/** Undefined when the vault went away before it answered. */
async function call (method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Reply | undefined> {
  try {
    const response = await fetch(`${vault.urls.internal}/v1/workspaces/acme${path}`, {
      method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers }, ...body && { body: JSON.stringify(body) },
    })
    const text = await response.text()
    return { status: response.status, requestId: response.headers.get('x-request-id') ?? '', body: text === '' ? {} : JSON.parse(text) as Record<string, unknown> }
  } catch {
    return undefined
  }
}

const keyOf = (name: string, turn: number) => ['sk', 'test', `${name}x${turn}x0000000000`].join('_')

/** What one client was told, and what it asked for without being told. */
interface Client {
  readonly name: string
  id?: string
  /** The last rotation that was acknowledged, and one whose answer was lost. */
  acknowledged: number
  attempted: number
  readonly resolves: string[]
  readonly invocations: string[]
}

let wrong: string[] = []

async function work (client: Client, until: () => boolean): Promise<void> {
  while (!until()) {
    if (client.id === undefined) {
      const made = await call('POST', '/connections', { integration: 'stripe', environment: 'sandbox', name: client.name, credentials: { secret_key: keyOf(client.name, 0) } })
      if (made?.status === 201) client.id = made.body['id'] as string
      // Created without the answer getting through: the name is taken, by this client's own connection.
      else if (made?.status === 409) client.id = ((await call('GET', `/connections?q=${client.name}`))?.body['connections'] as { id: string, name: string }[] | undefined)?.find((one) => one.name === client.name)?.id ?? undefined as never
      continue
    }
    client.attempted = Math.max(client.attempted, client.acknowledged) + 1
    const rotated = await call('POST', `/connections/${client.id}/rotate`, { credentials: { secret_key: keyOf(client.name, client.attempted) } })
    if (rotated?.status === 200) client.acknowledged = client.attempted
    const resolved = await call('POST', `/connections/${client.id}/resolve`, { environment: 'sandbox' })
    if (resolved?.status === 200) {
      client.resolves.push(resolved.requestId)
      const { secret_key: got } = resolved.body['credentials'] as { secret_key: string }
      if (got !== keyOf(client.name, client.acknowledged) && got !== keyOf(client.name, client.attempted)) wrong.push(`${client.name} got another key`)
    }
    const invoked = await call('POST', `/connections/${client.id}/invoke`, { environment: 'sandbox', action: 'create_refund', input: { charge: 'ch_1' } })
    if (invoked?.status === 200) client.invocations.push(invoked.body['invocation_id'] as string)
  }
}

async function database (): Promise<string> {
  return (await startEmbeddedPostgres({ dataDir })).url(EMBEDDED_SUPERUSER, 'connection_vault')
}

async function check (t: Test, clients: readonly Client[]): Promise<void> {
  const url = await database()
  t.same(wrong, [])
  wrong = []
  for (const client of clients) {
    if (client.id === undefined) continue
    const resolved = await call('POST', `/connections/${client.id}/resolve`, { environment: 'sandbox' })
    const { secret_key: got } = (resolved?.body['credentials'] ?? {}) as { secret_key?: string }
    t.ok(got === keyOf(client.name, client.acknowledged) || got === keyOf(client.name, client.attempted), `${client.name} has the key it was told of, or the one it had asked for`)
    if (got === keyOf(client.name, client.attempted)) client.acknowledged = client.attempted
    const states = await query<{ state: string, n: number }>(url, 'select state, count(*)::int as n from credential_versions where connection_id = $1 group by state', [client.id])
    t.equal(states.find((one) => one.state === 'current')?.n, 1)
  }
  const recorded = new Set((await query<{ id: string }>(url, "select request_id as id from audit_events where event = 'connection.resolved'")).map((row) => row.id))
  const missing = clients.flatMap((client) => client.resolves).filter((id) => !recorded.has(id))
  t.same(missing, [], `each of ${clients.flatMap((client) => client.resolves).length} resolves that answered is on record`)
  const finished = new Set((await query<{ id: string }>(url, "select invocation_id as id from audit_events where event = 'invoke.finished' and outcome = 'ok'")).map((row) => row.id))
  t.same(clients.flatMap((client) => client.invocations).filter((id) => !finished.has(id)), [], 'and each invocation that answered')
  const orphans = await query<{ n: number }>(url, "select count(*)::int as n from connections c where not exists (select from credential_versions v where v.workspace_id = c.workspace_id and v.id = c.current_version and v.state = 'current')")
  t.equal(orphans[0]?.n, 0, 'no connection without its credential')
}

const clients: Client[] = Array.from({ length: 12 }, (_, index) => ({ name: `client${index}`, acknowledged: 0, attempted: 0, resolves: [], invocations: [] }))

for (const round of [1, 2, 3]) {
  t.test(`the vault is killed under load, ${round}`, async (t) => {
    const before = clients.flatMap((client) => client.resolves).length
    let stopped = false
    const running = Promise.all(clients.map((client) => work(client, () => stopped)))
    await eventually(async () => clients.flatMap((client) => client.resolves).length > before + 60)
    await vault.kill('SIGKILL')
    stopped = true
    await running
    vault = await startVaultProcess(settings)
    await check(t, clients)
  })
}

t.test('the vault is killed with calls under way that have a key', async (t) => {
  const { answer } = provider
  const [client] = clients
  const invoke = (action: string, key: string) => call('POST', `/connections/${client?.id ?? ''}/invoke`, { environment: 'sandbox', action, input: action === 'create_refund' ? { charge: 'ch_1' } : {} }, { 'idempotency-key': key })
  const done = await invoke('create_refund', 'crash-done')
  provider.received.length = 0
  provider.answer = () => {}
  const lost = [invoke('create_refund', 'crash-unsafe'), invoke('get_balance', 'crash-read')]
  await eventually(async () => provider.received.length === 2)
  await vault.kill('SIGKILL')
  t.same(await Promise.all(lost), [undefined, undefined])
  provider.answer = answer
  vault = await startVaultProcess(settings)
  provider.received.length = 0
  t.match(await invoke('create_refund', 'crash-done'), { status: 200, body: { invocation_id: done?.body['invocation_id'], replayed: true } })
  // The claims of the dead process end within seconds; whoever repeats waits for that.
  t.match(await invoke('create_refund', 'crash-unsafe'), { status: 502, body: { code: 'outcome_unknown' } })
  t.match(await invoke('get_balance', 'crash-read'), { status: 200, body: { outcome: 'succeeded', replayed: false } })
  t.same(provider.received.map((one) => one.method), ['GET'], 'the unsafe one was not sent again')
})

t.test('the database is killed under load', async (t) => {
  const before = clients.flatMap((client) => client.resolves).length
  let stopped = false
  const running = Promise.all(clients.map((client) => work(client, () => stopped)))
  await eventually(async () => clients.flatMap((client) => client.resolves).length > before + 60)
  const { pid } = await startEmbeddedPostgres({ dataDir })
  process.kill(pid, 'SIGKILL')
  await eventually(async () => (await fetch(`${vault.urls.operations}/readyz`)).status === 503)
  const refused = await call('GET', '/connections')
  t.match(refused, { status: 503, body: { code: 'database_unavailable', retryable: true } }, 'while it is away, callers are told')
  stopped = true
  await running
  await vault.kill('SIGKILL')
  vault = await startVaultProcess(settings)
  await check(t, clients)
})

t.test('invocations whose process died are closed as unknown', async (t) => {
  const url = await database()
  const started = await query<{ id: string }>(url, "select invocation_id as id from audit_events where event = 'invoke.started'")
  const open = await query<{ id: string }>(url, `
    select invocation_id as id from audit_events where event = 'invoke.started'
    except select invocation_id from audit_events where event = 'invoke.finished'`)
  // The clock of an embedded database is the machine's: the deadline is moved instead of the time.
  await eventually(async () => {
    await query(url, "update open_invocations set deadline_at = vault_now() - interval '1 second'")
    return (await query(url, "select from audit_events where event = 'invoke.finished'")).length >= started.length
    // Ten seconds until the dead process's lease on sealing ends, and five each until what is sealed is looked at and what is overdue is closed.
  }, 40_000)
  const finished = await query<{ id: string, outcome: string }>(url, "select invocation_id as id, outcome from audit_events where event = 'invoke.finished'")
  t.equal(new Set(finished.map((one) => one.id)).size, started.length, 'each that started has one end')
  t.equal(finished.length, started.length)
  t.same(open.filter(({ id }) => finished.find((one) => one.id === id)?.outcome !== 'unknown'), [])
  const verified = await eventually(async () => {
    const response = await fetch(`${vault.urls.internal}/v1/audit/verify`, { headers: { authorization: `Bearer ${token}` } })
    const body = await response.json() as { ok: boolean, events: number }
    return body.ok && body
  })
  t.ok(verified.events > 500, `the chain over ${verified.events} records is whole`)
})
