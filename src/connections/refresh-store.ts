import { isLinked, judgeConfig, resolveDestination, type AuthScheme, type Catalog, type Destination } from '../catalog/index.ts'
import type { Crypto, SecretFields } from '../crypto/index.ts'
import { isVaultError } from '../errors.ts'
import type { AuditRecord, Ledger } from '../ledger/index.ts'
import type { Metrics } from '../metrics.ts'
import type { TokenSet } from '../oauth/index.ts'
import {
  dropAnswer, lockClaimed, lockRenewable, markNeedsReauth, releaseRefresh, storeRenewal, whileKeyChanges,
  type Database, type RefreshClaim, type RefreshEnd, type Tx, type UsableRow, type VersionOf,
} from '../store/index.ts'
import type { Caller } from './caller.ts'
import { sealSuccessor, type SealedVersion } from './create.ts'
import { findLinkedScheme, type UsableConnection } from './credential.ts'
import { requireOAuth } from './grant.ts'
import { judgeFixedEnd, planRefresh, type GrantTimes } from './refresh-plan.ts'

/** A connection whose refresh has been claimed. */
export interface Claimed {
  readonly row: UsableRow
  readonly claim: RefreshClaim
  /** Before it was claimed, by this process's own clock: a pause since then counts. */
  readonly beganMs: number
  readonly caller: Caller
}

/** One attempt, with all that its steps share. */
export interface Attempt extends Claimed {
  readonly connection: UsableConnection
  readonly secrets: SecretFields
  /** Whether the refresh token has left. */
  readonly progress: { sent: boolean }
}

/** Writes how a refresh ended. Only the columns of the credential: a new name given meanwhile stays. */
export interface RefreshStore {
  /** Stores renewed tokens; false when a newer credential has been stored since, and they are of no use. */
  renewed (of: Attempt, tokens: TokenSet, from: { secrets: SecretFields, startedAt: Date }): Promise<boolean>
  /** The grant is dead: only its owner can give another. */
  dead (of: Claimed, end: { reason: 'grant_rejected' | 'credential_refused' | 'refresh_outcome_unknown', error: string }): Promise<void>
  /** Nothing came of it. */
  ended (of: Claimed, end: RefreshEnd, record: { outcome: 'failed' | 'unknown', reason: string, details?: AuditRecord['details'] } | undefined): Promise<void>
}

interface Options {
  readonly database: Pick<Database, 'transaction'>
  readonly catalog: Catalog
  readonly crypto: Pick<Crypto, 'seal' | 'forgetCurrentKeys'>
  readonly ledger: Pick<Ledger, 'prepare' | 'recordIn'>
  readonly metrics: Pick<Metrics, 'refreshLostLeases'>
}

/**
 * Writes renewed tokens in a transaction. Undefined: their key is no longer the workspace's current one. Of whose lease has ended they are
 * taken, too, while nothing newer has been stored: they may be the only live ones.
 */
function createTokenWriter ({ catalog, ledger, metrics }: Options) {
  return async (tx: Tx, of: Claimed, { version, tokens, startedAt, move }: Renewal): Promise<boolean | undefined> => {
    const { row, claim, caller } = of
    const { held, row: before } = await lockRenewable(tx, versionOf(row), { keyId: version.sealed.keyId, fence: claim.fence })
    if (!held) return undefined
    if (before?.mine !== true) metrics.refreshLostLeases.inc()
    if (before === undefined) return false
    const times = {
      at: startedAt, tokenExpiresAt: after(startedAt, tokens.expiresInSeconds),
      refreshExpiresAt: after(startedAt, tokens.refreshExpiresInSeconds) ?? (tokens.refreshToken === undefined ? before.refresh_expires_at : null),
    }
    const endsAt = judgeFixedEnd({ at: before.created_at, refreshExpiresAt: before.refresh_expires_at, endsAt: before.ends_at }, times)
    const linked = findLinkedScheme(catalog, row)
    const { versionId, fieldSet, hosts, hostConfig } = version.place
    const details = { replaced: row.version_id, ...move?.kind === 'moved' && { hosts: [...hosts] } }
    const reason = move?.kind === 'refused' ? 'host_refused' : undefined
    const done: AuditRecord = { ...recordOf(of), outcome: 'ok', reason, versionId, details }
    await storeRenewal(tx, versionOf(row), {
      successor: {
        id: versionId, number: before.last_version_number + 1, field_set: [...fieldSet], hosts: [...hosts], host_config: { ...hostConfig },
        ...version.sealed, created_by: caller.by,
        granted_scopes: tokens.scopes === undefined ? null : [...tokens.scopes],
        token_expires_at: times.tokenExpiresAt, refresh_expires_at: times.refreshExpiresAt,
      },
      renewed: {
        allowed_hosts: move?.kind === 'moved' ? before.allowed_hosts?.map((host) => host === row.hosts[0] ? hosts[0] ?? host : host) ?? null : before.allowed_hosts,
        last_refreshed_at: startedAt, ends_at: endsAt, next_refresh_at: linked === undefined ? null : planNext(linked, times, endsAt),
        // Another request with the token that was spent for these may be on its way, and the provider may end them for it.
        refresh_lost_at: before.mine && claim.lostAnswers === 0 && claim.openSince === null ? null : startedAt,
      },
      batch: await ledger.prepare(done),
    })
    if (before.health !== 'active') await ledger.recordIn(tx, { ...done, event: 'connection.recovered', reason: undefined, details: undefined })
    return true
  }
}

