import { sql } from 'kysely'
import type { ConnectionRow, VersionOf } from './connections.ts'
import type { Executor, Tx } from './database.ts'

/** The right to refresh one credential, until its lease ends or something newer moves the fence. */
export interface RefreshClaim {
  readonly fence: number
  /** By the database's clock: what a token's lifetime is counted from. */
  readonly startedAt: Date
}

/** Takes the lease of a connection's credential; undefined when another holds it, or this version is no longer current. */
export async function claimRefresh (on: Executor, of: VersionOf, lease: { owner: string, ttlSeconds: number }): Promise<RefreshClaim | undefined> {
  const claimed = await on.updateTable('connections')
    .set({ lease_owner: lease.owner, lease_until: sql`vault_now() + make_interval(secs => ${lease.ttlSeconds})`, fence: sql`fence + 1`, refresh_started_at: sql`vault_now()` })
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('current_version', '=', of.versionId)
    .where((where) => where.or([where('lease_until', 'is', null), where('lease_until', '<=', sql<Date>`vault_now()`)]))
    .returning(['fence', sql<Date>`vault_now()`.as('started_at')]).executeTakeFirst()
  return claimed && { fence: claimed.fence, startedAt: claimed.started_at }
}

/** The row, locked, if the fence is still the claim's: nobody has changed the credential since. */
export async function lockClaimed (tx: Tx, of: VersionOf, claim: RefreshClaim): Promise<ConnectionRow | undefined> {
  return await tx.selectFrom('connections').selectAll()
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('fence', '=', claim.fence).forUpdate().executeTakeFirst()
}

/** Gives the lease back after a refresh that brought nothing. */
export async function releaseRefresh (on: Executor, of: VersionOf, claim: RefreshClaim): Promise<void> {
  await on.updateTable('connections').set({ lease_owner: null, lease_until: null, refresh_failures: sql`refresh_failures + 1` })
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('fence', '=', claim.fence).execute()
}

/** Whether somebody refreshes it now. */
export async function isRefreshing (on: Executor, of: Pick<VersionOf, 'workspaceId' | 'connectionId'>): Promise<boolean> {
  const row = await on.selectFrom('connections').select(sql<boolean>`coalesce(lease_until > vault_now(), false)`.as('held'))
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).executeTakeFirst()
  return row?.held === true
}
