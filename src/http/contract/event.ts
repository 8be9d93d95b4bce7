import { Type } from 'typebox'
import { EVENT_TYPES, type EventType } from '../../ledger/index.ts'
import { closed, IdOf, Instant, Limit, WorkspaceId } from './parts.ts'

export const ReadEvents = Type.Object({
  type: Type.Optional(Type.Enum(Object.keys(EVENT_TYPES) as EventType[])),
  workspace_id: Type.Optional(WorkspaceId),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: '`next_cursor` of the answer before. Without it the feed begins with the oldest event kept.' })),
  limit: Type.Optional(Limit),
}, closed)

export const Event = Type.Object({
  id: IdOf('event'),
  type: Type.String(),
  timestamp: Instant,
  data: Type.Unsafe<Record<string, unknown>>({
    type: 'object', required: ['workspace_id', 'environment'], additionalProperties: true,
    properties: { workspace_id: { type: ['string', 'null'] }, environment: { type: ['string', 'null'] } },
  }),
}, { ...closed, $id: 'Event', description: 'Also the body of a delivery to a webhook.' })

export const EventPage = Type.Object({
  events: Type.Array(Type.Ref('Event#')),
  next_cursor: Type.String({ description: 'Where the feed has been read to. Keep it and send it with the next request, also when there was nothing new.' }),
}, closed)