/** An end that renewing does not move is no reason to renew, however near it comes. */
function planNext (scheme: AuthScheme, times: GrantTimes, endsAt: Date | null): Date | null {
  return planRefresh(requireOAuth(scheme).refresh, { ...times, refreshExpiresAt: endsAt === null ? times.refreshExpiresAt : null }, Math.random())
}

export function createRefreshStore (options: Options): RefreshStore {
  const { database, crypto, ledger, metrics } = options
  const write = createTokenWriter(options)
  return Object.freeze({
    renewed: async (of: Attempt, tokens: TokenSet, { secrets, startedAt }: { secrets: SecretFields, startedAt: Date }) => {
      const renewed: SecretFields = { ...secrets, access_token: tokens.accessToken, ...tokens.refreshToken && { refresh_token: tokens.refreshToken } }
      const move = findMove(of, tokens)
      return await whileKeyChanges(crypto, async () => {
        const version = await sealSuccessor(crypto, of.row, { secrets: renewed, moved: move?.to })
        return await database.transaction(async (tx) => await write(tx, of, { version, tokens, startedAt, move }))
      })
    },
    dead: async (of: Claimed, { reason, error }: { reason: string, error: string }) => {
      const { row, claim } = of
      await database.transaction(async (tx) => {
        // Somebody else may have renewed it meanwhile: then the refusal is about a token that is spent anyway.
        if (await lockClaimed(tx, versionOf(row), claim) === undefined) return
        await dropAnswer(tx, versionOf(row))
        await releaseRefresh(tx, { ...versionOf(row), ...claim }, { nextAt: null, failed: true })
        const failed: AuditRecord = { ...recordOf(of), outcome: 'failed', reason: 'rejected', details: { error } }
        const marked = await markNeedsReauth(tx, versionOf(row), reason)
        await ledger.recordIn(tx, failed, ...marked ? [{ ...recordOf(of), event: 'connection.needs_reauth' as const, outcome: 'ok' as const, reason }] : [])
      })
    },
    ended: async (of: Claimed, end: RefreshEnd, record: { outcome: 'failed' | 'unknown', reason: string, details?: AuditRecord['details'] } | undefined) => {
      await database.transaction(async (tx) => {
        if (!await releaseRefresh(tx, { ...versionOf(of.row), ...of.claim }, end)) metrics.refreshLostLeases.inc()
        else await dropAnswer(tx, versionOf(of.row))
        if (record !== undefined) await ledger.recordIn(tx, { ...recordOf(of), ...record })
      })
    },
  })
}

interface Renewal {
  readonly version: SealedVersion
  readonly tokens: TokenSet
  readonly startedAt: Date
  readonly move: Move | undefined
}

type Move = { readonly kind: 'moved', readonly to: Destination } | { readonly kind: 'refused', readonly to?: undefined }

/**
 * Whether the provider says with renewed tokens that their account is elsewhere now (Salesforce's `instance_url`), as it said with the
 * first ones where it was. `refused`: where the manifest lets none go. What was pasted stays where it was meant for.
 */
function findMove ({ row, connection: { integration: { manifest }, scheme, config } }: Attempt, { config: said }: TokenSet): Move | undefined {
  if (!isLinked(scheme) || Object.entries(row.host_config).every(([name, value]) => (said[name] ?? value) === value)) return undefined
  if (judgeConfig(scheme, row.environment, said).length > 0) return { kind: 'refused' }
  try {
    return { kind: 'moved', to: resolveDestination({ manifest, scheme, environment: row.environment }, { ...config, ...said }) }
  } catch (error) {
    if (isVaultError(error, 'config_invalid')) return { kind: 'refused' }
    throw error
  }
}

export function recordOf ({ row, caller }: Claimed): Omit<AuditRecord, 'outcome'> {
  return {
    event: 'connection.refreshed', principal: caller.principal, workspaceId: row.workspace_id, environment: row.environment, connectionId: row.id,
    versionId: row.version_id, requestId: caller.requestId,
  }
}

/** An instant so many seconds after another. */
export function after (from: Date, seconds: number | undefined): Date | null {
  return seconds === undefined ? null : new Date(from.getTime() + seconds * 1_000)
}

export function versionOf (row: UsableRow): VersionOf {
  return { workspaceId: row.workspace_id, connectionId: row.id, versionId: row.version_id }
}
