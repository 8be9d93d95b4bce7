import { Type } from 'typebox'
import { idPattern, type IdKind } from '../../ids.ts'

/** Unknown properties are refused, not ignored. */
export const closed = { additionalProperties: false } as const

/** An id of the vault's own. */
export function IdOf (kind: IdKind) {
  return Type.String({ pattern: idPattern(kind).source })
}

export const NullableString = Type.Unsafe<string | null>({ type: ['string', 'null'] })
export const NullableInstant = Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time' })
export const Instant = Type.String({ format: 'date-time' })

export const WorkspaceId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: 'The host product’s id of the tenant, compared exactly.' })
export const Environment = Type.Enum(['sandbox', 'live'])

/** What people read and tell things apart by: no control characters, and none that turn the direction of what stands around them. */
export const NAME = '^(?=.*\\S)[^\\p{Cc}\\u202a-\\u202e\\u2066-\\u2069]*$'

export const WorkspaceParams = Type.Object({ workspace_id: WorkspaceId }, closed)
export const ConnectionParams = Type.Object({ workspace_id: WorkspaceId, connection_id: IdOf('connection') }, closed)

const ContextId = Type.String({ pattern: '^[A-Za-z0-9._:/@-]{1,128}$' })

/** Where in the host product a use happens; it goes on record and makes where-used. */
export const Context = Type.Object({
  procedure_id: Type.Optional(ContextId),
  run_id: Type.Optional(ContextId),
  step_id: Type.Optional(ContextId),
}, closed)

export const Cursor = Type.String({ minLength: 1, maxLength: 200, description: '`next_cursor` of the page before.' })
export const Limit = Type.Integer({ minimum: 1, maximum: 200, default: 50 })
export const NextCursor = Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Send as `cursor` for the next page; null on the last.' })

const IdempotencyKey = '^[\\x21-\\x7e]{1,255}$'

/** RFC 9110, 13.1.1, with one tag. */
export const ETAG = '^(\\*|(W/)?"[^"]{1,90}")$'
export const OptionalIfMatchHeaders = Type.Object({ 'if-match': Type.Optional(Type.String({ pattern: ETAG, description: 'Go on only if it still has this ETag.' })) })

/** Idempotency-Key, draft-ietf-httpapi-idempotency-key-header. */
export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(Type.String({ pattern: IdempotencyKey, description: 'Repeats of a request with the same key within 24 hours make nothing new.' })),
})
export const InvokeIdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(Type.String({ pattern: IdempotencyKey, description: 'Under one key a call is made once in 24 hours; a repeat waits for it and gets its answer, with `replayed`. An answer that turned the call away (a credential refused, too many requests) leaves the key free. Passed on to providers that take such keys.' })),
})
