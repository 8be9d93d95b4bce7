import { Type } from 'typebox'
import {
  closed, Cursor, Environment, ETAG, IdempotencyHeaders, IdOf, Instant, Limit, NAME, NextCursor, NullableInstant, NullableString, OptionalIfMatchHeaders,
  WorkspaceId,
} from './parts.ts'

export const ConnectionName = Type.String({ minLength: 1, maxLength: 200, pattern: NAME, description: 'Unique in workspace and environment, without regard to case.' })
/** No control characters: Postgres can't store NUL, and nobody can see the others. */
const PRINTABLE = '^\\P{Cc}*$'
export const Labels = Type.Record(Type.String({ pattern: '^[A-Za-z0-9._/-]{1,64}$' }), Type.String({ maxLength: 200 }), {
  maxProperties: 32, additionalProperties: false, description: 'Names of 1 to 64 letters, digits or . _ / -, each with a text.',
})
/** There is no year 0 (RFC 3339 has it, Postgres does not). */
const LastDay = Type.String({ format: 'date', pattern: '^(?!0000)', description: 'The credential’s last day: today, wherever that is, or later.' })
const Host = Type.String({ pattern: '^(\\*\\.)?[a-z0-9.-]{1,253}(:\\d{1,5})?$' })
const AllowedHosts = Type.Array(Host, { minItems: 1, maxItems: 50 })
const AllowedActions = Type.Array(Type.String({ maxLength: 64 }), { maxItems: 500 })

/** Fields as the integration’s auth scheme names them. Values of secret ones are never shown again. */
const Credentials = Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 16_384 }), { maxProperties: 32 })
const Config = Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 2_048 }), { maxProperties: 32 })

export const CreateConnection = Type.Object({
  integration: Type.String({ maxLength: 64 }),
  environment: Environment,
  name: ConnectionName,
  auth: Type.Optional(Type.String({ maxLength: 64, description: 'Auth scheme; needed only where the integration has several.' })),
  config: Type.Optional(Config),
  credentials: Credentials,
  expires_on: Type.Optional(LastDay),
  labels: Type.Optional(Labels),
  allowed_actions: Type.Optional(AllowedActions),
  allowed_hosts: Type.Optional(AllowedHosts),
}, closed)

export const UpdateConnection = Type.Object({
  name: Type.Optional(ConnectionName),
  labels: Type.Optional(Labels),
  config: Type.Optional(Config),
  expires_on: Type.Optional(Type.Union([LastDay, Type.Null()])),
  allowed_actions: Type.Optional(Type.Union([AllowedActions, Type.Null()])),
  allowed_hosts: Type.Optional(Type.Union([AllowedHosts, Type.Null()])),
}, { ...closed, minProperties: 1 })

export const RotateConnection = Type.Object({
  credentials: Credentials,
  config: Type.Optional(Config),
  expires_on: Type.Optional(LastDay),
  test: Type.Optional(Type.Boolean({ default: false, description: 'Ask the provider first; a refused credential changes nothing, and `warnings` say where there is nothing to ask. Unless asked to, a rotation does not test, and `account` is null until a test shows it.' })),
  grace_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_592_000, default: 86_400, description: 'How long the replaced version can be rolled back to before it is destroyed.' })),
  allowed_hosts: Type.Optional(AllowedHosts),
}, closed)

export const IfMatchHeaders = Type.Object({ 'if-match': Type.Optional(Type.String({ pattern: ETAG, description: 'ETag of the connection as it was read, with its quotes, or `*`. Required.' })) })

export const RotateHeaders = Type.Object({ ...OptionalIfMatchHeaders.properties, ...IdempotencyHeaders.properties })

export const ListConnections = Type.Object({
  environment: Type.Optional(Environment),
  integration: Type.Optional(Type.String({ maxLength: 64, pattern: PRINTABLE })),
  status: Type.Optional(Type.Enum(['pending', 'active', 'needs_reauth', 'disabled', 'error'])),
  label: Type.Optional(Type.String({ maxLength: 265, pattern: '^[A-Za-z0-9._/-]{1,64}(=\\P{Cc}*)?$', description: '`name` or `name=value`.' })),
  q: Type.Optional(Type.String({ maxLength: 200, pattern: PRINTABLE, description: 'Part of the name, without regard to case.' })),
  cursor: Type.Optional(Cursor),
  limit: Type.Optional(Limit),
}, closed)

