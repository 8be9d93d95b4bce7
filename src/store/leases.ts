import { sql, type Insertable, type Selectable } from 'kysely'
import type { ConnectionId, Environment, VersionId, WorkspaceId } from '../ids.ts'
import type { ConnectionRow, VersionOf } from './connections.ts'
import type { Executor, Tx } from './database.ts'
import type { Statement } from './pipeline.ts'
import type { RefreshAnswers } from './schema.ts'
import { runPrepared } from './statements.ts'

/** The right to refresh one credential, until its lease ends or something newer moves the fence. */
export interface RefreshClaim {
  readonly fence: number
  /** By the database's clock: what a token's lifetime is counted from. */
  readonly startedAt: Date
  /** When the refresh before was begun, if it has not been ended: its process is gone, or was paused. */
  readonly openSince: Date | null
  /** Requests in a row whose answer is not known, and when the last of them was. */
  readonly lostAnswers: number
  readonly lostAt: Date | null
  readonly failures: number
}

export interface Lease {
  readonly owner: string
  readonly ttlSeconds: number
}

/** A connection that is due, claimed. */
export interface ClaimedPlace {
  readonly workspaceId: WorkspaceId
  readonly connectionId: ConnectionId
  /** The version the claim is for: what is found later may be newer. */
  readonly versionId: VersionId
  readonly claim: RefreshClaim
}

const NOW = sql<Date>`vault_now()`

/** What taking a lease writes. It is due again when the lease ends, should nobody end it. */
function leased ({ owner, ttlSeconds }: Lease) {
  const until = sql<Date>`vault_now() + make_interval(secs => ${ttlSeconds})`
  return {
    lease_owner: owner, lease_until: until, fence: sql<number>`c.fence + 1`, refresh_started_at: NOW,
    next_refresh_at: sql<Date>`case when c.next_refresh_at is null then null else vault_now() + make_interval(secs => ${ttlSeconds}) end`,
  }
}

const RETURNED = ['c.fence', 'c.refresh_started_at', 'c.lost_answers', 'c.refresh_lost_at', 'c.refresh_failures', 'before.open_since'] as const

interface Returned {
  readonly fence: number
  readonly refresh_started_at: Date | null
  readonly lost_answers: number
  readonly refresh_lost_at: Date | null
  readonly refresh_failures: number
  readonly open_since: Date | null
}

function toClaim (row: Returned): RefreshClaim {
  return {
    fence: row.fence, startedAt: row.refresh_started_at as Date, openSince: row.open_since, lostAnswers: row.lost_answers, lostAt: row.refresh_lost_at,
    failures: row.refresh_failures,
  }
}

/** Takes the lease of a connection's credential; undefined when another holds it, or this version is no longer current. */
export async function claimRefresh (on: Executor, of: VersionOf, lease: Lease): Promise<RefreshClaim | undefined> {
  const row = await on.with('before', (cte) => cte.selectFrom('connections').select(['workspace_id', 'id', 'refresh_started_at as open_since'])
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('current_version', '=', of.versionId)
    .where((where) => where.or([where('lease_until', 'is', null), where('lease_until', '<=', NOW)])).forUpdate())
    .updateTable('connections as c').from('before').set(leased(lease))
    .whereRef('c.workspace_id', '=', 'before.workspace_id').whereRef('c.id', '=', 'before.id').returning(RETURNED).executeTakeFirst()
  return row && toClaim(row)
}

/** Connections of one integration and environment: they share a token endpoint. */
export interface Lane {
  readonly integration: string
  readonly environment: Environment
}

function lanesOf (lanes: readonly Lane[]) {
  const integrations = lanes.map(({ integration }) => integration)
  const environments = lanes.map(({ environment }) => environment)
  return sql<Lane>`unnest(${integrations}::text[], ${environments}::text[])`.as<'lane'>(sql`lane (integration, environment)`)
}

/** Those of the lanes that have something due. */
export async function listDueLanes (on: Executor, lanes: readonly Lane[]): Promise<Lane[]> {
  return await on.selectFrom(lanesOf(lanes)).select(['lane.integration', 'lane.environment'])
    .where((where) => where.exists(where.selectFrom('connections as c').select(sql`1`.as('one'))
      .whereRef('c.integration', '=', 'lane.integration').whereRef('c.environment', '=', 'lane.environment').where('c.next_refresh_at', '<=', NOW)))
    .execute()
}

/** Claims the longest due connections of a lane; those that somebody else is just claiming are passed over. */
export async function claimDueRefreshes (on: Executor, lane: Lane, { limit, ...lease }: Lease & { limit: number }): Promise<ClaimedPlace[]> {
  const rows = await on.with('before', (cte) => cte.selectFrom('connections').select(['workspace_id', 'id', 'refresh_started_at as open_since'])
    .where('integration', '=', lane.integration).where('environment', '=', lane.environment).where('next_refresh_at', '<=', NOW)
    // A lease that was taken on demand is another's.
    .where((where) => where.or([where('lease_until', 'is', null), where('lease_until', '<=', NOW)]))
    .orderBy('next_refresh_at').limit(limit).forUpdate().skipLocked())
    .updateTable('connections as c').from('before').set(leased(lease))
    .whereRef('c.workspace_id', '=', 'before.workspace_id').whereRef('c.id', '=', 'before.id')
    .returning(['c.workspace_id', 'c.id', 'c.current_version', ...RETURNED]).execute()
  return rows.map((row) => ({ workspaceId: row.workspace_id, connectionId: row.id, versionId: row.current_version, claim: toClaim(row) }))
}

