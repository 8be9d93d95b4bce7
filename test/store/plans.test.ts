import t from 'tap'
import { createLog } from '../../src/log.ts'
import { SEALED_COLUMNS } from '../../src/rooms.ts'
import * as store from '../../src/store/index.ts'
import { FILL_TABLES, FILLED_WORKSPACES } from '../support/fill-tables.ts'
import { collectPlans, explainAll, judgePlan, type Bounds } from '../support/plans.ts'
import { seedMany } from '../support/seed-many.ts'
import { startTestVault } from '../support/vault.ts'
import { CONNECTION_CASES } from './plans/connections.ts'
import { BOTH, W, WEBHOOK, type Case, type Here } from './plans/here.ts'
import { KEY_AND_RECORD_CASES } from './plans/keys-and-record.ts'
import { OTHER_CASES } from './plans/others.ts'

/**
 * Every function of the store runs once against tables with ten thousands of rows, and Postgres
 * says how it did it. No statement may read a large table as a whole, nor look at, or sort, more
 * rows than the largest workspace has: then it takes no longer with a million of the others.
 */
const CASES: Readonly<Record<string, Case | readonly Case[]>> = { ...CONNECTION_CASES, ...KEY_AND_RECORD_CASES, ...OTHER_CASES }

/** Exports that look for nothing in tables. */
const NO_SEARCH = [
  // Vocabulary, and what opens or prepares a database.
  'MigrationError', 'appendIf', 'batchValues', 'describeAway', 'guard', 'isAlive', 'isContended', 'isForeignKeyViolation', 'isMissingPartition', 'isUniqueViolation', 'isUnstorable', 'judgeSchema', 'judgeServiceRights', 'judgeServiceRole', 'getServerVersion', 'migrate', 'nameOfRow', 'openDatabase',
  'prepareEmbedded', 'sealedColumn', 'startEmbeddedPostgres', 'whileKeyChanges',
  // Rows that are added, under a key of their own.
  'insertAgent', 'insertAgentGroup', 'insertAnchor', 'insertApp', 'insertCheckpoint', 'insertConnection', 'insertEnrolmentCode', 'insertIntegration', 'insertLinks', 'insertRelayInvocation', 'insertRevision',
  'insertRevocation', 'insertSession', 'insertToken', 'insertVersion', 'insertWebhook',
]

/** Tables that stay small whatever the number of connections. */
const SMALL_TABLES: Readonly<Record<string, string>> = {
  audit_anchors: 'a row for each time that months of the record are let go',
  audit_sealer: 'one row',
  audit_unsealed: 'batches of the last second',
  event_feed: 'one row',
  keks: 'a row for each key-encryption key there ever was',
  key_sweep: 'one row',
  kysely_migration: 'a row a migration',
  kysely_migration_lock: 'one row',
  open_invocations: 'calls that are under way',
  open_invocations_cursor: 'one row',
  system_keys: 'the vault’s own keys, a few a year',
  test_clock: 'of the tests',
  uses_cursor: 'one row',
  webhook_secrets: 'two for each webhook',
  webhooks: 'endpoints of the host product, at most 20',
}

/** Statements that look at many rows on purpose. */
const MANY_ROWS: Readonly<Record<string, { readonly why: string, readonly what: RegExp }>> = {
  countKeys: { why: 'two keys a workspace, once a minute', what: /^reads all of workspace_keys/ },
  countRowsToReseal: { why: 'the rows of a sweep, key by key and up to a million of each table', what: /^looks at \d+ rows of \w+ by \w+_key:/ },
  deleteWorkspace: { why: 'all that there is of a workspace', what: /^looks at \d+ rows of what an index found by/ },
  noteGroupsOnline: { why: 'a row for each customer’s network, every five seconds', what: /^reads all of agent/ },
}

const SMALL = 1_000
const CONNECTIONS = 30_000
const PAGE = 51

const vault = await startTestVault()
await vault.stop()
const { database } = vault
await vault.withRooms(async (rooms) => await seedMany(rooms, {
  databaseUrl: database.serviceUrl, keyringFile: vault.keyringFile, connections: CONNECTIONS, workspaces: FILLED_WORKSPACES, threads: 1,
}))
await database.query(FILL_TABLES)
await database.query('vacuum analyze')
await explainAll(database)
const open = store.openDatabase({ url: database.serviceUrl, poolSize: 2, notify: false, log: createLog('silent') })
t.teardown(async () => {
  await open.close()
  await vault.close()
})

const sizes = new Map((await database.query<{ name: string, rows: number }>(
  'select relname as name, reltuples::integer as rows from pg_class where relnamespace = \'public\'::regnamespace and relkind in (\'r\', \'p\') and not relispartition',
)).map(({ name, rows }) => [name, rows]))
for (const { name, rows } of await database.query<{ name: string, rows: number }>('select relname as name, reltuples::integer as rows from pg_class where relispartition and relkind = \'r\'')) sizes.set(name, rows)
const [largest] = await database.query<{ rows: number }>('select count(*)::integer as rows from connections where workspace_id = $1', [W])
const bounds: Bounds = { sizes, small: SMALL, touched: Math.round((largest?.rows ?? 0) * 1.2) }

