import { Type } from 'typebox'
import type { Catalog } from '../../catalog/index.ts'
import type { Connections } from '../../connections/index.ts'
import type { Macs } from '../../crypto/index.ts'
import { readIfMatch, requireRevision } from '../../revision.ts'
import type { UseRow, VersionRow } from '../../store/index.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { ConnectionParams } from '../contract/parts.ts'
import { RotateConnection, RotateHeaders, SetReferences, TestResult, Usage, Versions } from '../contract/connection.ts'
import { ENTRY_ERRORS, ofRequest, sendView } from './connections.ts'
import { takeCredential } from './credential-intake.ts'
import { readIdempotency } from './idempotency.ts'

const ONE = '/v1/workspaces/:workspace_id/connections/:connection_id'
const tags = ['connections']
const View = Type.Ref('Connection#')
const GRACE_SECONDS = 86_400

/** Rotate, roll back, test, and where a connection is used. */
export function lifecycleRoutes (app: App, rooms: { connections: Connections, catalog: Catalog, macs: Macs }): void {
  const { connections, catalog, macs } = rooms

  app.post(`${ONE}/rotate`, {
    schema: { tags, operationId: 'rotateConnection', summary: 'Replace the credential', description: 'Everybody gets the new credential from the next call on. `expires_on` is the new one’s last day; left out, there is none: the day of the one before is not its own.', params: ConnectionParams, headers: RotateHeaders, body: RotateConnection, response: { 200: View } },
    config: { errors: [...ENTRY_ERRORS, 'not_found', 'credential_refused', 'upstream_unreachable', 'etag_mismatch', 'idempotency_conflict'] },
  }, async (request, reply) => {
    const caller = callerOf(request)
    const of = ofRequest(request.params)
    const { body } = request
    const seen = await connections.get(of, caller)
    requireRevision(seen.revision, readIfMatch(request.headers['if-match']))
    const config = { ...seen.config, ...seen.host_config, ...body.config }
    const { auth, environment } = seen
    const integration = await catalog.requireIn(seen.workspace_id, seen.integration, seen.integration_revision)
    const credential = takeCredential({ integration, auth, environment, credentials: body.credentials, config })
    const idempotency = await readIdempotency(macs, request.headers['idempotency-key'], { kind: 'rotate', text: JSON.stringify([of.id, body]) })
    const { test = false, grace_seconds: graceSeconds = GRACE_SECONDS, allowed_hosts: allowedHosts, expires_on: expiresOn } = body
    const { view, warnings, replayed } = await connections.rotate(of, { credential, seen, test, graceSeconds, allowedHosts, expiresOn, idempotency }, caller)
    if (replayed) reply.header('idempotent-replayed', 'true')
    return await sendView(reply, view, warnings)
  })

  app.post(`${ONE}/rollback`, {
    schema: { tags, operationId: 'rollbackConnection', summary: 'Go back to the previous credential', description: 'Possible until its grace ends. The replaced one is kept as long, so that this can be undone. `expires_on` becomes null: it was the replaced one’s.', params: ConnectionParams, response: { 200: View } },
    config: { errors: ['not_found', 'rollback_unavailable'] },
  }, async (request, reply) => await sendView(reply, await connections.rollback(ofRequest(request.params), callerOf(request))))

  app.get(`${ONE}/versions`, {
    schema: {
      tags, operationId: 'listVersions', summary: 'List the versions of the credential', params: ConnectionParams, response: { 200: Versions },
      description: 'The current one, the one that can be rolled back to, and the last few that were destroyed; the record knows of all.',
    },
    config: { errors: ['not_found'] },
  }, async (request) => ({ versions: (await connections.listVersions(ofRequest(request.params), callerOf(request))).map(presentVersion) }))

  app.post(`${ONE}/test`, {
    schema: { tags, operationId: 'testConnection', summary: 'Ask the provider whether it accepts the credential', params: ConnectionParams, response: { 200: TestResult } },
    config: { errors: ['not_found', 'connection_disabled', 'connection_pending', 'connection_needs_reauth', 'test_unavailable', 'refresh_failed', 'oauth_app_broken', 'integrity_failure', 'kek_unavailable', 'overloaded'] },
  }, async (request) => {
    const { warnings, ...result } = await connections.test(ofRequest(request.params), callerOf(request))
    return { ...result, warnings: [...warnings] }
  })

  app.post(`${ONE}/refresh`, {
    schema: { tags, operationId: 'refreshConnection', summary: 'Renew the access token now', params: ConnectionParams, response: { 200: View } },
    config: { errors: ['not_found', 'refresh_unavailable', 'refresh_failed', 'connection_needs_reauth', 'oauth_app_broken', 'integrity_failure', 'kek_unavailable'] },
  }, async (request, reply) => await sendView(reply, await connections.refresh(ofRequest(request.params), callerOf(request))))

  app.get(`${ONE}/usage`, {
    schema: { tags, operationId: 'getUsage', summary: 'Where the connection is used', params: ConnectionParams, response: { 200: Usage } },
    config: { errors: ['not_found'] },
  }, async (request) => presentUsage(await connections.usage.get(ofRequest(request.params), callerOf(request))))

  app.put(`${ONE}/references`, {
    schema: { tags, operationId: 'setReferences', summary: 'Say which procedures point here', params: ConnectionParams, body: SetReferences, response: { 200: Usage } },
    config: { errors: ['not_found'] },
  }, async (request) => presentUsage(await connections.usage.setReferences(ofRequest(request.params), request.body.references, callerOf(request))))
}

function presentVersion (row: VersionRow) {
  return {
    id: row.id,
    number: row.number,
    state: row.state,
    preview: row.previews,
    hosts: row.hosts,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    grace_until: row.grace_until?.toISOString() ?? null,
    destroyed_at: row.destroyed_at?.toISOString() ?? null,
  }
}

function presentUsage (usage: Awaited<ReturnType<Connections['usage']['get']>>) {
  const presentUse = (use: UseRow) => ({ ...use, first_used_at: use.first_used_at.toISOString(), last_used_at: use.last_used_at.toISOString() })
  return {
    references: usage.references.map((reference) => ({ ...reference, registered_at: reference.registered_at.toISOString() })),
    uses: usage.uses.map(presentUse),
  }
}
