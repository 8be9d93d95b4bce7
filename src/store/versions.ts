import { sql, type Insertable, type Selectable } from 'kysely'
import type { ConnectionId, VersionId, WorkspaceId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { CredentialVersions } from './schema.ts'

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

/** Destroys the current version for its successor; one that can be rolled back to stays. */
export async function destroyCurrentVersion (tx: Tx, of: Of): Promise<void> {
  await destroy(tx, of, 'current')
  await forgetOldest(tx, of)
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
