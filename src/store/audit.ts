import { sql, type Selectable } from 'kysely'
import pg from 'pg'
import { ConfigError } from '../config.ts'
import { ENVIRONMENTS, type Environment, type KeyId, type WorkspaceId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { Pipeline, Statement } from './pipeline.ts'
import type { AuditEvents } from './schema.ts'
import { runPrepared } from './statements.ts'
import { STAMP } from './usable.ts'

const CONNECT_TIMEOUT_MS = 5_000

type Columns = Omit<Selectable<AuditEvents>, 'occurred_at' | 'batch_id'>

/**
 * An audit record as it is stored, `occurred_at` as ISO text with milliseconds. Undefined stands
 * for null: what is left out of the JSON is neither sent nor parsed.
 */
export type AuditRow = { readonly [C in keyof Columns]: null extends Columns[C] ? Columns[C] | undefined : Columns[C] } & {
  readonly occurred_at: string
  /** Of the premise that it rests on, if on any. They are not stored. */
  readonly stamp?: string | undefined
  readonly until?: Date | undefined
}

/** Records committed together, with the MAC that the chain takes up. */
export interface AuditBatch {
  readonly id: string
  readonly rows: readonly AuditRow[]
  readonly firstAt: string
  readonly lastAt: string
  readonly digest: Buffer
  readonly keyId: KeyId
  readonly mac: Buffer
}

const EVENT_COLUMNS = `occurred_at, id, event, outcome, reason, workspace_id, environment, connection_id, version_id,
  invocation_id, principal_kind, principal_id, actor, request_id, context, details`

const EVENT_TYPES = `occurred_at timestamptz, id text, event text, outcome text, reason text, workspace_id text, environment text, connection_id text,
    version_id text, invocation_id text, principal_kind text, principal_id text, actor text, request_id text, context jsonb, details jsonb`

// One JSON parameter instead of an array for each column: half the time to bind and to parse.
const APPEND: Statement = {
  name: 'audit_append',
  text: `with queued as (
    insert into audit_unsealed (batch_id, events, first_at, last_at, digest, key_id, mac) values ($1, $2, $3, $4, $5, $6, $7)
  )
  insert into audit_events (batch_id, ${EVENT_COLUMNS})
  select $1, ${EVENT_COLUMNS} from json_to_recordset($8::json) as r (${EVENT_TYPES})`,
}

/**
 * Common table expressions that store a batch if `source` has a row; its eight values are the
 * statement's first parameters. `records` are those of the eighth as a table `r`.
 */
export function appendIf (source: string, records = `json_to_recordset($8::json) as r (${EVENT_TYPES})`): string {
  return `queued as (
    insert into audit_unsealed (batch_id, events, first_at, last_at, digest, key_id, mac)
    select $1::text, $2::integer, $3::timestamptz, $4::timestamptz, $5::bytea, $6::text, $7::bytea from ${source}
  ), recorded as (
    insert into audit_events (batch_id, ${EVENT_COLUMNS})
    select $1::text, ${EVENT_COLUMNS.split(',').map((column) => `r.${column.trim()}`).join(', ')} from ${source}, ${records}
  )`
}

/** What a record of a use rests on: its connection and its credential are as they were when they were read, and its token is good until then. */
export interface Premise {
  readonly stamp: string
  /** By the database's clock; null for a credential without an end. */
  readonly until: Date | null
}

// `offset 0` keeps the planner from turning the look-ups by primary key into a join of whole tables.
const APPEND_ON: Statement = {
  name: 'audit_append_on',
  text: `with r as materialized (select * from json_to_recordset($8::json) as given (${EVENT_TYPES}, stamp text, until timestamptz)),
  failed as materialized (
    select r.id from r where r.stamp is not null and not exists (
      select from connections c join credential_versions v on v.workspace_id = c.workspace_id and v.connection_id = c.id and v.id = c.current_version
       where c.workspace_id = r.workspace_id and c.id = r.connection_id and ${STAMP} = r.stamp and (r.until is null or vault_now() < r.until) offset 0)
  ), held as (select where not exists (select from failed)),
  ${appendIf('held', 'r')}
  select id from failed`,
}

/**
 * Commits a batch as one statement if all premises of its records hold when it does. Answers the ids
 * of the records whose premise does not: then nothing was stored.
 */
export async function appendBatchOn (writes: Pipeline, batch: AuditBatch): Promise<string[]> {
  const failed = await writes.run<{ id: string }>(APPEND_ON, batchValues(batch))
  return failed.map(({ id }) => id)
}

/** Commits a batch as one statement, whatever its records rest on. */
export async function appendBatch (writes: Pipeline, batch: AuditBatch): Promise<void> {
  await writes.run(APPEND, batchValues(batch))
}

/** The same as a part of a transaction. */
export async function appendBatchIn (tx: Tx, batch: AuditBatch): Promise<void> {
  await runPrepared(tx, APPEND, batchValues(batch))
}

export function batchValues (batch: AuditBatch): unknown[] {
  return [batch.id, batch.rows.length, batch.firstAt, batch.lastAt, batch.digest, batch.keyId, batch.mac, JSON.stringify(batch.rows)]
}

/** Makes the partitions of this month and the three after it. */
export async function ensureAuditPartitions (on: Executor): Promise<void> {
  await sql`select ensure_audit_partitions(3)`.execute(on)
}

/** SQLSTATE 23514 of an insert that found no partition: the job that makes them has not run. */
export function isMissingPartition (error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '23514' && 'table' in error && error.table === 'audit_events'
}

/** SQLSTATE class 22: one record holds what Postgres can't store. */
export function isUnstorable (error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('22')
}

export interface AuditFilter {
  readonly workspaceId: WorkspaceId
  readonly environments: readonly Environment[]
  readonly event?: string
  readonly connectionId?: string
  readonly from?: Date
  readonly to?: Date
  readonly before?: { readonly occurredAt: Date, readonly id: string }
  readonly limit: number
}

export type StoredEvent = Selectable<AuditEvents>

/** Newest first. Records of no environment (such as refusals) may be about either: only who sees both sees them. */
export async function listAuditEvents (on: Executor, filter: AuditFilter): Promise<StoredEvent[]> {
  const [first, ...others] = filter.environments.length < ENVIRONMENTS.length ? filter.environments : [...ENVIRONMENTS, null]
  if (first === undefined) return []
  // The newest of each: of one environment there may be few among very many of the other.
  const newest = (environment: Environment | null) => on.selectFrom(selectEvents(on, filter, environment).as('newest')).selectAll()
  return await others.reduce((all, environment) => all.unionAll(newest(environment)), newest(first))
    .orderBy('occurred_at', 'desc').orderBy('id', 'desc').limit(filter.limit).execute()
}

function selectEvents (on: Executor, filter: AuditFilter, environment: Environment | null) {
  let query = on.selectFrom('audit_events').selectAll()
    .where('workspace_id', '=', filter.workspaceId).where('environment', environment === null ? 'is' : '=', environment)
    .orderBy('occurred_at', 'desc').orderBy('id', 'desc').limit(filter.limit)
  if (filter.event !== undefined) query = query.where('event', '=', filter.event)
  if (filter.connectionId !== undefined) query = query.where('connection_id', '=', filter.connectionId)
  if (filter.from !== undefined) query = query.where('occurred_at', '>=', filter.from)
  if (filter.to !== undefined) query = query.where('occurred_at', '<', filter.to)
  const { before } = filter
  if (before !== undefined) {
    query = query.where((where) => where(where.refTuple('occurred_at', 'id'), '<', where.tuple(before.occurredAt, before.id)))
  }
  return query
}

/** For how many months ahead of this one there is a partition; none for this one counts as -1. */
export async function judgeAuditPartitions (on: Executor): Promise<number> {
  const { rows: [found] } = await sql<{ months: number }>`
    select count(*) filter (where right(relname, 7) >= to_char(vault_now() at time zone 'UTC', 'YYYY_MM')) - 1 as months
      from pg_class c join pg_inherits i on i.inhrelid = c.oid where i.inhparent = 'audit_events'::regclass`.execute(on)
  return Number(found?.months ?? -1)
}

/** How far this machine's clock is ahead of the database's, give or take the way there and back. */
export async function measureClockSkew (on: Executor, clock: { now (): Date }): Promise<number> {
  const before = clock.now().getTime()
  const { rows: [at] } = await sql<{ now: Date }>`select vault_now() as now`.execute(on)
  return (before + clock.now().getTime()) / 2 - (at?.now.getTime() ?? 0)
}

interface Anchor {
  readonly seq: number
  readonly keptFrom: Date
}

/**
 * Drops what ended before an instant, as the role of this URL; answers how many months. The anchor
 * is signed only when that role is there and may do it. Throws ConfigError.
 */
export async function pruneAuditAs (url: string, sign: () => Promise<Anchor | undefined>): Promise<{ seq: number, months: number } | undefined> {
  const client = new pg.Client({ connectionString: url, application_name: 'connection-vault retention', connectionTimeoutMillis: CONNECT_TIMEOUT_MS })
  try {
    await client.connect().catch((error: unknown) => {
      throw new ConfigError(`the database of RETENTION_DATABASE_URL does not let anybody in (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'})`)
    })
    const { rows: [right] } = await client.query<{ may: boolean | null }>("select has_function_privilege(to_regprocedure('prune_audit(bigint, timestamptz)'), 'execute') as may")
    if (right?.may !== true) throw new ConfigError('the role of RETENTION_DATABASE_URL may not drop months: it has to be connection_vault_retention, or a member of it, in the vault’s database')
    const anchor = await sign()
    if (anchor === undefined) return undefined
    const { rows } = await client.query<{ dropped: number }>('select prune_audit($1, $2) as dropped', [anchor.seq, anchor.keptFrom])
    return { seq: anchor.seq, months: rows[0]?.dropped ?? 0 }
  } finally {
    await client.end()
  }
}
