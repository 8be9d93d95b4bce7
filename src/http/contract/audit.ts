import { Type } from 'typebox'
import { closed, Cursor, IdOf, Instant, Limit, NextCursor, NullableString } from './parts.ts'

export const ListAuditEvents = Type.Object({
  event: Type.Optional(Type.String({ pattern: '^[a-z_]{1,32}\\.[a-z_]{1,32}$' })),
  connection_id: Type.Optional(IdOf('connection')),
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
  cursor: Type.Optional(Cursor),
  limit: Type.Optional(Limit),
}, closed)

const FreeForm = Type.Unsafe<Record<string, unknown> | null>({ type: ['object', 'null'], additionalProperties: true })

export const AuditEvent = Type.Object({
  id: IdOf('audit'),
  occurred_at: Instant,
  event: Type.String(),
  outcome: Type.Enum(['ok', 'refused', 'failed', 'unknown']),
  reason: NullableString,
  environment: NullableString,
  connection_id: NullableString,
  version_id: NullableString,
  invocation_id: NullableString,
  principal: Type.Object({ kind: Type.String(), id: NullableString }, closed),
  actor: NullableString,
  request_id: NullableString,
  context: FreeForm,
  details: FreeForm,
}, closed)

export const AuditPage = Type.Object({ audit_events: Type.Array(AuditEvent), next_cursor: NextCursor }, closed)

export const VerifyAudit = Type.Object({ checkpoint: Type.Optional(Type.String({ pattern: '^\\d+\\.\\d+\\.[\\w-]{43}\\.[\\w-]{43}$', description: 'A checkpoint kept from the log.' })) }, closed)

export const Verification = Type.Object({
  ok: Type.Boolean(),
  links: Type.Integer(),
  events: Type.Integer(),
  findings: Type.Array(Type.Object({ kind: Type.String(), at: Type.String() }, closed)),
}, closed)
