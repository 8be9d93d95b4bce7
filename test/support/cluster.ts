import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { EMBEDDED_SUPERUSER, migrate, prepareEmbedded, SERVICE_ROLE, startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/store/index.ts'

/**
 * One Postgres for the whole test run, started before the first file and stopped after the last.
 * Each file clones its own database from a migrated template in about 30 ms.
 */
const CACHE = new URL('../../node_modules/.cache/connection-vault/', import.meta.url).pathname
const INFO = join(CACHE, 'test-cluster.json')
const TEMPLATE = 'vault_template'

interface Info {
  readonly socketUrl: string
}

/** `vault_now()` of the tests: it runs with a shift, so that time is moved and never slept through. */
export const TEST_CLOCK = `
  create table test_clock (shift interval not null);
  insert into test_clock values ('0');
  grant select on test_clock to ${SERVICE_ROLE};
  create or replace function vault_now() returns timestamptz language sql stable parallel safe
    return statement_timestamp() + (select shift from test_clock);`

export async function startCluster (): Promise<EmbeddedPostgres> {
  mkdirSync(CACHE, { recursive: true })
  // Killed databases lose nothing that the system has taken; only a power cut would, and here that does not matter.
  const cluster = await startEmbeddedPostgres({ dataDir: join(CACHE, 'cluster'), settings: { fsync: 'off', full_page_writes: 'off', max_connections: '400' } })
  await query(cluster.url(EMBEDDED_SUPERUSER, 'postgres'), `drop database if exists ${TEMPLATE} with (force)`)
  const { owner } = await prepareEmbedded(cluster, TEMPLATE)
  await migrate(owner)
  await query(owner, TEST_CLOCK)
  writeFileSync(INFO, JSON.stringify({ socketUrl: cluster.url('ROLE', 'DATABASE') } satisfies Info))
  return cluster
}

export async function stopCluster (): Promise<void> {
  if (!existsSync(INFO)) return
  const cluster = await startEmbeddedPostgres({ dataDir: join(CACHE, 'cluster') })
  await cluster.stop()
  rmSync(INFO)
}

export interface TestDatabase {
  /** As the vault logs in. */
  readonly serviceUrl: string
  /** As an intruder with all rights, or a test that looks behind the scenes. */
  readonly superUrl: string
  readonly ownerUrl: string
  /** Runs statements as superuser. */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow> (text: string, values?: unknown[]): Promise<Row[]>
  /** Moves `vault_now()`. */
  advance (interval: string): Promise<void>
  /** Cuts every session and refuses new ones, or lets them in again. */
  setReachable (reachable: boolean): Promise<void>
  drop (): Promise<void>
}

/** A fresh migrated database of this test's own. */
export async function createTestDatabase (): Promise<TestDatabase> {
  const { socketUrl } = JSON.parse(readFileSync(INFO, 'utf8')) as Info
  const name = `test_${randomBytes(6).toString('hex')}`
  const url = (role: string, database: string) => socketUrl.replace('ROLE', role).replace('DATABASE', database)
  const admin = url(EMBEDDED_SUPERUSER, 'postgres')
  await query(admin, `create database ${name} template ${TEMPLATE} owner connection_vault_owner`)
  const superUrl = url(EMBEDDED_SUPERUSER, name)
  const run = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => await query<Row>(superUrl, text, values)
  return {
    serviceUrl: url(SERVICE_ROLE, name),
    ownerUrl: url('connection_vault_owner', name),
    superUrl,
    query: run,
    advance: async (interval) => { await run('update test_clock set shift = shift + $1::interval', [interval]) },
    setReachable: async (reachable) => {
      await query(admin, `alter database ${name} with allow_connections ${reachable}`)
      if (!reachable) await query(admin, 'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name])
    },
    drop: async () => { await query(admin, `drop database if exists ${name} with (force)`) },
  }
}

export async function query<Row extends pg.QueryResultRow> (url: string, text: string, values?: unknown[]): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const result = await client.query<Row>(text, values)
    return result.rows
  } finally {
    await client.end()
  }
}
