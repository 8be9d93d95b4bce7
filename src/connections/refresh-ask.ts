import { LRUCache } from 'lru-cache'
import { isLinked } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import type { Secret } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { GrantOutcome, OAuthApps, OAuthClient, OAuthProtocol } from '../oauth/index.ts'
import { noteLostAnswer, type AppRow, type Database, type RefreshEnd } from '../store/index.ts'
import { createAppHealth, type AppHealthOptions } from './app-health.ts'
import { describeProvider, issueToken, openClients, requireOAuth } from './grant.ts'
import { createRefreshAnswers, type RefreshAnswersOptions } from './refresh-answers.ts'
import { planRetry, planSecondUse } from './refresh-plan.ts'
import { recordOf, versionOf, type Attempt, type RefreshStore } from './refresh-store.ts'
import { laneName, type TokenEndpoints } from './token-endpoints.ts'

/** A request that is begun later than this after its claim might end after the lease. */
const SEND_WITHIN_MS = 15_000

/** What a refresh came to, or why nothing was asked: that is written already. */
export type Asked = { readonly outcome: GrantOutcome, readonly startedAt: Date, readonly lost: boolean } | { readonly error: VaultError }

export interface AskerOptions extends AppHealthOptions, RefreshAnswersOptions {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly oauth: OAuthProtocol & { readonly apps: OAuthApps }
  readonly clock: Clock
  readonly endpoints: TokenEndpoints
  readonly publicUrl: () => string
}

interface OpenedApp {
  readonly app: AppRow
  readonly clients: readonly OAuthClient[]
}

/** The database's time. */
export function nowOf (clock: Pick<Clock, 'monotonicMs'>, { claim, beganMs }: Attempt): Date {
  return new Date(claim.startedAt.getTime() + clock.monotonicMs() - beganMs)
}

/** Finds out what a refresh comes to: from an answer that an earlier attempt has left, or by asking. */
export function createAsker (options: AskerOptions, store: RefreshStore): (of: Attempt) => Promise<Asked> {
  const { oauth } = options
  const answers = createRefreshAnswers(options)
  const openApp = createAppOpener(options)
  const judgeSecondUse = createSecondUse(options, store)
  const send = createSender(options, store)

  const askLinked = async (of: Attempt): Promise<Asked> => {
    const { row, claim, secrets } = of
    const startedAt = claim.startedAt
    const opened = await openApp(of)
    if ('outcome' in opened) return { outcome: opened.outcome, startedAt, lost: false }
    if (opened.app.paused) return await refuse(store, of, { end: { nextAt: opened.app.paused_until, failed: false }, error: new VaultError('oauth_app_broken', { detail: 'The provider refuses the OAuth app.' }) })
    const refreshToken = secrets['refresh_token']
    const [client] = opened.clients
    if (refreshToken === undefined || client === undefined) return { outcome: UNANSWERABLE, startedAt, lost: false }
    const left = claim.openSince === null ? undefined : await answers.find(row)
    if (left !== undefined) {
      // It may be the answer to a second use.
      return { outcome: oauth.judgeRefresh(client, { refreshToken, answer: left.answer }), startedAt: left.startedAt, lost: claim.lostAt !== null }
    }
    const second = await judgeSecondUse(of)
    return 'error' in second ? second : await send(of, { ...opened, refreshToken, lost: second.lost })
  }

  return async (of: Attempt) => {
    const { connection, row, claim, secrets } = of
    if (isLinked(connection.scheme)) return await askLinked(of)
    const outcome = await issueToken(oauth, { ...connection, environment: row.environment, sealedFor: row.hosts }, secrets)
    return { outcome, startedAt: claim.startedAt, lost: false }
  }
}

const UNANSWERABLE: GrantOutcome = { kind: 'rejected', error: 'no_refresh_token', description: 'There is no refresh token, or no client secret, to ask with.' }

async function refuse (store: RefreshStore, of: Attempt, { end, error }: { end: RefreshEnd, error: VaultError }): Promise<Asked> {
  await store.ended(of, end, undefined)
  return { error }
}

/** Thousands of scheduled renewals of one provider go through one app: it is looked up a few times a second, not thousands. */
const APP_KEPT_MS = 250

