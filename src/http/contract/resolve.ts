import { Type } from 'typebox'
import { closed, Context, Environment, IdOf, NullableInstant } from './parts.ts'

export const ResolveRequest = Type.Object({
  environment: Environment,
  context: Type.Optional(Context),
  min_ttl_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400, description: 'Wanted lifetime; `freshness` says whether it is met.' })),
  rejected_version: Type.Optional(Type.String({ maxLength: 64, description: 'A version that the provider refused with 401. After repeated refusals the vault tests it itself.' })),
}, closed)

const TextMap = Type.Record(Type.String(), Type.String())

/** A credential in plain text: `Cache-Control: no-store`, and on record before it is sent. */
export const ResolvedCredential = Type.Object({
  connection_id: IdOf('connection'),
  integration: Type.String(),
  environment: Environment,
  auth: Type.String(),
  version: IdOf('version'),
  expires_at: NullableInstant,
  freshness: Type.Enum(['fresh', 'stale_usable'], { description: '`stale_usable`: it expires sooner than `min_ttl_seconds` and can’t be renewed.' }),
  credentials: TextMap,
  request: Type.Object({ base_url: Type.String(), headers: TextMap, query: TextMap }, { ...closed, description: 'Ready to use: add a path.' }),
}, { ...closed, $id: 'ResolvedCredential' })

export const ResolveManyRequest = Type.Object({
  environment: Environment,
  connection_ids: Type.Array(IdOf('connection'), { minItems: 1, maxItems: 100, uniqueItems: true }),
  context: Type.Optional(Context),
  min_ttl_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400 })),
}, closed)

export const ResolveManyResponse = Type.Object({
  results: Type.Array(Type.Object({
    connection_id: IdOf('connection'),
    credential: Type.Optional(Type.Ref('ResolvedCredential#')),
    problem: Type.Optional(Type.Ref('Problem#')),
  }, { ...closed, description: 'Either a credential or the problem that resolving this one alone would have answered.' })),
}, closed)
