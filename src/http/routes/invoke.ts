import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { ErrorCode } from '../../errors.ts'
import type { Invoke } from '../../invoke/index.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { ConnectionParams, PassedIdempotencyHeaders } from '../contract/parts.ts'
import { InvokeRequest, RawRequest } from '../contract/invoke.ts'
import { ofRequest } from './connections.ts'

const ONE = '/v1/workspaces/:workspace_id/connections/:connection_id'
const tags = ['use']
const ERRORS: readonly ErrorCode[] = [
  'not_found', 'environment_mismatch', 'connection_disabled', 'connection_pending', 'connection_needs_reauth', 'action_not_allowed', 'egress_blocked',
  'input_invalid', 'upstream_timeout', 'upstream_unreachable', 'outcome_unknown', 'response_too_large', 'integrity_failure', 'kek_unavailable', 'overloaded',
]

const RETRIES = 'Made again within its deadline, three times at most, after 502, 503, 504, a 429 with Retry-After, or a broken connection: if it reads or is ' +
  'idempotent, or goes to a provider with an idempotency header under one key. `attempts` says how often it was sent.'

/** Run an action, or any call within the integration's server, without seeing the credential. */
export function invokeRoutes (app: App, rooms: { invoke: Invoke }): void {
  app.post(`${ONE}/invoke`, {
    schema: { tags, operationId: 'invokeAction', summary: 'Run an action with the connection', description: RETRIES, params: ConnectionParams, headers: PassedIdempotencyHeaders, body: InvokeRequest, response: { 200: Type.Ref('InvokeResponse#') } },
    config: { errors: [...ERRORS, 'action_unknown'] },
  }, async (request, reply) => {
    const { action, input } = request.body
    return await rooms.invoke.invoke({ ...useOf(request, reply), action, input: input ?? {} }, callerOf(request))
  })

  app.post(`${ONE}/request`, {
    schema: { tags, operationId: 'sendRequest', summary: 'Make a call that the catalog has no action for', description: RETRIES, params: ConnectionParams, headers: PassedIdempotencyHeaders, body: RawRequest, response: { 200: Type.Ref('InvokeResponse#') } },
    config: { errors: ERRORS },
  }, async (request, reply) => {
    const { method, path, query, headers, body } = request.body
    return await rooms.invoke.request({ ...useOf(request, reply), request: { method, path, query, headers, body } }, callerOf(request))
  })
}

function useOf (request: FastifyRequest, reply: FastifyReply) {
  const { workspaceId, id: connectionId } = ofRequest(request.params as { workspace_id: string, connection_id: string })
  const { environment, context, timeout_ms: timeoutMs, dry_run: dryRun } = request.body as { environment: 'sandbox' | 'live', context?: object, timeout_ms?: number, dry_run?: boolean }
  const key = request.headers['idempotency-key']
  return { workspaceId, connectionId, environment, context, timeoutMs, dryRun, signal: signalOf(reply), idempotencyKey: typeof key === 'string' ? key : undefined }
}

/** Aborts when the caller goes away before its answer is complete. */
function signalOf (reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => { if (!reply.raw.writableFinished) controller.abort() })
  return controller.signal
}
