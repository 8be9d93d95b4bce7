import { sql, type Insertable, type Selectable } from 'kysely'
import { GLOBAL_OWNER, type AppId, type AppOwner, type Environment, type WorkspaceId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { OauthApps, OauthAppSecrets } from './schema.ts'

/** An OAuth app with what may be shown of its current secret. */
export type AppRow = Selectable<OauthApps> & {
  readonly preview: string
  readonly previous_until: Date | null
  /** Whether its provider has refused it so lately that it is not asked again. */
  readonly paused: boolean
}
export type AppSecretRow = Pick<Selectable<OauthAppSecrets>, 'id' | 'state' | 'hosts' | 'sealed'>

export interface AppPlace {
  readonly owner: AppOwner
  readonly integration: string
  readonly environment: Environment
}

/** Locks the row until the transaction ends. */
export async function lockApp (tx: Tx, { owner, integration, environment }: AppPlace): Promise<Selectable<OauthApps> | undefined> {
  return await tx.selectFrom('oauth_apps').selectAll()
    .where('workspace_id', '=', owner).where('integration', '=', integration).where('environment', '=', environment).forUpdate().executeTakeFirst()
}

export async function findApp (on: Executor, { owner, integration, environment }: AppPlace): Promise<AppRow | undefined> {
  return await selectApps(on).where('a.workspace_id', '=', owner).where('a.integration', '=', integration).where('a.environment', '=', environment).executeTakeFirst()
}

/** The app a workspace links with: its own, else the vault's. */
export async function findAppFor (on: Executor, of: { workspaceId: WorkspaceId, integration: string, environment: Environment }): Promise<AppRow | undefined> {
  return await selectApps(on).where('a.workspace_id', 'in', [of.workspaceId, GLOBAL_OWNER])
    .where('a.integration', '=', of.integration).where('a.environment', '=', of.environment)
    // The empty text sorts first.
    .orderBy('a.workspace_id', 'desc').limit(1).executeTakeFirst()
}

export async function findAppById (on: Executor, owner: AppOwner, id: AppId): Promise<AppRow | undefined> {
  return await selectApps(on).where('a.workspace_id', '=', owner).where('a.id', '=', id).executeTakeFirst()
}

/** The vault's own apps, or a workspace's. */
export async function listApps (on: Executor, owner: AppOwner, environments: readonly Environment[]): Promise<AppRow[]> {
  if (environments.length === 0) return []
  return await selectApps(on).where('a.workspace_id', '=', owner).where('a.environment', 'in', environments).orderBy('a.integration').orderBy('a.environment').execute()
}

export async function insertApp (tx: Tx, row: Insertable<OauthApps>): Promise<void> {
  await tx.insertInto('oauth_apps').values(row).execute()
}

/** What is mended is tried at once; whether it is mended the provider says, with the first success. */
export async function updateApp (tx: Tx, row: Pick<Selectable<OauthApps>, 'workspace_id' | 'id'>, changes: { client_id: string, scopes: string, last_secret_number: number, updated_by: string }): Promise<void> {
  await tx.updateTable('oauth_apps').set({ ...changes, paused_until: null, revision: sql`revision + 1`, updated_at: sql`vault_now()` })
    .where('workspace_id', '=', row.workspace_id).where('id', '=', row.id).execute()
}

/** Leaves the app alone for a while, since its provider refuses it. Answers whether that is news. */
export async function pauseApp (tx: Tx, row: Pick<Selectable<OauthApps>, 'workspace_id' | 'id'>, by: { error: string, pauseSeconds: number }): Promise<boolean> {
  const before = await tx.selectFrom('oauth_apps').select('broken_since').where('workspace_id', '=', row.workspace_id).where('id', '=', row.id).forUpdate().executeTakeFirst()
  if (before === undefined) return false
  await tx.updateTable('oauth_apps')
    .set({ broken_since: before.broken_since ?? sql`vault_now()`, broken_error: by.error, paused_until: sql`vault_now() + make_interval(secs => ${by.pauseSeconds})` })
    .where('workspace_id', '=', row.workspace_id).where('id', '=', row.id).execute()
  return before.broken_since === null
}

/** The provider takes the app again. Answers whether that is news. */
export async function resumeApp (tx: Tx, row: Pick<Selectable<OauthApps>, 'workspace_id' | 'id'>): Promise<boolean> {
  const resumed = await tx.updateTable('oauth_apps').set({ broken_since: null, broken_error: null, paused_until: null })
    .where('workspace_id', '=', row.workspace_id).where('id', '=', row.id).where('broken_since', 'is not', null).returning('id').executeTakeFirst()
  return resumed !== undefined
}

/** Removes the app with its secrets. */
export async function deleteApp (tx: Tx, row: Pick<Selectable<OauthApps>, 'workspace_id' | 'id'>): Promise<void> {
  await tx.deleteFrom('oauth_apps').where('workspace_id', '=', row.workspace_id).where('id', '=', row.id).execute()
}

/** How many connections hold a grant of this app. */
export async function countGrants (on: Executor, appId: AppId): Promise<number> {
  const { count } = await on.selectFrom('credential_versions').select((of) => of.fn.countAll<number>().as('count'))
    .where('app_id', '=', appId).where('state', '=', 'current').executeTakeFirstOrThrow()
  return count
}

/** Puts a new secret in the place of the current one, which stays valid for the grace, or is destroyed at 0 seconds. */
export async function replaceAppSecret (tx: Tx, row: Insertable<OauthAppSecrets>, graceSeconds: number): Promise<void> {
  const update = tx.updateTable('oauth_app_secrets').where('workspace_id', '=', row.workspace_id).where('app_id', '=', row.app_id)
  const destroyed = { state: 'destroyed' as const, sealed: null, grace_until: null, destroyed_at: sql<Date>`vault_now()` }
  await update.set(destroyed).where('state', '=', 'previous').execute()
  const retired = graceSeconds === 0 ? destroyed : { state: 'previous' as const, grace_until: sql<Date>`vault_now() + make_interval(secs => ${graceSeconds})` }
  await update.set(retired).where('state', '=', 'current').execute()
  await tx.insertInto('oauth_app_secrets').values(row).execute()
}

/** The secrets that are valid now, the current one first. */
export async function listAppSecrets (on: Executor, owner: AppOwner, id: AppId): Promise<AppSecretRow[]> {
  return await on.selectFrom('oauth_app_secrets').select(['id', 'state', 'hosts', 'sealed'])
    .where('workspace_id', '=', owner).where('app_id', '=', id)
    .where((where) => where.or([where('state', '=', 'current'), where.and([where('state', '=', 'previous'), where('grace_until', '>', sql<Date>`vault_now()`)])]))
    .orderBy('number', 'desc').execute()
}

/** Destroys client secrets whose grace has ended; answers how many. */
export async function destroyExpiredAppSecrets (tx: Tx): Promise<number> {
  const { numUpdatedRows } = await tx.updateTable('oauth_app_secrets')
    .set({ state: 'destroyed', sealed: null, grace_until: null, destroyed_at: sql`vault_now()` })
    .where('state', '=', 'previous').where('grace_until', '<=', sql<Date>`vault_now()`).executeTakeFirst()
  return Number(numUpdatedRows)
}

function selectApps (on: Executor) {
  return on.selectFrom('oauth_apps as a')
    .innerJoin('oauth_app_secrets as s', (join) => join.onRef('s.workspace_id', '=', 'a.workspace_id').onRef('s.app_id', '=', 'a.id').on('s.state', '=', 'current'))
    .leftJoin('oauth_app_secrets as p', (join) => join
      .onRef('p.workspace_id', '=', 'a.workspace_id').onRef('p.app_id', '=', 'a.id').on('p.state', '=', 'previous').on('p.grace_until', '>', sql<Date>`vault_now()`))
    .selectAll('a').select(['s.preview', 'p.grace_until as previous_until', sql<boolean>`coalesce(a.paused_until > vault_now(), false)`.as('paused')])
}
