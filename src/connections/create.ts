import { isNarrower, isPrivate, resolveDestination, type AuthScheme, type Destination, type Integration } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import type { Crypto, SealedWithKey, SecretFields } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { newId, type ConnectionId, type Environment, type GroupId, type WorkspaceId } from '../ids.ts'
import type { Ledger } from '../ledger/index.ts'
import {
  claimIdempotencyKey, findConnection, guard, holdAgentGroup, holdCurrentKey, insertConnection, insertVersion, isNameTaken, isUniqueViolation, whileKeyChanges,
  type ConnectionView, type Database, type Idempotency, type Tx, type UsableRow,
} from '../store/index.ts'
import type { Caller } from './caller.ts'
import { bindingOf, type VersionPlace } from './credential.ts'
import { requireNotPast } from './guards.ts'
import { listWarnings } from './warnings.ts'

/** A pasted credential, checked against its scheme and wrapped. */
export interface NewCredential {
  readonly integration: Integration
  readonly scheme: AuthScheme
  readonly secrets: SecretFields
  /** All config fields, those that decide the host included. */
  readonly config: Readonly<Record<string, string>>
  readonly previews: Readonly<Record<string, string>>
}

export interface NewConnection {
  readonly workspaceId: WorkspaceId
  readonly environment: Environment
  readonly name: string
  readonly credential: NewCredential
  readonly labels: Readonly<Record<string, string>>
  readonly expiresOn: string | undefined
  readonly allowedActions: readonly string[] | undefined
  readonly allowedHosts: readonly string[] | undefined
  readonly idempotency: Idempotency | undefined
}

export interface Created {
  readonly view: ConnectionView
  /** What whoever made it should know. */
  readonly warnings: readonly string[]
  /** An earlier request with the same idempotency key made it. */
  readonly replayed: boolean
}

export interface Creator {
  /** Throws `name_taken`, `hosts_invalid`, `actions_invalid`, `config_invalid`, `idempotency_conflict`, `request_invalid` for a day that is past. */
  create (request: NewConnection, caller: Caller): Promise<Created>
  /** Throws `name_taken` when a connection has it now. */
  requireFreeName (of: { workspaceId: WorkspaceId, environment: Environment, name: string }): Promise<void>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly crypto: Pick<Crypto, 'seal' | 'forgetCurrentKeys'>
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly clock: Clock
}

export function createCreator (options: Options): Creator {
  const { database, crypto, ledger, clock } = options

  const insert = async (tx: Tx, { request, version }: { request: NewConnection, version: SealedVersion }, caller: Caller): Promise<void> => {
    const { place } = version
    const { credential } = request
    await insertConnection(tx, {
      workspace_id: place.workspaceId, id: place.connectionId, environment: request.environment,
      integration: credential.integration.manifest.id, integration_revision: credential.integration.revision, auth: credential.scheme.id,
      name: request.name, name_key: foldName(request.name), health: 'active',
      config: JSON.stringify(omit(credential.config, place.hostConfig)), labels: JSON.stringify(request.labels),
      allowed_actions: request.allowedActions === undefined ? null : [...request.allowedActions],
      allowed_hosts: request.allowedHosts === undefined ? null : [...new Set(request.allowedHosts)], expires_on: request.expiresOn ?? null,
      current_version: place.versionId, last_version_number: 1, created_by: caller.by, updated_by: caller.by,
    })
    await requireGroup(tx, credential.integration, place)
    await insertSealedVersion(tx, version, { number: 1, previews: credential.previews, by: caller.by })
    await ledger.recordIn(tx, {
      event: 'connection.created', outcome: 'ok', principal: caller.principal, workspaceId: place.workspaceId, environment: request.environment,
      connectionId: place.connectionId, versionId: place.versionId, requestId: caller.requestId,
      details: { integration: credential.integration.manifest.id, auth: credential.scheme.id, hosts: [...place.hosts] },
    })
  }

  const createOnce = async (request: NewConnection, caller: Caller): Promise<{ id: ConnectionId, replayed: boolean } | undefined> => {
    const connectionId = newId('connection')
    const version = await sealVersion(crypto, { ...request, connectionId }, request.credential)
    return await database.transaction(async (tx) => {
      // Before the idempotency key, which would stay taken.
      if (!await holdCurrentKey(tx, request.workspaceId, version.sealed.keyId)) return undefined
      if (request.idempotency !== undefined) {
        const earlier = await claimIdempotencyKey(tx, { workspaceId: request.workspaceId, ...request.idempotency, resourceId: connectionId })
        if (earlier !== undefined) return { id: earlier as ConnectionId, replayed: true }
      }
      // Not of a repeat: what was made stays made.
      requireNotPast(request.expiresOn, clock.now())
      await insert(tx, { request, version }, caller)
      return { id: connectionId, replayed: false }
    })
  }

  return Object.freeze({
    create: async (request: NewConnection, caller: Caller) => {
      await requireKnownActions(request.credential.integration, request.allowedActions)
      const made = await whileKeyChanges(crypto, () => createOnce(request, caller)).catch((error: unknown) => { throw nameTaken(error) ?? error })
      const view = await guard(() => findConnection(database.db, request.workspaceId, made.id))
      if (view === undefined) throw new VaultError('idempotency_conflict', { detail: 'This key made a connection that has been deleted since.' })
      const warnings = await guard(() => listWarnings(database.db, { row: view, manifest: request.credential.integration.manifest }, caller.environments))
      return { view, warnings, replayed: made.replayed }
    },
    requireFreeName: async ({ workspaceId, environment, name }: { workspaceId: WorkspaceId, environment: Environment, name: string }) => {
      if (await guard(() => isNameTaken(database.db, { workspaceId, environment, nameKey: foldName(name) }))) throw new VaultError('name_taken')
    },
  })
}

