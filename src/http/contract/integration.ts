import { Type } from 'typebox'
import { closed, Environment, NullableString } from './parts.ts'

export const JsonSchema = Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true, description: 'JSON Schema (2020-12).' })

export const AuthScheme = Type.Object({
  id: Type.String(),
  label: Type.String(),
  kind: Type.Enum(['pasted', 'oauth2'], { description: 'Whether a person pastes the credential or links the account in a browser.' }),
  scopes: Type.Optional(Type.Array(Type.String(), { description: 'OAuth scopes asked for unless the app says otherwise.' })),
  find: Type.Optional(Type.String({ description: 'Where a person finds the credential.' })),
  credentials: JsonSchema,
  config: JsonSchema,
}, closed)

/** As in a manifest. */
export const Separation = Type.Enum(['key', 'host', 'none'], {
  description: 'What tells sandbox from live: the credential (`key`), the `host`, or `none`: then what sandbox runs do, they do in a real account. Say so before a sandbox credential is entered.',
})

const Common = {
  id: Type.String(),
  name: Type.String(),
  category: Type.String(),
  docs: NullableString,
  environments: Type.Array(Environment),
  separation: Separation,
  auth: Type.Array(AuthScheme),
}

const ActionSummary = Type.Object({ name: Type.String(), title: Type.String(), effect: Type.Enum(['read', 'idempotent', 'unsafe']) }, closed)

export const IntegrationSummary = Type.Object({ ...Common, actions: Type.Array(ActionSummary) }, closed)
export const IntegrationPage = Type.Object({ integrations: Type.Array(IntegrationSummary) }, closed)

export const IntegrationAction = Type.Object({
  name: Type.String(),
  title: Type.String(),
  help: Type.Optional(Type.String()),
  effect: Type.Enum(['read', 'idempotent', 'unsafe']),
  method: Type.String(),
  path: Type.String(),
  scopes: Type.Array(Type.String(), { description: 'OAuth scopes it needs.' }),
  secret_outputs: Type.Array(Type.Object({ pointer: Type.String(), field: Type.Union([Type.String(), Type.Null()]) }, closed), {
    description: 'Where the output holds a credential. One with a `field` can be stored as a new connection: `store_as`.',
  }),
  input: JsonSchema,
}, closed)

export const IntegrationDetail = Type.Object({
  ...Common,
  actions: Type.Array(IntegrationAction, { description: 'Of an imported one each `input` stands without its `$defs`: `GET /v1/integrations/{id}/actions/{action}` has them.' }),
}, closed)

export const IntegrationActionParams = Type.Object({ integration: Type.String({ maxLength: 64 }), action: Type.String({ maxLength: 64 }) }, closed)
export const IntegrationParams = Type.Object({ integration: Type.String({ maxLength: 64 }) }, closed)
