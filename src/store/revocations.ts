import { sql, type Insertable, type RawBuilder, type Selectable } from 'kysely'
import type { AppId, ConnectionId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { Revocations } from './schema.ts'

export type RevocationRow = Selectable<Revocations>
export type NewRevocation = Insertable<Revocations>

export async function insertRevocation (tx: Tx, row: NewRevocation): Promise<void> {
  await tx.insertInto('revocations').values(row).execute()
}

/**
 * Takes what is due: each counts as attempted and comes back after the pause, unless it is deleted
 * by then. With an id, only that one.
 */
export async function claimRevocations (on: Executor, claim: { limit: number, pauseSeconds: number, id?: string }): Promise<RevocationRow[]> {
  return await on.updateTable('revocations as r')
    .set({ attempts: sql`r.attempts + 1`, due_at: sql`vault_now() + make_interval(secs => ${claim.pauseSeconds} * power(4, r.attempts))` })
    .from((due) => {
      const query = due.selectFrom('revocations').select(['workspace_id', 'id']).where('due_at', '<=', sql<Date>`vault_now()`)
      return (claim.id === undefined ? query : query.where('id', '=', claim.id as RevocationRow['id'])).orderBy('due_at').limit(claim.limit).forUpdate().skipLocked().as('due')
    })
    .whereRef('r.workspace_id', '=', 'due.workspace_id').whereRef('r.id', '=', 'due.id')
    .returningAll('r').execute()
}

export async function deleteRevocation (tx: Tx, row: Pick<RevocationRow, 'workspace_id' | 'id'>): Promise<void> {
  await tx.deleteFrom('revocations').where('workspace_id', '=', row.workspace_id).where('id', '=', row.id).execute()
}

interface Grant extends Pick<RevocationRow, 'integration' | 'environment'> {
  /** Those of the integration's auth schemes that an app links. */
  readonly schemes: readonly string[]
  readonly appId: AppId
  /** The connection it was given for. */
  readonly except: ConnectionId
  readonly accountId: string | null
  readonly holder: string | null
  readonly wholeAccount: boolean
}

/**
 * Whether another connection, of any workspace, or a link that waits for its confirmation, lives
 * on the same grant. Same means the same upstream account, or where a revocation ends all that a
 * person has granted the app (`wholeAccount`), the same person; one that is not known may be it.
 */
export async function isGrantShared (on: Executor, grant: Grant): Promise<boolean> {
  const { appId, except, accountId, holder, wholeAccount } = grant
  const [mine, waiting] = wholeAccount ? [holder, sql`p.grant_holder`] : [accountId, sql`p.account_id`]
  const connected = wholeAccount ? findSameHolder(grant) : findSameAccount(grant)
  const linking = sql`exists (
      select from pending_links p where p.app_id = ${appId} and p.connection_id <> ${except} and (${waiting} is null or ${mine}::text is null or ${waiting} = ${mine}))`
  const { rows: [found] } = await sql<{ shared: boolean }>`
    select coalesce(${sql.join([...connected, linking])}) as shared`.execute(on)
  return found?.shared === true
}

// The same and the unknown are looked for one by one, in the order of an index: the planner takes
// the unknown for many and would read whole tables, sure to meet one soon, where there is none.

function findSameHolder ({ appId, except, holder }: Grant): RawBuilder<unknown>[] {
  return alike(sql`v.grant_holder`, holder).map((same) => sql`(
    select true from credential_versions v where v.app_id = ${appId} and v.state = 'current' and v.connection_id <> ${except} and ${same} order by v.grant_holder limit 1)`)
}

function findSameAccount ({ appId, integration, environment, schemes, except, accountId }: Grant): RawBuilder<unknown>[] {
  return schemes.flatMap((scheme) => alike(sql`c.account_id`, accountId).map((same) => sql`(
    select true from connections c join credential_versions v on v.workspace_id = c.workspace_id and v.connection_id = c.id and v.state = 'current' and v.app_id = ${appId}
     where c.integration = ${integration} and c.environment = ${environment} and c.auth = ${scheme} and c.id <> ${except} and ${same} order by c.account_id limit 1)`))
}

function alike (column: RawBuilder<unknown>, mine: string | null): RawBuilder<unknown>[] {
  return mine === null ? [sql`true`] : [sql`${column} = ${mine}`, sql`${column} is null`]
}
