import { sealedColumn, type SealedColumn } from '../store/index.ts'
import { verifierBinding } from './connect-sessions.ts'
import { bindingOf } from './credential.ts'
import { unassigned } from './pending-link.ts'
import { bindingOf as answerBinding } from './refresh-answers.ts'
import { bindingOf as revocationBinding } from './revoke.ts'

/** What this room keeps sealed. */
export const CONNECTION_COLUMNS: readonly SealedColumn[] = [
  sealedColumn({
    table: 'credential_versions', column: 'sealed', id: ['workspace_id', 'connection_id', 'id'],
    bound: ['environment', 'field_set', 'hosts', 'host_config'],
    bindingOf: (row) => bindingOf({
      workspaceId: row.workspace_id, environment: row.environment, connectionId: row.connection_id, versionId: row.id,
      fieldSet: row.field_set, hosts: row.hosts, hostConfig: row.host_config,
    }),
  }),
  sealedColumn({
    table: 'pending_links', column: 'sealed', id: ['workspace_id', 'session_id'],
    bound: ['id', 'environment', 'connection_id', 'stage', 'field_set', 'hosts', 'host_config'],
    // Until it is known which account it is, it belongs to the session; then to the connection that will be.
    bindingOf: (row) => row.stage === 'choosing'
      ? unassigned({ ...row, id: row.session_id }, { id: row.id, fieldSet: row.field_set })
      : bindingOf({
        workspaceId: row.workspace_id, environment: row.environment, connectionId: row.connection_id, versionId: row.id,
        fieldSet: row.field_set, hosts: row.hosts, hostConfig: row.host_config,
      }),
  }),
  sealedColumn({
    table: 'refresh_answers', column: 'sealed', id: ['workspace_id', 'connection_id'], bound: ['environment', 'version_id'],
    bindingOf: (row) => answerBinding({ workspace_id: row.workspace_id, environment: row.environment, id: row.connection_id, version_id: row.version_id }),
  }),
  sealedColumn({
    table: 'oauth_states', column: 'sealed', id: ['workspace_id', 'session_id'], bound: ['id', 'environment'],
    bindingOf: (row) => verifierBinding({ ...row, id: row.session_id }, row.id),
  }),
  sealedColumn({
    table: 'revocations', column: 'sealed', id: ['workspace_id', 'id'],
    bound: ['environment', 'purpose', 'owner_id', 'version_id', 'field_set', 'hosts', 'host_config'], bindingOf: revocationBinding,
  }),
]
