import { Type } from 'typebox'
import { ImportChoices, ImportEnvelope } from '../../catalog/index.ts'
import { AuthScheme, Separation } from './integration.ts'
import { closed, Cursor, Environment, IdOf, Instant, Limit, NextCursor, NullableString, WorkspaceId } from './parts.ts'

const Effect = Type.Enum(['read', 'idempotent', 'unsafe'])
const Bytes = Type.Unsafe<Uint8Array>({ type: 'string', description: 'The document: OpenAPI 3.2, 3.1, 3.0 or Swagger 2.0, JSON or YAML.' })

/**
 * A document may come as it is, as a form, or in an envelope. Nothing of it is parsed by the
 * thread that answers requests, so that nothing of this is checked by the framework.
 */
export const ImportBody = {
  content: {
    'application/json': { schema: Type.Unsafe<Uint8Array>(ImportEnvelope) },
    'application/yaml': { schema: Bytes },
    'application/octet-stream': { schema: Bytes },
    'multipart/form-data': {
      schema: Type.Unsafe<Uint8Array>({
        type: 'object', additionalProperties: false,
        properties: { document: { type: 'string', contentMediaType: 'application/octet-stream' }, url: { type: 'string' }, choices: ImportChoices },
      }),
    },
  },
} as const

const Skip = Type.Object({ pointer: Type.String(), reason: Type.String() }, closed)
const Skipped = Type.Array(Skip, { description: 'Operations that are no actions: where each stands in the document, and why.' })
const Servers = Type.Array(Type.Object({ url: Type.String(), problem: NullableString }, closed))
const Warnings = Type.Array(Type.String())

export const ImportPreview = Type.Object({
  title: Type.String(),
  version: Type.String({ description: 'Of OpenAPI.' }),
  sha256: Type.String({ description: 'Of the document as it came.' }),
  operations: Type.Integer(),
  actions: Type.Array(Type.Object({
    name: Type.String(), method: Type.String(), path: Type.String(), effect: Effect, tags: Type.Array(Type.String()),
  }, closed)),
  skipped: Skipped,
  auth: Type.Array(Type.Object({ id: Type.String(), label: Type.String(), fields: Type.Array(Type.String()) }, closed)),
  servers: Servers,
  warnings: Warnings,
}, closed)

const Common = {
  id: IdOf('integration'),
  workspace_id: WorkspaceId,
  name: Type.String(),
  docs: NullableString,
  environments: Type.Array(Environment),
  separation: Separation,
  auth: Type.Array(AuthScheme),
  revision: Type.Integer({ description: 'The one that is shown.' }),
  newest_revision: Type.Integer({ description: 'The one that calls without `revision` are made with.' }),
  source: Type.Object({ title: Type.String(), version: Type.String(), sha256: Type.String(), url: NullableString }, closed),
  action_count: Type.Integer(),
  created_by: Type.String(),
  created_at: Instant,
  updated_by: Type.String(),
  updated_at: Instant,
  etag: Type.String(),
}

const Diff = Type.Object({
  added: Type.Array(Type.String()),
  changed: Type.Array(Type.String(), { description: 'What was sent before is still taken.' }),
  breaking: Type.Array(Type.Object({ name: Type.String(), reasons: Type.Array(Type.String()) }, closed), { description: 'Something that was sent before is refused now, or means something else.' }),
  removed: Type.Array(Type.String(), { description: 'Still there for who names an older revision.' }),
}, closed)

const Changes = Type.Object({ added: Type.Integer(), changed: Type.Integer(), breaking: Type.Integer(), removed: Type.Integer() }, closed)

export const CustomApiSummary = Type.Object(Common, closed)
export const CustomApiPage = Type.Object({ integrations: Type.Array(CustomApiSummary), next_cursor: NextCursor }, closed)

export const CustomApi = Type.Object({
  ...Common,
  actions: Type.Array(Type.Object({ name: Type.String(), title: Type.String(), effect: Effect, method: Type.String(), path: Type.String() }, closed)),
  operations: Type.Integer({ description: 'Of the document: those that are actions, and those that are skipped.' }),
  skipped: Skipped,
  servers: Servers,
  warnings: Warnings,
  diff: Type.Union([Diff, Type.Null()], { description: 'Against the revision before; null for the first.' }),
  revisions: Type.Array(Type.Object({
    revision: Type.Integer(), sha256: Type.String(), action_count: Type.Integer(), created_by: Type.String(), created_at: Instant,
    changes: Type.Union([Changes, Type.Null()]),
  }, closed), { description: 'Newest first.' }),
}, { ...closed, $id: 'CustomApi' })

export const CustomApiParams = Type.Object({ workspace_id: WorkspaceId, integration_id: IdOf('integration') }, closed)
export const CustomApiActionParams = Type.Object({ workspace_id: WorkspaceId, integration_id: IdOf('integration'), action: Type.String({ maxLength: 64 }) }, closed)
export const RevisionQuery = Type.Object({ revision: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'The newest when left out.' })) }, closed)
export const ListCustomApis = Type.Object({ limit: Type.Optional(Limit), cursor: Type.Optional(Cursor) }, closed)
