import { parseArgs } from 'node:util'
import { readConfig } from '../src/config.ts'
import { openSession } from '../src/cli/session.ts'
import * as store from '../src/store/index.ts'
import { createLog } from '../src/log.ts'
import { SEALED_COLUMNS } from '../src/rooms.ts'
import { LINKED } from '../test/support/population.ts'
import { query } from '../test/support/cluster.ts'
import { median } from './harness.ts'
import type { AppId } from '../src/ids.ts'

/** `node bench/sizes.ts`: what the tables of a seeded vault weigh, and how long its hot statements take. Needs OWNER_DATABASE_URL. For docs/capacity.md. */
const { values: { runs } } = parseArgs({ options: { runs: { type: 'string', default: '15' } } })
const owner = process.env['OWNER_DATABASE_URL']
if (owner === undefined) throw new Error('OWNER_DATABASE_URL is missing')
const session = await openSession(readConfig('serve', process.env), 'operate')
const database = store.openDatabase({ url: session.config.databaseUrl, poolSize: 2, notify: false, log: createLog('error', process.stderr) })

interface Size { readonly name: string, readonly rows: number, readonly heap: number, readonly indexes: number, readonly total: number }
const sizes = await query<Size>(owner, `
  select regexp_replace(c.relname, '^audit_events_\\d.*', 'audit_events') as name, sum(greatest(c.reltuples, 0))::float8 as rows, sum(pg_table_size(c.oid))::float8 as heap,
         sum(pg_indexes_size(c.oid))::float8 as indexes, sum(pg_total_relation_size(c.oid))::float8 as total
    from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' group by 1 having sum(pg_total_relation_size(c.oid)) > 1000000 order by 5 desc`)
const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1)
console.log('| table | rows | MB | of these indexes | bytes a row |\n|---|---|---|---|---|')
for (const { name, rows, indexes, total } of sizes) console.log(`| ${name} | ${rows} | ${megabytes(total)} | ${megabytes(indexes)} | ${Math.round(total / Math.max(1, rows))} |`)

const [largest] = await query<store.ConnectionRow & Record<string, unknown>>(owner, `
  select * from connections where workspace_id = (select workspace_id from connections group by 1 order by count(*) desc limit 1) and account_id is not null order by id desc limit 1`)
const [typical] = await query<store.ConnectionRow & Record<string, unknown>>(owner, `
  select * from connections where workspace_id = (select workspace_id from connections group by 1 having count(*) between 40 and 60 limit 1) limit 1`)
const [app] = await query<{ id: AppId }>(owner, 'select id from oauth_apps limit 1')
if (largest === undefined || typical === undefined || app === undefined) throw new Error('nothing is seeded here: npm run seed')
const { db } = database
const all = { environments: ['sandbox', 'live'], limit: 51 } as const
const lane = { integration: LINKED.integration, environment: 'live' } as const
const lists = (place: store.ConnectionRow) => ({
  'first page': () => store.listConnections(db, place.workspace_id, all),
  'by integration': () => store.listConnections(db, place.workspace_id, { ...all, integration: 'stripe' }),
  'by status needs_reauth': () => store.listConnections(db, place.workspace_id, { ...all, status: 'needs_reauth' }),
  'by a label that few have': () => store.listConnections(db, place.workspace_id, { ...all, label: 'customer=nobody' }),
  'by a name that nobody has': () => store.listConnections(db, place.workspace_id, { ...all, q: 'no such name' }),
})
const statements: Record<string, () => Promise<unknown>> = {
  'resolve: a connection with its version': () => database.usable.find(typical.workspace_id, typical.id),
  'one connection': () => store.findConnection(db, typical.workspace_id, typical.id),
  ...Object.fromEntries(Object.entries(lists(typical)).map(([name, run]) => [`list, a workspace of 50: ${name}`, run])),
  ...Object.fromEntries(Object.entries(lists(largest)).map(([name, run]) => [`list, the largest workspace: ${name}`, run])),
  'refresh: which lanes have something due': () => store.listDueLanes(db, [lane]),
  'refresh: claim 64': () => store.claimDueRefreshes(db, lane, { owner: 'bench', ttlSeconds: 1, limit: 64 }),
  'refresh: how much is due': () => store.measureDue(db, [lane], 10_000),
  'remind: take what is due': () => database.transaction((tx) => store.takeReminders(tx, { marks: [14, 7, 3, 1], limit: 500 })),
  'revoke: is the grant shared': () => store.isGrantShared(db, {
    appId: app.id, integration: LINKED.integration, environment: 'live', schemes: [LINKED.auth], except: largest.id, accountId: 'nobody', holder: 'nobody', wholeAccount: false,
  }),
  'audit: first page of the largest workspace': () => store.listAuditEvents(db, { workspaceId: largest.workspace_id, environments: all.environments, limit: 101 }),
  'audit: changes of the largest workspace': () => store.listAuditEvents(db, { workspaceId: largest.workspace_id, environments: all.environments, event: 'connection.updated', limit: 101 }),
  'audit: an event that never was': () => store.listAuditEvents(db, { workspaceId: largest.workspace_id, environments: all.environments, event: 'invoke.started', limit: 101 }),
  'audit: one connection': () => store.listAuditEvents(db, { workspaceId: typical.workspace_id, environments: all.environments, connectionId: typical.id, limit: 101 }),
  'keys: count by state': () => store.countKeys(db),
  'keys: count by KEK': () => store.listKekUses(db),
  'keys: rows to seal again': () => store.countRowsToReseal(db, SEALED_COLUMNS),
}
console.log('\n| statement | ms (median) |\n|---|---|')
try {
  for (const [name, run] of Object.entries(statements)) {
    const times: number[] = []
    for (let time = 0; time < Number(runs); time++) {
      const began = performance.now()
      await run()
      times.push(performance.now() - began)
    }
    console.log(`| ${name} | ${median(times).toFixed(1)} |`)
  }
} finally {
  await database.close()
  await session.end()
}
