import type { Catalog } from '../catalog/index.ts'
import { VaultError } from '../errors.ts'
import type { RevocationId } from '../ids.ts'
import type { AuditRecord, Ledger } from '../ledger/index.ts'
import {
  completeSession, deletePendingLink, getVersion, insertConnection, insertVersion, isUniqueViolation, lockConnection, retireCurrentVersion, updateConnection,
  type ConnectionRow, type ConnectionView, type PendingLinkRow, type SessionRow, type Tx,
} from '../store/index.ts'
import type { Caller } from './caller.ts'
import { foldName } from './create.ts'
import { findLinkedScheme } from './credential.ts'
import { recoveryOf, requireView } from './edit.ts'
import { requireOAuth } from './grant.ts'
import { planRefresh } from './refresh-plan.ts'
import type { Revoker } from './revoke.ts'
import { keepNarrowing } from './rotate.ts'
import { listWarnings } from './warnings.ts'

interface Promotion {
  readonly session: SessionRow
  readonly link: PendingLinkRow
  readonly name: string
  readonly caller: Caller
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly revoker: Revoker
  readonly catalog: Catalog
}

export interface Promoted {
  readonly view: ConnectionView
  /** What whoever confirms it should know. */
  readonly warnings: readonly string[]
  readonly revocation: RevocationId | undefined
}

/**
 * Makes a confirmed link the connection it was sealed for, or the new credential of the one that
 * was reconnected. Throws `name_taken`; `not_found` when that connection has gone. Answers a
 * revocation to be run after the commit: of the grant that was replaced, if another account gave it.
 */
export async function promoteLink (tx: Tx, promotion: Promotion): Promise<Promoted> {
  const { session, link, caller, ledger, catalog } = promotion
  const before = session.reconnect_id === null ? undefined : await requireReconnected(tx, promotion)
  const revocation = before === undefined ? await insertLinked(tx, promotion) : await replaceCredential(tx, before, promotion)
  await deletePendingLink(tx, session)
  await completeSession(tx, session, link.connection_id)
  const done: AuditRecord = {
    event: before === undefined ? 'connection.linked' : 'connection.reconnected', outcome: 'ok', principal: caller.principal, workspaceId: session.workspace_id,
    environment: session.environment, connectionId: link.connection_id, versionId: link.id, requestId: caller.requestId,
    details: { session_id: session.id, integration: link.integration, auth: link.auth, hosts: link.hosts, for: session.actor },
  }
  await ledger.recordIn(tx, done, ...before === undefined ? [] : recoveryOf(before, done))
  const view = await requireView(tx, { workspaceId: session.workspace_id, id: link.connection_id })
  const { manifest } = await catalog.requireIn(view.workspace_id, view.integration, view.integration_revision)
  return { view, warnings: await listWarnings(tx, { row: view, manifest }, caller.environments), revocation }
}

/** When it is to be renewed for the first time. */
function planFirstRefresh (catalog: Catalog, link: PendingLinkRow): Date | null {
  const scheme = findLinkedScheme(catalog, link)
  if (scheme === undefined || !link.field_set.includes('refresh_token')) return null
  const times = { at: link.created_at, tokenExpiresAt: link.token_expires_at, refreshExpiresAt: link.refresh_expires_at }
  return planRefresh(requireOAuth(scheme).refresh, times, Math.random())
}

/** When it ends for good: nothing renews a token that came without another to renew it. */
function endOf (link: PendingLinkRow): Date | null {
  return link.field_set.includes('refresh_token') ? null : link.token_expires_at
}

async function insertLinked (tx: Tx, { session, link, name, caller, catalog }: Promotion): Promise<undefined> {
  await insertConnection(tx, {
    workspace_id: session.workspace_id, id: link.connection_id, environment: session.environment,
    integration: link.integration, integration_revision: link.integration_revision, auth: link.auth,
    name, name_key: foldName(name), health: 'active', config: JSON.stringify(link.config), labels: JSON.stringify(session.labels),
    current_version: link.id, last_version_number: 1,
    account_id: link.account_id, account_label: link.account_label, created_by: session.actor, updated_by: caller.by,
    next_refresh_at: planFirstRefresh(catalog, link), ends_at: endOf(link),
  }).catch((error: unknown) => {
    throw isUniqueViolation(error, 'connections_name') ? new VaultError('name_taken', { detail: 'Complete it with another `name`.' }) : error
  })
  await insertLinkedVersion(tx, link, { number: 1, by: session.actor })
}

async function requireReconnected (tx: Tx, { session, link }: Promotion): Promise<ConnectionRow> {
  const row = await lockConnection(tx, session.workspace_id, link.connection_id)
  if (row === undefined) throw new VaultError('not_found', { detail: 'The connection has been deleted meanwhile.' })
  return row
}

async function replaceCredential (tx: Tx, row: ConnectionRow, { link, session, caller, revoker, catalog }: Promotion): Promise<RevocationId | undefined> {
  const revocation = await isAnotherGrant(tx, row, link) ? await revoker.discardConnection(tx, row, 'replaced') : undefined
  await retireCurrentVersion(tx, row, 0)
  const number = row.last_version_number + 1
  await insertLinkedVersion(tx, link, { number, by: session.actor })
  await updateConnection(tx, row, {
    auth: link.auth, integration_revision: link.integration_revision, current_version: link.id, last_version_number: number, health: 'active', health_reason: null, refusals: 0,
    next_refresh_at: planFirstRefresh(catalog, link), ends_at: endOf(link), config: JSON.stringify(link.config),
    allowed_hosts: keepNarrowing(row, link.hosts),
    account_id: link.account_id, account_label: link.account_label, expires_on: null, updated_by: caller.by,
  })
  return revocation
}

/** Revoking the old grant of the same person and app would take the new one with it. */
async function isAnotherGrant (tx: Tx, row: ConnectionRow, link: PendingLinkRow): Promise<boolean> {
  const before = await getVersion(tx, row, row.current_version)
  if (before.app_id !== link.app_id) return true
  return before.grant_holder === null || link.grant_holder === null ? row.account_id !== link.account_id : before.grant_holder !== link.grant_holder
}

async function insertLinkedVersion (tx: Tx, link: PendingLinkRow, row: { number: number, by: string }): Promise<void> {
  await insertVersion(tx, {
    workspace_id: link.workspace_id, connection_id: link.connection_id, id: link.id, number: row.number, environment: link.environment, state: 'current',
    field_set: link.field_set, hosts: link.hosts, host_config: JSON.stringify(link.host_config), previews: JSON.stringify(link.previews),
    sealed: link.sealed, key_id: link.key_id, created_by: row.by, app_owner: link.app_owner, app_id: link.app_id,
    granted_scopes: link.granted_scopes, grant_holder: link.grant_holder, token_expires_at: link.token_expires_at, refresh_expires_at: link.refresh_expires_at,
  })
}
