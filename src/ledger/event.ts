import { newId } from '../ids.ts'
import type { EventRow, NewEvent } from '../store/index.ts'
import type { AuditEventName, AuditRecord } from './record.ts'

/** What the host product is told of, and what each means; `docs/events.md` is held against it. */
export const EVENT_TYPES = {
  'connection.created': 'A credential was entered, or an account linked.',
  'connection.rotated': 'From now on another credential is used. `change`: `rotated`, `rolled_back` or `reconnected`.',
  'connection.needs_reauth': 'The credential no longer works and only a person can replace it; `reason` says why.',
  'connection.recovered': 'It works again.',
  'connection.expiring': 'The credential ends at `expires_at`, in `days_left` days, and nothing renews it.',
  'connection.disabled': 'Nobody may use it until it is enabled.',
  'connection.enabled': 'It may be used again.',
  'connection.deleted': 'It is gone, with its credential.',
  'oauth_app.broken': 'The provider refuses the client id or secret of an OAuth app; `error` is its word. Connections are not renewed until an operator corrects it.',
  'oauth_app.recovered': 'The provider takes the app again.',
  'agent_group.offline': 'None of the group’s agents has been heard of for 90 seconds: calls through it are refused, or wait if they may. `group_id` says which.',
  'agent_group.online': 'An agent of the group is there again.',
  'webhook.disabled': 'An endpoint gets nothing any more; `reason`: `gone` (it answered 410), `failing` (for five days) or `requested`.',
} as const
export type EventType = keyof typeof EVENT_TYPES

/** Changes of which people are told. What is not here is for the audit alone. */
const TOLD: Readonly<Partial<Record<AuditEventName, EventType>>> = {
  'connection.created': 'connection.created', 'connection.linked': 'connection.created',
  'connection.rotated': 'connection.rotated', 'connection.rolled_back': 'connection.rotated', 'connection.reconnected': 'connection.rotated',
  'connection.needs_reauth': 'connection.needs_reauth', 'connection.recovered': 'connection.recovered', 'connection.expiring': 'connection.expiring',
  'connection.disabled': 'connection.disabled', 'connection.enabled': 'connection.enabled', 'connection.deleted': 'connection.deleted',
  'oauth_app.broken': 'oauth_app.broken', 'oauth_app.recovered': 'oauth_app.recovered', 'webhook.disabled': 'webhook.disabled',
  'agent_group.offline': 'agent_group.offline', 'agent_group.online': 'agent_group.online',
}

/** Details of a record that go out with its event. Ids, codes and times; no names, no accounts. */
const SHOWN = ['integration', 'app_id', 'webhook_id', 'group_id', 'error', 'expires_at', 'days_left'] as const

/** The events that a change is told by. */
export function projectEvents (records: readonly AuditRecord[]): NewEvent[] {
  return records.flatMap((record) => {
    const type = TOLD[record.event]
    if (type === undefined || record.outcome !== 'ok') return []
    const details = record.details ?? {}
    const subject = record.connectionId ?? details['app_id'] ?? details['webhook_id'] ?? details['group_id']
    if (typeof subject !== 'string') throw new TypeError(`${record.event} is about nothing`)
    const data = {
      workspace_id: record.workspaceId ?? null, environment: record.environment ?? null,
      ...record.connectionId !== undefined && { connection_id: record.connectionId },
      ...record.versionId !== undefined && type !== 'connection.deleted' && { credential_version: record.versionId },
      ...type === 'connection.rotated' && { change: record.event.slice('connection.'.length) },
      ...record.reason !== undefined && { reason: record.reason },
      ...Object.fromEntries(SHOWN.filter((name) => details[name] !== undefined).map((name) => [name, details[name]])),
    }
    return [{ id: newId('event'), type, workspace_id: record.workspaceId, environment: record.environment, subject_id: subject, data }]
  })
}

/** An event as it is sent and as the feed has it. */
export interface EventMessage {
  readonly id: string
  readonly type: string
  readonly timestamp: string
  readonly data: Readonly<Record<string, unknown>>
}

export function presentEvent (row: Pick<EventRow, 'id' | 'type' | 'occurred_at' | 'data'>): EventMessage {
  return { id: row.id, type: row.type, timestamp: row.occurred_at.toISOString(), data: row.data }
}
