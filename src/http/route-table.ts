import type { Scope } from '../access/index.ts'

/**
 * What each route of the internal listener asks of its caller. `workspace`: the one in the path.
 * `tenants`: a caller bound to no workspace. `shared`: any caller with the scope. A route that is
 * not here does not start; a row without a route fails the tests that are generated from it.
 */
export type RouteAccess = 'open' | { readonly scope: Scope, readonly over: 'workspace' | 'tenants' | 'shared' }

const inWorkspace = (scope: Scope): RouteAccess => ({ scope, over: 'workspace' })

const CONNECTIONS = '/v1/workspaces/:workspace_id/connections'
const CONNECTION = `${CONNECTIONS}/:connection_id`
const SESSIONS = '/v1/workspaces/:workspace_id/connect-sessions'
const CUSTOM_APIS = '/v1/workspaces/:workspace_id/integrations'
const GROUPS = '/v1/workspaces/:workspace_id/agent-groups'
const WEBHOOK = '/v1/webhooks/:webhook_id'
const APPS = '/v1/workspaces/:workspace_id/oauth-apps'

export const ROUTE_TABLE: Readonly<Record<string, RouteAccess>> = {
  'GET /v1/integrations': { scope: 'connections:read', over: 'shared' },
  'GET /v1/integrations/:integration': { scope: 'connections:read', over: 'shared' },
  'GET /v1/integrations/:integration/actions/:action': { scope: 'connections:read', over: 'shared' },

  'POST /v1/openapi/preview': { scope: 'integrations:write', over: 'shared' },
  [`GET ${CUSTOM_APIS}`]: inWorkspace('connections:read'),
  [`POST ${CUSTOM_APIS}`]: inWorkspace('integrations:write'),
  [`GET ${CUSTOM_APIS}/:integration_id`]: inWorkspace('connections:read'),
  [`PUT ${CUSTOM_APIS}/:integration_id`]: inWorkspace('integrations:write'),
  [`DELETE ${CUSTOM_APIS}/:integration_id`]: inWorkspace('integrations:write'),
  [`GET ${CUSTOM_APIS}/:integration_id/actions/:action`]: inWorkspace('connections:read'),

  [`GET ${CONNECTIONS}`]: inWorkspace('connections:read'),
  [`POST ${CONNECTIONS}`]: inWorkspace('connections:write'),
  [`GET ${CONNECTION}`]: inWorkspace('connections:read'),
  [`PATCH ${CONNECTION}`]: inWorkspace('connections:write'),
  [`DELETE ${CONNECTION}`]: inWorkspace('connections:write'),
  [`POST ${CONNECTION}/rotate`]: inWorkspace('connections:write'),
  [`POST ${CONNECTION}/rollback`]: inWorkspace('connections:write'),
  [`GET ${CONNECTION}/versions`]: inWorkspace('connections:read'),
  [`POST ${CONNECTION}/test`]: inWorkspace('connections:write'),
  [`POST ${CONNECTION}/disable`]: inWorkspace('connections:write'),
  [`POST ${CONNECTION}/enable`]: inWorkspace('connections:write'),
  [`POST ${CONNECTION}/refresh`]: inWorkspace('connections:write'),
  [`GET ${CONNECTION}/usage`]: inWorkspace('connections:read'),
  [`PUT ${CONNECTION}/references`]: inWorkspace('connections:write'),
  [`POST ${CONNECTION}/resolve`]: inWorkspace('credentials:resolve'),
  'POST /v1/workspaces/:workspace_id/resolve': inWorkspace('credentials:resolve'),
  [`POST ${CONNECTION}/invoke`]: inWorkspace('actions:invoke'),
  [`POST ${CONNECTION}/request`]: inWorkspace('requests:send'),
  'GET /v1/workspaces/:workspace_id/invocations/:invocation_id': inWorkspace('actions:invoke'),
  'POST /v1/workspaces/:workspace_id/invocations/:invocation_id/cancel': inWorkspace('actions:invoke'),
  'GET /v1/workspaces/:workspace_id/audit-events': inWorkspace('audit:read'),

  [`POST ${SESSIONS}`]: inWorkspace('connections:write'),
  [`GET ${SESSIONS}/:session_id`]: inWorkspace('connections:read'),
  [`POST ${SESSIONS}/:session_id/complete`]: inWorkspace('connections:write'),

  'GET /v1/oauth-apps': { scope: 'oauth_apps:write', over: 'tenants' },
  'GET /v1/oauth-apps/:integration/:environment': { scope: 'oauth_apps:write', over: 'tenants' },
  'PUT /v1/oauth-apps/:integration/:environment': { scope: 'oauth_apps:write', over: 'tenants' },
  'DELETE /v1/oauth-apps/:integration/:environment': { scope: 'oauth_apps:write', over: 'tenants' },
  [`GET ${APPS}`]: inWorkspace('oauth_apps:write'),
  [`GET ${APPS}/:integration/:environment`]: inWorkspace('oauth_apps:write'),
  [`PUT ${APPS}/:integration/:environment`]: inWorkspace('oauth_apps:write'),
  [`DELETE ${APPS}/:integration/:environment`]: inWorkspace('oauth_apps:write'),

  [`GET ${GROUPS}`]: inWorkspace('connections:read'),
  [`POST ${GROUPS}`]: inWorkspace('agents:write'),
  [`GET ${GROUPS}/:group_id`]: inWorkspace('connections:read'),
  [`DELETE ${GROUPS}/:group_id`]: inWorkspace('agents:write'),
  [`POST ${GROUPS}/:group_id/enrolment-codes`]: inWorkspace('agents:write'),
  [`GET ${GROUPS}/:group_id/agents`]: inWorkspace('connections:read'),
  [`DELETE ${GROUPS}/:group_id/agents/:agent_id`]: inWorkspace('agents:write'),

  'GET /v1/events': { scope: 'audit:read', over: 'tenants' },
  'GET /v1/webhooks': { scope: 'webhooks:write', over: 'tenants' },
  'POST /v1/webhooks': { scope: 'webhooks:write', over: 'tenants' },
  [`GET ${WEBHOOK}`]: { scope: 'webhooks:write', over: 'tenants' },
  [`PATCH ${WEBHOOK}`]: { scope: 'webhooks:write', over: 'tenants' },
  [`DELETE ${WEBHOOK}`]: { scope: 'webhooks:write', over: 'tenants' },
  [`POST ${WEBHOOK}/rotate-secret`]: { scope: 'webhooks:write', over: 'tenants' },
  [`POST ${WEBHOOK}/test`]: { scope: 'webhooks:write', over: 'tenants' },
  [`GET ${WEBHOOK}/deliveries`]: { scope: 'webhooks:write', over: 'tenants' },
  [`POST ${WEBHOOK}/replay`]: { scope: 'webhooks:write', over: 'tenants' },

  'GET /v1/audit/verify': { scope: 'audit:read', over: 'tenants' },
  'GET /v1/keys': { scope: 'keys:manage', over: 'tenants' },
  'POST /v1/keys/rotate': { scope: 'keys:manage', over: 'tenants' },
  'POST /v1/keys/sweep': { scope: 'keys:manage', over: 'tenants' },
  'GET /v1/keys/sweep': { scope: 'keys:manage', over: 'tenants' },
  'POST /v1/keys/retire': { scope: 'keys:manage', over: 'tenants' },
  'DELETE /v1/workspaces/:workspace_id': inWorkspace('workspaces:destroy'),
  'GET /v1/service-tokens': { scope: 'tokens:manage', over: 'tenants' },
  'POST /v1/service-tokens': { scope: 'tokens:manage', over: 'tenants' },
  'DELETE /v1/service-tokens/:token_id': { scope: 'tokens:manage', over: 'tenants' },

  'GET /openapi.yaml': 'open',
}

/** What a route asks, or undefined for the pages of the reference under /docs, which are open. */
export function findAccess (method: string, url: string): RouteAccess | undefined {
  return url === '/docs' || url.startsWith('/docs/') ? 'open' : ROUTE_TABLE[`${method} ${url}`]
}
