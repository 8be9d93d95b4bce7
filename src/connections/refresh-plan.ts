import type { AuthScheme } from '../catalog/index.ts'

/** When tokens are to be renewed, without a clock of its own: every instant comes in. */

type Refreshing = NonNullable<AuthScheme['oauth']>['refresh']

export interface GrantTimes {
  /** When it was granted. */
  readonly at: Date
  readonly tokenExpiresAt: Date | null
  readonly refreshExpiresAt: Date | null
}

const MARGIN_SECONDS = 300
const MARGIN_SHARE = 0.1
/** A margin is up to this much longer, so that what was linked together is not renewed together. */
const JITTER = 0.2
/** The same of a token that lasts for minutes, whose margin is half of its life: with a fifth all would come within seconds. */
const SHORT_JITTER = 1 / 3

/**
 * When a grant is renewed if nobody asks for it before: well ahead of the end of its access token,
 * and at half of the time after which an unused refresh token ends. Null: never by itself.
 */
export function planRefresh (refresh: Refreshing, times: GrantTimes, random: number): Date | null {
  const at = times.at.getTime()
  const jitter = 1 + JITTER * random
  const due: number[] = []
  if (times.tokenExpiresAt !== null) {
    const lifetime = times.tokenExpiresAt.getTime() - at
    const margin = (refresh.margin_seconds ?? Math.max(MARGIN_SECONDS, lifetime / 1_000 * MARGIN_SHARE)) * 1_000
    due.push(times.tokenExpiresAt.getTime() - Math.min(margin * jitter, lifetime / 2 * (1 + SHORT_JITTER * random)))
  }
  if (refresh.idle_seconds !== undefined) due.push(at + refresh.idle_seconds * 500 / jitter)
  if (times.refreshExpiresAt !== null) due.push(at + (times.refreshExpiresAt.getTime() - at) / 2 / jitter)
  return due.length === 0 ? null : new Date(Math.max(Math.min(...due), at))
}

const NOISE_MS = 60_000

/**
 * When a refresh token ends that renewing does not prolong: its owner has to consent again by then.
 * Told by two ends: of one that is prolonged the end moves along with the renewals. Null: it is
 * prolonged, or does not end. Two renewals in a minute tell nothing: what was known stays.
 */
export function judgeFixedEnd (before: Omit<GrantTimes, 'tokenExpiresAt'> & { readonly endsAt: Date | null }, now: Omit<GrantTimes, 'tokenExpiresAt'>): Date | null {
  if (before.refreshExpiresAt === null || now.refreshExpiresAt === null) return null
  const passed = now.at.getTime() - before.at.getTime()
  const moved = now.refreshExpiresAt.getTime() - before.refreshExpiresAt.getTime()
  if (passed <= NOISE_MS) return before.endsAt
  return moved < passed / 2 ? now.refreshExpiresAt : null
}

const BACKOFF_SECONDS_MAX = 600
const RETRY_AFTER_SECONDS_MAX = 3_600

/** After a failure that spent nothing: exponential with full jitter, not before the provider's own word. */
export function planRetry (now: Date, { failures, retryAfterSeconds = 0 }: { failures: number, retryAfterSeconds?: number | undefined }, random: number): Date {
  const backoff = 1 + random * Math.min(2 * 2 ** Math.min(failures, 12), BACKOFF_SECONDS_MAX)
  return new Date(now.getTime() + Math.max(backoff, Math.min(retryAfterSeconds, RETRY_AFTER_SECONDS_MAX)) * 1_000)
}

const GRACE_RESERVE_SECONDS = 15
const LAST_MOMENT_SECONDS = 60

/**
 * When a refresh token whose answer was lost is sent once more. Within the provider's grace at
 * once: it answers the same again. Else it may take the second use for theft and end what still
 * works: then only when there is little left to lose.
 */
export function planSecondUse (refresh: Refreshing, { lostAt, tokenExpiresAt, now }: { lostAt: Date, tokenExpiresAt: Date | null, now: Date }): Date {
  if (!refresh.rotates) return now
  const grace = (refresh.grace_seconds ?? 0) - GRACE_RESERVE_SECONDS
  if (now.getTime() < lostAt.getTime() + grace * 1_000) return now
  return tokenExpiresAt === null ? now : new Date(Math.max(tokenExpiresAt.getTime() - LAST_MOMENT_SECONDS * 1_000, now.getTime()))
}
