import type { Selectable } from 'kysely'
import type { ConnectionId, WorkspaceId } from '../ids.ts'
import type { Pipeline } from './pipeline.ts'
import type { Connections, CredentialVersions } from './schema.ts'
import { builder, prepare } from './statements.ts'

/** All that guards and decryption need of a connection and its current version, from one statement. */
export type UsableRow =
  Pick<Selectable<Connections>, 'id' | 'environment' | 'integration' | 'auth' | 'health' | 'health_reason' | 'disabled_at' | 'config' | 'allowed_actions' | 'allowed_hosts' | 'expires_on' | 'refusals' | 'workspace_id'> &
  Pick<Selectable<CredentialVersions>, 'field_set' | 'hosts' | 'host_config' | 'sealed'> &
  { readonly version_id: Selectable<CredentialVersions>['id'] }

const select = builder.selectFrom('connections as c')
  .innerJoin('credential_versions as v', (join) => join
    .onRef('v.workspace_id', '=', 'c.workspace_id').onRef('v.connection_id', '=', 'c.id').onRef('v.id', '=', 'c.current_version'))
  .select(['c.workspace_id', 'c.id', 'c.environment', 'c.integration', 'c.auth', 'c.health', 'c.health_reason', 'c.disabled_at', 'c.config',
    'c.allowed_actions', 'c.allowed_hosts', 'c.expires_on', 'c.refusals', 'v.id as version_id', 'v.field_set', 'v.hosts', 'v.host_config', 'v.sealed'])
  .where('c.workspace_id', '=', '' as WorkspaceId)

const ONE = prepare('usable_one', select.where('c.id', '=', '' as ConnectionId))
const MANY = prepare('usable_many', select.where((where) => where('c.id', '=', where.fn.any(where.val<ConnectionId[]>([])))))

/** The connection as it is to be used now; undefined when the workspace has none of this id. */
export async function findUsable (reads: Pipeline, workspaceId: WorkspaceId, id: ConnectionId): Promise<UsableRow | undefined> {
  const [row] = await reads.run<UsableRow>(ONE, [workspaceId, id])
  return row
}

/** The same for many at once, in no particular order; those not found are left out. */
export async function listUsable (reads: Pipeline, workspaceId: WorkspaceId, ids: readonly ConnectionId[]): Promise<UsableRow[]> {
  return await reads.run<UsableRow>(MANY, [workspaceId, ids])
}
