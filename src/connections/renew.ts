import { setTimeout as delay } from 'node:timers/promises'
import { isLinked, type Catalog } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import type { Crypto, SecretFields } from '../crypto/index.ts'
import { isVaultError, VaultError } from '../errors.ts'
import type { AuditRecord, Ledger } from '../ledger/index.ts'
import type { GrantOutcome, OAuthApps, OAuthProtocol, TokenSet } from '../oauth/index.ts'
import {
  claimRefresh, getVersion, guard, holdCurrentKey, isRefreshing, lockClaimed, markNeedsReauth, releaseRefresh, retireCurrentVersion, updateConnection,
  type Database, type RefreshClaim, type UsableRow, type VersionOf,
} from '../store/index.ts'
import type { Caller } from './caller.ts'
import { insertSealedVersion, sealSuccessor, whileKeyChanges } from './create.ts'
import { describeUsable, type CredentialOpener, type UsableConnection } from './credential.ts'
import { describeProvider, issueToken, openClients, withEachSecret } from './grant.ts'

/** What a caller needs of a token. */
export interface Wanted {
  /** It is to last at least this long, if one can be had. */
  readonly minTtlSeconds?: number | undefined
  /** The provider refused this version: one that is still current is renewed whatever it says of its end. */
  readonly rejectedVersion?: string | undefined
}

export interface Renewer {
  /**
   * The connection with a token that can be used, renewed first where it has ended. A token that
   * still lasts is served when renewing fails. Throws `connection_needs_reauth`,
   * `oauth_app_broken`, `refresh_failed`.
   */
  ensureFresh (connection: UsableConnection, wanted: Wanted, caller: Caller): Promise<UsableConnection>
  /** Renews now, whatever is left of the token. Throws as `ensureFresh`, and `refresh_unavailable` for what can't be renewed. */
  renew (row: UsableRow, caller: Caller): Promise<UsableRow>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'usable' | 'transaction'>
  readonly catalog: Catalog
  readonly crypto: Pick<Crypto, 'seal'>
  readonly oauth: OAuthProtocol & { readonly apps: OAuthApps }
  readonly opener: CredentialOpener
  readonly ledger: Pick<Ledger, 'recordIn' | 'record'>
  readonly clock: Clock
  readonly publicUrl: () => string
  /** Tells this process from the others in a lease. */
  readonly owner: string
}

/** A token with less left than this may end on its way to the provider. */
const MARGIN_SECONDS = 30
/** Longer than a token request may take, so that no two run at a time. */
const LEASE_SECONDS = 30
const WAIT_MS = 12_000
const POLL_MS = 100

export function createRenewer (options: Options): Renewer {
  const { database, catalog, clock, owner } = options
  const { ask, settle } = { ask: createAsker(options), settle: createRenewalStore(options) }
  // Callers of one process share one renewal of one version.
  const flights = new Map<string, Promise<UsableRow>>()

  const renewClaimed = async (row: UsableRow, claim: RefreshClaim, caller: Caller): Promise<GrantOutcome> => {
    try {
      const secrets = await options.opener.open(row, caller)
      const outcome = await ask(describeUsable(catalog, row), secrets)
      await settle({ row, claim, caller }, { outcome, secrets })
      return outcome
    } catch (error) {
      await releaseRefresh(database.db, versionOf(row), claim)
      throw error
    }
  }

  const reread = async (row: UsableRow): Promise<UsableRow> => {
    const now = await database.usable.find(row.workspace_id, row.id)
    if (now === undefined) throw new VaultError('not_found')
    return now
  }

  /** Another process is at it: its result is ours as well. Undefined when it ended without one. */
  const awaitOther = async (row: UsableRow): Promise<UsableRow | undefined> => {
    const deadlineMs = clock.monotonicMs() + WAIT_MS
    while (clock.monotonicMs() < deadlineMs) {
      const now = await reread(row)
      if (now.version_id !== row.version_id || now.health !== row.health) return now
      if (!await guard(() => isRefreshing(database.db, versionOf(row)))) return undefined
      await delay(POLL_MS)
    }
    throw new VaultError('refresh_failed', { detail: 'Another process renews the token and has not ended.', retryAfterSeconds: 1 })
  }

  const renewOnce = async (row: UsableRow, caller: Caller): Promise<UsableRow> => {
    for (;;) {
      const claim = await guard(() => claimRefresh(database.db, versionOf(row), { owner, ttlSeconds: LEASE_SECONDS }))
      if (claim === undefined) {
        const other = await awaitOther(row)
        if (other !== undefined) return other
        continue
      }
      const outcome = await renewClaimed(row, claim, caller)
      const now = await reread(row)
      if (now.version_id !== row.version_id) return now
      throw failureOf(outcome)
    }
  }

  const renew = async (row: UsableRow, caller: Caller): Promise<UsableRow> => {
    if (!isRenewable(describeUsable(catalog, row))) throw new VaultError('refresh_unavailable')
    const known = flights.get(row.version_id)
    if (known !== undefined) return await known
    const flight = renewOnce(row, caller).finally(() => { flights.delete(row.version_id) })
    flights.set(row.version_id, flight)
    return await flight
  }

  return Object.freeze({ renew, ensureFresh: createFreshness(catalog, renew) })
}

