import { Type } from 'typebox'
import { closed, Cursor, Environment, IdOf, Instant, Limit, NAME, NextCursor, NullableInstant, NullableString, WorkspaceId } from './parts.ts'
import { JsonSchema } from './integration.ts'

const Effect = Type.Enum(['read', 'idempotent', 'unsafe'])

export const GroupParams = Type.Object({ workspace_id: WorkspaceId, group_id: IdOf('group') }, closed)
export const AgentParams = Type.Object({ workspace_id: WorkspaceId, group_id: IdOf('group'), agent_id: IdOf('agent') }, closed)

export const CreateAgentGroup = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 100, pattern: NAME }),
  environment: Environment,
}, closed)

const Common = {
  id: IdOf('group'),
  workspace_id: WorkspaceId,
  environment: Environment,
  name: Type.String(),
  created_by: Type.String(),
  created_at: Instant,
}

export const AgentGroupSummary = Type.Object(Common, closed)
export const AgentGroup = Type.Object({
  ...Common,
  actions: Type.Array(Type.Object({
    name: Type.String(), title: NullableString, effect: Effect, input: JsonSchema, output: Type.Union([JsonSchema, Type.Null()]),
    agents: Type.Integer({ description: 'How many of the group’s agents run it.' }),
  }, closed), { description: 'The union of what the agents announce.' }),
  online: Type.Boolean({ description: 'An agent of the group has been heard of in the last 90 seconds.' }),
  conflicts: Type.Array(Type.String(), { description: 'Names of actions that agents describe differently.' }),
}, closed)
export const AgentGroupPage = Type.Object({ agent_groups: Type.Array(AgentGroupSummary), next_cursor: NextCursor }, closed)
export const ListAgentGroups = Type.Object({ environment: Type.Optional(Environment), limit: Type.Optional(Limit), cursor: Type.Optional(Cursor) }, closed)

export const EnrolmentCode = Type.Object({ code: Type.Optional(Type.String({ description: 'For one agent. Shown once: a repeat under the same key is without it.' })), expires_at: Instant }, closed)

export const Agents = Type.Object({
  agents: Type.Array(Type.Object({
    id: IdOf('agent'), name: Type.String(), host: NullableString, sdk_version: NullableString, protocol_version: Type.Unsafe<number | null>({ type: ['integer', 'null'] }),
    encryption_key: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'X25519 public key in base64url. Whoever encrypts to it has to know it from the agent itself.' }),
    last_seen_at: NullableInstant, enrolled_at: Instant, revoked_at: NullableInstant, revoked_by: NullableString,
  }, closed)),
}, closed)

const Base64url = (bytes: number) => Type.String({ pattern: `^[A-Za-z0-9_-]{${Math.ceil(bytes * 4 / 3)}}$` })

/** What an agent sends. The routes are those of the public listener. */
export const Enrol = Type.Object({
  code: Type.String({ minLength: 1, maxLength: 100 }),
  public_key: Base64url(32),
  encryption_key: Type.Optional(Base64url(32)),
  name: Type.String({ minLength: 1, maxLength: 100, pattern: NAME }),
}, closed)

export const AskChallenge = Type.Object({ agent_id: IdOf('agent') }, closed)
export const AnswerChallenge = Type.Object({ challenge: Type.String({ minLength: 1, maxLength: 500 }), signature: Base64url(64) }, closed)

export const Announce = Type.Object({
  sdk_version: Type.String({ minLength: 1, maxLength: 50 }),
  protocol_version: Type.Integer({ minimum: 1, maximum: 1_000 }),
  host: Type.String({ minLength: 1, maxLength: 255, pattern: NAME }),
  actions: Type.Array(Type.Object({
    name: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
    title: Type.Optional(Type.String({ maxLength: 200 })),
    effect: Effect,
    input: Type.Unsafe<object>({ type: 'object' }),
    output: Type.Optional(Type.Unsafe<object>({ type: 'object' })),
  }, closed), { maxItems: 500 }),
}, closed)

export const AskForWork = Type.Object({ capacity: Type.Integer({ minimum: 1, maximum: 100 }), wait_seconds: Type.Integer({ minimum: 0, maximum: 50 }) }, closed)

const LeaseToken = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' })
export const InvocationOnly = Type.Object({ invocation_id: IdOf('invocation') }, closed)
export const HoldLease = Type.Object({ lease_token: LeaseToken }, closed)
export const PutChunk = Type.Object({
  lease_token: LeaseToken, number: Type.Integer({ minimum: 0, maximum: 1_000 }), text: Type.String({ maxLength: 1_048_576 }),
}, closed)
export const ReportResult = Type.Object({
  lease_token: LeaseToken,
  outcome: Type.Enum(['succeeded', 'failed', 'unknown']),
  output: Type.Optional(Type.String({ description: 'JSON.' })),
  chunks: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  error: Type.Optional(Type.Object({
    class: Type.Enum(['reauthorise', 'config_error', 'permission', 'step_up', 'input', 'conflict', 'not_found', 'rate_limited', 'provider_unavailable', 'action_failed']),
    message: Type.String({ maxLength: 2_000 }),
  }, closed)),
}, closed)
