import { decidesHost, isNarrower, issuedFields, judgeConfig, type Catalog, type Integration } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import { VaultError } from '../errors.ts'
import type { ConnectionId, WorkspaceId } from '../ids.ts'
import type { AuditEventName, AuditRecord, Ledger } from '../ledger/index.ts'
import { requireRevision, type Expected } from '../revision.ts'
import {
  deleteConnection, findConnection, getVersion, listReferences, listUses, lockConnection, setDisabled, updateConnection,
  type ConnectionRow, type ConnectionView, type Database, type ReferenceRow, type Tx, type UseRow,
} from '../store/index.ts'
import type { Caller } from './caller.ts'
import { foldName, nameTaken, requireKnownActions } from './create.ts'
import { requireNotPast } from './guards.ts'
import type { Revoker } from './revoke.ts'

/** What a PATCH may say; null takes a limit or a value away. */
export interface ConnectionChanges {
  readonly name?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly expires_on?: string | null | undefined
  readonly allowed_actions?: readonly string[] | null | undefined
  readonly allowed_hosts?: readonly string[] | null | undefined
  readonly config?: Readonly<Record<string, string>> | undefined
}

export interface Edit {
  readonly changes: ConnectionChanges
  /** What the changes were made from. */
  readonly expected: Expected
}

export interface Removal {
  /** Although it is in use. */
  readonly force: boolean
  /** What the caller knows it as. */
  readonly expected: Expected
}

export interface Editor {
  /** Throws `not_found`, `etag_mismatch`, `name_taken`, `hosts_invalid`, `actions_invalid`, `config_invalid`, `request_invalid` for a day that is past. */
  update (of: Of, edit: Edit, caller: Caller): Promise<ConnectionView>
  /** Doing either twice changes nothing. */
  setDisabled (of: Of, disabled: boolean, caller: Caller): Promise<ConnectionView>
  /** Throws `etag_mismatch`, and `connection_in_use` with the places, unless forced. */
  remove (of: Of, removal: Removal, caller: Caller): Promise<void>
}

export interface Of {
  readonly workspaceId: WorkspaceId
  readonly id: ConnectionId
}

/** A use longer ago does not keep a connection from being deleted. */
const LATELY_DAYS = 30

interface Options {
  readonly database: Pick<Database, 'transaction'>
  readonly catalog: Catalog
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly revoker: Revoker
  readonly clock: Clock
}

export function createEditor (options: Options): Editor {
  const { database, catalog, ledger, revoker, clock } = options

  const change = async (of: Of, caller: Caller, work: (tx: Tx, row: ConnectionRow) => Promise<void>): Promise<ConnectionView> =>
    await database.transaction(async (tx) => {
      await work(tx, await requireLocked(tx, of, caller))
      return await requireView(tx, of)
    })

  return Object.freeze({
    update: async (of: Of, { changes, expected }: Edit, caller: Caller) => await change(of, caller, async (tx, row) => {
      requireRevision(row.revision, expected)
      // The one that is there may be sent back with the rest.
      if (changes.expires_on !== row.expires_on) requireNotPast(changes.expires_on, clock.now())
      const integration = await catalog.requireIn(row.workspace_id, row.integration, row.integration_revision)
      const set = await judgeChanges(tx, { row, integration }, changes)
      const config = Object.entries(changes.config ?? {}).sort().flatMap(([name, to]) => [[`config.${name}.from`, row.config[name] ?? null], [`config.${name}`, to.trim()]])
      await updateConnection(tx, row, { ...set, updated_by: caller.by }).catch((error: unknown) => { throw nameTaken(error) ?? error })
      await ledger.recordIn(tx, recordOf('connection.updated', { row, caller }, { changed: Object.keys(changes).sort(), ...Object.fromEntries(config) as Record<string, string | null> }))
    }),

    setDisabled: async (of: Of, disabled: boolean, caller: Caller) => await change(of, caller, async (tx, row) => {
      if ((row.disabled_at !== null) === disabled) return
      await setDisabled(tx, row, { disabled, by: caller.by })
      await ledger.recordIn(tx, recordOf(disabled ? 'connection.disabled' : 'connection.enabled', { row, caller }))
    }),

    remove: async (of: Of, { force, expected }: Removal, caller: Caller) => {
      revoker.soon(await database.transaction(async (tx) => {
        const row = await requireLocked(tx, of, caller)
        requireRevision(row.revision, expected)
        const references = await listReferences(tx, row)
        const uses = await listUses(tx, row, LATELY_DAYS)
        if (!force && references.length + uses.length > 0) throw inUse(references, uses)
        const revocation = await revoker.discardConnection(tx, row, 'connection_deleted')
        await deleteConnection(tx, row)
        await ledger.recordIn(tx, recordOf('connection.deleted', { row, caller }, { integration: row.integration, forced: force }))
        return revocation
      }))
    },
  })
}

