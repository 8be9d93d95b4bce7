import { Type } from 'typebox'
import { EVENT_TYPES, type EventType } from '../../ledger/index.ts'
import { closed, Cursor, Environment, IdOf, Instant, Limit, NextCursor, NullableInstant, NullableString } from './parts.ts'

const SECRET = 'Shown this once; a replay of the same request does not have it. Base64 after `whsec_`; deliveries are signed with it by Standard Webhooks (`v1`).'

const EventTypeName = Type.Enum(Object.keys(EVENT_TYPES) as EventType[])
const Url = Type.String({ minLength: 1, maxLength: 2_048, pattern: '^https?://\\P{Cc}+$', description: 'A public https URL. Redirects are not followed.' })
const Description = Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength: 200, pattern: '^\\P{Cc}*$' })
const EventTypes = Type.Unsafe<EventType[] | null>({
  anyOf: [Type.Array(EventTypeName, { minItems: 1, uniqueItems: true }), { type: 'null' }], description: 'Null: all of them, those of later releases included.',
})
const Environments = Type.Array(Environment, { minItems: 1, maxItems: 2, uniqueItems: true, description: 'Events of no environment go to all.' })

export const CreateWebhook = Type.Object({
  url: Url,
  description: Type.Optional(Description),
  event_types: Type.Optional(EventTypes),
  environments: Type.Optional(Environments),
}, closed)

export const UpdateWebhook = Type.Object({
  url: Type.Optional(Url),
  description: Type.Optional(Description),
  event_types: Type.Optional(EventTypes),
  environments: Type.Optional(Environments),
  enabled: Type.Optional(Type.Boolean({ description: 'Enabling sends what is still pending; what has failed or was never queued is had by `replay`.' })),
}, { ...closed, minProperties: 1 })

export const Webhook = Type.Object({
  id: IdOf('webhook'),
  url: Type.String(),
  description: NullableString,
  event_types: Type.Unsafe<string[] | null>({ anyOf: [Type.Array(Type.String()), { type: 'null' }] }),
  environments: Type.Array(Environment),
  status: Type.Enum(['enabled', 'disabled']),
  status_reason: Type.Unsafe<string | null>({ type: ['string', 'null'], description: '`requested`, `gone` (it answered 410) or `failing` (for five days).' }),
  failing_since: Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time', description: 'Since when it has taken nothing.' }),
  last_delivered_at: NullableInstant,
  previous_secret_until: Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time', description: 'Until then deliveries carry a signature by the secret before as well.' }),
  created_by: Type.String(),
  created_at: Instant,
  updated_by: Type.String(),
  updated_at: Instant,
  etag: Type.String(),
}, { ...closed, $id: 'Webhook' })

const View = Type.Ref('Webhook#')
export const WebhookWithSecret = Type.Object({ webhook: View, secret: Type.Optional(Type.String({ description: SECRET })) }, closed)
export const Webhooks = Type.Object({ webhooks: Type.Array(View) }, closed)
export const WebhookParams = Type.Object({ webhook_id: IdOf('webhook') }, closed)

export const RotateWebhookSecret = Type.Object({
  overlap_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_592_000, default: 86_400, description: 'How long the secret before signs as well.' })),
}, closed)

export const TestedWebhook = Type.Object({
  result: Type.Enum(['delivered', 'failed']),
  status: Type.Unsafe<number | null>({ type: ['integer', 'null'] }),
  detail: Type.String(),
  duration_ms: Type.Integer(),
}, closed)

export const ReplayWebhook = Type.Object({
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
  event_ids: Type.Optional(Type.Array(IdOf('event'), { minItems: 1, maxItems: 1_000, uniqueItems: true })),
  include_delivered: Type.Optional(Type.Boolean({ default: false, description: 'Also what the endpoint has taken already.' })),
}, { ...closed, description: 'Which of the last 30 days’ events: `from` an instant, to another, or those named.' })

export const Replayed = Type.Object({ queued: Type.Integer() }, closed)

export const ListDeliveries = Type.Object({
  state: Type.Optional(Type.Enum(['pending', 'delivered', 'failed'])),
  cursor: Type.Optional(Cursor),
  limit: Type.Optional(Limit),
}, closed)

const Delivery = Type.Object({
  event_id: IdOf('event'),
  event_type: Type.String(),
  event_timestamp: Instant,
  state: Type.Enum(['pending', 'delivered', 'failed']),
  attempts: Type.Integer(),
  next_attempt_at: NullableInstant,
  last_attempt_at: NullableInstant,
  last_status: Type.Unsafe<number | null>({ type: ['integer', 'null'] }),
  last_error: NullableString,
}, closed)

export const DeliveryPage = Type.Object({ deliveries: Type.Array(Delivery), next_cursor: NextCursor }, closed)
