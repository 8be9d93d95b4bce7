import { Type } from 'typebox'
import { ConnectionName, Labels } from './connection.ts'
import { closed, Context, Environment, IdOf, Instant, NullableInstant, NullableString, WorkspaceId } from './parts.ts'

export const SYNC_TIMEOUT_MS = 120_000
const Timeout = Type.Integer({ minimum: 100, maximum: SYNC_TIMEOUT_MS, default: 30_000, description: 'Deadline for the whole call, in milliseconds.' })
const LongTimeout = Type.Integer({ minimum: 100, maximum: 3_600_000, default: 30_000, description: 'Deadline for the whole call, in milliseconds: at most 120,000, or with `mode: async` how long it may run, at most an hour.' })
const DryRun = Type.Boolean({ description: 'Build and check everything, send nothing; the credential is shown as `[credential]`.' })

export const InvokeRequest = Type.Object({
  environment: Environment,
  action: Type.String({ maxLength: 64 }),
  revision: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Of a Custom API: the one the procedure was built with. The newest when left out.' })),
  input: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: '`{path, query, header, body}`, or flat where no name is in two places.' })),
  dry_run: Type.Optional(DryRun),
  timeout_ms: Type.Optional(LongTimeout),
  mode: Type.Optional(Type.Enum(['sync', 'async'], { default: 'sync', description: '`async`: answer 202 at once, with where to ask for the result. For private connections.' })),
  queue_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400, description: 'How long the call may wait for an agent; without it, it is refused when none is there. For private connections.' })),
  encrypted_input: Type.Optional(Type.Object({
    jwe: Type.Record(Type.String(), Type.Unknown(), { description: 'JWE in general JSON serialisation (RFC 7516, 7.2.1), one recipient for each agent.' }),
    digest: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$', description: 'The caller’s own SHA-256 of what it means, in base64url: under one idempotency key it stands for the input.' }),
  }, { ...closed, description: 'Instead of `input`: one that the vault can’t read. For private connections.' })),
  context: Type.Optional(Context),
  store_as: Type.Optional(Type.Object({
    name: ConnectionName,
    labels: Type.Optional(Labels),
  }, { ...closed, description: 'For actions whose output holds a credential (`secret_outputs`): keep it as a connection of this name, with the fields, config and limits of this one, instead of answering it. Needs the scope connections:write too.' })),
}, closed)

export const RawRequest = Type.Object({
  environment: Environment,
  method: Type.Enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']),
  host: Type.Optional(Type.String({ minLength: 1, maxLength: 255, description: 'Another of the connection’s hosts; the path then begins at its root.' })),
  path: Type.String({ minLength: 1, maxLength: 4_096, description: 'Below the integration’s server, percent-encoded, without a query.' }),
  query: Type.Optional(Type.Record(Type.String({ maxLength: 200 }), Type.Unknown(), { maxProperties: 200 })),
  headers: Type.Optional(Type.Record(Type.String({ maxLength: 100 }), Type.String({ maxLength: 8_192 }), { maxProperties: 50 })),
  body: Type.Optional(Type.Unknown()),
  encoding: Type.Optional(Type.Enum(['json', 'form', 'form_plain', 'multipart'], {
    description: 'How the body is written, the provider’s own way when left out. In multipart, a member `{base64, filename?, content_type?}` is a file.',
  })),
  dry_run: Type.Optional(DryRun),
  timeout_ms: Type.Optional(Timeout),
  context: Type.Optional(Context),
}, closed)

const TextMap = Type.Record(Type.String(), Type.String())

const Effect = Type.Enum(['read', 'idempotent', 'unsafe'])

/** The provider answered; whether it did what was asked is `outcome`. */
const Invocation = Type.Object({
  invocation_id: IdOf('invocation'),
  outcome: Type.Enum(['succeeded', 'failed']),
  provider: Type.Union([
    Type.Object({ status: Type.Integer(), headers: TextMap, request_id: NullableString }, closed), Type.Null(),
  ], { description: 'Null for private connections: their agents make calls of their own.' }),
  output: Type.Unknown({ description: 'Parsed JSON, a text, `{content_type, base64}` for other bytes, or null. Every occurrence of the credential is replaced.' }),
  error: Type.Optional(Type.Object({
    class: Type.Enum(['reauthorise', 'config_error', 'permission', 'step_up', 'input', 'conflict', 'not_found', 'rate_limited', 'provider_unavailable', 'action_failed']),
    message: Type.String(),
  }, closed)),
  attempts: Type.Integer(),
  duration_ms: Type.Integer(),
  replayed: Type.Boolean({ description: 'An earlier call with the same idempotency key came to this; nothing was sent now.' }),
  agent_id: Type.Optional(IdOf('agent')),
  stored: Type.Optional(Type.Object({ connection_id: IdOf('connection'), name: Type.String() }, { ...closed, description: 'What `store_as` has made. In the output `[stored]` stands for the credential.' })),
  store_error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() }, { ...closed, description: 'Why `store_as` has made nothing; the credential is in the output, so that it is not lost.' })),
}, closed)

const DryRunResult = Type.Object({
  dry_run: Type.Literal(true),
  request: Type.Object({ method: Type.String(), url: Type.String(), headers: TextMap, body: Type.Unknown() }, closed),
}, closed)

/** The same of a private connection: nothing is sent by the vault. */
const RelayDryRun = Type.Object({
  dry_run: Type.Literal(true),
  relay: Type.Object({
    group_id: IdOf('group'), action: Type.String(), effect: Effect, agents: Type.Integer({ description: 'Agents of the group that run it.' }), agents_online: Type.Integer(), input: Type.Unknown(),
  }, closed),
}, closed)

export const InvokeResponse = Type.Union([Invocation, DryRunResult, RelayDryRun], { $id: 'InvokeResponse' })

export const Accepted = Type.Object({
  invocation_id: IdOf('invocation'), state: Type.Literal('queued'), status_url: Type.String(), replayed: Type.Boolean(),
}, closed)

export const InvocationParams = Type.Object({ workspace_id: WorkspaceId, invocation_id: IdOf('invocation') }, closed)

export const InvocationStatus = Type.Object({
  invocation_id: IdOf('invocation'),
  connection_id: IdOf('connection'),
  environment: Environment,
  action: Type.String(),
  state: Type.Enum(['queued', 'running', 'ended'], { description: '`queued`: no agent has it.' }),
  cancel_requested: Type.Boolean(),
  created_at: Instant,
  ended_at: NullableInstant,
  result: Type.Union([Invocation, Type.Null()]),
  problem: Type.Union([Type.Object({ code: Type.String(), detail: Type.String() }, closed), Type.Null()], { description: 'Why it has ended without a result; a result that comes late takes its place.' }),
}, closed)