function createAppOpener ({ oauth, publicUrl }: AskerOptions) {
  const kept = new LRUCache<string, Promise<OpenedApp | { outcome: GrantOutcome }>>({ max: 256, ttl: APP_KEPT_MS })
  const open = async ({ row, connection }: Attempt): Promise<OpenedApp | { outcome: GrantOutcome }> => {
    const app = row.app_id === null || row.app_owner === null ? undefined : await oauth.apps.findById(row.app_owner, row.app_id)
    if (app === undefined) return { outcome: { kind: 'config_error', error: 'app_deleted', description: 'The OAuth app it was linked through has been deleted.' } }
    const provider = describeProvider({ ...connection, environment: row.environment })
    return { app, clients: app.paused ? [] : await openClients(oauth.apps, { app, provider, publicUrl: publicUrl() }) }
  }
  return async (of: Attempt): Promise<OpenedApp | { outcome: GrantOutcome }> => {
    // Somebody who asks may have just mended the app.
    if (of.caller.principal.kind !== 'system') return await open(of)
    const name = JSON.stringify([of.row.app_owner, of.row.app_id, of.row.auth, of.connection.config])
    const known = kept.get(name)
    if (known !== undefined) return await known
    const opening = open(of)
    kept.set(name, opening)
    opening.catch(() => { kept.delete(name) })
    return await opening
  }
}

/**
 * Whether the refresh token may be sent, since an earlier attempt may have spent it: one that was
 * never ended, its process killed or paused, counts as sent.
 */
function createSecondUse ({ database, ledger, clock }: AskerOptions, store: RefreshStore) {
  return async (of: Attempt): Promise<{ lost: boolean } | { error: VaultError }> => {
    const { row, claim, connection } = of
    const { refresh } = requireOAuth(connection.scheme)
    if (claim.openSince !== null) {
      await database.transaction(async (tx) => {
        if (!await noteLostAnswer(tx, versionOf(row), { claim, lostAt: claim.openSince as Date })) return
        await ledger.recordIn(tx, { ...recordOf(of), outcome: 'unknown', reason: 'interrupted' })
      })
    }
    const lostAnswers = claim.lostAnswers + (claim.openSince === null ? 0 : 1)
    const lostAt = claim.openSince ?? claim.lostAt
    if (!refresh.rotates || lostAt === null || lostAnswers === 0) return { lost: lostAt !== null }
    if (lostAnswers > 1) {
      await store.dead(of, { reason: 'refresh_outcome_unknown', error: 'outcome_unknown' })
      return { error: new VaultError('connection_needs_reauth', { detail: 'The provider’s answers to two renewals were lost. Link the account again.' }) }
    }
    const now = nowOf(clock, of)
    const at = planSecondUse(refresh, { lostAt, tokenExpiresAt: row.token_expires_at, now })
    if (at <= now) return { lost: true }
    await store.ended(of, { nextAt: at, failed: false }, undefined)
    const retryAfterSeconds = Math.ceil((at.getTime() - now.getTime()) / 1_000)
    return { error: new VaultError('refresh_failed', { detail: `The answer to a renewal was lost; the next is tried at ${at.toISOString()}.`, retryAfterSeconds }) }
  }
}

interface Sending extends OpenedApp {
  readonly refreshToken: Secret
  readonly lost: boolean
}

/** Sends the refresh token, once, and once more with the secret before where the provider does not know the current one (yet). */
function createSender (options: AskerOptions, store: RefreshStore) {
  const { oauth, endpoints, clock } = options
  const answers = createRefreshAnswers(options)
  const health = createAppHealth(options)

  const request = async (of: Attempt, { clients, refreshToken }: Sending): Promise<GrantOutcome> => {
    let outcome = UNANSWERABLE
    of.progress.sent = true
    for (const client of clients) {
      const reply = await oauth.requestRefresh(client, { refreshToken })
      if (reply.kind === 'answered') await answers.keep(of, reply.answer)
      outcome = reply.kind === 'answered' ? oauth.judgeRefresh(client, { refreshToken, answer: reply.answer }) : reply
      // Refused for its secret, nothing else of the request was looked at (RFC 6749, 5.2).
      if (outcome.kind !== 'config_error') break
    }
    return outcome
  }

  return async (of: Attempt, sending: Sending): Promise<Asked> => {
    const { row, claim } = of
    const lane = laneName(row)
    if (clock.monotonicMs() - of.beganMs > SEND_WITHIN_MS) {
      return await refuse(store, of, { end: { nextAt: nowOf(clock, of), failed: false }, error: new VaultError('refresh_failed', { detail: 'The renewal was held up.', retryAfterSeconds: 1 }) })
    }
    if (!endpoints.allow(lane)) {
      const retryAfterSeconds = endpoints.retryAfter(lane)
      const nextAt = planRetry(nowOf(clock, of), { failures: 0, retryAfterSeconds }, Math.random())
      return await refuse(store, of, { end: { nextAt, failed: false }, error: new VaultError('refresh_failed', { detail: 'The provider’s token endpoint does not answer.', retryAfterSeconds }) })
    }
    const outcome = await request(of, sending)
    endpoints.note(lane, outcome.kind !== 'try_later' && outcome.kind !== 'outcome_unknown')
    if (outcome.kind !== 'config_error' && sending.app.broken_since !== null) await health.recovered(sending.app)
    return { outcome, startedAt: claim.startedAt, lost: sending.lost }
  }
}
