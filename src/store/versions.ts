import { sql, type Insertable, type Selectable } from 'kysely'
import type { Sealed } from '../crypto/index.ts'
import type { ConnectionId, KeyId, VersionId, WorkspaceId } from '../ids.ts'
import { appendIf, batchValues, type AuditBatch } from './audit.ts'
import type { ConnectionRow, VersionOf } from './connections.ts'
import type { Executor, Tx } from './database.ts'
import type { RefreshClaim } from './leases.ts'
import type { Statement } from './pipeline.ts'
import type { CredentialVersions } from './schema.ts'
import { runPrepared } from './statements.ts'

export type VersionRow = Selectable<CredentialVersions>

interface Of {
  readonly workspace_id: WorkspaceId
  readonly id: ConnectionId
}

export async function insertVersion (tx: Tx, row: Insertable<CredentialVersions>): Promise<void> {
  await tx.insertInto('credential_versions').values(row).execute()
}

export async function getVersion (on: Executor, of: Of, versionId: VersionId): Promise<VersionRow> {
  return await selectVersions(on, of).where('id', '=', versionId).executeTakeFirstOrThrow()
}

/** Newest first. */
export async function listVersions (on: Executor, of: Of): Promise<VersionRow[]> {
  return await selectVersions(on, of).orderBy('number', 'desc').execute()
}

/** The version a rollback would go to: the previous one, while its grace lasts. */
export async function findRollbackVersion (tx: Tx, of: Of): Promise<VersionRow | undefined> {
  return await selectVersions(tx, of).where('state', '=', 'previous').where('grace_until', '>', sql<Date>`vault_now()`).executeTakeFirst()
}

/**
 * Takes the current version out of use: kept sealed for its grace, or destroyed at once when that
 * is 0 seconds. Whatever was kept before it is destroyed.
 */
export async function retireCurrentVersion (tx: Tx, of: Of, graceSeconds: number): Promise<void> {
  await destroy(tx, of, 'previous')
  await forgetOldest(tx, of)
  if (graceSeconds === 0) {
    await destroy(tx, of, 'current')
    return
  }
  await tx.updateTable('credential_versions')
    .set({ state: 'previous', grace_until: sql`vault_now() + make_interval(secs => ${graceSeconds})` })
    .where('workspace_id', '=', of.workspace_id).where('connection_id', '=', of.id).where('state', '=', 'current').execute()
}

/** Makes the previous version current again and keeps the one it replaces until the same moment. */
export async function swapVersions (tx: Tx, of: Of, previous: VersionRow): Promise<void> {
  const update = tx.updateTable('credential_versions').where('workspace_id', '=', of.workspace_id).where('connection_id', '=', of.id)
  // One current version at any moment is a unique index: the old one steps down first.
  await update.set({ state: 'previous', grace_until: previous.grace_until }).where('state', '=', 'current').execute()
  await update.set({ state: 'current', grace_until: null }).where('id', '=', previous.id).execute()
}

/** Destroys versions whose grace has ended, a batch at a time; answers those it destroyed. */
export async function destroyExpiredVersions (tx: Tx, limit: number): Promise<Pick<VersionRow, 'workspace_id' | 'connection_id' | 'id' | 'environment'>[]> {
  return await tx.updateTable('credential_versions as v')
    .set({ state: 'destroyed', sealed: null, grace_until: null, destroyed_at: sql`vault_now()` })
    .from((due) => due.selectFrom('credential_versions').select(['workspace_id', 'connection_id', 'id'])
      .where('state', '=', 'previous').where('grace_until', '<=', sql<Date>`vault_now()`)
      .orderBy('grace_until').limit(limit).forUpdate().skipLocked().as('due'))
    .whereRef('v.workspace_id', '=', 'due.workspace_id').whereRef('v.connection_id', '=', 'due.connection_id').whereRef('v.id', '=', 'due.id')
    .returning(['v.workspace_id', 'v.connection_id', 'v.id', 'v.environment']).execute()
}

/** So many destroyed versions are kept, to be seen in lists; the record has all. */
const DESTROYED_KEPT = 5

/** A token that is renewed every hour would else leave nine thousand rows a year. */
async function forgetOldest (tx: Tx, of: Of): Promise<void> {
  await tx.deleteFrom('credential_versions').where('workspace_id', '=', of.workspace_id).where('connection_id', '=', of.id).where('state', '=', 'destroyed')
    .where('number', '<=', (newest) => newest.selectFrom('credential_versions as v').select(sql<number>`max(v.number) - ${DESTROYED_KEPT}::integer`.as('oldest'))
      .where('v.workspace_id', '=', of.workspace_id).where('v.connection_id', '=', of.id)).execute()
}

function selectVersions (on: Executor, of: Of) {
  return on.selectFrom('credential_versions').selectAll().where('workspace_id', '=', of.workspace_id).where('connection_id', '=', of.id)
}

async function destroy (tx: Tx, of: Of, state: 'current' | 'previous'): Promise<void> {
  await tx.updateTable('credential_versions')
    .set({ state: 'destroyed', sealed: null, grace_until: null, destroyed_at: sql`vault_now()` })
    .where('workspace_id', '=', of.workspace_id).where('connection_id', '=', of.id).where('state', '=', state).execute()
}

