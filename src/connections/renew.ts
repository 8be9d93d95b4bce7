import { setTimeout as delay } from 'node:timers/promises'
import { isLinked, type Catalog } from '../catalog/index.ts'
import { isVaultError, VaultError } from '../errors.ts'
import { claimRefresh, guard, isRefreshing, type Database, type UsableRow } from '../store/index.ts'
import type { Caller } from './caller.ts'
import { describeUsable, type UsableConnection } from './credential.ts'
import { lastsFor, neededOf, needsReauth } from './guards.ts'
import { versionOf, type Claimed } from './refresh-store.ts'
import type { Refresher, RefresherOptions } from './refresh.ts'

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
  /** Renews what has been claimed already; callers who want it meanwhile share it. */
  renewClaimed (claimed: Claimed): Promise<void>
}

interface Options extends RefresherOptions {
  readonly database: Pick<Database, 'db' | 'usable' | 'transaction'>
  readonly refresher: Refresher
  /** Tells this process from the others in a lease. */
  readonly owner: string
}

/** Longer than a token request may take, so that no two of one connection are under way. */
export const LEASE_SECONDS = 30
const WAIT_MS = 12_000
const POLL_MS = 100
const UNRENEWABLE = {
  pasted: 'The credential was pasted: rotate the connection.',
  linked: 'The provider gave no refresh token when the account was linked. Once its token ends, link it again.',
}

export function createRenewer (options: Options): Renewer {
  const { database, catalog, clock, owner, refresher } = options
  // Callers of one process share one renewal of one version.
  const flights = new Map<string, Promise<UsableRow>>()

  const share = async (row: UsableRow, work: () => Promise<UsableRow>): Promise<UsableRow> => {
    const flight = work().finally(() => { flights.delete(row.version_id) })
    flights.set(row.version_id, flight)
    return await flight
  }

  const reread = async (row: UsableRow): Promise<UsableRow> => {
    const now = await database.usable.find(row.workspace_id, row.id)
    if (now === undefined) throw new VaultError('not_found')
    return now
  }

  const runClaim = async (claimed: Claimed): Promise<UsableRow> => {
    const { row } = claimed
    const error = await refresher.run(claimed)
    const now = await reread(row)
    if (now.version_id !== row.version_id) return now
    throw error ?? new VaultError('refresh_failed', { detail: 'The credential was changed meanwhile.', retryAfterSeconds: 1 })
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
      const beganMs = clock.monotonicMs()
      const claim = await guard(() => claimRefresh(database.db, versionOf(row), { owner, ttlSeconds: LEASE_SECONDS }))
      if (claim !== undefined) return await runClaim({ row, claim, caller, beganMs })
      const other = await awaitOther(row)
      if (other !== undefined) return other
    }
  }

  const renew = async (row: UsableRow, caller: Caller): Promise<UsableRow> => {
    const connection = await describeUsable(catalog, row)
    if (!isRenewable(connection)) throw new VaultError('refresh_unavailable', { detail: connection.scheme.oauth === undefined ? UNRENEWABLE.pasted : UNRENEWABLE.linked })
    caller.stepAside?.()
    return await (flights.get(row.version_id) ?? share(row, () => renewOnce(row, caller)))
  }

  return Object.freeze({
    renew,
    renewClaimed: async (claimed: Claimed) => {
      await share(claimed.row, () => runClaim(claimed)).catch((error: unknown) => {
        if (!isVaultError(error) || error.code === 'internal') throw error
      })
    },
    ensureFresh: createFreshness(catalog, renew),
  })
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
      throw needsReauth(row)
    }
    if (!rejected && lastsFor(row, neededOf(row, minTtlSeconds))) return connection
    try {
      return await describeUsable(catalog, await renew(row, caller))
    } catch (error) {
      if (!rejected && lastsFor(row, 0) && isVaultError(error)) return connection
      throw error
    }
  }
}

/** Whether the vault can get another token for it by itself. */
export function isRenewable ({ row, scheme }: UsableConnection): boolean {
  return scheme.oauth !== undefined && (!isLinked(scheme) || row.field_set.includes('refresh_token'))
}
