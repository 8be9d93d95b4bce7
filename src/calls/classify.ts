import type { AnswerClass, Manifest, Predicate } from '../catalog/index.ts'

/** A provider's answer as predicates look at it. */
export interface JudgedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** The parsed body; undefined when it is not JSON. */
  readonly json: unknown
}

export function matches (predicate: Predicate, answer: JudgedAnswer): boolean {
  const { status, header, pointer, is, absent } = predicate
  if (status !== undefined && ![status].flat().includes(answer.status)) return false
  const fits = (value: unknown) => value !== undefined && (is === undefined || is.some((wanted) => wanted === value))
  if (header !== undefined && !fits(answer.headers[header])) return false
  if (pointer === undefined) return true
  const value = readPointer(answer.json, pointer)
  return absent === true ? value === undefined : fits(value)
}

/** The class of a failed call; undefined when the provider did what it was asked. */
export function classify (manifest: Manifest, answer: JudgedAnswer): AnswerClass | undefined {
  const failed = answer.status < 200 || answer.status >= 300
  const named = manifest.errors.find((entry) => (failed || entry.when.pointer !== undefined) && matches(entry.when, answer))
  if (named !== undefined) return named.class
  return failed ? classOfStatus(answer.status) : undefined
}

function classOfStatus (status: number): AnswerClass {
  switch (status) {
    case 401: return 'reauthorise'
    case 403: return 'permission'
    case 404: case 410: return 'not_found'
    case 409: return 'conflict'
    case 429: return 'rate_limited'
  }
  if (status >= 500) return 'provider_unavailable'
  return status >= 400 ? 'input' : 'config_error'
}

/** JSON pointer (RFC 6901). */
export function readPointer (value: unknown, pointer: string): unknown {
  let at = value
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~')
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, name)) return undefined
    at = (at as Record<string, unknown>)[name]
  }
  return at
}