/** The row, locked, if the caller may see it. Throws `not_found`. */
export async function requireLocked (tx: Tx, of: Of, caller: Caller): Promise<ConnectionRow> {
  const row = await lockConnection(tx, of.workspaceId, of.id)
  if (row === undefined || !caller.environments.includes(row.environment)) throw new VaultError('not_found')
  return row
}

export async function requireView (tx: Tx, of: Of): Promise<ConnectionView> {
  const view = await findConnection(tx, of.workspaceId, of.id)
  if (view === undefined) throw new VaultError('not_found')
  return view
}

/** The record of a change of this connection. */
export function recordOf (event: AuditEventName, { row, caller }: { row: ConnectionRow, caller: Caller }, details?: AuditRecord['details']): AuditRecord {
  return {
    event, outcome: 'ok', principal: caller.principal, workspaceId: row.workspace_id, environment: row.environment,
    connectionId: row.id, versionId: row.current_version, requestId: caller.requestId, details,
  }
}

/** With a new credential a connection works again, as far as anybody knows: said if it did not before. */
export function recoveryOf (before: ConnectionRow, done: AuditRecord): AuditRecord[] {
  return before.health === 'active' ? [] : [{ ...done, event: 'connection.recovered', details: undefined }]
}

interface Edited {
  readonly row: ConnectionRow
  readonly integration: Integration
}

async function judgeChanges (tx: Tx, { row, integration }: Edited, changes: ConnectionChanges) {
  await requireKnownActions(integration, changes.allowed_actions)
  if (changes.allowed_hosts !== undefined) await requireNarrowing(tx, row, changes.allowed_hosts)
  const config = changes.config === undefined ? undefined : mergeConfig({ row, integration }, changes.config)
  return {
    ...changes.name !== undefined && { name: changes.name, name_key: foldName(changes.name) },
    ...changes.labels !== undefined && { labels: JSON.stringify(changes.labels) },
    ...changes.expires_on !== undefined && { expires_on: changes.expires_on },
    ...changes.allowed_actions !== undefined && { allowed_actions: changes.allowed_actions === null ? null : [...changes.allowed_actions] },
    ...changes.allowed_hosts !== undefined && { allowed_hosts: changes.allowed_hosts === null ? null : [...changes.allowed_hosts] },
    ...config !== undefined && { config: JSON.stringify(config) },
  }
}

/** Nobody who may edit a connection can send its credential anywhere new: hosts only ever get fewer. */
async function requireNarrowing (tx: Tx, row: ConnectionRow, wanted: readonly string[] | null): Promise<void> {
  const { hosts } = await getVersion(tx, row, row.current_version)
  const allowed = row.allowed_hosts ?? hosts
  const list = wanted ?? hosts
  if (list.length === 0 || !list.every((host) => isNarrower(host, allowed))) {
    throw new VaultError('hosts_invalid', { detail: `The hosts may only be narrowed within: ${allowed.join(', ')}.` })
  }
}

function mergeConfig ({ row, integration }: Edited, config: Readonly<Record<string, string>>): Record<string, string> {
  const scheme = integration.requireScheme(row.auth)
  const errors = [
    ...judgeConfig(scheme, row.environment, config),
    ...Object.keys(config).filter((name) => decidesHost(integration.manifest, scheme, name))
      .map((name) => ({ pointer: `/config/${name}`, message: 'decides where the credential goes: change it by rotate, with the credential' })),
    ...Object.keys(config).filter((name) => issuedFields(scheme).has(name) && !decidesHost(integration.manifest, scheme, name))
      .map((name) => ({ pointer: `/config/${name}`, message: 'is what the account was linked for: link it again to change it' })),
  ]
  if (errors.length > 0) throw new VaultError('config_invalid', { detail: 'The config can’t be changed this way.', errors })
  return { ...row.config, ...Object.fromEntries(Object.entries(config).map(([name, value]) => [name, value.trim()])) }
}

function inUse (references: readonly ReferenceRow[], uses: readonly UseRow[]): VaultError {
  return new VaultError('connection_in_use', {
    detail: 'Procedures point at this connection, or it was used in the last 30 days: `in_use` lists them. Delete with `force=true` all the same.',
    meta: {
      in_use: {
        references: references.map(({ procedure_id, step_id, label }) => ({ procedure_id, step_id, label })),
        uses: uses.map(({ procedure_id, step_id, last_used_at }) => ({ procedure_id, step_id, last_used_at: last_used_at.toISOString() })),
      },
    },
  })
}
