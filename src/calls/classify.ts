import type { AnswerClass, Manifest } from '../catalog/index.ts'
import { matches, type JudgedAnswer } from '../predicate.ts'

/** The class of a failed call; undefined when the provider did what it was asked. */
export function classify (manifest: Manifest, answer: JudgedAnswer): AnswerClass | undefined {
  return findNamed(manifest, answer)?.class ?? (isFailed(answer) ? classOfStatus(answer.status) : undefined)
}

/** Whether the provider says that it has carried the call out before. */
export function wasCarriedOut (manifest: Manifest, answer: JudgedAnswer): boolean {
  return findNamed(manifest, answer)?.carried_out === true
}

function findNamed (manifest: Manifest, answer: JudgedAnswer): Manifest['errors'][number] | undefined {
  return manifest.errors.find((entry) => (isFailed(answer) || entry.when.pointer !== undefined) && matches(entry.when, answer))
}

function isFailed ({ status }: JudgedAnswer): boolean {
  return status < 200 || status >= 300
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
