import { Type } from 'typebox'
import type { Access } from '../../access/index.ts'
import type { Caller } from '../../connections/index.ts'
import { VaultError } from '../../errors.ts'
import type { TokenId } from '../../ids.ts'
import type { AuditEventName, Ledger } from '../../ledger/index.ts'
import type { TokenRow, Tx } from '../../store/index.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { IdempotencyHeaders } from '../contract/parts.ts'
import { CreatedServiceToken, CreateServiceToken, ListServiceTokens, ServiceTokenPage, ServiceTokenParams } from '../contract/service-token.ts'
import { pageOf, readCursor } from './paging.ts'

const tags = ['operations']

/** Make, list and revoke the tokens callers authenticate with. */
export function serviceTokenRoutes (app: App, rooms: { access: Access, ledger: Pick<Ledger, 'recordIn'> }): void {
  const { tokens } = rooms.access
  const record = (event: AuditEventName, caller: Caller) => async (tx: Tx, row: TokenRow) => {
    await rooms.ledger.recordIn(tx, {
      event, outcome: 'ok', principal: caller.principal, requestId: caller.requestId,
      details: { token_id: row.id, scopes: row.scopes, workspaces: row.workspaces, environments: row.environments },
    })
  }

  app.post('/v1/service-tokens', {
    schema: {
      tags, operationId: 'createServiceToken', summary: 'Make a service token',
      description: 'The token is shown once. It may have scopes that the caller has not: `tokens:manage` is everything. Each is on record as `token.created`, with its scopes.',
      headers: IdempotencyHeaders, body: CreateServiceToken, response: { 201: CreatedServiceToken },
    },
    config: { errors: ['idempotency_conflict', 'kek_unavailable'] },
  }, async (request, reply) => {
    const caller = callerOf(request)
    const { name, preset, scopes, workspaces, environments, expires_at: expiresAt } = request.body
    const key = request.headers['idempotency-key']
    const made = await tokens.create(
      { name, preset, scopes, workspaces, environments, expiresAt: expiresAt === undefined ? undefined : readInstant(expiresAt, '/expires_at') },
      { by: caller.by, idempotencyKey: key === undefined ? undefined : `${caller.principal.id ?? ''} ${key}`, record: record('token.created', caller) },
    )
    if (made.token === undefined) reply.header('idempotent-replayed', 'true')
    return await reply.code(201).send({ service_token: presentToken(made.row), ...made.token !== undefined && { token: made.token } })
  })

  app.get('/v1/service-tokens', {
    schema: { tags, operationId: 'listServiceTokens', summary: 'List service tokens, newest first', querystring: ListServiceTokens, response: { 200: ServiceTokenPage } },
  }, async (request) => {
    const limit = request.query.limit ?? 50
    const [before] = request.query.cursor === undefined ? [] : readCursor(request.query.cursor, ['token'])
    const rows = await tokens.list({ limit: limit + 1, ...before !== undefined && { before: before as TokenId } })
    const { items, next } = pageOf(rows, limit, (row) => [row.id])
    return { service_tokens: items.map(presentToken), next_cursor: next }
  })

  app.delete('/v1/service-tokens/:token_id', {
    schema: { tags, operationId: 'revokeServiceToken', summary: 'Revoke a service token', description: 'It stops working everywhere within a second.', params: ServiceTokenParams, response: { 200: Type.Ref('ServiceToken#') } },
    config: { errors: ['not_found'] },
  }, async (request) => {
    const caller = callerOf(request)
    return presentToken(await tokens.revoke(request.params.token_id as TokenId, { by: caller.by, record: record('token.revoked', caller) }))
  })
}

function presentToken (row: TokenRow) {
  const [expiresAt, revokedAt] = [row.expires_at, row.revoked_at].map((at) => at?.toISOString() ?? null)
  return { ...row, created_at: row.created_at.toISOString(), expires_at: expiresAt, revoked_at: revokedAt }
}

/** An instant from a caller (RFC 3339). Throws `request_invalid`. */
export function readInstant (text: string, pointer: string): Date {
  const instant = new Date(text)
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) || Number.isNaN(instant.getTime()) || instant.getUTCFullYear() > 9_999) throw invalid(pointer, 'must be a date and time with its zone, such as 2027-01-31T00:00:00Z')
  return instant
}

function invalid (pointer: string, message: string): VaultError {
  return new VaultError('request_invalid', { detail: 'The request does not fit.', errors: [{ pointer, message }] })
}
