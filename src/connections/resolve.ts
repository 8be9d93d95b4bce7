import { isPrivate, type Catalog } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import type { SecretFields } from '../crypto/index.ts'
import { isVaultError, VaultError } from '../errors.ts'
import type { ConnectionId, Environment, WorkspaceId } from '../ids.ts'
import type { AuditRecord, Ledger, UseContext } from '../ledger/index.ts'
import type { Metrics } from '../metrics.ts'
import type { Database, UsableRow } from '../store/index.ts'
import type { Caller } from './caller.ts'
import { describeUsable, type CredentialOpener, type UsableConnection } from './credential.ts'
import type { Of } from './edit.ts'
import { expiryOf, judgeFreshness, requireUsable, type Freshness } from './guards.ts'
import type { Refusals } from './refusals.ts'
import { isRenewable, type Renewer } from './renew.ts'

export interface ResolveRequest {
  readonly environment: Environment
  readonly context?: UseContext | undefined
  /** The caller wants a credential that lasts at least this long, if there is one. */
  readonly minTtlSeconds?: number | undefined
  /** A version that the provider refused with 401. */
  readonly rejectedVersion?: string | undefined
}

/** A credential, opened and on record; only the resolve route turns it into text. */
export interface Resolved extends UsableConnection {
  readonly secrets: SecretFields
  readonly expiresAt: Date | null
  readonly freshness: Freshness
}

export type ResolvedOne = { readonly id: ConnectionId, readonly resolved: Resolved } | { readonly id: ConnectionId, readonly error: VaultError }

export interface Resolver {
  /** Throws `not_found`, `environment_mismatch`, `connection_disabled`, `connection_pending`, `connection_needs_reauth`. */
  resolve (of: Of, request: ResolveRequest, caller: Caller): Promise<Resolved>
  /** Each its own result; their records share one commit. */
  resolveMany (of: { workspaceId: WorkspaceId, ids: readonly ConnectionId[] }, request: ResolveRequest, caller: Caller): Promise<ResolvedOne[]>
}

interface Options {
  readonly database: Pick<Database, 'usable'>
  readonly catalog: Catalog
  readonly opener: CredentialOpener
  readonly ledger: Pick<Ledger, 'record' | 'recordSoon'>
  readonly refusals: Refusals
  readonly renewer: Renewer
  readonly clock: Clock
  readonly metrics: Pick<Metrics, 'resolves'>
}

export function createResolver (options: Options): Resolver {
  const { database, catalog, opener, ledger, refusals, renewer, clock, metrics } = options

  const open = async (found: UsableRow | undefined, request: ResolveRequest, caller: Caller): Promise<Resolved> => {
    const row = requireUsable(found, { environment: request.environment, visible: caller.environments })
    const { minTtlSeconds, rejectedVersion } = request
    const described = await describeUsable(catalog, row)
    if (isPrivate(described.integration.manifest)) throw new VaultError('private_connection')
    const connection = await renewer.ensureFresh(described, { minTtlSeconds, rejectedVersion }, caller)
    const freshness = judgeFreshness(connection.row, clock.now(), minTtlSeconds ?? 0)
    return { ...connection, secrets: await opener.open(connection.row, caller), expiresAt: expiryOf(connection.row), freshness }
  }

  return Object.freeze({
    resolve: async ({ workspaceId, id }: Of, request: ResolveRequest, caller: Caller) => {
      let found = await database.usable.find(workspaceId, id)
      if (found !== undefined && request.rejectedVersion === found.version_id && !isRenewable(await describeUsable(catalog, found))) {
        await refusals.count(requireUsable(found, { environment: request.environment, visible: caller.environments }), caller)
        // Somebody may have rotated it meanwhile: then the new one is what the caller is after.
        found = await database.usable.find(workspaceId, id)
      }
      const resolved = await open(found, request, caller)
      await ledger.record(recordUse(resolved.row, request, caller))
      metrics.resolves.inc({ result: 'ok' })
      return resolved
    },

    resolveMany: async ({ workspaceId, ids }: { workspaceId: WorkspaceId, ids: readonly ConnectionId[] }, request: ResolveRequest, caller: Caller) => {
      const rows = await database.usable.findMany(workspaceId, ids)
      const results = await Promise.all(ids.map(async (id, index): Promise<ResolvedOne> => {
        try {
          return { id, resolved: await open(rows[index], request, caller) }
        } catch (error) {
          if (!isVaultError(error) || error.code === 'kek_unavailable' || error.code === 'database_unavailable' || error.code === 'overloaded') throw error
          return { id, error }
        }
      }))
      await ledger.record(...results.map((result) => 'resolved' in result
        ? recordUse(result.resolved.row, request, caller)
        : recordRefusal(workspaceId, result, caller)))
      for (const result of results) metrics.resolves.inc({ result: 'resolved' in result ? 'ok' : result.error.code })
      return results
    },
  })
}

function recordUse (row: UsableRow, request: ResolveRequest, caller: Caller): AuditRecord {
  return {
    event: 'connection.resolved', outcome: 'ok', principal: caller.principal, workspaceId: row.workspace_id, environment: row.environment,
    connectionId: row.id, versionId: row.version_id, requestId: caller.requestId, context: request.context,
  }
}

function recordRefusal (workspaceId: WorkspaceId, result: { id: ConnectionId, error: VaultError }, caller: Caller): AuditRecord {
  return {
    event: 'connection.resolved', outcome: 'refused', reason: result.error.code, principal: caller.principal, workspaceId,
    connectionId: result.id, requestId: caller.requestId,
  }
}
