import { Type } from 'typebox'
import { PRESETS, SCOPES, type Preset } from '../../access/index.ts'
import { closed, Cursor, Environment, IdOf, Instant, Limit, NAME, NextCursor, NullableInstant, NullableString, WorkspaceId } from './parts.ts'

const Everything = Type.Literal('*')

export const CreateServiceToken = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 200, pattern: NAME }),
  preset: Type.Optional(Type.Enum(Object.keys(PRESETS) as Preset[])),
  scopes: Type.Optional(Type.Array(Type.Enum([...SCOPES]), { minItems: 1, uniqueItems: true })),
  workspaces: Type.Array(Type.Union([Everything, WorkspaceId]), { minItems: 1, maxItems: 1_000 }),
  environments: Type.Array(Type.Union([Everything, Environment]), { minItems: 1, maxItems: 2 }),
  expires_at: Type.Optional(Instant),
}, { ...closed, description: 'Either a preset or scopes, or both.' })

export const ServiceToken = Type.Object({
  id: IdOf('token'),
  name: Type.String(),
  scopes: Type.Array(Type.String()),
  workspaces: Type.Array(Type.String()),
  environments: Type.Array(Type.String()),
  created_by: Type.String(),
  created_at: Instant,
  expires_at: NullableInstant,
  revoked_at: NullableInstant,
  revoked_by: NullableString,
}, { ...closed, $id: 'ServiceToken' })

export const CreatedServiceToken = Type.Object({
  service_token: Type.Ref('ServiceToken#'),
  token: Type.Optional(Type.String({ description: 'Shown this once. A replay of the same request does not have it.' })),
}, closed)

export const ServiceTokenPage = Type.Object({ service_tokens: Type.Array(Type.Ref('ServiceToken#')), next_cursor: NextCursor }, closed)
export const ListServiceTokens = Type.Object({ cursor: Type.Optional(Cursor), limit: Type.Optional(Limit) }, closed)
export const ServiceTokenParams = Type.Object({ token_id: IdOf('token') }, closed)
