import { Type } from 'typebox'
import { closed, Environment, IdOf, Instant, NullableInstant, WorkspaceId } from './parts.ts'

/** RFC 6749, appendix A: printable ASCII; what is wrong with one that is not is said by its place. */
const ClientText = Type.String({ minLength: 1, maxLength: 1_024 })
const ScopeList = Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { maxItems: 200, uniqueItems: true })
const Scopes = Type.Record(Type.String({ maxLength: 64 }), ScopeList, { maxProperties: 16 })

export const PutOAuthApp = Type.Object({
  client_id: ClientText,
  client_secret: Type.Optional(Type.String({ minLength: 1, maxLength: 4_096, description: 'Never shown again. Left out, the one there is stays; so it does, with the one before, when it is the same.' })),
  scopes: Type.Optional(Type.Unsafe<Record<string, string[]>>({
    ...Scopes, description: 'What to ask for, by auth scheme; a scheme that is not named asks for the integration’s defaults, and `{}` goes back to them all. Left out, what was asked for stays.',
  })),
  overlap_seconds: Type.Optional(Type.Integer({
    minimum: 0, maximum: 2_592_000, default: 86_400, description: 'How long the secret before stays valid beside a new one, as long as the client id is the same.',
  })),
}, closed)

export const OAuthApp = Type.Object({
  id: IdOf('app'),
  integration: Type.String(),
  environment: Environment,
  workspace_id: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Null for the vault’s own app, which every workspace without its own links with.' }),
  client_id: Type.String(),
  client_secret_preview: Type.String(),
  previous_secret_until: NullableInstant,
  redirect_uri: Type.String({ description: 'Register exactly this with the provider.' }),
  scopes: Type.Record(Type.String(), Type.Array(Type.String()), { description: 'What is asked for, by auth scheme.' }),
  created_by: Type.String(),
  created_at: Instant,
  updated_by: Type.String(),
  updated_at: Instant,
  etag: Type.String(),
}, { ...closed, $id: 'OAuthApp' })

export const OAuthApps = Type.Object({ oauth_apps: Type.Array(Type.Ref('OAuthApp#')) }, closed)

const Place = { integration: Type.String({ maxLength: 64 }), environment: Environment }
export const GlobalAppParams = Type.Object(Place, closed)
export const WorkspaceAppParams = Type.Object({ workspace_id: WorkspaceId, ...Place }, closed)
export const DeleteOAuthApp = Type.Object({ force: Type.Optional(Type.Boolean({ description: 'Delete although connections were linked through it.' })) }, closed)
