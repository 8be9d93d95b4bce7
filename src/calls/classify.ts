import type { AnswerClass, Manifest } from '../catalog/index.ts'
import { matches, type JudgedAnswer } from '../predicate.ts'

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
