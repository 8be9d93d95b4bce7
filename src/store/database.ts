import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
import pg from 'pg'
import { VaultError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { createPipeline, named, type Pipeline } from './pipeline.ts'
import { listMigrations, SERVICE_ROLE } from './migrate.ts'
import { createPool } from './pool.ts'
import type { DB } from './schema.ts'
import { createSignals, type Signals } from './signals.ts'
import { createUsableTable, type UsableTable } from './usable.ts'

export { describeAway } from './pipeline.ts'

/** What a store function runs on: the pool, or the transaction that its caller has open. */
export type Executor = Kysely<DB> | Transaction<DB>
export type Tx = Transaction<DB>

export interface Database {
  readonly db: Kysely<DB>
  /** For single statements in number: named statements, sent without waiting for each other's answers. */
  readonly reads: Pipeline
  readonly usable: UsableTable
  /** The ledger's own connection: group commits never queue behind anything else. */
  readonly writes: Pipeline
  /** Words from process to process, that shorten waiting. */
  readonly signals: Signals
  /** Runs `work` in one transaction. Rolled back when it throws; `overloaded` when Postgres gives it up for another that waits for it. Never hold one across a network call. */
  transaction<T> (work: (tx: Tx) => Promise<T>): Promise<T>
  /** Throws `database_unavailable` when the database does not answer. */
  ping (): Promise<void>
  close (): Promise<void>
}

interface Options {
  readonly url: string
  readonly poolSize: number
  /** Whether other processes are told and heard; true when left out. */
  readonly notify?: boolean
  /** Whether statements stay prepared; true when left out. */
  readonly prepared?: boolean
  readonly log: Log
  readonly metrics?: Pick<Metrics, 'poolWaits' | 'pool' | 'statements' | 'databaseSilences' | 'onScrape'>
}

/**
 * How long a statement may take, at the server, and how long its connection may be silent. The
 * server is to be first: what it gives up by itself leaves the connection in order.
 */
const TIMEOUTS = {
  transactions: { statementMs: 5_000, silentMs: 6_000 },
  /** Single statements that look up by key, and commits. */
  pipelines: { statementMs: 3_000, silentMs: 4_000 },
}
/** For a new connection, and for one of the pool to become free. */
const CONNECT_TIMEOUT_MS = 3_000
/** Nothing asks for an answer of a session that listens: only the system can notice that the other end has gone. */
const PROBE_AFTER_MS = 10_000
const READ_CLIENTS = 2
/** So that two commits can wait for the disk, or for a standby, at the same time. */
const WRITE_CLIENTS = 2

// int8 and dates: counters stay far below 2^53, and a date is a calendar day, not an instant.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)
pg.types.setTypeParser(pg.types.builtins.DATE, (text: string) => text)

export function openDatabase (options: Options): Database {
  const connection: pg.ClientConfig = {
    connectionString: options.url,
    application_name: 'connection-vault',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: PROBE_AFTER_MS,
  }
  const closing = { now: false }
  const { log, metrics } = options
  const { transactions, pipelines } = TIMEOUTS
  const pool = createPool({
    connection: { ...connection, statement_timeout: transactions.statementMs, idle_in_transaction_session_timeout: transactions.statementMs * 2 },
    size: options.poolSize, silentMs: transactions.silentMs, prepared: options.prepared !== false, log, metrics, isClosing: () => closing.now,
  })
  const db = new Kysely<DB>({ dialect: new PostgresDialect({ pool }) })
  const single = {
    connection: { ...connection, statement_timeout: pipelines.statementMs }, silentMs: pipelines.silentMs, prepared: options.prepared !== false, log, metrics,
  }
  const pipeline = (name: 'reads' | 'writes', of: { clients: number, byKey: boolean }) => createPipeline({ name, ...single, ...of })
  const reads = pipeline('reads', { clients: READ_CLIENTS, byKey: true })
  const writes = pipeline('writes', { clients: WRITE_CLIENTS, byKey: true })
  const signals = createSignals({ connection, reads, log, enabled: options.notify !== false })
  return Object.freeze({
    db,
    reads,
    usable: createUsableTable(reads),
    writes,
    signals,
    transaction: async <T> (work: (tx: Tx) => Promise<T>) => {
      return await guard(() => db.transaction().execute(work)).catch((error: unknown) => { throw givenUp(error) })
    },
    ping: async () => { await guard(() => sql`select 1`.execute(db)) },
    close: async () => {
      closing.now = true
      await Promise.all([signals.close(), reads.close(), writes.close(), db.destroy()])
    },
  })
}

/** Runs database work; turns an absent database into `database_unavailable`. */
export async function guard<T> (work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw named(error)
  }
}