type Row<K extends keyof Here> = Here[K] & Record<string, unknown>
const { columns, ownerUrl } = { columns: SEALED_COLUMNS, ownerUrl: database.ownerUrl }
const [connection] = await database.query<Row<'connection'>>('select * from connections where workspace_id = $1 and next_refresh_at is not null and environment = \'live\' order by id limit 1', [W])
const [versionRow] = await database.query<Row<'versionRow'>>('select * from credential_versions where workspace_id = $1 and connection_id = $2', [W, connection?.id])
const [key] = await database.query<{ id: Here['keyId'] }>('select id from workspace_keys where workspace_id = $1 and state = \'current\' and environment = \'live\'', [W])
const [claimed] = await database.query<Row<'claimed'>>('select * from relay_invocations where state = \'claimed\' limit 1')
if (connection === undefined || versionRow === undefined || key === undefined || claimed === undefined) throw new Error('an example is missing')
const keyId = key.id

class Rollback extends Error {}

/** Findings of one case; it leaves nothing behind but what it did outside of its transaction. */
async function judge (run: Case, within: Bounds = bounds): Promise<string[]> {
  const plans = await collectPlans(async () => {
    await open.transaction(async (tx) => {
      await run({ tx, reads: open.reads, usable: open.usable, columns, ownerUrl, connection, versionRow, keyId, claimed } as Here)
      throw new Rollback()
    }).catch((error: unknown) => { if (!(error instanceof Rollback)) throw error })
  })
  return plans.flatMap((plan) => judgePlan(plan, within).map((finding) => `${finding}: ${plan.statement.replace(/\s+/g, ' ').slice(0, 300)}`))
}

t.test('every function of the store is looked at', async (t) => {
  const functions = Object.entries(store).filter(([, value]) => typeof value === 'function').map(([name]) => name)
  const known = [...Object.keys(CASES), ...NO_SEARCH, 'createUsableTable']
  t.same(functions.filter((name) => !known.includes(name)), [], 'a new function needs a case')
  t.same(known.filter((name) => !functions.includes(name) && name !== 'createUsableTable'), [], 'a case needs its function')
})

t.test('every table is large here, or small for a reason', async (t) => {
  const partitioned = await database.query<{ name: string }>('select relname as name from pg_class where relkind = \'p\' and relnamespace = \'public\'::regnamespace')
  const parents = new Set(partitioned.map(({ name }) => name))
  const small = [...sizes].filter(([name, rows]) => !parents.has(name) && !name.startsWith('audit_events_') && rows <= SMALL).map(([name]) => name)
  t.same(small.sort(), Object.keys(SMALL_TABLES).sort())
  t.ok([...sizes].filter(([name, rows]) => name.startsWith('audit_events_') && rows > SMALL).length >= 3, 'the record spans months')
})

for (const [name, cases] of Object.entries(CASES)) {
  for (const [index, run] of [cases].flat().entries()) {
    t.test(`${name} ${index || ''}`, async (t) => {
      const findings = await judge(run)
      const allowed = MANY_ROWS[name]
      t.same(findings.filter((finding) => allowed?.what.test(finding) !== true), [])
      if (allowed !== undefined) t.not(findings.length, 0, `it is on the list: ${allowed.why}`)
    })
  }
}

/** What is found everywhere, and what the index knows of: a page of it takes a look at little more than a page. */
const all = { environments: BOTH, limit: PAGE }
const PAGES: Readonly<Record<string, Case>> = {
  'the newest connections': async ({ tx }) => await store.listConnections(tx, W, all),
  'those before them': async ({ tx, connection }) => await store.listConnections(tx, W, { ...all, before: connection.id }),
  'of one environment': async ({ tx }) => await store.listConnections(tx, W, { ...all, environments: ['live'] }),
  'of one integration': async ({ tx }) => await store.listConnections(tx, W, { ...all, integration: 'stripe' }),
  'that are well': async ({ tx }) => await store.listConnections(tx, W, { ...all, status: 'active' }),
  'that need somebody': async ({ tx }) => await store.listConnections(tx, W, { ...all, status: 'needs_reauth' }),
  'that are disabled': async ({ tx }) => await store.listConnections(tx, W, { ...all, status: 'disabled' }),
  'the newest records': async ({ tx }) => await store.listAuditEvents(tx, { workspaceId: W, ...all }),
  'of an environment where little happens': async ({ tx }) => await store.listAuditEvents(tx, { workspaceId: W, ...all, environments: ['sandbox'] }),
  'of changes': async ({ tx }) => await store.listAuditEvents(tx, { workspaceId: W, ...all, event: 'connection.updated' }),
  'the next events': async ({ tx }) => await store.listFeed(tx, { after: 20_000, limit: PAGE }),
  deliveries: async ({ tx }) => await store.listDeliveries(tx, { webhookId: WEBHOOK, limit: PAGE }),
}

for (const [name, run] of Object.entries(PAGES)) {
  t.test(`a page: ${name}`, async (t) => { t.same(await judge(run, { ...bounds, touched: PAGE * 8 }), []) })
}

t.test('the check can fail', async (t) => {
  t.match(await judge(async ({ tx }) => await tx.selectFrom('connections').select('id').where('account_label', '=', 'x').execute()), [/reads all of connections/])
  t.match(await judge(async ({ tx }) => await tx.selectFrom('connections').select('id').orderBy('workspace_id').orderBy('id').where('account_label', '=', 'x').limit(1).execute()), [/connections/], 'an index walked to its end')
  t.match(await judge(async ({ tx }) => await tx.selectFrom('credential_versions').select('id').where('key_id', '=', keyId).execute()), [/of credential_versions/], 'an index whose first column is not given')
  t.match(await judge(async ({ tx }) => await tx.selectFrom('audit_events').selectAll().orderBy('occurred_at', 'desc').limit(10).execute()), [/^sorts/], 'a sort of all')
  t.match(await judge(async ({ tx }) => await tx.deleteFrom('idempotency_keys').where('resource_id', '=', 'x').execute()), [/reads all of idempotency_keys/])
})
