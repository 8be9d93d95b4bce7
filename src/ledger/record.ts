import type { Mac, MacKey } from '../crypto/index.ts'
import { sha256 } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { Environment, InvocationId } from '../ids.ts'
import { newId } from '../ids.ts'
import type { AuditBatch, AuditRow, Premise } from '../store/index.ts'

/** What can be on record. */
export type AuditEventName =
  | 'connection.created' | 'connection.updated' | 'connection.deleted' | 'connection.rotated' | 'connection.rolled_back'
  | 'connection.disabled' | 'connection.enabled' | 'connection.tested' | 'connection.refused' | 'connection.needs_reauth'
  | 'connection.recovered' | 'connection.references_set' | 'connection.resolved' | 'version.destroyed'
  | 'connection.linked' | 'connection.reconnected' | 'connection.refreshed' | 'connect_session.created' | 'connect_session.opened' | 'connect_session.ended'
  | 'grant.revoked' | 'grant.discarded' | 'oauth_app.created' | 'oauth_app.updated' | 'oauth_app.deleted' | 'oauth_app.broken' | 'oauth_app.recovered'
  | 'connection.expiring' | 'webhook.created' | 'webhook.updated' | 'webhook.deleted' | 'webhook.secret_rotated' | 'webhook.disabled' | 'webhook.enabled'
  | 'webhook.replayed' | 'integration.created' | 'integration.revised' | 'integration.deleted'
  | 'agent_group.created' | 'agent_group.deleted' | 'enrolment_code.created' | 'agent.enrolled' | 'agent.revoked' | 'agent_group.online' | 'agent_group.offline'
  | 'invoke.requeued' | 'invoke.result_late' | 'invoke.result_refused' | 'invoke.cancelled'
  | 'key.rotated' | 'key.rewrapped' | 'key.retired' | 'key.erased' | 'key.sweep_requested' | 'key.swept' | 'kek.retired' | 'workspace.destroyed' | 'audit.pruned'
  | 'invoke.started' | 'invoke.finished' | 'invoke.replayed' | 'token.created' | 'token.revoked' | 'request.refused' | 'integrity.failed'

export type AuditOutcome = 'ok' | 'refused' | 'failed' | 'unknown'

/** Who did it. `actor` is the person the dashboard says it acts for. */
export interface AuditPrincipal {
  readonly kind: 'service_token' | 'jwt' | 'operator' | 'system' | 'connect_session' | 'agent' | 'anonymous'
  readonly id: string | null
  readonly actor: string | null
}

/** Where in the host product it happened, as the caller says. */
export interface UseContext {
  readonly procedure_id?: string
  readonly run_id?: string
  readonly step_id?: string
}

/** One record. Ids, codes and measures: never an input, an output or a value of a credential. */
export interface AuditRecord {
  readonly event: AuditEventName
  readonly outcome: AuditOutcome
  readonly principal: AuditPrincipal
  readonly reason?: string | undefined
  readonly workspaceId?: string | undefined
  readonly environment?: Environment | undefined
  readonly connectionId?: string | undefined
  readonly versionId?: string | undefined
  readonly invocationId?: InvocationId | undefined
  readonly requestId?: string | undefined
  readonly context?: UseContext | undefined
  readonly details?: Readonly<Record<string, string | number | boolean | null | undefined | readonly string[]>> | undefined
}

export function toRow (record: AuditRecord, now: Date, premise?: Premise): AuditRow {
  return {
    occurred_at: now.toISOString(),
    id: newId('audit'),
    event: record.event,
    outcome: record.outcome,
    reason: record.reason,
    workspace_id: record.workspaceId,
    environment: record.environment,
    connection_id: record.connectionId,
    version_id: record.versionId,
    invocation_id: record.invocationId,
    principal_kind: record.principal.kind,
    principal_id: record.principal.id ?? undefined,
    actor: record.principal.actor ?? undefined,
    request_id: record.requestId,
    context: record.context === undefined || Object.keys(record.context).length === 0 ? undefined : record.context as Record<string, unknown>,
    details: record.details,
    stamp: premise?.stamp,
    until: premise?.until ?? undefined,
  }
}

