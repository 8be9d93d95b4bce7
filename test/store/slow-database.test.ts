import { sql } from 'kysely'
import t from 'tap'
import { createLog } from '../../src/log.ts'
import { ROUTE_TABLE } from '../../src/http/index.ts'
import { newId } from '../../src/ids.ts'
import { createMetrics } from '../../src/metrics.ts'
import { isContended, openDatabase } from '../../src/store/index.ts'
import { createTestDatabase } from '../support/cluster.ts'
import { startDatabaseProxy } from '../support/database-proxy.ts'
import { openTestDatabase } from '../support/open-database.ts'
import { eventually, startTestVault, type Answer } from '../support/vault.ts'

/** A database that neither answers nor goes: each wait on it ends in time. Bounds are several times what is to be expected. */
const PATIENCE_MS = 20_000
const ECHO = { name: 'echo', text: 'select $1::int as n' }

t.test('connections over which nothing comes back', async (t) => {
  const database = await createTestDatabase()
  const proxy = await startDatabaseProxy(database.serviceUrl)
  const metrics = createMetrics()
  const open = openDatabase({ url: proxy.url, poolSize: 2, log: createLog('silent'), metrics })
  t.teardown(async () => {
    proxy.hold(false)
    await open.close()
    await proxy.close()
    await database.drop()
  })
  t.same(await open.reads.run(ECHO, [1]), [{ n: 1 }])
  t.same(await open.writes.run(ECHO, [1]), [{ n: 1 }])
  await open.ping()
  const before = proxy.opened()

  proxy.hold(true)
  const startedMs = performance.now()
  // More transactions than there are connections: some hold one, some wait for one.
  const asked = [
    ...Array.from({ length: 20 }, () => open.reads.run(ECHO, [2])), ...Array.from({ length: 20 }, () => open.writes.run(ECHO, [2])),
    ...Array.from({ length: 6 }, () => open.transaction(async () => { throw new Error('nobody gets here') })),
  ]
  for (const result of await Promise.allSettled(asked)) t.match(result, { status: 'rejected', reason: { code: 'database_unavailable' } })
  t.ok(performance.now() - startedMs < PATIENCE_MS, 'all of them were told')
  await t.rejects(open.reads.run(ECHO, [3]), { code: 'database_unavailable' }, 'a connection that can’t be made is no wait for ever either')
  t.match(await metrics.scrape(), /vault_database_silences_total [1-9]/)
  t.match(await metrics.scrape(), /vault_database_statements\{pipeline="reads"\} 0/, 'nothing is left waiting')

  proxy.hold(false)
  t.same(await eventually(async () => await open.reads.run(ECHO, [4]).catch(() => undefined), PATIENCE_MS), [{ n: 4 }])
  t.same(await eventually(async () => await open.writes.run(ECHO, [4]).catch(() => undefined), PATIENCE_MS), [{ n: 4 }])
  await eventually(async () => await open.ping().then(() => true, () => false), PATIENCE_MS)
  t.ok(proxy.opened() > before, 'over new connections')
  t.match(await metrics.scrape(), /vault_database_pool_wait_seconds_count [1-9]/)
})

t.test('a queue that moves is no silence', async (t) => {
  const metrics = createMetrics()
  const open = await openTestDatabase(t, metrics)
  // One connection, and the last of them is answered long after the span of a silence.
  const slow = Array.from({ length: 6 }, (_, n) => open.writes.run({ name: 'slow', text: 'select $1::int as n, pg_sleep(0.9)::text as slept' }, [n]))
  t.same((await Promise.all(slow)).map(([row]) => (row as { n: number }).n), [0, 1, 2, 3, 4, 5])
  t.match(await metrics.scrape(), /vault_database_silences_total 0/)
})