/** What a refresh has to know of a connection, locked, to store what it brought. */
export interface RenewableRow extends Pick<ConnectionRow, 'health' | 'last_version_number' | 'allowed_hosts' | 'ends_at'>, Pick<VersionRow, 'created_at' | 'refresh_expires_at'> {
  /** Whether the claim is still good. Whose lease has ended may still hold the only live token. */
  readonly mine: boolean
}

const LOCK: Statement = {
  name: 'renewal_lock',
  text: `with key as materialized (
    select id from workspace_keys where workspace_id = $1 and id = $4 and state = 'current' for share
  ), locked as materialized (
    select c.fence = $5::bigint as mine, c.health, c.last_version_number, c.allowed_hosts, c.ends_at, v.created_at, v.refresh_expires_at
      from connections c join credential_versions v on v.workspace_id = c.workspace_id and v.connection_id = c.id and v.id = c.current_version
     where c.workspace_id = $1 and c.id = $2 and c.current_version = $3 and exists (select from key) for update of c
  )
  select exists (select from key) as held, locked.* from (select) as one left join locked on true`,
}

/**
 * Locks a connection for a credential that was sealed with that key, while the version is the current one, whoever has claimed it since.
 * `held`: whether the key is the workspace's current one.
 */
export async function lockRenewable (
  tx: Tx, of: VersionOf, { keyId, fence }: { keyId: KeyId } & Pick<RefreshClaim, 'fence'>,
): Promise<{ held: boolean, row: RenewableRow | undefined }> {
  const values = [of.workspaceId, of.connectionId, of.versionId, keyId, fence]
  const [found] = await runPrepared<{ held: boolean } & (RenewableRow | { mine: null })>(tx, LOCK, values)
  return { held: found?.held === true, row: found === undefined || found.mine === null ? undefined : found }
}

/** A version that takes the place of another of the same grant. */
export interface Successor extends Pick<VersionRow, 'number' | 'field_set' | 'hosts' | 'host_config' | 'created_by' | 'token_expires_at' | 'refresh_expires_at'> {
  readonly id: VersionId
  readonly sealed: Sealed
  readonly keyId: KeyId
  /** Null: as they were. */
  readonly granted_scopes: string[] | null
}

/** What changes of its connection. */
export type Renewed = Pick<ConnectionRow, 'allowed_hosts' | 'last_refreshed_at' | 'refresh_lost_at' | 'ends_at' | 'next_refresh_at'>

// The insert reads what the update returns: there is one current version at any moment.
const STORE: Statement = {
  name: 'renewal_store',
  text: `with old as (
    update credential_versions set state = 'destroyed', sealed = null, grace_until = null, destroyed_at = vault_now()
     where workspace_id = $9 and connection_id = $10 and id = $11 and state = 'current'
    returning workspace_id, connection_id, environment, previews, app_owner, app_id, granted_scopes, grant_holder
  ), forgotten as (
    delete from credential_versions where workspace_id = $9 and connection_id = $10 and state = 'destroyed' and number < $13::integer - ${DESTROYED_KEPT}
  ), dropped as (
    delete from refresh_answers where workspace_id = $9 and connection_id = $10
  ), renewed as (
    insert into credential_versions (workspace_id, connection_id, id, number, environment, state, field_set, hosts, host_config, previews, sealed, key_id, created_by,
           app_owner, app_id, granted_scopes, grant_holder, token_expires_at, refresh_expires_at)
    select workspace_id, connection_id, $12, $13::integer, environment, 'current', $14::text[], $25::text[], $26::jsonb, previews, $15::bytea, $16, $17,
           app_owner, app_id, coalesce($18::text[], granted_scopes), grant_holder, $19::timestamptz, $20::timestamptz
      from old
    returning id
  ), moved as (
    update connections set current_version = $12, last_version_number = $13::integer, health = 'active', health_reason = null, refusals = 0,
           last_refreshed_at = $21, refresh_lost_at = $22, ends_at = $23, next_refresh_at = $24, allowed_hosts = $27::text[], fence = fence + 1, lease_owner = null, lease_until = null,
           refresh_started_at = null, refresh_failures = 0, lost_answers = 0, revision = revision + 1, updated_at = vault_now()
     where workspace_id = $9 and id = $10 and exists (select from renewed)
  ), ${appendIf('renewed')}
  select id from renewed`,
}

interface Renewal {
  readonly successor: Successor
  readonly renewed: Renewed
  readonly batch: AuditBatch
}

/** Puts renewed tokens in the place of those of a locked connection, destroys these, and writes the record: all in one statement. */
export async function storeRenewal (tx: Tx, of: VersionOf, { successor, renewed, batch }: Renewal): Promise<void> {
  const stored = await runPrepared(tx, STORE, [
    ...batchValues(batch), of.workspaceId, of.connectionId, of.versionId,
    successor.id, successor.number, successor.field_set, successor.sealed, successor.keyId, successor.created_by, successor.granted_scopes,
    successor.token_expires_at, successor.refresh_expires_at,
    renewed.last_refreshed_at, renewed.refresh_lost_at, renewed.ends_at, renewed.next_refresh_at,
    successor.hosts, JSON.stringify(successor.host_config), renewed.allowed_hosts,
  ])
  if (stored.length !== 1) throw new Error('a locked connection has no current version')
}
