import type { FastifyReply } from 'fastify'
import { Type, type Static } from 'typebox'
import type { Catalog } from '../../catalog/index.ts'
import { presentConnection, type Connections } from '../../connections/index.ts'
import type { Macs } from '../../crypto/index.ts'
import { VaultError, type ErrorCode } from '../../errors.ts'
import type { ConnectionId, Environment, WorkspaceId } from '../../ids.ts'
import { formatEtag, readIfMatch } from '../../revision.ts'
import type { ConnectionFilter, ConnectionView } from '../../store/index.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { ConnectionParams, IdempotencyHeaders, OptionalIfMatchHeaders, WorkspaceParams } from '../contract/parts.ts'
import { ConnectionPage, CreateConnection, DeleteConnection, IfMatchHeaders, ListConnections, UpdateConnection } from '../contract/connection.ts'
import { takeCredential } from './credential-intake.ts'
import { readIdempotency } from './idempotency.ts'
import { pageOf, readCursor } from './paging.ts'

interface Rooms {
  readonly connections: Connections
  readonly catalog: Catalog
  readonly macs: Macs
}

const BASE = '/v1/workspaces/:workspace_id/connections'
const ONE = `${BASE}/:connection_id`
const tags = ['connections']
const View = Type.Ref('Connection#')

export const ENTRY_ERRORS: readonly ErrorCode[] = ['integration_unknown', 'auth_unknown', 'auth_not_pasted', 'credential_invalid', 'config_invalid', 'hosts_invalid', 'actions_invalid', 'kek_unavailable', 'overloaded']

/** Create, list, read, change and delete. */
export function connectionRoutes (app: App, rooms: Rooms): void {
  const { connections, catalog, macs } = rooms

  app.post(BASE, {
    schema: { tags, operationId: 'createConnection', summary: 'Create a connection from a pasted credential', params: WorkspaceParams, headers: IdempotencyHeaders, body: CreateConnection, response: { 201: View } },
    config: { errors: [...ENTRY_ERRORS, 'not_found', 'name_taken', 'environment_mismatch', 'idempotency_conflict'] },
  }, async (request, reply) => {
    const caller = callerOf(request)
    const { body } = request
    if (!caller.environments.includes(body.environment)) throw new VaultError('not_found')
    const workspaceId = request.params.workspace_id as WorkspaceId
    const integration = await catalog.requireIn(workspaceId, body.integration)
    const credential = takeCredential({ ...body, integration, auth: body.auth, config: body.config ?? {} })
    const { view, warnings, replayed } = await connections.create({
      workspaceId,
      environment: body.environment,
      name: body.name.trim(),
      credential,
      labels: body.labels ?? {},
      expiresOn: body.expires_on,
      allowedActions: body.allowed_actions,
      allowedHosts: body.allowed_hosts,
      idempotency: await readIdempotency(macs, request.headers['idempotency-key'], { text: JSON.stringify(body) }),
    }, caller)
    if (replayed) reply.header('idempotent-replayed', 'true')
    return await sendView(reply.code(201).header('location', `${BASE.replace(':workspace_id', view.workspace_id)}/${view.id}`), view, warnings)
  })

  app.get(BASE, {
    schema: { tags, operationId: 'listConnections', summary: 'List connections, newest first', params: WorkspaceParams, querystring: ListConnections, response: { 200: ConnectionPage } },
  }, async (request) => {
    const { query } = request
    const limit = query.limit ?? 50
    const views = await connections.list(request.params.workspace_id as WorkspaceId, toFilter(query, callerOf(request).environments, limit + 1))
    const { items, next } = pageOf(views, limit, (view) => [view.id])
    return { connections: items.map(presentConnection), next_cursor: next }
  })

  app.get(ONE, {
    schema: { tags, operationId: 'getConnection', summary: 'Get a connection', params: ConnectionParams, response: { 200: View } },
    config: { errors: ['not_found'] },
  }, async (request, reply) => await sendView(reply, await connections.get(ofRequest(request.params), callerOf(request))))

  app.patch(ONE, {
    schema: { tags, operationId: 'updateConnection', summary: 'Change what is not secret', params: ConnectionParams, headers: IfMatchHeaders, body: UpdateConnection, response: { 200: View } },
    config: { errors: ['not_found', 'etag_required', 'etag_mismatch', 'name_taken', 'config_invalid', 'hosts_invalid', 'actions_invalid'] },
  }, async (request, reply) => {
    const expected = readIfMatch(request.headers['if-match'])
    if (expected === undefined) throw new VaultError('etag_required')
    const { name, ...changes } = request.body
    const edit = { changes: { ...changes, ...name !== undefined && { name: name.trim() } }, expected }
    return await sendView(reply, await connections.update(ofRequest(request.params), edit, callerOf(request)))
  })

  removalRoutes(app, connections)
}

/** Take out of use, for a while or for good. */
function removalRoutes (app: App, connections: Connections): void {
  app.delete(ONE, {
    schema: { tags, operationId: 'deleteConnection', summary: 'Delete a connection and destroy its credential', params: ConnectionParams, headers: OptionalIfMatchHeaders, querystring: DeleteConnection, response: { 204: Type.Null({ description: 'Deleted.' }) } },
    config: { errors: ['not_found', 'connection_in_use', 'etag_mismatch'] },
  }, async (request, reply) => {
    const removal = { force: request.query.force === true, expected: readIfMatch(request.headers['if-match']) }
    await connections.remove(ofRequest(request.params), removal, callerOf(request))
    return await reply.code(204).send(null)
  })

  for (const [verb, disabled] of [['disable', true], ['enable', false]] as const) {
    app.post(`${ONE}/${verb}`, {
      schema: { tags, operationId: `${verb}Connection`, summary: disabled ? 'Take a connection out of use' : 'Put a connection back in use', params: ConnectionParams, response: { 200: View } },
      config: { errors: ['not_found'] },
    }, async (request, reply) => await sendView(reply, await connections.setDisabled(ofRequest(request.params), disabled, callerOf(request))))
  }
}

export function ofRequest (params: { workspace_id: string, connection_id: string }): { workspaceId: WorkspaceId, id: ConnectionId } {
  return { workspaceId: params.workspace_id as WorkspaceId, id: params.connection_id as ConnectionId }
}

export async function sendView (reply: FastifyReply, view: ConnectionView, warnings: readonly string[] = []): Promise<FastifyReply> {
  return await reply.header('etag', formatEtag(view.revision)).send({ ...presentConnection(view), ...warnings.length > 0 && { warnings } })
}

function toFilter (query: Static<typeof ListConnections>, visible: readonly Environment[], limit: number): ConnectionFilter {
  const [before] = query.cursor === undefined ? [] : readCursor(query.cursor, ['connection'])
  return {
    environments: query.environment === undefined ? visible : visible.filter((environment) => environment === query.environment),
    ...query.integration !== undefined && { integration: query.integration },
    ...query.status !== undefined && { status: query.status },
    ...query.label !== undefined && { label: query.label },
    ...query.q !== undefined && { q: query.q.normalize('NFKC').toLowerCase() },
    ...before !== undefined && { before: before as ConnectionId },
    limit,
  }
}
