import type { BuiltRequest } from '../calls/index.ts'
import type { Manifest } from '../catalog/index.ts'
import type { Effect } from './outcome.ts'

type Conventions = Manifest['conventions']

/** Whether the provider itself sees to it that an unsafe call is carried out once. */
export function carriesKey (conventions: Conventions): boolean {
  return conventions.idempotency_header !== undefined || conventions.idempotency_query !== undefined
}

/**
 * A call that changes something, to a provider that takes idempotency keys, carries one in any case,
 * the caller's or the invocation's own: with it, the call can be made again without being carried
 * out twice, also where a provider creates by PUT. A header that the input sets stays.
 */
export function withProviderKey (conventions: Conventions, built: BuiltRequest, of: { effect: Effect, key: string }): BuiltRequest {
  const { idempotency_header: header, idempotency_query: parameter } = conventions
  if (of.effect === 'read') return built
  if (header !== undefined) return { ...built, headers: { [header]: of.key, ...built.headers } }
  if (parameter === undefined || built.url.searchParams.has(parameter)) return built
  const url = new URL(built.url)
  url.searchParams.append(parameter, of.key)
  return { ...built, url }
}
