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
import type { Recall } from './recall.ts'
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

export interface OfMany {
  readonly workspaceId: WorkspaceId
  readonly ids: readonly ConnectionId[]
}

interface Asked {
  readonly request: ResolveRequest
  readonly caller: Caller
}

export interface Resolver {
  /** Throws `not_found`, `environment_mismatch`, `connection_disabled`, `connection_pending`, `connection_needs_reauth`. */
  resolve (of: Of, request: ResolveRequest, caller: Caller): Promise<Resolved>
  /** Each its own result; their records share one commit. */
  resolveMany (of: OfMany, request: ResolveRequest, caller: Caller): Promise<ResolvedOne[]>
}

interface Options {
  readonly database: Pick<Database, 'usable'>
  readonly catalog: Catalog
  readonly opener: CredentialOpener
  readonly ledger: Pick<Ledger, 'record' | 'recordIf'>
  readonly recall: Recall
  readonly refusals: Refusals
  readonly renewer: Renewer
  readonly clock: Clock
  readonly metrics: Pick<Metrics, 'resolves'>
}

export function createResolver (options: Options): Resolver {
  const { database, catalog, opener, ledger, recall, refusals, renewer, clock, metrics } = options

  const finish = (connection: UsableConnection, secrets: SecretFields, minTtlSeconds = 0): Resolved =>
    ({ ...connection, secrets, expiresAt: expiryOf(connection.row), freshness: judgeFreshness(connection.row, clock.now(), minTtlSeconds) })

  /** From what is remembered: one statement checks that nothing has changed and puts the use on record. Undefined where that can't be. */
  const resolveRemembered = async (of: Of, request: ResolveRequest, caller: Caller): Promise<Resolved | undefined> => {
    const { environment, minTtlSeconds } = request
    const known = request.rejectedVersion === undefined ? recall(of, { environment, visible: caller.environments, minTtlSeconds }) : undefined
    if (known === undefined || !await ledger.recordIf(recordUse(known.connection.row, request, caller), known.premise)) return undefined
    return finish(known.connection, known.secrets, minTtlSeconds)
  }

  const open = async (found: UsableRow | undefined, request: ResolveRequest, caller: Caller): Promise<Resolved> => {
    const row = requireUsable(found, { environment: request.environment, visible: caller.environments })
    const { minTtlSeconds, rejectedVersion } = request
    const described = await describeUsable(catalog, row)
    if (isPrivate(described.integration.manifest)) throw new VaultError('private_connection')
    const connection = await renewer.ensureFresh(described, { minTtlSeconds, rejectedVersion }, caller)
    return finish(connection, await opener.open(connection.row, caller), minTtlSeconds)
  }

  const openOne = async (id: ConnectionId, row: UsableRow | undefined, { request, caller }: Asked): Promise<ResolvedOne> =>
    await open(row, request, caller).then((resolved) => ({ id, resolved }), (error: unknown) => ({ id, error: requireOwn(error) }))

  const resolveRead = async ({ workspaceId, id }: Of, request: ResolveRequest, caller: Caller): Promise<Resolved> => {
    let found = await database.usable.find(workspaceId, id)
    if (found !== undefined && request.rejectedVersion === found.version_id && !isRenewable(await describeUsable(catalog, found))) {
      await refusals.count(requireUsable(found, { environment: request.environment, visible: caller.environments }), caller)
      // Somebody may have rotated it meanwhile: then the new one is what the caller is after.
      found = await database.usable.find(workspaceId, id)
    }
    const resolved = await open(found, request, caller)
    await ledger.record(recordUse(resolved.row, request, caller))
    return resolved
  }

  const resolveManyRead = async ({ workspaceId, ids }: OfMany, request: ResolveRequest, caller: Caller): Promise<ResolvedOne[]> => {
    const rows = await database.usable.findMany(workspaceId, ids)
    const results = await Promise.all(ids.map(async (id, index) => await openOne(id, rows[index], { request, caller })))
    await ledger.record(...results.map((result) => 'resolved' in result
      ? recordUse(result.resolved.row, request, caller)
      : recordRefusal(workspaceId, result, caller)))
    return results
  }

  return Object.freeze({
    resolve: async (of: Of, request: ResolveRequest, caller: Caller) => {
      const resolved = await resolveRemembered(of, request, caller) ?? await resolveRead(of, request, caller)
      metrics.resolves.inc({ result: 'ok' })
      return resolved
    },

    resolveMany: async ({ workspaceId, ids }: OfMany, request: ResolveRequest, caller: Caller) => {
      const remembered = await Promise.all(ids.map((id) => resolveRemembered({ workspaceId, id }, request, caller)))
      const others = ids.filter((_, place) => remembered[place] === undefined)
      const read = others.length === 0 ? [] : await resolveManyRead({ workspaceId, ids: others }, request, caller)
      const results = ids.map((id, place): ResolvedOne | undefined => remembered[place] === undefined ? read.shift() : { id, resolved: remembered[place] })
        .filter((result) => result !== undefined)
      for (const result of results) metrics.resolves.inc({ result: 'resolved' in result ? 'ok' : result.error.code })
      return results
    },
  })
}

/** What is one connection's own is a result; what would meet all of them is everybody's error. */
function requireOwn (error: unknown): VaultError {
  if (!isVaultError(error) || error.code === 'kek_unavailable' || error.code === 'database_unavailable' || error.code === 'overloaded') throw error
  return error
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
