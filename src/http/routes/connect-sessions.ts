import { Type, type Static } from 'typebox'
import type { ConnectRequest, Connections } from '../../connections/index.ts'
import type { Macs } from '../../crypto/index.ts'
import { VaultError } from '../../errors.ts'
import type { ConnectionId, SessionId, WorkspaceId } from '../../ids.ts'
import type { SessionRow } from '../../store/index.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { CompleteConnectSession, ConnectSessionParams, CreateConnectSession, CreatedConnectSession } from '../contract/connect-session.ts'
import { IdempotencyHeaders, WorkspaceParams } from '../contract/parts.ts'
import { sendView } from './connections.ts'
import { readIdempotency } from './idempotency.ts'

const BASE = '/v1/workspaces/:workspace_id/connect-sessions'
const tags = ['linking']

/** Permissions to link an account in a browser, for the host's backend. */
export function connectSessionRoutes (app: App, { connections: { sessions }, macs }: { connections: Connections, macs: Macs }): void {
  app.post(BASE, {
    schema: { tags, operationId: 'createConnectSession', summary: 'Let a person link an account in a browser', params: WorkspaceParams, headers: IdempotencyHeaders, body: CreateConnectSession, response: { 201: CreatedConnectSession } },
    config: { errors: ['not_found', 'integration_unknown', 'environment_mismatch', 'oauth_app_missing', 'return_url_invalid', 'name_taken', 'idempotency_conflict', 'kek_unavailable'] },
  }, async (request, reply) => {
    const idempotency = await readIdempotency(macs, request.headers['idempotency-key'], { text: JSON.stringify(request.body) })
    const wanted = { ...readRequest(request.body), workspaceId: request.params.workspace_id as WorkspaceId, idempotency }
    const { session, connectUrl } = await sessions.create(wanted, callerOf(request))
    if (connectUrl === undefined) reply.header('idempotent-replayed', 'true')
    return await reply.code(201).send({ connect_session: presentSession(session), ...connectUrl !== undefined && { connect_url: connectUrl } })
  })

  app.get(`${BASE}/:session_id`, {
    schema: { tags, operationId: 'getConnectSession', summary: 'Get a connect session', description: 'Never with a completion code: only the browser that linked gets one.', params: ConnectSessionParams, response: { 200: Type.Ref('ConnectSession#') } },
    config: { errors: ['not_found'] },
  }, async (request) => presentSession(await sessions.get(ofRequest(request.params), callerOf(request))))

  app.post(`${BASE}/:session_id/complete`, {
    schema: {
      tags, operationId: 'completeConnectSession', summary: 'Confirm what a person has linked', params: ConnectSessionParams, headers: IdempotencyHeaders, body: CompleteConnectSession, response: { 200: Type.Ref('Connection#') },
      description: 'Call it for the browser that came back to the return URL, with the person who is logged in there. Only then is there a connection. A repeat with the same `Idempotency-Key` gets the connection again; without one, 409 `connect_session_ended`, which names it in `connection_id`.',
    },
    config: { errors: ['not_found', 'completion_refused', 'connect_session_ended', 'connect_session_unconfirmed', 'name_taken', 'idempotency_conflict', 'kek_unavailable'] },
  }, async (request, reply) => {
    const { completion_code: code, actor, name } = request.body
    const of = ofRequest(request.params)
    const idempotency = await readIdempotency(macs, request.headers['idempotency-key'], { kind: 'complete', text: JSON.stringify([of.id, request.body]) })
    const { view, warnings, replayed } = await sessions.complete(of, { code, actor, name: name?.trim(), idempotency }, callerOf(request))
    if (replayed) reply.header('idempotent-replayed', 'true')
    return await sendView(reply, view, warnings)
  })
}

function ofRequest (params: { workspace_id: string, session_id: string }) {
  return { workspaceId: params.workspace_id as WorkspaceId, id: params.session_id as SessionId }
}

function readRequest (body: Static<typeof CreateConnectSession>): Omit<ConnectRequest, 'workspaceId' | 'idempotency'> {
  const chosen = [body.integration, body.integrations, body.connection_id].filter((one) => one !== undefined)
  if (chosen.length !== 1) throw invalid('/integration', 'exactly one of integration, integrations and connection_id is needed')
  if (body.connection_id === undefined && body.name === undefined) throw invalid('/name', 'is required')
  if (body.connection_id !== undefined && (body.name !== undefined || body.labels !== undefined)) throw invalid('/name', 'name and labels are the connection’s own at a reconnect')
  return {
    environment: body.environment, integrations: body.integration === undefined ? body.integrations ?? [] : [body.integration],
    name: body.name?.trim(), labels: body.labels ?? {}, actor: body.actor, returnUrl: body.return_url, confirmation: body.confirmation ?? 'required', reconnectId: body.connection_id as ConnectionId | undefined,
    allowAccountChange: body.allow_account_change === true,
  }
}

function invalid (pointer: string, message: string): VaultError {
  return new VaultError('request_invalid', { detail: 'The request does not fit.', errors: [{ pointer, message }] })
}

function presentSession (session: SessionRow) {
  const over = session.state === 'completed' || session.state === 'ended'
  return {
    id: session.id, workspace_id: session.workspace_id, environment: session.environment, state: session.expired && !over ? 'expired' as const : session.state,
    ended_reason: session.ended_reason, integrations: session.integrations, name: session.name, labels: session.labels, actor: session.actor,
    return_url: session.return_url, confirmation: session.confirmation, reconnects: session.reconnect_id, connection_id: session.connection_id,
    expires_at: session.expires_at.toISOString(),
    confirm_until: session.confirm_until?.toISOString() ?? null, created_by: session.created_by, created_at: session.created_at.toISOString(),
  }
}
