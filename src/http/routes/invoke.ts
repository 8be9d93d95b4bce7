import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type, type Static } from 'typebox'
import { requirePermission } from '../../access/index.ts'
import { VaultError, type ErrorCode, type FieldError } from '../../errors.ts'
import type { InvocationId, WorkspaceId } from '../../ids.ts'
import type { Invoke, RunResult } from '../../invoke/index.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { ConnectionParams, InvokeIdempotencyHeaders } from '../contract/parts.ts'
import { Accepted, InvocationParams, InvocationStatus, InvokeRequest, RawRequest, SYNC_TIMEOUT_MS } from '../contract/invoke.ts'
import { ofRequest } from './connections.ts'
import { takeOutput } from './credential-intake.ts'

const ONE = '/v1/workspaces/:workspace_id/connections/:connection_id'
const tags = ['use']
const ERRORS: readonly ErrorCode[] = [
  'not_found', 'environment_mismatch', 'connection_disabled', 'connection_pending', 'connection_needs_reauth', 'refresh_failed', 'oauth_app_broken', 'action_not_allowed',
  'egress_blocked', 'input_invalid', 'private_connection', 'upstream_timeout', 'upstream_unreachable', 'outcome_unknown', 'response_too_large', 'idempotency_conflict', 'invocation_running', 'concurrency_limited', 'integrity_failure', 'kek_unavailable', 'overloaded',
]

const RETRIES = 'Made again within its deadline, three times at most, after 502, 503, 504, a 429 with Retry-After, or a broken connection: if it reads or is ' +
  'idempotent, or goes to a provider with an idempotency header under one key. `attempts` says how often it was sent.'

/** Run an action, or any call to the connection's hosts, without seeing the credential. */
export function invokeRoutes (app: App, rooms: { invoke: Invoke, bodyLimitBytes: number }): void {
  // Files come in base64, so that these two take more than other routes; the caller is known before a byte of it is read.
  const bodyLimit = rooms.bodyLimitBytes

  app.post(`${ONE}/invoke`, {
    bodyLimit,
    schema: { tags, operationId: 'invokeAction', summary: 'Run an action with the connection', description: RETRIES, params: ConnectionParams, headers: InvokeIdempotencyHeaders, body: InvokeRequest, response: { 200: Type.Ref('InvokeResponse#'), 202: Accepted } },
    config: { errors: [...ERRORS, 'action_unknown', 'revision_unknown', 'name_taken', 'agent_offline', 'invocation_cancelled', 'mode_unsupported'] },
  }, async (request, reply) => {
    const { action, revision, input, store_as: store, mode, queue_seconds: queueSeconds, encrypted_input: encryptedInput } = request.body
    requireFitting(request.body)
    if (store !== undefined) requireWriting(request)
    const storeAs = store && { name: store.name.trim(), labels: store.labels ?? {}, take: takeOutput }
    const later = mode === 'async' ? true : undefined
    const use = { ...useOf(request, reply), action, revision, input: input ?? {}, storeAs, later, queueSeconds, encryptedInput }
    const result = showReplay(reply, await rooms.invoke.invoke(use, callerOf(request)))
    if ('status_url' in result) return await reply.code(202).header('location', result.status_url).send(result)
    return result
  })

  app.post(`${ONE}/request`, {
    bodyLimit,
    schema: { tags, operationId: 'sendRequest', summary: 'Make a call that the catalog has no action for', description: RETRIES, params: ConnectionParams, headers: InvokeIdempotencyHeaders, body: RawRequest, response: { 200: Type.Ref('InvokeResponse#') } },
    config: { errors: ERRORS },
  }, async (request, reply) => {
    const { method, host, path, query, headers, body, encoding } = request.body
    const raw = { method, host, path, query, headers, body, encoding }
    return showReplay(reply, await rooms.invoke.request({ ...useOf(request, reply), request: raw }, callerOf(request)))
  })

  invocationRoutes(app, rooms.invoke)
}

/** What has become of a call that an agent makes. */
function invocationRoutes (app: App, invoke: Invoke): void {
  const INVOCATION = '/v1/workspaces/:workspace_id/invocations/:invocation_id'
  const of = (params: { workspace_id: string, invocation_id: string }) =>
    ({ workspaceId: params.workspace_id as WorkspaceId, id: params.invocation_id as InvocationId })

  app.get(INVOCATION, {
    schema: { tags, operationId: 'getInvocation', summary: 'Get the state and result of a call that an agent makes', description: 'For 24 hours after its end.', params: InvocationParams, response: { 200: InvocationStatus } },
    config: { errors: ['not_found', 'integrity_failure', 'kek_unavailable'] },
  }, async (request) => await invoke.status(of(request.params), callerOf(request)))

  app.post(`${INVOCATION}/cancel`, {
    schema: { tags, operationId: 'cancelInvocation', summary: 'Cancel a call that an agent makes', description: 'One that no agent has yet ends at once; the agent that has it is told to stop, and says what came of it.', params: InvocationParams, response: { 200: InvocationStatus } },
    config: { errors: ['not_found', 'integrity_failure', 'kek_unavailable'] },
  }, async (request) => await invoke.cancel(of(request.params), callerOf(request)))
}

/** Of members that depend on each other. Throws `request_invalid`. */
function requireFitting ({ mode, timeout_ms: timeoutMs, input, encrypted_input: encryptedInput }: Static<typeof InvokeRequest>): void {
  const errors: FieldError[] = []
  if (mode !== 'async' && timeoutMs !== undefined && timeoutMs > SYNC_TIMEOUT_MS) errors.push({ pointer: '/timeout_ms', message: `must be at most ${SYNC_TIMEOUT_MS} unless mode is async` })
  if (input !== undefined && encryptedInput !== undefined) errors.push({ pointer: '/encrypted_input', message: 'stands instead of input, not beside it' })
  if (errors.length > 0) throw new VaultError('request_invalid', { errors })
}

/** What makes a connection needs the scope of making one. */
function requireWriting (request: FastifyRequest): void {
  if (request.principal === null) throw new VaultError('unauthenticated')
  const { workspace_id: workspaceId } = request.params as { workspace_id: WorkspaceId }
  requirePermission(request.principal, { scope: 'connections:write', workspaceId })
}

function showReplay (reply: FastifyReply, result: RunResult): RunResult {
  if ('replayed' in result && result.replayed) reply.header('idempotent-replayed', 'true')
  return result
}

function useOf (request: FastifyRequest, reply: FastifyReply) {
  const { workspaceId, id: connectionId } = ofRequest(request.params as { workspace_id: string, connection_id: string })
  const { environment, context, timeout_ms: timeoutMs, dry_run: dryRun } = request.body as { environment: 'sandbox' | 'live', context?: object, timeout_ms?: number, dry_run?: boolean }
  const key = request.headers['idempotency-key']
  return { workspaceId, connectionId, environment, context, timeoutMs, dryRun, signal: signalOf(reply), idempotencyKey: typeof key === 'string' ? key : undefined }
}

/** Aborts when the caller goes away before its answer is complete. */
export function signalOf (reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => { if (!reply.raw.writableFinished) controller.abort() })
  return controller.signal
}
