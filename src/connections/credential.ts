import { isLinked, isNarrower, resolveDestination, type AuthScheme, type Catalog, type Integration } from '../catalog/index.ts'
import type { BindingContext, Crypto, SecretFields } from '../crypto/index.ts'
import { isVaultError, VaultError } from '../errors.ts'
import type { ConnectionId, Environment, VersionId, WorkspaceId } from '../ids.ts'
import type { Ledger } from '../ledger/index.ts'
import type { Metrics } from '../metrics.ts'
import { guard, type UsableRow, type UsableTable } from '../store/index.ts'
import type { Caller } from './caller.ts'

/** What a version is bound to; every part of it is stored beside the sealed bytes and none can be updated. */
export interface VersionPlace {
  readonly workspaceId: WorkspaceId
  readonly environment: Environment
  readonly connectionId: ConnectionId
  readonly versionId: VersionId
  readonly fieldSet: readonly string[]
  readonly hosts: readonly string[]
  readonly hostConfig: Readonly<Record<string, string>>
}

export function bindingOf (place: VersionPlace): BindingContext {
  return {
    purpose: 'connection-credential',
    scope: { kind: 'workspace', workspaceId: place.workspaceId, environment: place.environment },
    ownerId: place.connectionId,
    versionId: place.versionId,
    fieldSet: place.fieldSet,
    hosts: place.hosts,
    hostConfig: place.hostConfig,
  }
}

/** A connection ready for a call, its credential still sealed. */
export interface UsableConnection {
  readonly row: UsableRow
  readonly integration: Integration
  readonly scheme: AuthScheme
  readonly config: Readonly<Record<string, string>>
  readonly baseUrl: string
  /** Where the credential may go: sealed with it, narrowed by the connection. */
  readonly hosts: readonly string[]
}

/** A row is described once, as long as it is remembered. */
const described = new WeakMap<UsableRow, UsableConnection>()

/** What `describeUsable` has found of this very row; undefined when it has not been asked. */
export function describedAs (row: UsableRow): UsableConnection | undefined {
  return described.get(row)
}

/** Puts what the catalog knows to a row. Throws `integration_unknown` when its manifest has gone. */
export async function describeUsable (catalog: Catalog, row: UsableRow): Promise<UsableConnection> {
  // Not awaited where it need not be: this is on every call's way.
  const { integration: id, integration_revision: revision } = row
  const integration = revision === null ? catalog.require(id) : await catalog.requireIn(row.workspace_id, id, revision)
  const scheme = integration.requireScheme(row.auth)
  const config = { ...row.config, ...row.host_config }
  const { baseUrl } = resolveDestination({ manifest: integration.manifest, scheme, environment: row.environment }, config)
  const connection = { row, integration, scheme, config, baseUrl, hosts: row.allowed_hosts?.filter((host) => isNarrower(host, row.hosts)) ?? row.hosts }
  described.set(row, connection)
  return connection
}

/** The scheme of an account that was linked in a browser; undefined for what was pasted, as are all credentials of Custom APIs. */
export function findLinkedScheme (catalog: Catalog, of: Pick<UsableRow, 'integration' | 'integration_revision' | 'auth'>): AuthScheme | undefined {
  const scheme = of.integration_revision === null ? catalog.require(of.integration).requireScheme(of.auth) : undefined
  return scheme !== undefined && isLinked(scheme) ? scheme : undefined
}

export interface CredentialOpener {
  /** Decrypts. A failure of integrity goes on record, with nothing of the data. */
  open (row: UsableRow, caller: Caller): Promise<SecretFields>
  /** For a row that is only remembered, without waiting for anything: undefined where it was not opened before, or does not open, of which nothing follows. */
  openAgain (row: UsableRow): SecretFields | undefined
}

interface OpenerOptions {
  readonly database: { readonly usable: Pick<UsableTable, 'find'> }
  readonly crypto: Pick<Crypto, 'open' | 'openAgain'>
  readonly ledger: Pick<Ledger, 'recordSoon'>
  readonly metrics: Pick<Metrics, 'integrityFailures'>
}

export function createCredentialOpener ({ database, crypto, ledger, metrics }: OpenerOptions): CredentialOpener {
  return Object.freeze({
    openAgain: (row: UsableRow) => row.sealed === null ? undefined : crypto.openAgain(contextOf(row), row.sealed),
    open: async (row: UsableRow, caller: Caller) => {
      try {
        if (row.sealed === null) throw new VaultError('integrity_failure', { detail: 'The current version holds no credential.' })
        // What narrows is not sealed: written by whoever may write rows, it would widen.
        if (row.allowed_hosts?.every((host) => isNarrower(host, row.hosts)) === false) throw new VaultError('integrity_failure', { detail: 'The connection names hosts that its credential was not sealed for.' })
        return await crypto.open(contextOf(row), row.sealed, caller.stepAside)
      } catch (error) {
        if (isVaultError(error, 'integrity_failure')) {
          // Deleted since it was read, and with it its workspace's keys.
          if (await guard(() => database.usable.find(row.workspace_id, row.id)) === undefined) throw new VaultError('not_found')
          metrics.integrityFailures.inc()
          ledger.recordSoon({
            event: 'integrity.failed', outcome: 'failed', reason: 'integrity_failure', principal: caller.principal, workspaceId: row.workspace_id,
            environment: row.environment, connectionId: row.id, versionId: row.version_id, requestId: caller.requestId,
          })
        }
        throw error
      }
    },
  })
}

/** One object for each row, as long as that is remembered: what has been opened once is known by it. */
const contexts = new WeakMap<UsableRow, BindingContext>()

function contextOf (row: UsableRow): BindingContext {
  const known = contexts.get(row)
  if (known !== undefined) return known
  const context = bindingOf(placeOf(row))
  contexts.set(row, context)
  return context
}

function placeOf (row: UsableRow): VersionPlace {
  return {
    workspaceId: row.workspace_id, environment: row.environment, connectionId: row.id, versionId: row.version_id,
    fieldSet: row.field_set, hosts: row.hosts, hostConfig: row.host_config,
  }
}