/** How many connections of these lanes are due, up to a bound for each, and for how long the first of them has been. */
export async function measureDue (on: Executor, lanes: readonly Lane[], bound: number): Promise<{ due: number, oldestSeconds: number }> {
  const row = await on.selectFrom(lanesOf(lanes))
    .innerJoinLateral((from) => from.selectFrom('connections as c').select('c.next_refresh_at')
      .whereRef('c.integration', '=', 'lane.integration').whereRef('c.environment', '=', 'lane.environment')
      .where('c.next_refresh_at', '<=', NOW).orderBy('c.next_refresh_at').limit(bound).as('due'), (join) => join.onTrue())
    .select([sql<number>`count(*)::int`.as('due'), sql<number>`coalesce(extract(epoch from vault_now() - min(due.next_refresh_at)), 0)::float8`.as('oldest')])
    .executeTakeFirstOrThrow()
  return { due: row.due, oldestSeconds: row.oldest }
}

/** The row, locked, if the fence is still the claim's: nobody has changed the credential, or claimed it, since. */
export async function lockClaimed (tx: Tx, of: VersionOf, claim: Pick<RefreshClaim, 'fence'>): Promise<ConnectionRow | undefined> {
  return await tx.selectFrom('connections').selectAll()
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('fence', '=', claim.fence).forUpdate().executeTakeFirst()
}

/** How a refresh ended that brought no token. */
export interface RefreshEnd {
  /** When to try again; null: not by itself. */
  readonly nextAt: Date | null
  readonly failed: boolean
  /** Whether bytes have left and no answer is known. Undefined leaves what is known of earlier ones. */
  readonly lostAt?: Date | undefined
}

/** Gives the lease back; false when it was no longer ours. */
export async function releaseRefresh (on: Executor, of: VersionOf & Pick<RefreshClaim, 'fence'>, end: RefreshEnd): Promise<boolean> {
  const lost = end.lostAt === undefined ? {} : { refresh_lost_at: end.lostAt, lost_answers: sql<number>`lost_answers + 1` }
  const released = await on.updateTable('connections')
    .set({
      lease_owner: null, lease_until: null, refresh_started_at: null, next_refresh_at: end.nextAt, ...lost,
      refresh_failures: end.failed ? sql`refresh_failures + 1` : sql`refresh_failures`,
    })
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('fence', '=', of.fence).returning('id').executeTakeFirst()
  return released !== undefined
}

/** Notes that an earlier attempt was never ended; false when the claim is no longer good. */
export async function noteLostAnswer (on: Executor, of: VersionOf, { claim, lostAt }: { claim: Pick<RefreshClaim, 'fence'>, lostAt: Date }): Promise<boolean> {
  const noted = await on.updateTable('connections').set({ refresh_lost_at: lostAt, lost_answers: sql`lost_answers + 1` })
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('fence', '=', claim.fence).returning('id').executeTakeFirst()
  return noted !== undefined
}

/** Whether somebody refreshes it now. */
export async function isRefreshing (on: Executor, of: Pick<VersionOf, 'workspaceId' | 'connectionId'>): Promise<boolean> {
  const row = await on.selectFrom('connections').select(sql<boolean>`coalesce(lease_until > vault_now(), false)`.as('held'))
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).executeTakeFirst()
  return row?.held === true
}

export type RefreshAnswerRow = Selectable<RefreshAnswers>

export type Kept = 'kept' | 'fence_moved' | 'key_replaced'

const KEEP: Statement = {
  name: 'refresh_answer_keep',
  text: `with held as materialized (
    select workspace_id, id from connections where workspace_id = $1 and id = $2 and fence = $3 for update
  ), key as materialized (
    select id from workspace_keys where workspace_id = $1 and id = $4 and state = 'current' for share
  ), stored as (
    insert into refresh_answers (workspace_id, connection_id, environment, version_id, started_at, sealed, key_id)
    select held.workspace_id, held.id, $5, $6, $7::timestamptz, $8::bytea, key.id from held, key
    on conflict (workspace_id, connection_id) do update
       set version_id = excluded.version_id, started_at = excluded.started_at, sealed = excluded.sealed, key_id = excluded.key_id
    returning connection_id
  )
  select exists (select from held) as held, exists (select from stored) as stored`,
}

/** Keeps an answer as it came while the fence is the claim's and the key the workspace's current one: in one statement, since a lost answer costs a connection. */
export async function keepAnswer (on: Executor, row: Insertable<RefreshAnswers>, { fence }: Pick<RefreshClaim, 'fence'>): Promise<Kept> {
  const [kept] = await runPrepared<{ held: boolean, stored: boolean }>(on, KEEP, [
    row.workspace_id, row.connection_id, fence, row.key_id, row.environment, row.version_id, row.started_at, row.sealed,
  ])
  if (kept?.stored === true) return 'kept'
  return kept?.held === true ? 'key_replaced' : 'fence_moved'
}

export async function findAnswer (on: Executor, of: Pick<VersionOf, 'workspaceId' | 'connectionId'>): Promise<RefreshAnswerRow | undefined> {
  return await on.selectFrom('refresh_answers').selectAll().where('workspace_id', '=', of.workspaceId).where('connection_id', '=', of.connectionId).executeTakeFirst()
}

export async function dropAnswer (on: Executor, of: Pick<VersionOf, 'workspaceId' | 'connectionId'>): Promise<void> {
  await on.deleteFrom('refresh_answers').where('workspace_id', '=', of.workspaceId).where('connection_id', '=', of.connectionId).execute()
}
