import { sql } from 'kysely'
import type { KeyScope } from '../crypto/index.ts'
import type { Environment, WorkspaceId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'

/** The one sweep: what it was asked for, and how far it is. */
export interface KeySweep {
  readonly state: 'idle' | 'running'
  readonly requestedBy: string | null
  readonly requestedAt: Date | null
  readonly finishedAt: Date | null
  readonly rotate: { readonly before: Date, readonly kind: KeyScope['kind'], readonly workspaceId: WorkspaceId | null, readonly environment: Environment | null } | undefined
  readonly rewrapBefore: Date | undefined
  readonly rowsPerSecond: number | null
  readonly keysMade: number
  readonly keysRewrapped: number
  readonly rowsTotal: number
  readonly rowsDone: number
  readonly rowsFailed: number
}

export async function getKeySweep (on: Executor): Promise<KeySweep> {
  const row = await on.selectFrom('key_sweep').selectAll().executeTakeFirstOrThrow()
  return {
    state: row.state, requestedBy: row.requested_by, requestedAt: row.requested_at, finishedAt: row.finished_at,
    rotate: row.rotate_before === null || row.rotate_kind === null
      ? undefined
      : { before: row.rotate_before, kind: row.rotate_kind, workspaceId: row.rotate_workspace, environment: row.rotate_environment },
    rewrapBefore: row.rewrap_before ?? undefined, rowsPerSecond: row.rows_per_second,
    keysMade: row.keys_made, keysRewrapped: row.keys_rewrapped, rowsTotal: row.rows_total, rowsDone: row.rows_done, rowsFailed: row.rows_failed,
  }
}

/** As exact as a Date, so that what is read back is what was written. */
const NOW_MS = sql<Date>`date_trunc('milliseconds', vault_now())`

export interface SweepRequest {
  readonly by: string
  readonly rotate?: { readonly kind: KeyScope['kind'], readonly workspaceId?: WorkspaceId, readonly environment?: Environment }
  readonly rewrap?: boolean
  readonly rowsPerSecond?: number
}

/** Asks for a sweep, or for more of one that is under way; false while another rotation of keys has to be finished first. */
export async function requestKeySweep (tx: Tx, request: SweepRequest): Promise<boolean> {
  const { rows: [now] } = await sql<{ state: string, rotating: boolean }>`select state, rotate_before is not null as rotating from key_sweep for update`.execute(tx)
  const { rotate } = request
  if (rotate !== undefined && now?.rotating === true) return false
  const fresh = now?.state !== 'running'
  await tx.updateTable('key_sweep').set({
    state: 'running', requested_by: request.by, requested_at: sql`vault_now()`, finished_at: null,
    ...fresh && { keys_made: 0, keys_rewrapped: 0, rows_total: 0, rows_done: 0, rows_failed: 0, rows_per_second: null },
    ...request.rowsPerSecond !== undefined && { rows_per_second: request.rowsPerSecond },
    ...request.rewrap === true && { rewrap_before: NOW_MS },
    ...rotate !== undefined && {
      rotate_before: NOW_MS, rotate_kind: rotate.kind, rotate_workspace: rotate.workspaceId ?? null,
      rotate_environment: rotate.environment ?? null,
    },
  }).execute()
  return true
}

/** Takes a running sweep, or keeps it; undefined while another process has it, or there is none. */
export async function claimKeySweep (on: Executor, owner: string, leaseMs: number): Promise<number | undefined> {
  const claimed = await on.updateTable('key_sweep').set({
    fence: sql`case when lease_owner = ${owner} then fence else fence + 1 end`, lease_owner: owner, lease_until: sql`vault_now() + ${leaseMs} * interval '1 millisecond'`,
  }).where('state', '=', 'running')
    .where((where) => where.or([where('lease_owner', '=', owner), where('lease_until', 'is', null), where('lease_until', '<', sql<Date>`vault_now()`)]))
    .returning('fence').executeTakeFirst()
  return claimed?.fence
}

/** What was done since it was last said. */
export interface SweepProgress {
  readonly keysMade?: number
  readonly keysRewrapped?: number
  readonly rowsDone?: number
  readonly rowsFailed?: number
  readonly rowsTotal?: number
  readonly rotated?: boolean
  readonly rewrapped?: Date
  readonly finished?: boolean
}

/** Says how far it is and keeps the lease; false when another process has taken it over. */
export async function noteKeySweep (on: Executor, { fence, leaseMs }: { fence: number, leaseMs: number }, done: SweepProgress): Promise<boolean> {
  const { numUpdatedRows } = await on.updateTable('key_sweep').set({
    keys_made: sql`keys_made + ${done.keysMade ?? 0}`, keys_rewrapped: sql`keys_rewrapped + ${done.keysRewrapped ?? 0}`,
    rows_done: sql`rows_done + ${done.rowsDone ?? 0}`,
    ...done.rowsFailed !== undefined && { rows_failed: done.rowsFailed },
    ...done.rowsTotal !== undefined && { rows_total: sql`rows_done + ${done.rowsTotal}` },
    ...done.rotated === true && { rotate_before: null, rotate_kind: null, rotate_workspace: null, rotate_environment: null },
    // One that was asked for meanwhile is still to be done.
    ...done.rewrapped !== undefined && { rewrap_before: sql`case when rewrap_before <= ${done.rewrapped} then null else rewrap_before end` },
    ...done.finished === true
      ? { state: 'idle' as const, finished_at: sql`vault_now()`, lease_owner: null, lease_until: null }
      : { lease_until: sql`vault_now() + ${leaseMs} * interval '1 millisecond'` },
  }).where('fence', '=', fence)
    .$if(done.finished === true, (query) => query.where('rotate_before', 'is', null).where('rewrap_before', 'is', null))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Lets another process go on at once. */
export async function releaseKeySweep (on: Executor, owner: string): Promise<void> {
  await on.updateTable('key_sweep').set({ lease_owner: null, lease_until: null }).where('lease_owner', '=', owner).execute()
}
