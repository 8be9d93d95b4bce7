import type { WorkspaceId } from '../../ids.ts'
import type { Ledger } from '../../ledger/index.ts'
import type { StoredEvent } from '../../store/index.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { AuditPage, ListAuditEvents, Verification, VerifyAudit } from '../contract/audit.ts'
import { WorkspaceParams } from '../contract/parts.ts'
import { pageOf, readCursor } from './paging.ts'
import { readInstant } from './service-tokens.ts'

const tags = ['audit']

/** What is on record. */
export function auditRoutes (app: App, rooms: { ledger: Pick<Ledger, 'list' | 'verify'> }): void {
  app.get('/v1/workspaces/:workspace_id/audit-events', {
    schema: { tags, operationId: 'listAuditEvents', summary: 'List a workspace’s audit records, newest first', params: WorkspaceParams, querystring: ListAuditEvents, response: { 200: AuditPage } },
  }, async (request) => {
    const { query } = request
    const limit = query.limit ?? 50
    const [occurredAt, id] = query.cursor === undefined ? [] : readCursor(query.cursor, ['instant', 'audit'])
    const rows = await rooms.ledger.list({
      workspaceId: request.params.workspace_id as WorkspaceId,
      environments: callerOf(request).environments,
      ...query.event !== undefined && { event: query.event },
      ...query.connection_id !== undefined && { connectionId: query.connection_id },
      ...query.from !== undefined && { from: readInstant(query.from, '/query/from') },
      ...query.to !== undefined && { to: readInstant(query.to, '/query/to') },
      ...occurredAt !== undefined && id !== undefined && { before: { occurredAt: new Date(occurredAt), id } },
      limit: limit + 1,
    })
    const { items, next } = pageOf(rows, limit, (row) => [row.occurred_at.toISOString(), row.id])
    return { audit_events: items.map(presentEvent), next_cursor: next }
  })

  app.get('/v1/audit/verify', {
    schema: { tags, operationId: 'verifyAudit', summary: 'Recompute the whole audit chain', description: 'Reads every record: on a large vault run `connection-vault audit verify` instead.', querystring: VerifyAudit, response: { 200: Verification } },
    config: { errors: ['kek_unavailable'] },
  }, async (request) => {
    const { ok, links, events, findings } = await rooms.ledger.verify(request.query.checkpoint)
    return { ok, links, events, findings: [...findings] }
  })
}

function presentEvent (row: StoredEvent) {
  return {
    id: row.id,
    occurred_at: row.occurred_at.toISOString(),
    event: row.event,
    outcome: row.outcome as 'ok',
    reason: row.reason,
    environment: row.environment,
    connection_id: row.connection_id,
    version_id: row.version_id,
    invocation_id: row.invocation_id,
    principal: { kind: row.principal_kind, id: row.principal_id },
    actor: row.actor,
    request_id: row.request_id,
    context: row.context,
    details: row.details,
  }
}
