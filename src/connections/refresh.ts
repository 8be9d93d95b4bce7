import { isLinked, type Catalog } from '../catalog/index.ts'
import type { Crypto } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { Ledger } from '../ledger/index.ts'
import type { Metrics } from '../metrics.ts'
import type { GrantOutcome } from '../oauth/index.ts'
import { APP_PAUSE_SECONDS, createAppHealth } from './app-health.ts'
import { describeUsable, type CredentialOpener } from './credential.ts'
import { requireOAuth } from './grant.ts'
import { createAsker, nowOf, type AskerOptions } from './refresh-ask.ts'
import { planRetry, planSecondUse } from './refresh-plan.ts'
import { createRefreshStore, type Attempt, type Claimed, type RefreshStore } from './refresh-store.ts'

/** Carries out a refresh that has been claimed, and writes how it ended. */
export interface Refresher {
  /** Undefined: it was renewed, or somebody's newer credential is there. Throws only for what is wrong here. */
  run (of: Claimed): Promise<VaultError | undefined>
}

export interface RefresherOptions extends AskerOptions {
  readonly catalog: Catalog
  readonly crypto: Pick<Crypto, 'seal' | 'open' | 'forgetCurrentKeys'>
  readonly opener: CredentialOpener
  readonly ledger: Pick<Ledger, 'prepare' | 'recordIn'>
  readonly metrics: Pick<Metrics, 'refreshes' | 'refreshSeconds' | 'refreshLostLeases'>
}

export function createRefresher (options: RefresherOptions): Refresher {
  const { catalog, clock, opener, metrics } = options
  const store = createRefreshStore(options)
  const ask = createAsker(options, store)
  const settle = createSettler(options, store)
  // An alert sees an increase only of what was there before.
  const linked = catalog.list().filter(({ manifest }) => manifest.auth.some(isLinked)).map(({ manifest }) => manifest.id)
  for (const integration of [...linked, 'custom_api']) metrics.refreshes.inc({ integration, outcome: 'oauth_app_broken' }, 0)

  const attempt = async (of: Claimed, progress: Attempt['progress']): Promise<VaultError | undefined> => {
    const one: Attempt = { ...of, progress, connection: await describeUsable(catalog, of.row), secrets: await opener.open(of.row, of.caller) }
    const asked = await ask(one)
    return 'error' in asked ? asked.error : await settle(one, asked)
  }

  return Object.freeze({
    run: async (of: Claimed) => {
      const integration = of.row.integration_revision === null ? of.row.integration : 'custom_api'
      const progress = { sent: false }
      try {
        const error = await attempt(of, progress)
        metrics.refreshes.inc({ integration, outcome: error === undefined ? 'renewed' : error.code })
        return error
      } catch (error) {
        metrics.refreshes.inc({ integration, outcome: 'error' })
        // Once it has left, the claim stays as it is: whoever claims next finds the answer, or that there is none.
        const nextAt = planRetry(of.claim.startedAt, { failures: of.claim.failures }, Math.random())
        if (!progress.sent) await store.ended(of, { nextAt, failed: true }, undefined)
        throw error
      } finally {
        metrics.refreshSeconds.observe({ integration }, (clock.monotonicMs() - of.beganMs) / 1_000)
      }
    },
  })
}

interface Came {
  readonly outcome: GrantOutcome
  readonly startedAt: Date
  /** The token may have been spent by an attempt before. */
  readonly lost: boolean
}

/** Writes what came of it, and says it to those who wait. */
function createSettler (options: RefresherOptions, store: RefreshStore): (of: Attempt, came: Came) => Promise<VaultError | undefined> {
  const health = createAppHealth(options)
  const settleLost = createLostSettler(options, store)
  return async (of, { outcome, startedAt, lost }) => {
    const { row, claim, connection, secrets } = of
    const linked = isLinked(connection.scheme)
    const now = nowOf(options.clock, of)
    switch (outcome.kind) {
      case 'granted':
        await store.renewed(of, outcome.tokens, { secrets, startedAt })
        return undefined
      case 'rejected':
        await store.dead(of, { reason: !linked ? 'credential_refused' : lost ? 'refresh_outcome_unknown' : 'grant_rejected', error: outcome.error })
        return new VaultError('connection_needs_reauth', { detail: 'The provider no longer renews this grant. Link the account again.' })
      case 'config_error': {
        await health.broken(row, outcome.error)
        const nextAt = planRetry(now, { failures: claim.failures, retryAfterSeconds: APP_PAUSE_SECONDS }, Math.random())
        await store.ended(of, { nextAt, failed: true }, { outcome: 'failed', reason: 'config_error', details: { error: outcome.error } })
        return new VaultError('oauth_app_broken', { detail: outcome.description })
      }
      case 'try_later': {
        const nextAt = linked ? planRetry(now, { failures: claim.failures, retryAfterSeconds: outcome.retryAfterSeconds }, Math.random()) : null
        await store.ended(of, { nextAt, failed: true }, { outcome: 'failed', reason: 'try_later', details: { error: outcome.error } })
        return new VaultError('refresh_failed', { detail: outcome.description, retryAfterSeconds: outcome.retryAfterSeconds ?? 5 })
      }
      default: return await settleLost(of)
    }
  }
}

/** Bytes have left and nothing that can be read has come back: the refresh token may have been spent. */
function createLostSettler ({ clock }: RefresherOptions, store: RefreshStore): (of: Attempt) => Promise<VaultError> {
  return async (of) => {
    const { row, claim, connection, progress } = of
    // Of this refresh token: an answer to the one before it, read late, is no reason to give up. What is judged now may be what an open attempt has left.
    const lostBefore = claim.lostAnswers > 0 || (progress.sent && claim.openSince !== null)
    const refresh = isLinked(connection.scheme) ? requireOAuth(connection.scheme).refresh : undefined
    if (refresh?.rotates === true && lostBefore) {
      await store.dead(of, { reason: 'refresh_outcome_unknown', error: 'outcome_unknown' })
      return new VaultError('connection_needs_reauth', { detail: 'The provider’s answers to two renewals were lost. Link the account again.' })
    }
    const now = nowOf(clock, of)
    const second = refresh === undefined ? null : planSecondUse(refresh, { lostAt: claim.startedAt, tokenExpiresAt: row.token_expires_at, now })
    const nextAt = second === null || second > now ? second : planRetry(now, { failures: claim.failures }, Math.random())
    const lostAt = refresh?.rotates === true ? { lostAt: claim.startedAt } : {}
    await store.ended(of, { nextAt, failed: true, ...lostAt }, { outcome: 'unknown', reason: 'outcome_unknown' })
    const retryAfterSeconds = second === null ? 5 : Math.max(5, Math.ceil((second.getTime() - now.getTime()) / 1_000))
    const next = second !== null && second > now ? ` The next is tried at ${second.toISOString()}.` : ''
    return new VaultError('refresh_failed', { detail: `The provider’s answer to the renewal was lost.${next}`, retryAfterSeconds })
  }
}
