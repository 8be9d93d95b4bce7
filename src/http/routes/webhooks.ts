import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type, type Static } from 'typebox'
import type { Macs } from '../../crypto/index.ts'
import { VaultError, type ErrorCode } from '../../errors.ts'
import { ENVIRONMENTS, type EventId, type WebhookId } from '../../ids.ts'
import type { Events, WithSecret } from '../../ledger/index.ts'
import { formatEtag, readIfMatch } from '../../revision.ts'
import type { DeliveryRow, WebhookRow } from '../../store/index.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { IdempotencyHeaders, OptionalIfMatchHeaders } from '../contract/parts.ts'
import {
  CreateWebhook, DeliveryPage, ListDeliveries, Replayed, ReplayWebhook, RotateWebhookSecret, TestedWebhook, UpdateWebhook, Webhooks, WebhookParams,
  WebhookWithSecret,
} from '../contract/webhook.ts'
import { readIdempotency } from './idempotency.ts'
import { pageOf, readCursor } from './paging.ts'
import { readInstant } from './service-tokens.ts'

const tags = ['events']
const View = Type.Ref('Webhook#')
const SECRET_ERRORS: readonly ErrorCode[] = ['kek_unavailable', 'overloaded']
const OVERLAP_SECONDS = 86_400

/** Endpoints of the host product that events are sent to. */
export function webhookRoutes (app: App, { events, macs }: { events: Events, macs: Macs }): void {
  createRoute(app, events, macs)
  keepRoutes(app, events)
  deliveryRoutes(app, events)
}

function createRoute (app: App, { webhooks }: Events, macs: Macs): void {
  app.post('/v1/webhooks', {
    schema: { tags, operationId: 'createWebhook', summary: 'Make a webhook', description: 'The signing secret is shown once.', headers: IdempotencyHeaders, body: CreateWebhook, response: { 201: WebhookWithSecret } },
    config: { errors: ['webhook_invalid', 'webhook_limit', 'idempotency_conflict', ...SECRET_ERRORS] },
  }, async (request, reply) => {
    const caller = callerOf(request)
    const { url, description = null, event_types: eventTypes = null, environments = [...ENVIRONMENTS] } = request.body
    const meant = { kind: `webhook ${caller.principal.id ?? ''}`, text: JSON.stringify(request.body) }
    const idempotency = await readIdempotency(macs, request.headers['idempotency-key'], meant)
    const made = await webhooks.create({ url, description, eventTypes, environments }, caller, idempotency)
    if (made.secret === undefined) reply.header('idempotent-replayed', 'true')
    return await reply.code(201).header('etag', formatEtag(made.webhook.revision)).send(presentWithSecret(made))
  })
}

function keepRoutes (app: App, { webhooks }: Events): void {
  app.get('/v1/webhooks', {
    schema: { tags, operationId: 'listWebhooks', summary: 'List webhooks, newest first', response: { 200: Webhooks } },
  }, async () => ({ webhooks: (await webhooks.list()).map(presentWebhook) }))

  app.get('/v1/webhooks/:webhook_id', {
    schema: { tags, operationId: 'getWebhook', summary: 'Get a webhook', params: WebhookParams, response: { 200: View } },
    config: { errors: ['not_found'] },
  }, async (request, reply) => await sendWebhook(reply, await webhooks.get(request.params.webhook_id as WebhookId)))

  app.patch('/v1/webhooks/:webhook_id', {
    schema: { tags, operationId: 'updateWebhook', summary: 'Change, enable or disable a webhook', params: WebhookParams, headers: OptionalIfMatchHeaders, body: UpdateWebhook, response: { 200: View } },
    config: { errors: ['not_found', 'webhook_invalid', 'etag_mismatch'] },
  }, async (request, reply) => {
    const { event_types: eventTypes, ...rest } = request.body
    const changes = { ...rest, ...eventTypes !== undefined && { eventTypes } }
    return await sendWebhook(reply, await webhooks.update(seenBy(request), changes, callerOf(request)))
  })

  app.delete('/v1/webhooks/:webhook_id', {
    schema: { tags, operationId: 'deleteWebhook', summary: 'Delete a webhook', description: 'What was to be delivered to it is dropped.', params: WebhookParams, headers: OptionalIfMatchHeaders, response: { 204: Type.Null({ description: 'Deleted.' }) } },
    config: { errors: ['not_found', 'etag_mismatch'] },
  }, async (request, reply) => {
    await webhooks.remove(seenBy(request), callerOf(request))
    return await reply.code(204).send(null)
  })

  app.post('/v1/webhooks/:webhook_id/rotate-secret', {
    schema: { tags, operationId: 'rotateWebhookSecret', summary: 'Replace the signing secret', description: 'The new one is shown once.', params: WebhookParams, body: RotateWebhookSecret, response: { 200: WebhookWithSecret } },
    config: { errors: ['not_found', ...SECRET_ERRORS] },
  }, async (request) => {
    const overlap = request.body.overlap_seconds ?? OVERLAP_SECONDS
    return presentWithSecret(await webhooks.rotateSecret(request.params.webhook_id as WebhookId, overlap, callerOf(request)))
  })
}

