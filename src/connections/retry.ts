import type { CallResult } from '../calls/index.ts'
import type { ErrorClass } from '../catalog/index.ts'

/** A call that has just ended, and what is left of its time. */
export interface EndedCall {
  /** Whether doing it twice is the same as doing it once: by its nature, or by the provider's idempotency header. */
  readonly repeatable: boolean
  /** How often it has been made so far. */
  readonly attempts: number
  readonly remainingMs: number
  readonly now: Date
  /** From 0 to 1: callers that failed together must not come back together. */
  readonly jitter: number
}

const ATTEMPTS_MAX = 3
const BACKOFF_MS = 200
/** An attempt with less time than this would only add load to a provider in trouble. */
export const ATTEMPT_MIN_MS = 100
const UNAVAILABLE = [502, 503, 504]

/**
 * After how many milliseconds a call that ended like this is made again; undefined when it is not.
 * What certainly never left may be sent again whatever it does; anything else only if it is
 * repeatable, and never beyond its deadline. A full provider is waited for as long as Retry-After says
 * (RFC 9110 10.2.3), and without one is the caller's to pace.
 */
export function judgeRetry (result: CallResult, of: EndedCall): number | undefined {
  if (of.attempts >= ATTEMPTS_MAX) return undefined
  const waitMs = waitFor(result, of)
  return waitMs !== undefined && waitMs + ATTEMPT_MIN_MS <= of.remainingMs ? waitMs : undefined
}

/** Answers that say how the provider is doing, not what became of the call. */
const UNSETTLED: readonly ErrorClass[] = ['rate_limited', 'provider_unavailable', 'conflict']

/**
 * What a call of several attempts came to. `doubtful`: an earlier one may have been carried out
 * and was never answered. Then a failure to reach the provider now proves nothing of that one,
 * and for an unsafe call neither does an answer that leaves it open.
 */
export function settle (result: CallResult, of: { doubtful: boolean, unsafe: boolean }): CallResult {
  if (!of.doubtful) return result
  if (result.kind !== 'answered') return { ...result, maybeSent: true }
  const { status, error, carriedOut } = result.response
  if (!of.unsafe || error === undefined || carriedOut === true || !UNSETTLED.includes(error.class)) return result
  return { kind: 'interrupted', maybeSent: true, status, detail: 'The connection broke, and the provider did not say afterwards what became of the call.' }
}

/** Whether a call that ended like this may have been carried out without anybody knowing. */
export function isDoubtful (result: CallResult): boolean {
  return result.kind !== 'answered' && result.maybeSent
}

function waitFor (result: CallResult, of: EndedCall): number | undefined {
  const backoffMs = Math.round(BACKOFF_MS * 2 ** (of.attempts - 1) * (0.5 + of.jitter / 2))
  if (result.kind === 'unreachable') return backoffMs
  if (!of.repeatable) return undefined
  if (result.kind === 'interrupted') return backoffMs
  if (result.kind !== 'answered') return undefined
  const { status, headers, error } = result.response
  const askedMs = readRetryAfter(headers['retry-after'], of.now)
  if (error?.class === 'rate_limited') return askedMs
  return UNAVAILABLE.includes(status) ? Math.max(askedMs ?? 0, backoffMs) : undefined
}

/** Seconds, or an HTTP date. */
function readRetryAfter (value: string | undefined, now: Date): number | undefined {
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1_000
  const at = Date.parse(value)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now.getTime())
}
