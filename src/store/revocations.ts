import { sql, type Insertable, type Selectable } from 'kysely'
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

interface Grant {
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
  const same = wholeAccount
    ? (column: { holder: string, account: string }) => sql<boolean>`(${sql.ref(column.holder)} is null or ${holder}::text is null or ${sql.ref(column.holder)} = ${holder})`
    : (column: { holder: string, account: string }) => sql<boolean>`(${sql.ref(column.account)} is null or ${accountId}::text is null or ${sql.ref(column.account)} = ${accountId})`
  const { rows: [found] } = await sql<{ shared: boolean }>`
    select exists (
        select from credential_versions v join connections c on c.workspace_id = v.workspace_id and c.id = v.connection_id
         where v.app_id = ${appId} and v.state = 'current' and c.id <> ${except} and ${same({ holder: 'v.grant_holder', account: 'c.account_id' })}
      ) or exists (
        select from pending_links p where p.app_id = ${appId} and p.connection_id <> ${except} and ${same({ holder: 'p.grant_holder', account: 'p.account_id' })}
      ) as shared`.execute(on)
  return found?.shared === true
}