/** Decides when a token has to be renewed, and what is served when that fails. */
function createFreshness (catalog: Catalog, renew: Renewer['renew']): Renewer['ensureFresh'] {
  return async (connection, { minTtlSeconds = 0, rejectedVersion }, caller) => {
    const { row, scheme } = connection
    if (scheme.oauth === undefined) return connection
    if (!isRenewable(connection)) {
      if (lastsFor(row, 0)) return connection
      throw new VaultError('connection_needs_reauth', { detail: 'The token has ended and the provider gave nothing to renew it with. Link the account again.' })
    }
    const rejected = rejectedVersion === row.version_id
    // A dead grant is not asked for again and again.
    if (row.health === 'needs_reauth') {
      if (!rejected && lastsFor(row, 0)) return connection
      throw new VaultError('connection_needs_reauth')
    }
    if (!rejected && lastsFor(row, Math.max(minTtlSeconds, MARGIN_SECONDS))) return connection
    try {
      return describeUsable(catalog, await renew(row, caller))
    } catch (error) {
      if (!rejected && lastsFor(row, 0) && isVaultError(error)) return connection
      throw error
    }
  }
}

/** Makes the token request that fits the connection. */
function createAsker ({ oauth, publicUrl }: Options) {
  return async ({ row, integration, scheme, config }: UsableConnection, secrets: SecretFields): Promise<GrantOutcome> => {
    const of = { integration, scheme, environment: row.environment, config }
    if (!isLinked(scheme)) return await issueToken(oauth, of, secrets)
    const refreshToken = secrets['refresh_token']
    if (refreshToken === undefined) return { kind: 'rejected', error: 'no_refresh_token', description: 'The provider gave no refresh token.' }
    const app = row.app_id === null || row.app_owner === null ? undefined : await oauth.apps.findById(row.app_owner, row.app_id)
    if (app === undefined) return { kind: 'config_error', error: 'app_deleted', description: 'The OAuth app it was linked through has been deleted.' }
    const clients = await openClients(oauth.apps, { app, provider: describeProvider(of), publicUrl: publicUrl() })
    return await withEachSecret(clients, (client) => oauth.refresh(client, { refreshToken }))
  }
}

