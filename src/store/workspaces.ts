import { sql } from 'kysely'
import type { KeyId, WorkspaceId } from '../ids.ts'
import type { Tx } from './database.ts'

/** Erases a workspace's keys; waits for those who hold them current. */
export async function destroyWorkspaceKeys (tx: Tx, workspaceId: WorkspaceId): Promise<{ keys: KeyId[], at: Date }> {
  const { rows } = await sql<{ id: KeyId }>`
    update workspace_keys set state = 'destroyed', wrapped = null, ended_at = coalesce(ended_at, vault_now()) where workspace_id = ${workspaceId} and wrapped is not null returning id`.execute(tx)
  const { rows: [clock] } = await sql<{ now: Date }>`select vault_now() as now`.execute(tx)
  if (clock === undefined) throw new Error('a clock without a time')
  return { keys: rows.map(({ id }) => id), at: clock.now }
}

/** A tenant's tables, those that others point to last; what hangs on a row goes with it. */
const TABLES = [
  'relay_chunks', 'relay_invocations', 'enrolment_codes', 'agents', 'agent_groups', 'invocation_results', 'idempotency_keys', 'open_invocations', 'revocations',
  'pending_links', 'oauth_states', 'connect_sessions', 'refresh_answers', 'connection_references', 'connection_uses', 'credential_versions', 'connections',
  'oauth_app_secrets', 'oauth_apps', 'integration_actions', 'integration_schemas', 'integration_revisions', 'integrations',
] as const

/** Deletes all rows of a workspace but the record and its events; answers how many of each table, and how many grants nobody can revoke now. */
export async function deleteWorkspace (tx: Tx, workspaceId: WorkspaceId): Promise<{ rows: Record<string, number>, grantsLeft: number }> {
  const { rows: [grants] } = await sql<{ left: number }>`
    select (select count(*) from credential_versions where workspace_id = ${workspaceId} and app_id is not null and state = 'current')
           + (select count(*) from revocations where workspace_id = ${workspaceId}) as left`.execute(tx)
  const rows: Record<string, number> = {}
  for (const table of TABLES) {
    const { numAffectedRows } = await sql`delete from ${sql.table(table)} where workspace_id = ${workspaceId}`.execute(tx)
    if (Number(numAffectedRows) > 0) rows[table] = Number(numAffectedRows)
  }
  return { rows, grantsLeft: Number(grants?.left ?? 0) }
}
