import { Type } from 'typebox'
import { injectAuth } from '../../calls/index.ts'
import type { Connections, Resolved } from '../../connections/index.ts'
import { reveal } from '../../crypto/reveal.ts'
import type { ErrorCode } from '../../errors.ts'
import type { ConnectionId, WorkspaceId } from '../../ids.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { ConnectionParams, WorkspaceParams } from '../contract/parts.ts'
import { ResolveManyRequest, ResolveManyResponse, ResolveRequest } from '../contract/resolve.ts'
import { toProblem } from '../problem.ts'
import { ofRequest } from './connections.ts'

const tags = ['use']
const ERRORS: readonly ErrorCode[] = ['integrity_failure', 'kek_unavailable', 'overloaded']

/** The only routes that hand a credential out. Its use is on record before it is put into the answer. */
export function resolveRoutes (app: App, rooms: { connections: Connections }): void {
  const { connections } = rooms

  app.post('/v1/workspaces/:workspace_id/connections/:connection_id/resolve', {
    schema: { tags, operationId: 'resolveConnection', summary: 'Get the credential', params: ConnectionParams, body: ResolveRequest, response: { 200: Type.Ref('ResolvedCredential#') } },
    config: {
      errors: [
        ...ERRORS, 'not_found', 'environment_mismatch', 'connection_disabled', 'connection_pending', 'connection_needs_reauth', 'refresh_failed', 'oauth_app_broken', 'private_connection',
      ],
    },
  }, async (request) => {
    const { environment, context, min_ttl_seconds: minTtlSeconds, rejected_version: rejectedVersion } = request.body
    return handOut(await connections.resolve(ofRequest(request.params), { environment, context, minTtlSeconds, rejectedVersion }, callerOf(request)))
  })

  app.post('/v1/workspaces/:workspace_id/resolve', {
    schema: { tags, operationId: 'resolveConnections', summary: 'Get up to 100 credentials, each with its own result', params: WorkspaceParams, body: ResolveManyRequest, response: { 200: ResolveManyResponse } },
    config: { errors: ERRORS },
  }, async (request) => {
    const { environment, context, min_ttl_seconds: minTtlSeconds, connection_ids: ids } = request.body
    const of = { workspaceId: request.params.workspace_id as WorkspaceId, ids: ids as ConnectionId[] }
    const results = await connections.resolveMany(of, { environment, context, minTtlSeconds }, callerOf(request))
    return {
      results: results.map((result) => 'resolved' in result
        ? { connection_id: result.id, credential: handOut(result.resolved) }
        : { connection_id: result.id, problem: toProblem(result.error, request.id) }),
    }
  })
}

/** Never a field that is the vault's own. */
function handOut (resolved: Resolved) {
  const { row, integration, scheme, config, baseUrl, secrets } = resolved
  const isOwn = (name: string): boolean => scheme.fields.some((field) => field.vault_only === true && field.name === name)
  const auth = injectAuth({ scheme, secrets, config })
  const credentials: Record<string, string> = { ...config }
  for (const [name, secret] of Object.entries(secrets)) if (!isOwn(name)) credentials[name] = reveal(secret)
  return {
    connection_id: row.id,
    integration: row.integration,
    environment: row.environment,
    auth: row.auth,
    version: row.version_id,
    expires_at: resolved.expiresAt?.toISOString() ?? null,
    freshness: resolved.freshness,
    credentials,
    request: { base_url: baseUrl, headers: { ...integration.manifest.conventions.headers, ...auth.headers }, query: auth.query },
  }
}
