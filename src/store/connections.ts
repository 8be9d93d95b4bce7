import { sql, type Insertable, type Selectable, type SelectQueryBuilder, type SqlBool, type Updateable } from 'kysely'
import type { ConnectionId, Environment, VersionId, WorkspaceId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { Connections, CredentialVersions, DB } from './schema.ts'

export type ConnectionRow = Selectable<Connections>

/** A connection with what its current version shows of itself: no sealed bytes. */
export type ConnectionView = ConnectionRow & Pick<Selectable<CredentialVersions>, 'app_owner' | 'app_id' | 'granted_scopes' | 'token_expires_at'> & {
  readonly version_number: number
  readonly hosts: string[]
  readonly host_config: Record<string, string>
  readonly previews: Record<string, string>
  readonly last_used_at: Date | null
}

export interface ConnectionFilter {
  readonly environments: readonly Environment[]
  readonly integration?: string
  readonly status?: string
  /** A label that must be present: `name` or `name=value`. */
  readonly label?: string
  /** Part of the name, without regard to case. */
  readonly q?: string
  /** Only connections older than this one. */
  readonly before?: ConnectionId
  readonly limit: number
}

export async function insertConnection (tx: Tx, row: Insertable<Connections>): Promise<void> {
  await tx.insertInto('connections').values(row).execute()
}

export async function findConnection (on: Executor, workspaceId: WorkspaceId, id: ConnectionId): Promise<ConnectionView | undefined> {
  return await selectViews(on, on.selectFrom('connections').selectAll().where('workspace_id', '=', workspaceId).where('id', '=', id)).executeTakeFirst()
}

/** Newest first. */
export async function listConnections (on: Executor, workspaceId: WorkspaceId, filter: ConnectionFilter): Promise<ConnectionView[]> {
  if (filter.environments.length === 0) return []
  let query = on.selectFrom('connections as c').selectAll()
    .where('c.workspace_id', '=', workspaceId)
    .where('c.environment', 'in', filter.environments)
    .orderBy('c.id', 'desc')
    .limit(filter.limit)
  if (filter.before !== undefined) query = query.where('c.id', '<', filter.before)
  if (filter.integration !== undefined) query = query.where('c.integration', '=', filter.integration)
  if (filter.q !== undefined) query = query.where(sql<SqlBool>`strpos(c.name_key, ${filter.q}) > 0`)
  if (filter.status === 'disabled') query = query.where('c.disabled_at', 'is not', null)
  else if (filter.status !== undefined) query = query.where('c.disabled_at', 'is', null).where(sql<SqlBool>`c.health = ${filter.status}`)
  if (filter.label !== undefined) {
    const at = filter.label.indexOf('=')
    query = at < 0
      ? query.where(sql<SqlBool>`jsonb_exists(c.labels, ${filter.label})`)
      : query.where(sql<SqlBool>`c.labels ->> ${filter.label.slice(0, at)} = ${filter.label.slice(at + 1)}`)
  }
  return await selectViews(on, query).orderBy('c.id', 'desc').execute()
}

export async function isNameTaken (on: Executor, of: { workspaceId: WorkspaceId, environment: Environment, nameKey: string }): Promise<boolean> {
  const found = await on.selectFrom('connections').select('id')
    .where('workspace_id', '=', of.workspaceId).where('environment', '=', of.environment).where('name_key', '=', of.nameKey).executeTakeFirst()
  return found !== undefined
}

/** Keeps every other change of this connection out until the transaction ends. */
export async function lockConnection (tx: Tx, workspaceId: WorkspaceId, id: ConnectionId): Promise<ConnectionRow | undefined> {
  return await tx.selectFrom('connections').selectAll()
    .where('workspace_id', '=', workspaceId).where('id', '=', id).forUpdate().executeTakeFirst()
}

type Changes = Omit<Updateable<Connections>, 'workspace_id' | 'id' | 'environment' | 'integration' | 'revision' | 'updated_at'>

/** Writes the changes and moves the revision, and with it the ETag, on; a new credential ends any lease on the old. */
export async function updateConnection (tx: Tx, row: Pick<ConnectionRow, 'workspace_id' | 'id'>, changes: Changes): Promise<void> {
  const fenced = changes.current_version === undefined
    ? {}
    : {
        fence: sql<number>`fence + 1`, lease_owner: null, lease_until: null, refresh_started_at: null, refresh_failures: 0, lost_answers: 0,
        refresh_lost_at: changes.refresh_lost_at ?? null, next_refresh_at: changes.next_refresh_at ?? null, ends_at: changes.ends_at ?? null,
      }
  await tx.updateTable('connections')
    .set({ ...changes, ...fenced, revision: sql`revision + 1`, updated_at: sql`vault_now()` })
    .where('workspace_id', '=', row.workspace_id).where('id', '=', row.id).execute()
}

export async function setDisabled (tx: Tx, row: Pick<ConnectionRow, 'workspace_id' | 'id'>, to: { disabled: boolean, by: string }): Promise<void> {
  await tx.updateTable('connections')
    .set({ disabled_at: to.disabled ? sql`vault_now()` : null, updated_by: to.by, revision: sql`revision + 1`, updated_at: sql`vault_now()` })
    .where('workspace_id', '=', row.workspace_id).where('id', '=', row.id).execute()
}

/** Removes the connection with its versions, references and uses. */
export async function deleteConnection (tx: Tx, row: Pick<ConnectionRow, 'workspace_id' | 'id'>): Promise<void> {
  await tx.deleteFrom('connections').where('workspace_id', '=', row.workspace_id).where('id', '=', row.id).execute()
}

/** Which version of which connection, so that a late report never touches a newer credential. */
export interface VersionOf {
  readonly workspaceId: WorkspaceId
  readonly connectionId: ConnectionId
  readonly versionId: VersionId
}

/** Notes that the provider refused this version; answers how often in a row, undefined when it is no longer current. */
export async function countRefusal (tx: Tx, of: VersionOf): Promise<number | undefined> {
  const counted = await tx.updateTable('connections').set({ refusals: sql`refusals + 1` })
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('current_version', '=', of.versionId)
    .returning('refusals').executeTakeFirst()
  return counted?.refusals
}

/** Reasons of a grant that is not renewed any more; what is left of its token is good. */
export const ENDED_GRANTS: readonly string[] = ['grant_rejected', 'refresh_outcome_unknown']

/**
 * Marks the credential as refused; answers whether that is news: not when it was already, or the version is no longer current. What
 * was left of a grant that had ended is over with it.
 */
export async function markNeedsReauth (tx: Tx, of: VersionOf, reason: string): Promise<boolean> {
  const marked = await tx.with('before', (cte) => cte.selectFrom('connections').select(['workspace_id', 'id', 'health'])
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('current_version', '=', of.versionId)
    .where((where) => where.or([
      where('health', '=', 'active'),
      ...reason === 'credential_refused' ? [where.and([where('health', '=', 'needs_reauth'), where('health_reason', 'in', ENDED_GRANTS)])] : [],
    ])).forUpdate())
    .updateTable('connections as c').from('before')
    .set({ health: 'needs_reauth', health_reason: reason, revision: sql`c.revision + 1` })
    .whereRef('c.workspace_id', '=', 'before.workspace_id').whereRef('c.id', '=', 'before.id')
    .returning('before.health as was').executeTakeFirst()
  return marked?.was === 'active'
}

/** A connection whose token has ended, with nothing to renew it by. */
export type EndedRow = Pick<ConnectionRow, 'workspace_id' | 'id' | 'environment' | 'current_version'>

/** Marks connections whose tokens have ended and that nothing but their owner can renew, up to a number. */
export async function takeEnded (tx: Tx, limit: number): Promise<EndedRow[]> {
  const { rows } = await sql<EndedRow>`
    update connections c set health = 'needs_reauth', health_reason = 'token_ended', revision = revision + 1
      from (select workspace_id, id from connections where ends_at <= vault_now() and health = 'active' order by ends_at limit ${limit} for update skip locked) due
     where c.workspace_id = due.workspace_id and c.id = due.id
    returning c.workspace_id, c.id, c.environment, c.current_version`.execute(tx)
  return rows
}

/**
 * Notes that the provider accepts this version. Answers whether that is news: it was marked as refused. A grant that has ended stays so:
 * what is left of its token says nothing of whether there will be another.
 */
export async function clearRefusals (tx: Tx, of: VersionOf): Promise<boolean> {
  const recovers = sql<boolean>`(health = 'needs_reauth' and health_reason = 'credential_refused')`
  const cleared = await tx.with('before', (cte) => cte.selectFrom('connections').select(['workspace_id', 'id', recovers.as('recovers')])
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('current_version', '=', of.versionId)
    .where((where) => where.or([where('refusals', '>', 0), recovers])).forUpdate())
    .updateTable('connections as c').from('before')
    .set({
      refusals: 0,
      health: sql`case when before.recovers then 'active' else c.health end`,
      health_reason: sql`case when before.recovers then null else c.health_reason end`,
      revision: sql`case when before.recovers then c.revision + 1 else c.revision end`,
    })
    .whereRef('c.workspace_id', '=', 'before.workspace_id').whereRef('c.id', '=', 'before.id')
    .returning('before.recovers').executeTakeFirst()
  return cleared?.recovers === true
}

/** Notes which upstream account the credential belongs to. The same account without a label keeps the one it had. */
export async function setAccount (tx: Tx, of: VersionOf, account: { id: string, label: string | null }): Promise<void> {
  const label = account.label ?? sql<string | null>`case when account_id = ${account.id} then account_label end`
  await tx.updateTable('connections').set({ account_id: account.id, account_label: label })
    .where('workspace_id', '=', of.workspaceId).where('id', '=', of.connectionId).where('current_version', '=', of.versionId)
    .where((where) => where.or([where('account_id', 'is distinct from', account.id), where('account_label', 'is distinct from', label)]))
    .execute()
}

/** Connections of the workspace's other environment that reach the same upstream account. */
export async function listAccountTwins (on: Executor, row: Pick<ConnectionRow, 'workspace_id' | 'environment' | 'integration'>, same: { account: string, hosts: readonly string[] }): Promise<Pick<ConnectionRow, 'name' | 'environment'>[]> {
  return await on.selectFrom('connections as c')
    .innerJoin('credential_versions as v', (join) => join
      .onRef('v.workspace_id', '=', 'c.workspace_id').onRef('v.connection_id', '=', 'c.id').onRef('v.id', '=', 'c.current_version'))
    .select(['c.name', 'c.environment'])
    .where('c.workspace_id', '=', row.workspace_id).where('c.integration', '=', row.integration).where('c.environment', '!=', row.environment)
    .where('c.account_id', '=', same.account).where(sql<SqlBool>`v.hosts && ${[...same.hosts]}::text[]`)
    .limit(10).execute()
}

type VersionPart = Pick<Selectable<CredentialVersions>, 'hosts' | 'host_config' | 'previews' | 'app_owner' | 'app_id' | 'granted_scopes' | 'token_expires_at'>

/** The page is chosen before anything is put beside it: of a join, the planner would have all and sort them. */
function selectViews (on: Executor, page: SelectQueryBuilder<DB, never, ConnectionRow>) {
  return on.selectFrom(page.as('c'))
    .innerJoin('credential_versions as v', (join) => join
      .onRef('v.workspace_id', '=', 'c.workspace_id').onRef('v.connection_id', '=', 'c.id').onRef('v.id', '=', 'c.current_version'))
    .selectAll('c')
    .select(['v.number as version_number', 'v.hosts', 'v.host_config', 'v.previews', 'v.app_owner', 'v.app_id', 'v.granted_scopes', 'v.token_expires_at'] satisfies (`v.${keyof VersionPart}` | 'v.number as version_number')[])
    .select((of) => of.selectFrom('connection_uses as u').select((max) => max.fn.max('u.last_used_at').as('at'))
      .whereRef('u.workspace_id', '=', 'c.workspace_id').whereRef('u.connection_id', '=', 'c.id').as('last_used_at'))
}