t.test('a statement that takes too long is given up by the server, and its connection goes on', async (t) => {
  const metrics = createMetrics()
  const open = await openTestDatabase(t, metrics)
  const pid = async () => (await open.writes.run<{ pid: number }>({ name: 'pid', text: 'select pg_backend_pid() as pid' }, []))[0]?.pid
  const before = await pid()
  await t.rejects(open.writes.run({ name: 'stuck', text: 'select pg_sleep(60)::text' }, []), { code: 'database_unavailable' })
  t.equal(await pid(), before)
  t.match(await metrics.scrape(), /vault_database_silences_total 0/)
})

t.test('of two transactions that wait for each other one is told to come again', async (t) => {
  const open = await openTestDatabase(t)
  const keys = [1, 2] as const
  const holding = keys.map(() => Promise.withResolvers<undefined>())
  const bothHold = Promise.all(holding.map(({ promise }) => promise))
  const ends = await Promise.allSettled(keys.map(async (key, index) => {
    await open.transaction(async (tx) => {
      await sql`select pg_advisory_xact_lock(${key}::bigint)`.execute(tx)
      holding[index]?.resolve(undefined)
      await bothHold
      await sql`select pg_advisory_xact_lock(${3 - key}::bigint)`.execute(tx)
    })
  }))
  t.same(ends.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
  const refused = ends.find((end) => end.status === 'rejected')
  t.match(refused?.reason, { code: 'overloaded', details: { retryAfterSeconds: 1 } })
  t.ok(isContended(refused?.reason), 'who tries again by itself still knows why')
})

t.test('callers of a vault whose database is silent', async (t) => {
  const vault = await startTestVault()
  await vault.stop()
  const proxy = await startDatabaseProxy(vault.database.serviceUrl)
  t.teardown(async () => {
    proxy.hold(false)
    await vault.close()
    await proxy.close()
  })
  await vault.start({ DATABASE_URL: proxy.url })
  const id = await vault.connect('acme')
  const resolve = () => vault.request('POST', `/v1/workspaces/acme/connections/${id}/resolve`, { body: { environment: 'sandbox' } })
  const list = () => vault.request('GET', '/v1/workspaces/acme/connections')
  const invoke = () => vault.request('POST', `/v1/workspaces/acme/connections/${id}/invoke`, { body: { environment: 'sandbox', action: 'get_balance' } })
  t.equal((await resolve()).status, 200)
  // Whatever reads: each has to say what is the matter, and none may take it for a defect.
  const ids: Record<string, string> = {
    workspace_id: 'acme', connection_id: id, integration_id: newId('integration'), group_id: newId('group'), session_id: newId('session'),
    webhook_id: newId('webhook'), invocation_id: newId('invocation'), integration: 'stripe', environment: 'sandbox', action: 'get_balance',
  }
  const reads = Object.entries(ROUTE_TABLE).filter(([route, access]) => route.startsWith('GET ') && access !== 'open' && access.over !== 'shared')
    .map(([route]) => route.slice(4).replace(/:(\w+)/g, (_, name: string) => ids[name] ?? name))
  t.ok(reads.length > 20)

  proxy.hold(true)
  const startedMs = performance.now()
  const answers: Answer[] = await Promise.all(Array.from({ length: 10 }, () => [resolve(), list(), invoke()]).flat().concat(reads.map((path) => vault.request('GET', path))))
  t.ok(performance.now() - startedMs < PATIENCE_MS, 'all were answered')
  for (const { status, body, headers } of answers) {
    t.match(body, { status: 503, code: 'database_unavailable', retryable: true })
    t.match({ status, after: headers.get('retry-after') }, { status: 503, after: /^\d+$/ })
  }
  t.equal((await fetch(`${vault.urls.operations}/livez`)).status, 200)
  t.equal((await fetch(`${vault.urls.operations}/readyz`)).status, 503)
  t.match(await (await fetch(`${vault.urls.operations}/metrics`)).text(), /vault_database_pool\{state="busy"\} \d/, 'and can be looked into')

  proxy.hold(false)
  await eventually(async () => (await resolve()).status === 200, PATIENCE_MS)
  await eventually(async () => (await list()).status === 200, PATIENCE_MS)
  await eventually(async () => (await fetch(`${vault.urls.operations}/readyz`)).status === 200, PATIENCE_MS)
})