export const DeleteConnection = Type.Object({ force: Type.Optional(Type.Boolean({ description: 'Delete although procedures use it.' })) }, closed)

const Account = Type.Unsafe<{ id: string, label: string | null } | null>({
  type: ['object', 'null'], properties: { id: { type: 'string' }, label: { type: ['string', 'null'] } }, description: 'The upstream account, once a test has shown it.',
})
const TextMap = Type.Record(Type.String(), Type.String())
const Names = Type.Unsafe<string[] | null>({ type: ['array', 'null'], items: { type: 'string' } })

export const Connection = Type.Object({
  id: IdOf('connection'),
  workspace_id: WorkspaceId,
  integration: Type.String(),
  integration_revision: Type.Unsafe<number | null>({ type: ['integer', 'null'], description: 'Of a Custom API: the revision that decides authentication and hosts.' }),
  environment: Environment,
  name: Type.String(),
  auth: Type.String(),
  status: Type.Enum(['pending', 'active', 'needs_reauth', 'disabled', 'error']),
  status_reason: NullableString,
  config: TextMap,
  preview: Type.Record(Type.String(), Type.String(), { description: 'What may be shown of each secret field: its known prefix and at most its last four characters; of the tokens of a linked account nothing, `••••`.' }),
  account: Account,
  granted_scopes: Type.Unsafe<string[] | null>({ type: ['array', 'null'], items: { type: 'string' }, description: 'What an OAuth grant allows; null for what was pasted.' }),
  credential_version: IdOf('version'),
  version_number: Type.Integer(),
  hosts: Type.Array(Type.String(), { description: 'Where the credential may go.' }),
  expires_at: NullableInstant,
  expires_on: NullableString,
  last_refreshed_at: NullableInstant,
  next_refresh_at: NullableInstant,
  last_used_at: NullableInstant,
  labels: TextMap,
  allowed_actions: Names,
  allowed_hosts: Names,
  created_by: Type.String(),
  created_at: Instant,
  updated_by: Type.String(),
  updated_at: Instant,
  etag: Type.String(),
  warnings: Type.Optional(Type.Array(Type.String(), {
    description: 'What whoever made it should know, in the answers to create, rotate and complete, where there is something: that a sandbox connection reaches a real account, that its account is connected in the other environment as well, or that a test was asked for and there is none.',
  })),
}, { ...closed, $id: 'Connection' })

export const ConnectionPage = Type.Object({ connections: Type.Array(Type.Ref('Connection#')), next_cursor: NextCursor }, closed)

export const Version = Type.Object({
  id: IdOf('version'),
  number: Type.Integer(),
  state: Type.Enum(['current', 'previous', 'destroyed']),
  preview: TextMap,
  hosts: Type.Array(Type.String()),
  created_by: Type.String(),
  created_at: Instant,
  grace_until: NullableInstant,
  destroyed_at: NullableInstant,
}, closed)

export const Versions = Type.Object({ versions: Type.Array(Version) }, closed)

export const TestResult = Type.Object({
  result: Type.Enum(['ok', 'auth_failed', 'limited', 'unreachable'], { description: '`limited`: valid, but not allowed this request. `unreachable` says nothing about the credential.' }),
  detail: Type.String(),
  status: Type.Unsafe<number | null>({ type: ['integer', 'null'], description: 'HTTP status of the provider.' }),
  account: Account,
  duration_ms: Type.Integer(),
  warnings: Type.Array(Type.String(), { description: 'As of a connection that is created.' }),
}, closed)

const PlaceId = Type.String({ pattern: '^[A-Za-z0-9._:/@-]{1,128}$' })

export const SetReferences = Type.Object({
  references: Type.Array(Type.Object({
    procedure_id: PlaceId,
    step_id: Type.Optional(PlaceId),
    label: Type.Optional(Type.String({ maxLength: 200 })),
  }, closed), { maxItems: 1_000 }),
}, closed)

export const Usage = Type.Object({
  references: Type.Array(Type.Object({ procedure_id: Type.String(), step_id: Type.String(), label: NullableString, registered_at: Instant }, closed)),
  uses: Type.Array(Type.Object({
    procedure_id: Type.String({ description: 'Empty where the caller did not say.' }),
    step_id: Type.String(),
    uses: Type.Integer(),
    first_used_at: Instant,
    last_used_at: Instant,
  }, closed)),
}, { ...closed, description: 'What the dashboard registered, and what was seen. Seen uses appear within seconds.' })
