import { formatEtag } from '../revision.ts'
import type { ConnectionView } from '../store/index.ts'
import { expiryOf } from './guards.ts'

/** A connection as the dashboard sees it (`contract/connection.ts`): nothing sealed, previews masked. */
export function presentConnection (view: ConnectionView) {
  return {
    id: view.id,
    workspace_id: view.workspace_id,
    integration: view.integration,
    integration_revision: view.integration_revision,
    environment: view.environment,
    name: view.name,
    auth: view.auth,
    status: view.disabled_at === null ? view.health : 'disabled' as const,
    status_reason: view.health_reason,
    config: { ...view.config, ...view.host_config },
    preview: view.previews,
    account: view.account_id === null ? null : { id: view.account_id, label: view.account_label },
    granted_scopes: view.granted_scopes,
    credential_version: view.current_version,
    version_number: view.version_number,
    hosts: view.allowed_hosts ?? view.hosts,
    expires_at: expiryOf(view)?.toISOString() ?? null,
    expires_on: view.expires_on,
    last_refreshed_at: view.last_refreshed_at?.toISOString() ?? null,
    next_refresh_at: view.next_refresh_at?.toISOString() ?? null,
    last_used_at: view.last_used_at?.toISOString() ?? null,
    labels: view.labels,
    allowed_actions: view.allowed_actions,
    allowed_hosts: view.allowed_hosts,
    created_by: view.created_by,
    created_at: view.created_at.toISOString(),
    updated_by: view.updated_by,
    updated_at: view.updated_at.toISOString(),
    etag: formatEtag(view.revision),
  }
}
