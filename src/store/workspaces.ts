import { sql } from 'kysely'
import type { InvocationId, KeyId, WorkspaceId } from '../ids.ts'
import type { Tx } from './database.ts'
import type { RelayRow } from './relay.ts'

/** A lock that is not to be had soon is in a deadlock, which is to end here and not in a request. */
const LOCK_TIMEOUT = '700ms'
/** However much a workspace has, no statement takes as long as a database that has gone silent. */
const ROWS_AT_ONCE = 5_000

/**
 * Erases a workspace's keys, with everything locked that others lock before a key; waits for those
 * who hold the keys current.
 */
export async function destroyWorkspaceKeys (tx: Tx, workspaceId: WorkspaceId): Promise<{ keys: KeyId[], at: Date }> {
  await sql`select set_config('lock_timeout', ${LOCK_TIMEOUT}, true)`.execute(tx)
  const lock = async (table: 'connect_sessions' | 'oauth_apps' | 'connections' | 'relay_invocations') => {
    for (let after: string | null = ''; after !== null;) {
      const { rows }: { rows: { last: string | null }[] } = await sql<{ last: string | null }>`
        select max(id) as last from (select id from ${sql.table(table)} where workspace_id = ${workspaceId} and id > ${after} order by id limit ${ROWS_AT_ONCE} for update) as locked`.execute(tx)
      after = rows[0]?.last ?? null
    }
  }
  // In the order in which everybody else takes them.
  await lock('connect_sessions')
  const { rows } = await sql<{ id: KeyId }>`
    with its as materialized (select id from workspace_keys where workspace_id = ${workspaceId} and wrapped is not null order by id for update)
    update workspace_keys k set state = 'destroyed', wrapped = null, ended_at = coalesce(k.ended_at, vault_now()) from its where k.workspace_id = ${workspaceId} and k.id = its.id returning k.id`.execute(tx)
  await lock('oauth_apps')
  await lock('connections')
  await lock('relay_invocations')
  const { rows: [clock] } = await sql<{ now: Date }>`select vault_now() as now`.execute(tx)
  if (clock === undefined) throw new Error('a clock without a time')
  return { keys: rows.map(({ id }) => id).sort(), at: clock.now }
}

/** Relayed calls that have not ended, in the order of their ids: nobody will end them once they are deleted. */
export async function listUnendedRelays (tx: Tx, workspaceId: WorkspaceId, { after, limit }: { after: string, limit: number }): Promise<RelayRow[]> {
  return await tx.selectFrom('relay_invocations').selectAll().where('workspace_id', '=', workspaceId).where('state', '<>', 'ended').where('id', '>', after as InvocationId)
    .orderBy('id').limit(limit).execute()
}

/** A tenant's tables, those that others point to last; what hangs on a row goes with it. */
const TABLES = [
  'relay_chunks', 'relay_invocations', 'enrolment_codes', 'used_challenges', 'agents', 'agent_groups', 'invocation_results', 'idempotency_keys', 'open_invocations', 'revocations',
  'pending_links', 'oauth_states', 'connect_sessions', 'refresh_answers', 'connection_references', 'connection_uses', 'credential_versions', 'connections',
  'oauth_app_secrets', 'oauth_apps', 'integration_actions', 'integration_schemas', 'integration_revisions', 'integrations',
] as const

/** Deletes all rows of a workspace but the record and its events; answers how many of each table, and how many grants nobody can revoke now. */
export async function deleteWorkspace (tx: Tx, workspaceId: WorkspaceId): Promise<{ rows: Record<string, number>, grantsLeft: number }> {
  const { rows: [grants] } = await sql<{ left: number }>`
    select (select count(*) from credential_versions where workspace_id = ${workspaceId} and app_id is not null and state = 'current')
           + (select count(*) from pending_links where workspace_id = ${workspaceId} and app_id is not null)
           + (select count(*) from revocations where workspace_id = ${workspaceId}) as left`.execute(tx)
  const rows: Record<string, number> = {}
  for (const table of TABLES) {
    for (let picked = 1; picked > 0;) {
      const deleted = await deleteSome(tx, table, workspaceId)
      picked = deleted.picked
      if (deleted.gone > 0) rows[table] = (rows[table] ?? 0) + deleted.gone
    }
  }
  return { rows, grantsLeft: Number(grants?.left ?? 0) }
}

/** A row that somebody changes meanwhile is picked, not found in its place, and picked again. */
async function deleteSome (tx: Tx, table: typeof TABLES[number], workspaceId: WorkspaceId): Promise<{ picked: number, gone: number }> {
  const { rows: [counts] } = await sql<{ picked: number, gone: number }>`
    with picked as materialized (select ctid from ${sql.table(table)} where workspace_id = ${workspaceId} limit ${ROWS_AT_ONCE}),
         gone as (delete from ${sql.table(table)} where ctid = any(array(select ctid from picked)) returning 1)
    select (select count(*) from picked)::int as picked, (select count(*) from gone)::int as gone`.execute(tx)
  return counts ?? { picked: 0, gone: 0 }
}
