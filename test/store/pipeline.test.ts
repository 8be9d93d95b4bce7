import { sql } from 'kysely'
import t from 'tap'
import type { Sealed } from '../../src/crypto/index.ts'
import type { ConnectionId, KeyId, VersionId, WorkspaceId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { keepAnswer, openDatabase } from '../../src/store/index.ts'
import { createTestDatabase } from '../support/cluster.ts'
import { eventually } from '../support/vault.ts'

const database = await createTestDatabase()
const open = openDatabase({ url: database.serviceUrl, poolSize: 2, log: createLog('silent') })
t.teardown(async () => {
  await open.close()
  await database.drop()
})

const ECHO = { name: 'echo', text: 'select $1::int as n' }
const DIVIDE = { name: 'divide', text: 'select 1 / $1::int as n' }
const NO_ANSWER = {
  workspace_id: 'nobody' as WorkspaceId, connection_id: 'conn_none' as ConnectionId, environment: 'live', version_id: 'ver_none' as VersionId, started_at: new Date(),
  sealed: Buffer.from('none') as Sealed, key_id: 'key_none' as KeyId,
} as const
const SLEEP = { name: 'sleep', text: 'select $1::int as n, pg_sleep(30)' }

t.test('many statements at once, each with its own answer', async (t) => {
  const rows = await Promise.all(Array.from({ length: 500 }, (_, n) => open.reads.run<{ n: number }>(ECHO, [n])))
  t.same(rows.map(([row]) => row?.n), Array.from({ length: 500 }, (_, n) => n))
})

t.test('a wrong statement fails alone', async (t) => {
  const results = await Promise.allSettled([open.reads.run(ECHO, [1]), open.reads.run(DIVIDE, [0]), open.reads.run(ECHO, [2]), open.reads.run(ECHO, [3])])
  t.same(results.map((result) => result.status), ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
  t.match((results[1] as PromiseRejectedResult).reason, { code: '22012' })
})

t.test('a broken connection fails what was on it and is made again', async (t) => {
  const lost = Promise.allSettled([open.reads.run(SLEEP, [1]), open.reads.run(SLEEP, [2])])
  await eventually(async () => (await database.query("select from pg_stat_activity where query like '%pg_sleep(30)%' and state = 'active' and pid <> pg_backend_pid()")).length >= 1)
  await database.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()')
  for (const result of await lost) t.match((result as PromiseRejectedResult).reason, { code: 'database_unavailable' })
  const [row] = await eventually(async () => await open.reads.run<{ n: number }>(ECHO, [7]).catch(() => undefined))
  t.equal(row?.n, 7)
})

t.test('what runs in transactions stays prepared, too, where it may', async (t) => {
  for (const prepared of [true, false]) {
    const one = openDatabase({ url: database.serviceUrl, poolSize: 1, notify: false, prepared, log: createLog('silent') })
    t.teardown(() => one.close())
    const names = await one.transaction(async (tx) => {
      for (const fence of [1, 2]) t.equal(await keepAnswer(tx, NO_ANSWER, { fence }), 'fence_moved')
      return (await sql<{ name: string }>`select name from pg_prepared_statements`.execute(tx)).rows.map(({ name }) => name)
    })
    t.strictSame(names, prepared ? ['refresh_answer_keep'] : [])
  }
})

t.test('a database that is not there', async (t) => {
  const absent = openDatabase({ url: 'postgresql://nobody@localhost/none?host=/nowhere', poolSize: 2, log: createLog('silent') })
  await t.rejects(absent.reads.run(ECHO, [1]), { code: 'database_unavailable' })
  await t.rejects(absent.ping(), { code: 'database_unavailable' })
  await absent.close()
  await t.rejects(absent.reads.run(ECHO, [1]), { code: 'database_unavailable' }, 'nor after it was closed')
})
