import { VaultError } from '../errors.ts'
import type { Environment } from '../ids.ts'
import { ENDED_GRANTS, type UsableRow } from '../store/index.ts'

/** For what a connection is used. */
interface Run {
  readonly environment: Environment
  /** What the caller sees. */
  readonly visible: readonly Environment[]
}

/**
 * What keeps a connection from being used in this run; undefined when nothing does. In order: the
 * caller sees its environment, the run's environment is the connection's, it is enabled, finished,
 * and not known to be refused.
 */
export function judgeUsable (row: UsableRow, run: Run): VaultError | undefined {
  if (!run.visible.includes(row.environment)) return new VaultError('not_found')
  if (row.environment !== run.environment) {
    return new VaultError('environment_mismatch', { detail: `This is a ${row.environment} connection and the run is ${run.environment}.` })
  }
  if (row.disabled_at !== null) return new VaultError('connection_disabled')
  if (row.health === 'pending') return new VaultError('connection_pending')
  // A grant that is not renewed any more is good until its token ends, or is refused.
  const lasts = ENDED_GRANTS.includes(row.health_reason ?? '') && lastsFor(row, 0)
  if ((row.health === 'needs_reauth' || row.health === 'error') && !lasts) {
    return needsReauth(row)
  }
  return undefined
}

/** The row, if it may be used in this run. Throws what keeps it from that. */
export function requireUsable (row: UsableRow | undefined, run: Run): UsableRow {
  if (row === undefined) throw new VaultError('not_found')
  const wrong = judgeUsable(row, run)
  if (wrong !== undefined) throw wrong
  return row
}

/** That the connection needs a new credential, why, and how it gets one: what was linked is linked again, what was pasted is rotated. */
export function needsReauth (row: Pick<UsableRow, 'health_reason' | 'app_id'>): VaultError {
  const detail = REASONS[row.health_reason ?? ''] ?? `The provider refuses the credential. ${row.app_id === null ? 'Rotate the connection.' : 'Link the account again.'}`
  return new VaultError('connection_needs_reauth', { detail })
}

const REASONS: Readonly<Record<string, string>> = {
  grant_rejected: 'The provider no longer renews this grant. Link the account again.',
  refresh_outcome_unknown: 'An answer of the provider to a renewal was lost, and the next was refused. Link the account again.',
  token_ended: 'The token has ended and the provider gave nothing to renew it with. Link the account again.',
}

/** Whether there is a token with this long left; one without an end always has. */
export function lastsFor (row: UsableRow, seconds: number): boolean {
  return row.field_set.includes('access_token') && (row.token_ttl === null || row.token_ttl > seconds)
}

/** A token with less left than this may end on its way to the provider. */
const MARGIN_SECONDS = 30
/** Of one that lives for less than two minutes this much of its life: else it would hardly be used, or renewed for every use. */
const MARGIN_SHARE = 1 / 4

/** Seconds that a token has to have left for whoever wants this many of it. */
export function neededOf ({ token_life: life }: Pick<UsableRow, 'token_life'>, wantedSeconds: number): number {
  return Math.max(wantedSeconds, Math.min(MARGIN_SECONDS, (life ?? Infinity) * MARGIN_SHARE))
}

/** `stale_usable`: it expires sooner than was asked for, and no other can be had: what is left of it is served. */
export type Freshness = 'fresh' | 'stale_usable'

/** A token's lifetime is the database's to measure; a day that was entered ends by anybody's clock. */
export function judgeFreshness (row: Pick<UsableRow, 'expires_on' | 'token_ttl'>, now: Date, minTtlSeconds: number): Freshness {
  const entered = row.expires_on === null ? Infinity : (endOf(row.expires_on).getTime() - now.getTime()) / 1_000
  return Math.min(entered, row.token_ttl ?? Infinity) > minTtlSeconds ? 'fresh' : 'stale_usable'
}

/** How far behind UTC a day may still be today somewhere. */
const LATEST_ZONE_MS = 12 * 3_600_000

/** A day that is entered is at least today, wherever whoever enters it is. Throws `request_invalid`. */
export function requireNotPast (day: string | null | undefined, now: Date): void {
  if (day === null || day === undefined || day >= new Date(now.getTime() - LATEST_ZONE_MS).toISOString().slice(0, 10)) return
  throw new VaultError('request_invalid', { detail: 'A credential whose last day is past can’t be entered.', errors: [{ pointer: '/expires_on', message: 'is in the past: today is the earliest' }] })
}

function endOf (day: string): Date {
  return new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000)
}

/** When a credential ends: its token, or the day that was entered for it (its end, UTC), whichever is first. */
export function expiryOf ({ expires_on: day, token_expires_at: token }: Pick<UsableRow, 'expires_on' | 'token_expires_at'>): Date | null {
  const entered = day === null ? null : endOf(day)
  return entered === null || (token !== null && token < entered) ? token : entered
}