/** Puts the end of a token request where everybody sees it. */
function createRenewalStore (options: Options) {
  const { database, crypto, ledger } = options

  const store = async ({ row, claim, caller }: Claimed, tokens: TokenSet, secrets: SecretFields): Promise<void> => {
    const renewed: SecretFields = { ...secrets, access_token: tokens.accessToken, ...tokens.refreshToken && { refresh_token: tokens.refreshToken } }
    await whileKeyChanges(async () => {
      const version = await sealSuccessor(crypto, row, renewed)
      return await database.transaction(async (tx) => {
        const locked = await lockClaimed(tx, versionOf(row), claim)
        // Somebody has changed the credential meanwhile: theirs is newer than what was asked for here.
        if (locked === undefined) return true
        if (!await holdCurrentKey(tx, row.workspace_id, version.sealed.keyId)) return undefined
        const before = await getVersion(tx, locked, row.version_id)
        await retireCurrentVersion(tx, locked, 0)
        const number = locked.last_version_number + 1
        await insertSealedVersion(tx, version, {
          number, previews: before.previews, by: caller.by, grant: {
            app_owner: before.app_owner, app_id: before.app_id,
            granted_scopes: tokens.scopes === undefined ? before.granted_scopes : [...tokens.scopes],
            grant_holder: before.grant_holder, token_expires_at: after(claim.startedAt, tokens.expiresInSeconds),
            refresh_expires_at: after(claim.startedAt, tokens.refreshExpiresInSeconds) ??
              (tokens.refreshToken === undefined ? before.refresh_expires_at : null),
          },
        })
        await updateConnection(tx, locked, {
          current_version: version.place.versionId, last_version_number: number, health: 'active', health_reason: null, refusals: 0,
          refresh_failures: 0, last_refreshed_at: claim.startedAt, updated_by: locked.updated_by,
        })
        await ledger.recordIn(tx, { ...recordOf({ row, claim, caller }), outcome: 'ok', versionId: version.place.versionId, details: { replaced: row.version_id } })
        return true
      })
    })
  }

  /** The provider has ended the grant: only its owner can give another. */
  const markDead = async ({ row, claim, caller }: Claimed, error: string): Promise<void> => {
    await database.transaction(async (tx) => {
      if (await lockClaimed(tx, versionOf(row), claim) === undefined) return
      await releaseRefresh(tx, versionOf(row), claim)
      const reason = isLinked(describeUsable(options.catalog, row).scheme) ? 'grant_rejected' : 'credential_refused'
      if (!await markNeedsReauth(tx, versionOf(row), reason)) return
      const record = recordOf({ row, claim, caller })
      const needed = { ...record, event: 'connection.needs_reauth' as const, outcome: 'ok' as const, reason }
      await ledger.recordIn(tx, { ...record, outcome: 'failed', reason: 'rejected', details: { error } }, needed)
    })
  }

  return async (of: Claimed, { outcome, secrets }: { outcome: GrantOutcome, secrets: SecretFields }): Promise<void> => {
    if (outcome.kind === 'granted') await store(of, outcome.tokens, secrets)
    else if (outcome.kind === 'rejected') await markDead(of, outcome.error)
    else {
      await releaseRefresh(database.db, versionOf(of.row), of.claim)
      const unknown = outcome.kind === 'outcome_unknown'
      await ledger.record({ ...recordOf(of), outcome: unknown ? 'unknown' : 'failed', reason: outcome.kind, details: unknown ? {} : { error: outcome.error } })
    }
  }
}

interface Claimed {
  readonly row: UsableRow
  readonly claim: RefreshClaim
  readonly caller: Caller
}

function recordOf ({ row, caller }: Claimed): Omit<AuditRecord, 'outcome'> {
  return {
    event: 'connection.refreshed', principal: caller.principal, workspaceId: row.workspace_id, environment: row.environment, connectionId: row.id,
    versionId: row.version_id, requestId: caller.requestId,
  }
}

function failureOf (outcome: GrantOutcome): VaultError {
  switch (outcome.kind) {
    case 'rejected': return new VaultError('connection_needs_reauth', { detail: 'The provider no longer renews this grant. Link the account again.' })
    case 'config_error': return new VaultError('oauth_app_broken', { detail: outcome.description })
    case 'try_later': return new VaultError('refresh_failed', { detail: outcome.description, retryAfterSeconds: outcome.retryAfterSeconds ?? 5 })
    default: return new VaultError('refresh_failed', { detail: 'The provider’s answer to the renewal was lost.', retryAfterSeconds: 5 })
  }
}

/** Whether the vault can get another token for it by itself. */
export function isRenewable ({ row, scheme }: UsableConnection): boolean {
  return scheme.oauth !== undefined && (!isLinked(scheme) || row.field_set.includes('refresh_token'))
}

/** Whether there is a token with this long left; one without an end always has. */
function lastsFor (row: UsableRow, seconds: number): boolean {
  return row.field_set.includes('access_token') && (row.token_ttl === null || row.token_ttl > seconds)
}

/** An instant so many seconds after another. */
export function after (from: Date, seconds: number | undefined): Date | null {
  return seconds === undefined ? null : new Date(from.getTime() + seconds * 1_000)
}

function versionOf (row: UsableRow): VersionOf {
  return { workspaceId: row.workspace_id, connectionId: row.id, versionId: row.version_id }
}