function deliveryRoutes (app: App, { webhooks, deliverer }: Events): void {
  app.post('/v1/webhooks/:webhook_id/test', {
    schema: { tags, operationId: 'testWebhook', summary: 'Send a webhook.test now', description: 'Signed as any other delivery, not repeated, and not kept.', params: WebhookParams, response: { 200: TestedWebhook } },
    config: { errors: ['not_found', 'kek_unavailable'] },
  }, async (request) => await deliverer.test(request.params.webhook_id as WebhookId))

  app.get('/v1/webhooks/:webhook_id/deliveries', {
    schema: { tags, operationId: 'listWebhookDeliveries', summary: 'List a webhook’s deliveries, newest event first', params: WebhookParams, querystring: ListDeliveries, response: { 200: DeliveryPage } },
    config: { errors: ['not_found'] },
  }, async (request) => {
    const { state, cursor, limit = 50 } = request.query
    const [before] = cursor === undefined ? [] : readCursor(cursor, ['event'])
    const webhookId = request.params.webhook_id as WebhookId
    const rows = await webhooks.listDeliveries({ webhookId, state, before: before as EventId | undefined, limit: limit + 1 })
    const { items, next } = pageOf(rows, limit, (row) => [row.event_id])
    return { deliveries: items.map(presentDelivery), next_cursor: next }
  })

  app.post('/v1/webhooks/:webhook_id/replay', {
    schema: { tags, operationId: 'replayWebhook', summary: 'Send events again', description: 'Those of the types and environments it is for. Their ids stay the same.', params: WebhookParams, body: ReplayWebhook, response: { 202: { ...Replayed, description: 'Queued.' } } },
    config: { errors: ['not_found'] },
  }, async (request, reply) => {
    const queued = await webhooks.replay({ webhookId: request.params.webhook_id as WebhookId, ...readReplay(request.body) }, callerOf(request))
    return await reply.code(202).send({ queued })
  })
}

/** Throws `request_invalid` unless it says which: a mistake must not send a month of events. */
function readReplay (body: Static<typeof ReplayWebhook>) {
  const { from, to, event_ids: eventIds, include_delivered: delivered = false } = body
  if ((from === undefined) === (eventIds === undefined) || (to !== undefined && from === undefined)) {
    throw new VaultError('request_invalid', { detail: 'The request does not fit.', errors: [{ pointer: '', message: 'needs either `from`, and perhaps `to`, or `event_ids`' }] })
  }
  return { eventIds, delivered, from: from === undefined ? undefined : readInstant(from, '/from'), to: to === undefined ? undefined : readInstant(to, '/to') }
}

function seenBy (request: FastifyRequest) {
  const { webhook_id: id } = request.params as { webhook_id: WebhookId }
  return { id, expected: readIfMatch(request.headers['if-match']) }
}

async function sendWebhook (reply: FastifyReply, row: WebhookRow) {
  return await reply.header('etag', formatEtag(row.revision)).send(presentWebhook(row))
}

function presentWebhook (row: WebhookRow) {
  return {
    id: row.id, url: row.url, description: row.description, event_types: row.event_types, environments: row.environments,
    status: row.disabled_at === null ? 'enabled' as const : 'disabled' as const, status_reason: row.disabled_reason,
    failing_since: row.failing_since?.toISOString() ?? null, last_delivered_at: row.last_delivered_at?.toISOString() ?? null,
    previous_secret_until: row.previous_until?.toISOString() ?? null,
    created_by: row.created_by, created_at: row.created_at.toISOString(), updated_by: row.updated_by, updated_at: row.updated_at.toISOString(),
    etag: formatEtag(row.revision),
  }
}

function presentWithSecret ({ webhook, secret }: WithSecret) {
  return { webhook: presentWebhook(webhook), ...secret !== undefined && { secret } }
}

function presentDelivery (row: DeliveryRow) {
  return {
    event_id: row.event_id, event_type: row.type, event_timestamp: row.occurred_at.toISOString(), state: row.state, attempts: row.attempts,
    next_attempt_at: row.state === 'pending' ? row.due_at.toISOString() : null, last_attempt_at: row.last_attempt_at?.toISOString() ?? null,
    last_status: row.last_status, last_error: row.last_error,
  }
}