/** A version sealed for its place, not stored yet. */
export interface SealedVersion {
  readonly place: VersionPlace
  readonly sealed: SealedWithKey
}

/** Allots the version's id and seals the credential for it and for the hosts it may go to. */
export async function sealVersion (
  crypto: Pick<Crypto, 'seal' | 'forgetCurrentKeys'>,
  of: { workspaceId: WorkspaceId, connectionId: ConnectionId, environment: Environment, allowedHosts: readonly string[] | undefined },
  credential: NewCredential,
): Promise<SealedVersion> {
  const server = { manifest: credential.integration.manifest, scheme: credential.scheme, environment: of.environment }
  const destination = narrow(resolveDestination(server, credential.config), of.allowedHosts)
  const closed = destination.hosts.find((host) => isClosed(host, credential.integration.closedHosts))
  if (closed !== undefined) throw new VaultError('config_invalid', { detail: `${closed} is a host of the operator’s own, which this integration may not reach.` })
  return await sealPlace(crypto, { ...of, hosts: destination.hosts, hostConfig: destination.hostConfig }, credential.secrets)
}

/** Exceptions always name a port. */
function isClosed (host: string, closed: ReadonlySet<string>): boolean {
  return closed.size > 0 && closed.has(/:\d+$/.test(host) ? host : `${host}:443`)
}

/** The same for a renewed token: it goes where the one before it went, unless it is told where else. */
export async function sealSuccessor (
  crypto: Pick<Crypto, 'seal' | 'forgetCurrentKeys'>, row: UsableRow, { secrets, moved }: { secrets: SecretFields, moved: Destination | undefined },
): Promise<SealedVersion> {
  const { hosts, hostConfig } = moved ?? { hosts: row.hosts, hostConfig: row.host_config }
  return await sealPlace(crypto, { workspaceId: row.workspace_id, connectionId: row.id, environment: row.environment, hosts, hostConfig }, secrets)
}

async function sealPlace (crypto: Pick<Crypto, 'seal' | 'forgetCurrentKeys'>, of: Omit<VersionPlace, 'versionId' | 'fieldSet'>, secrets: SecretFields): Promise<SealedVersion> {
  const { workspaceId, environment, connectionId, hosts, hostConfig } = of
  const place: VersionPlace = { workspaceId, environment, connectionId, versionId: newId('version'), fieldSet: Object.keys(secrets), hosts, hostConfig }
  return { place, sealed: await crypto.seal(bindingOf(place), secrets) }
}

interface VersionColumns {
  readonly number: number
  readonly previews: Readonly<Record<string, string>>
  readonly by: string
}

export async function insertSealedVersion (tx: Tx, version: SealedVersion, row: VersionColumns): Promise<void> {
  const { place, sealed } = version
  await insertVersion(tx, {
    workspace_id: place.workspaceId, connection_id: place.connectionId, id: place.versionId, number: row.number, environment: place.environment,
    state: 'current', field_set: [...place.fieldSet], hosts: [...place.hosts], host_config: JSON.stringify(place.hostConfig),
    previews: JSON.stringify(row.previews), sealed: sealed.sealed, key_id: sealed.keyId, created_by: row.by,
  })
}

function narrow (destination: Destination, allowedHosts: readonly string[] | undefined): Destination {
  if (allowedHosts === undefined) return destination
  const wrong = allowedHosts.find((host) => !isNarrower(host, destination.hosts))
  if (wrong !== undefined || allowedHosts.length === 0) {
    throw new VaultError('hosts_invalid', { detail: `This connection’s credential may go to: ${destination.hosts.join(', ')}.` })
  }
  const { tokenHost } = destination
  return { ...destination, hosts: [...new Set([...allowedHosts, ...tokenHost === undefined ? [] : [tokenHost]])] }
}

export async function requireKnownActions (integration: Integration, actions: readonly string[] | null | undefined): Promise<void> {
  const unknown = actions === null || actions === undefined ? [] : await integration.listUnknown(actions)
  if (unknown.length > 0) throw new VaultError('actions_invalid', { detail: `${integration.manifest.name} has no action called ${unknown.slice(0, 5).join(', ')}.` })
}

/** A private connection's group has to be there, in the same environment, and stays as long as the version that names it. */
export async function requireGroup (tx: Tx, { manifest }: Integration, { workspaceId, environment, hostConfig }: VersionPlace): Promise<void> {
  if (!isPrivate(manifest) || await holdAgentGroup(tx, { workspaceId, id: hostConfig['group'] as GroupId }, environment)) return
  throw new VaultError('config_invalid', { detail: 'There is no such agent group in this environment.', errors: [{ pointer: '/config/group', message: 'is no agent group of this environment' }] })
}

/** How names are compared: NFKC and lower case, so that look-alikes of one word are one name. */
export function foldName (name: string): string {
  return name.normalize('NFKC').toLowerCase().trim()
}

export function nameTaken (error: unknown): VaultError | undefined {
  return isUniqueViolation(error, 'connections_name') ? new VaultError('name_taken') : undefined
}

export function omit (config: Readonly<Record<string, string>>, without: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(config).filter(([name]) => !Object.hasOwn(without, name)))
}