const DEADLOCK = '40P01'

/** What was thrown, or a problem that says to come again in place of a deadlock. */
function givenUp (error: unknown): unknown {
  if (!(error instanceof pg.DatabaseError) || error.code !== DEADLOCK) return error
  return new VaultError('overloaded', { detail: 'Somebody else changes the same at this moment. Nothing was changed.', retryAfterSeconds: 1, cause: error })
}

/** SQLSTATE 23505 on that constraint or index. */
export function isUniqueViolation (error: unknown, constraint: string): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505' && error.constraint === constraint
}

/** SQLSTATE 23503: something still points at the row. */
export function isForeignKeyViolation (error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23503'
}

/**
 * What passes when it is tried again: a deadlock (SQLSTATE 40P01), a lock that was not to be had in
 * time (55P03), a row that came to stand under one that was being deleted (23503).
 */
export function isContended (error: unknown): boolean {
  if (error instanceof VaultError) return isContended(error.cause)
  return error instanceof pg.DatabaseError && [DEADLOCK, '55P03', '23503'].includes(error.code ?? '')
}

/** What keeps the service from running on this database; undefined when nothing does. */
export async function judgeSchema (database: Pick<Database, 'db'>): Promise<string | undefined> {
  const known = listMigrations()
  const { rows: [table] } = await guard(() => sql<{ present: boolean }>`select to_regclass('kysely_migration') is not null as present`.execute(database.db))
  const applied = table?.present === true
    ? (await sql<{ name: string }>`select name from kysely_migration order by name`.execute(database.db)).rows.map((row) => row.name)
    : []
  if (known.some((name) => !applied.includes(name))) return 'the schema is behind this program: run `npm run migrate` with OWNER_DATABASE_URL set'
  if (applied.some((name) => !known.includes(name))) return 'the schema is ahead of this program: run the version that migrated it, or a newer one'
  return undefined
}

/** Rights the service's role must not have; undefined when it has none of them. */
export async function judgeServiceRole (database: Pick<Database, 'db'>): Promise<string | undefined> {
  const { rows: [role] } = await sql<{ superuser: boolean, owns: boolean, rewrites: boolean }>`
    select rolsuper as superuser,
           exists (select from pg_class where relnamespace = 'public'::regnamespace and pg_has_role(relowner, 'member')) as owns,
           has_table_privilege('audit_events', 'UPDATE, DELETE, TRUNCATE') as rewrites
      from pg_roles where rolname = current_user`.execute(database.db)
  if (role?.superuser === true || role?.owns === true || role?.rewrites === true) {
    return 'the role of DATABASE_URL owns the schema or may rewrite the audit: let the service log in as a member of connection_vault_service that owns nothing'
  }
  return undefined
}

/** Rights the service's role lacks, such as after a restore without them; undefined when it has all. */
export async function judgeServiceRights (database: Pick<Database, 'db'>): Promise<string | undefined> {
  const { rows: [role] } = await sql<{ member: boolean | null, unread: string[] }>`
    select (select pg_has_role(current_user, oid, 'member') from pg_roles where rolname = ${SERVICE_ROLE}) as member,
           array(select c.relname::text from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relname not like 'kysely%'
                    and not has_table_privilege(c.oid, 'SELECT') order by 1) as unread`.execute(database.db)
  if (role?.member !== true) return `the role of DATABASE_URL is not a member of ${SERVICE_ROLE}: as an administrator run \`grant ${SERVICE_ROLE} to\` it`
  if (role.unread.length > 0) return `the role of DATABASE_URL may not read ${role.unread.slice(0, 5).join(', ')}: a restore has left the rights out, or they were taken away`
  return undefined
}

/** The server's version, as it says it. */
export async function getServerVersion (database: Pick<Database, 'db'>): Promise<string> {
  const { rows: [server] } = await guard(() => sql<{ version: string }>`select current_setting('server_version') as version`.execute(database.db))
  return server?.version ?? 'unknown'
}