/** A batch of records with its digest and its MAC. */
export function toBatch (rows: readonly AuditRow[], key: MacKey): AuditBatch {
  const id = newId('batch')
  const digest = digestRows(rows)
  const times = rows.map((row) => row.occurred_at).sort()
  const mac = key.compute(batchMacInput(id, rows.length, digest))
  return { id, rows, digest, firstAt: times[0] ?? '', lastAt: times.at(-1) ?? '', ...mac }
}

/** SHA-256 over the records in the order of their ids. Columns added later join the end of a record. */
export function digestRows (rows: readonly AuditRow[]): Buffer {
  const sorted = rows.toSorted((a, b) => a.id < b.id ? -1 : 1)
  return sha256(sorted.map((row) => JSON.stringify([
    row.occurred_at, row.id, row.event, row.outcome, row.reason, row.workspace_id, row.environment, row.connection_id, row.version_id,
    row.invocation_id, row.principal_kind, row.principal_id, row.actor, row.request_id, canonical(row.context), canonical(row.details),
  ])).join('\n'))
}

export function batchMacInput (id: string, events: number, digest: Buffer): string {
  return `${id}\n${events}\n${digest.toString('hex')}`
}

/** A link covers its batch and the link before it, so that none can be changed, left out or moved. */
export function linkMacInput (link: { seq: number, batch_id: string, events: number, digest: Buffer }, previous: Buffer): string {
  return `${link.seq}\n${batchMacInput(link.batch_id, link.events, link.digest)}\n${previous.toString('hex')}`
}

export function checkpointMacInput (head: { head_seq: number, head_mac: Buffer, events: number }): string {
  return `${head.head_seq}\n${head.events}\n${head.head_mac.toString('hex')}`
}

/** Where the record begins, from which instant on its records are kept, and of which links beyond some are not. */
export function anchorMacInput (anchor: { seq: number, head_mac: Buffer, events: number, kept_from: Date, lost_links: readonly number[] }): string {
  return `anchor\n${checkpointMacInput({ ...anchor, head_seq: anchor.seq })}\n${anchor.kept_from.toISOString()}\n${anchor.lost_links.join(',')}`
}

/** A checkpoint as one word, to be kept somewhere else: link, records so far, head, signature. */
export function formatCheckpoint (head: { head_seq: number, head_mac: Buffer, events: number }, signature: Mac): string {
  return [head.head_seq, head.events, head.head_mac.toString('base64url'), signature.mac.toString('base64url')].join('.')
}

/** Throws `request_invalid` for what `formatCheckpoint` did not write. */
export function parseCheckpoint (word: string): { head_seq: number, head_mac: Buffer, events: number, signature: Buffer } {
  const [, seq, events, head, signature] = /^(\d+)\.(\d+)\.([\w-]{43})\.([\w-]{43})$/.exec(word) ?? []
  if (head === undefined || signature === undefined) throw new VaultError('request_invalid', { detail: 'That is not a checkpoint.' })
  return { head_seq: Number(seq), head_mac: Buffer.from(head, 'base64url'), events: Number(events), signature: Buffer.from(signature, 'base64url') }
}

/** At most so many records are in memory at a time: a batch has up to a thousand. */
const EVENTS_AT_ONCE = 2_000

/** Batches in groups whose records fit into memory together. */
export function groupBatches<Batch extends { readonly events: number }> (batches: readonly Batch[]): Batch[][] {
  const groups: Batch[][] = []
  let room = 0
  for (const batch of batches) {
    if (batch.events > room || groups.length === 0) {
      groups.push([])
      room = EVENTS_AT_ONCE
    }
    groups.at(-1)?.push(batch)
    room -= batch.events
  }
  return groups
}

/** jsonb does not keep the order of keys. */
function canonical (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (value === null || typeof value !== 'object') return value
  if (isInOrder(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map(([name, member]) => [name, canonical(member)]))
}

/** As most are written in the first place. */
function isInOrder (value: object): boolean {
  let before = ''
  for (const [name, member] of Object.entries(value)) {
    if (name < before || (typeof member === 'object' && member !== null)) return false
    before = name
  }
  return true
}
