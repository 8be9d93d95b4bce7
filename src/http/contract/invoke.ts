import { Type } from 'typebox'
import { ConnectionName, Labels } from './connection.ts'
import { closed, Context, Environment, IdOf, NullableString } from './parts.ts'

const Timeout = Type.Integer({ minimum: 100, maximum: 120_000, default: 30_000, description: 'Deadline for the whole call, in milliseconds.' })
const DryRun = Type.Boolean({ description: 'Build and check everything, send nothing; the credential is shown as `[credential]`.' })

export const InvokeRequest = Type.Object({
  environment: Environment,
  action: Type.String({ maxLength: 64 }),
  revision: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Of a Custom API: the one the procedure was built with. The newest when left out.' })),
  input: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: '`{path, query, header, body}`, or flat where no name is in two places.' })),
  dry_run: Type.Optional(DryRun),
  timeout_ms: Type.Optional(Timeout),
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

/** The provider answered; whether it did what was asked is `outcome`. */
const Invocation = Type.Object({
  invocation_id: IdOf('invocation'),
  outcome: Type.Enum(['succeeded', 'failed']),
  provider: Type.Object({ status: Type.Integer(), headers: TextMap, request_id: NullableString }, closed),
  output: Type.Unknown({ description: 'Parsed JSON, a text, `{content_type, base64}` for other bytes, or null. Every occurrence of the credential is replaced.' }),
  error: Type.Optional(Type.Object({
    class: Type.Enum(['reauthorise', 'config_error', 'permission', 'step_up', 'input', 'conflict', 'not_found', 'rate_limited', 'provider_unavailable']),
    message: Type.String(),
  }, closed)),
  attempts: Type.Integer(),
  duration_ms: Type.Integer(),
  replayed: Type.Boolean({ description: 'An earlier call with the same idempotency key came to this; nothing was sent now.' }),
  stored: Type.Optional(Type.Object({ connection_id: IdOf('connection'), name: Type.String() }, { ...closed, description: 'What `store_as` has made. In the output `[stored]` stands for the credential.' })),
  store_error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() }, { ...closed, description: 'Why `store_as` has made nothing; the credential is in the output, so that it is not lost.' })),
}, closed)

const DryRunResult = Type.Object({
  dry_run: Type.Literal(true),
  request: Type.Object({ method: Type.String(), url: Type.String(), headers: TextMap, body: Type.Unknown() }, closed),
}, closed)

export const InvokeResponse = Type.Union([Invocation, DryRunResult], { $id: 'InvokeResponse' })
