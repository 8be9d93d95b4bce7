import { Type } from 'typebox'
import { ConnectionName, Labels } from './connection.ts'
import { closed, Environment, IdOf, Instant, NullableInstant, NullableString, WorkspaceId } from './parts.ts'

/** As X-Actor: the host product's own id of a person. */
const Actor = Type.String({ pattern: '^[A-Za-z0-9._:@|-]{1,128}$', description: 'The person, as the host product knows them.' })

export const CreateConnectSession = Type.Object({
  environment: Environment,
  integration: Type.Optional(Type.String({ maxLength: 64 })),
  integrations: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { minItems: 1, maxItems: 50, description: 'Several to choose from; instead of `integration`.' })),
  connection_id: Type.Optional(Type.Unsafe<string>({ ...IdOf('connection'), description: 'Link this connection anew, in place.' })),
  name: Type.Optional(ConnectionName),
  labels: Type.Optional(Labels),
  actor: Actor,
  return_url: Type.Optional(Type.String({ maxLength: 2_000, description: 'Where the browser goes with the completion code. Its origin is one of RETURN_ORIGINS.' })),
  allow_account_change: Type.Optional(Type.Boolean({ default: false, description: 'At a reconnect: whether another upstream account may take the place of the one before.' })),
  confirmation: Type.Optional(Type.Enum(['required', 'none'], { default: 'required', description: '`none`, in sandbox only: whoever opens the link makes the connection.' })),
}, { ...closed, description: 'One of integration, integrations and connection_id; a name unless it is a reconnect.' })

export const ConnectSession = Type.Object({
  id: IdOf('session'),
  workspace_id: WorkspaceId,
  environment: Environment,
  state: Type.Enum(['open', 'bound', 'confirming', 'completed', 'ended', 'expired'], {
    description: '`open`: nobody has come yet. `bound`: to the browser that came first. `confirming`: linked, waiting for `complete`.',
  }),
  ended_reason: NullableString,
  integrations: Type.Array(Type.String()),
  name: Type.String(),
  labels: Type.Record(Type.String(), Type.String()),
  actor: Type.String(),
  return_url: NullableString,
  confirmation: Type.Enum(['required', 'none']),
  reconnects: NullableString,
  connection_id: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Once it is completed.' }),
  expires_at: Instant,
  confirm_until: NullableInstant,
  created_by: Type.String(),
  created_at: Instant,
}, { ...closed, $id: 'ConnectSession' })

export const CreatedConnectSession = Type.Object({
  connect_session: Type.Ref('ConnectSession#'),
  connect_url: Type.Optional(Type.String({ description: 'For the person’s browser, within 15 minutes. Shown this once: a replay of the same request does not have it.' })),
}, closed)

export const CompleteConnectSession = Type.Object({
  completion_code: Type.String({ minLength: 1, maxLength: 200, description: 'From the return URL.' }),
  actor: Type.Unsafe<string>({ ...Actor, description: 'Who is logged in at the host in the browser that came back. Anybody but the session’s own actor, and what was linked is destroyed.' }),
  name: Type.Optional(ConnectionName),
}, closed)

export const ConnectSessionParams = Type.Object({ workspace_id: WorkspaceId, session_id: IdOf('session') }, closed)
