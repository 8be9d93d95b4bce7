// Generated from openapi.yaml by `npm run generate`.

/** Every operation of the contract: where it is, what it takes beside its path, and the members of which each answer has one. */
export const OPERATIONS = {
  /** List what can be connected. */
  listIntegrations: { method: 'GET', path: '/v1/integrations', has: ['integrations'] },
  /** Get an integration with the input of each action. */
  getIntegration: { method: 'GET', path: '/v1/integrations/{integration}', has: ['id'] },
  /** Get an action with all of its input. */
  getAction: { method: 'GET', path: '/v1/integrations/{integration}/actions/{action}', has: ['name'] },
  /** Create a connection from a pasted credential. */
  createConnection: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connections', body: true, key: true, has: ['id'] },
  /** List connections, newest first. */
  listConnections: { method: 'GET', path: '/v1/workspaces/{workspace_id}/connections', query: ['environment', 'integration', 'status', 'label', 'q', 'cursor', 'limit'], list: 'connections', has: ['connections'] },
  /** Get a connection. */
  getConnection: { method: 'GET', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}', has: ['id'] },
  /** Change what is not secret. */
  updateConnection: { method: 'PATCH', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}', body: true, etag: true, has: ['id'] },
  /** Delete a connection and destroy its credential. */
  deleteConnection: { method: 'DELETE', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}', query: ['force'], etag: true },
  /** Take a connection out of use. */
  disableConnection: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/disable', has: ['id'] },
  /** Put a connection back in use. */
  enableConnection: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/enable', has: ['id'] },
  /** Replace the credential. Everybody gets the new credential from the next call on. `expires_on` is the new one’s last day; left out, there is none: the day of the one before is not its own. */
  rotateConnection: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/rotate', body: true, key: true, etag: true, has: ['id'] },
  /** Go back to the previous credential. Possible until its grace ends. The replaced one is kept as long, so that this can be undone. `expires_on` becomes null: it was the replaced one’s. */
  rollbackConnection: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/rollback', has: ['id'] },
  /** List the versions of the credential. The current one, the one that can be rolled back to, and the last few that were destroyed; the record knows of all. */
  listVersions: { method: 'GET', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/versions', has: ['versions'] },
  /** Ask the provider whether it accepts the credential. */
  testConnection: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/test', has: ['result'] },
  /** Renew the access token now. */
  refreshConnection: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/refresh', has: ['id'] },
  /** Where the connection is used. */
  getUsage: { method: 'GET', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/usage', has: ['references'] },
  /** Say which procedures point here. */
  setReferences: { method: 'PUT', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/references', body: true, has: ['references'] },
  /** Get the credential. */
  resolveConnection: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/resolve', body: true, has: ['connection_id'] },
  /** Get up to 100 credentials, each with its own result. */
  resolveConnections: { method: 'POST', path: '/v1/workspaces/{workspace_id}/resolve', body: true, has: ['results'] },
  /** Run an action with the connection. Made again within its deadline, three times at most, after 502, 503, 504, a 429 with Retry-After, or a broken connection: if it reads or is idempotent, or goes to a provider with an idempotency header under one key. `attempts` says how often it was sent. */
  invokeAction: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/invoke', body: true, key: true, has: ['invocation_id', 'dry_run'] },
  /** Make a call that the catalog has no action for. Made again within its deadline, three times at most, after 502, 503, 504, a 429 with Retry-After, or a broken connection: if it reads or is idempotent, or goes to a provider with an idempotency header under one key. `attempts` says how often it was sent. */
  sendRequest: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connections/{connection_id}/request', body: true, key: true, has: ['invocation_id', 'dry_run'] },
  /** Get the state and result of a call that an agent makes. For 24 hours after its end. */
  getInvocation: { method: 'GET', path: '/v1/workspaces/{workspace_id}/invocations/{invocation_id}', has: ['invocation_id'] },
  /** Cancel a call that an agent makes. One that no agent has yet ends at once; the agent that has it is told to stop, and says what came of it. */
  cancelInvocation: { method: 'POST', path: '/v1/workspaces/{workspace_id}/invocations/{invocation_id}/cancel', has: ['invocation_id'] },
  /** Let a person link an account in a browser. */
  createConnectSession: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connect-sessions', body: true, key: true, has: ['connect_session'] },
  /** Get a connect session. Never with a completion code: only the browser that linked gets one. */
  getConnectSession: { method: 'GET', path: '/v1/workspaces/{workspace_id}/connect-sessions/{session_id}', has: ['id'] },
  /** Confirm what a person has linked. Call it for the browser that came back to the return URL, with the person who is logged in there. Only then is there a connection. A repeat with the same `Idempotency-Key` gets the connection again; without one, 409 `connect_session_ended`, which names it in `connection_id`. */
  completeConnectSession: { method: 'POST', path: '/v1/workspaces/{workspace_id}/connect-sessions/{session_id}/complete', body: true, key: true, has: ['id'] },
  /** List the vault’s own OAuth apps. */
  listOAuthApps: { method: 'GET', path: '/v1/oauth-apps', has: ['oauth_apps'] },
  /** Get the vault’s own OAuth app of an integration. */
  getOAuthApp: { method: 'GET', path: '/v1/oauth-apps/{integration}/{environment}', has: ['id'] },
  /** Make or change the vault’s own OAuth app of an integration. */
  putOAuthApp: { method: 'PUT', path: '/v1/oauth-apps/{integration}/{environment}', body: true, etag: true, has: ['id'] },
  /** Delete the vault’s own OAuth app of an integration. */
  deleteOAuthApp: { method: 'DELETE', path: '/v1/oauth-apps/{integration}/{environment}', query: ['force'], etag: true },
  /** List a workspace’s own OAuth apps. */
  listWorkspaceOAuthApps: { method: 'GET', path: '/v1/workspaces/{workspace_id}/oauth-apps', has: ['oauth_apps'] },
  /** Get a workspace’s own OAuth app of an integration. */
  getWorkspaceOAuthApp: { method: 'GET', path: '/v1/workspaces/{workspace_id}/oauth-apps/{integration}/{environment}', has: ['id'] },
  /** Make or change a workspace’s own OAuth app of an integration. */
  putWorkspaceOAuthApp: { method: 'PUT', path: '/v1/workspaces/{workspace_id}/oauth-apps/{integration}/{environment}', body: true, etag: true, has: ['id'] },
  /** Delete a workspace’s own OAuth app of an integration. */
  deleteWorkspaceOAuthApp: { method: 'DELETE', path: '/v1/workspaces/{workspace_id}/oauth-apps/{integration}/{environment}', query: ['force'], etag: true },
  /** List a workspace’s audit records, newest first. */
  listAuditEvents: { method: 'GET', path: '/v1/workspaces/{workspace_id}/audit-events', query: ['event', 'connection_id', 'from', 'to', 'cursor', 'limit'], list: 'audit_events', has: ['audit_events'] },
  /** Recompute the whole audit chain. Reads every record: on a large vault run `connection-vault audit verify` instead. */
  verifyAudit: { method: 'GET', path: '/v1/audit/verify', query: ['checkpoint'], has: ['ok'] },
  /** Read the feed of events, oldest first. Over all workspaces, each change once. Events are kept for 30 days. */
  readEvents: { method: 'GET', path: '/v1/events', query: ['type', 'workspace_id', 'cursor', 'limit'], has: ['events'] },
  /** Make a webhook. The signing secret is shown once. */
  createWebhook: { method: 'POST', path: '/v1/webhooks', body: true, key: true, has: ['webhook'] },
  /** List webhooks, newest first. */
  listWebhooks: { method: 'GET', path: '/v1/webhooks', has: ['webhooks'] },
  /** Get a webhook. */
  getWebhook: { method: 'GET', path: '/v1/webhooks/{webhook_id}', has: ['id'] },
  /** Change, enable or disable a webhook. */
  updateWebhook: { method: 'PATCH', path: '/v1/webhooks/{webhook_id}', body: true, etag: true, has: ['id'] },
  /** Delete a webhook. What was to be delivered to it is dropped. */
  deleteWebhook: { method: 'DELETE', path: '/v1/webhooks/{webhook_id}', etag: true },
  /** Replace the signing secret. The new one is shown once. */
  rotateWebhookSecret: { method: 'POST', path: '/v1/webhooks/{webhook_id}/rotate-secret', body: true, has: ['webhook'] },
  /** Send a webhook.test now. Signed as any other delivery, not repeated, and not kept. */
  testWebhook: { method: 'POST', path: '/v1/webhooks/{webhook_id}/test', has: ['result'] },
  /** List a webhook’s deliveries, newest event first. */
  listWebhookDeliveries: { method: 'GET', path: '/v1/webhooks/{webhook_id}/deliveries', query: ['state', 'cursor', 'limit'], list: 'deliveries', has: ['deliveries'] },
  /** Send events again. Those of the types and environments it is for. Their ids stay the same. */
  replayWebhook: { method: 'POST', path: '/v1/webhooks/{webhook_id}/replay', body: true, has: ['queued'] },
  /** Make a service token. The token is shown once. It may have scopes that the caller has not: `tokens:manage` is everything. Each is on record as `token.created`, with its scopes. */
  createServiceToken: { method: 'POST', path: '/v1/service-tokens', body: true, key: true, has: ['service_token'] },
  /** List service tokens, newest first. */
  listServiceTokens: { method: 'GET', path: '/v1/service-tokens', query: ['cursor', 'limit'], list: 'service_tokens', has: ['service_tokens'] },
  /** Revoke a service token. It stops working everywhere within a second. */
  revokeServiceToken: { method: 'DELETE', path: '/v1/service-tokens/{token_id}', has: ['id'] },
  /** List a workspace’s own integrations, newest first. */
  listCustomApis: { method: 'GET', path: '/v1/workspaces/{workspace_id}/integrations', query: ['limit', 'cursor'], list: 'integrations', has: ['integrations'] },
  /** Make an integration of an OpenAPI document. */
  createCustomApi: { method: 'POST', path: '/v1/workspaces/{workspace_id}/integrations', body: true, key: true, has: ['id'] },
  /** Get one, with its actions and what its import had to say. */
  getCustomApi: { method: 'GET', path: '/v1/workspaces/{workspace_id}/integrations/{integration_id}', query: ['revision'], has: ['id'] },
  /** Delete one that no connection was made with. */
  deleteCustomApi: { method: 'DELETE', path: '/v1/workspaces/{workspace_id}/integrations/{integration_id}', etag: true },
  /** Make a new revision of another document. Calls that name a revision stay with it; connections keep the authentication and the hosts they were made with. The same document and choices make nothing new. */
  reviseCustomApi: { method: 'PUT', path: '/v1/workspaces/{workspace_id}/integrations/{integration_id}', body: true, etag: true, has: ['id'] },
  /** Get an action with its input. */
  getCustomApiAction: { method: 'GET', path: '/v1/workspaces/{workspace_id}/integrations/{integration_id}/actions/{action}', query: ['revision'], has: ['name'] },
  /** Make a group of agents. */
  createAgentGroup: { method: 'POST', path: '/v1/workspaces/{workspace_id}/agent-groups', body: true, key: true, has: ['id'] },
  /** List groups of agents, newest first. */
  listAgentGroups: { method: 'GET', path: '/v1/workspaces/{workspace_id}/agent-groups', query: ['environment', 'limit', 'cursor'], list: 'agent_groups', has: ['agent_groups'] },
  /** Let one agent into the group. The code is for one agent and for 15 minutes. It is shown once. */
  createEnrolmentCode: { method: 'POST', path: '/v1/workspaces/{workspace_id}/agent-groups/{group_id}/enrolment-codes', key: true, has: ['expires_at'] },
  /** Get a group with what its agents can run. */
  getAgentGroup: { method: 'GET', path: '/v1/workspaces/{workspace_id}/agent-groups/{group_id}', has: ['id'] },
  /** Delete a group whose agents are all revoked. */
  deleteAgentGroup: { method: 'DELETE', path: '/v1/workspaces/{workspace_id}/agent-groups/{group_id}' },
  /** List the agents of a group. */
  listAgents: { method: 'GET', path: '/v1/workspaces/{workspace_id}/agent-groups/{group_id}/agents', has: ['agents'] },
  /** Revoke an agent, at once. */
  revokeAgent: { method: 'DELETE', path: '/v1/workspaces/{workspace_id}/agent-groups/{group_id}/agents/{agent_id}' },
  /** How the keys stand. */
  getKeys: { method: 'GET', path: '/v1/keys', has: ['keks'] },
  /** Replace keys, or wrap them again. Answers at once; the work goes on in the background, at any replica, and survives restarts. New writes use a new key as soon as it is made. */
  rotateKeys: { method: 'POST', path: '/v1/keys/rotate', body: true, has: ['state'] },
  /** Seal again what replaced keys have sealed. A rotation does this by itself. Asked for while it goes on, it changes how fast. */
  sweepKeys: { method: 'POST', path: '/v1/keys/sweep', body: true, has: ['state'] },
  /** How far the sweep is. */
  getKeySweep: { method: 'GET', path: '/v1/keys/sweep', has: ['state'] },
  /** Retire keys that nothing needs. Their bytes are erased a minute later. */
  retireKeys: { method: 'POST', path: '/v1/keys/retire', body: true, has: ['retired'] },
  /** Destroy a workspace’s keys and rows. Cannot be undone. Asks for a caller of both environments. The certificate goes on record; the workspace’s audit records stay. */
  destroyWorkspace: { method: 'DELETE', path: '/v1/workspaces/{workspace_id}', has: ['workspace_id'] },
  /** See what would be made of an OpenAPI document. Nothing is kept. */
  previewOpenapi: { method: 'POST', path: '/v1/openapi/preview', body: true, has: ['title'] },
} as const

/** Every code of docs/errors.md. */
export type ErrorCode =
  | 'account_mismatch'
  | 'action_not_allowed'
  | 'action_unknown'
  | 'actions_invalid'
  | 'agent_group_in_use'
  | 'agent_offline'
  | 'agent_outdated'
  | 'agent_revoked'
  | 'agent_unauthenticated'
  | 'auth_not_pasted'
  | 'auth_unknown'
  | 'body_not_json'
  | 'body_too_complex'
  | 'body_too_large'
  | 'completion_refused'
  | 'concurrency_limited'
  | 'config_invalid'
  | 'connect_session_ended'
  | 'connect_session_unconfirmed'
  | 'connection_disabled'
  | 'connection_in_use'
  | 'connection_needs_reauth'
  | 'connection_pending'
  | 'credential_invalid'
  | 'credential_refused'
  | 'database_unavailable'
  | 'egress_blocked'
  | 'enrolment_refused'
  | 'environment_mismatch'
  | 'etag_mismatch'
  | 'etag_required'
  | 'events_cleared'
  | 'headers_too_large'
  | 'hosts_invalid'
  | 'idempotency_conflict'
  | 'input_invalid'
  | 'insufficient_scope'
  | 'integration_in_use'
  | 'integration_limit'
  | 'integration_unknown'
  | 'integrity_failure'
  | 'internal'
  | 'invocation_cancelled'
  | 'invocation_running'
  | 'issuer_unavailable'
  | 'kek_unavailable'
  | 'key_in_use'
  | 'lease_lost'
  | 'media_type_unsupported'
  | 'mode_unsupported'
  | 'name_taken'
  | 'not_found'
  | 'oauth_app_broken'
  | 'oauth_app_in_use'
  | 'oauth_app_invalid'
  | 'oauth_app_missing'
  | 'openapi_invalid'
  | 'outcome_unknown'
  | 'overloaded'
  | 'private_connection'
  | 'rate_limited'
  | 'refresh_failed'
  | 'refresh_unavailable'
  | 'request_invalid'
  | 'request_timeout'
  | 'response_too_large'
  | 'result_too_large'
  | 'return_url_invalid'
  | 'revision_unknown'
  | 'rollback_unavailable'
  | 'rotation_running'
  | 'route_not_found'
  | 'shutting_down'
  | 'test_unavailable'
  | 'unauthenticated'
  | 'upstream_timeout'
  | 'upstream_unreachable'
  | 'webhook_invalid'
  | 'webhook_limit'
