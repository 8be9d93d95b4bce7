import { isNarrower, type Catalog } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import type { Crypto } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { Ledger } from '../ledger/index.ts'
import {
  claimIdempotencyKey, findConnection, findRollbackVersion, guard, holdCurrentKey, isRepeated, listVersions, retireCurrentVersion, swapVersions,
  updateConnection, whileKeyChanges,
  type ConnectionRow, type ConnectionView, type Database, type Idempotency, type Tx, type UsableRow, type VersionRow,
} from '../store/index.ts'
import type { Caller } from './caller.ts'
import { insertSealedVersion, omit, requireGroup, sealVersion, type Created, type NewCredential, type SealedVersion } from './create.ts'
import { describeUsable, type VersionPlace } from './credential.ts'
import { recordOf, recoveryOf, requireLocked, requireView, type Of } from './edit.ts'
import { requireNotPast } from './guards.ts'
import type { Tester, TestResult } from './test.ts'
import { describeUntested, listWarnings } from './warnings.ts'

export interface Rotation {
  readonly credential: NewCredential
  /** The connection as it was when the new credential was checked against its config. */
  readonly seen: ConnectionView
  /** Ask the provider first; a refused credential changes nothing. Where there is nothing to ask it, a warning says so. */
  readonly test: boolean
  /** How long the replaced version can be rolled back to; 0 destroys it at once. */
  readonly graceSeconds: number
  readonly allowedHosts: readonly string[] | undefined
  /** The last day of the new credential, where it has one: that of the one before is not its own. */
  readonly expiresOn: string | undefined
  readonly idempotency?: Idempotency | undefined
}

export interface Rotator {
  /** From the next call on everybody gets the new credential. Throws `credential_refused`, `upstream_unreachable`, `etag_mismatch`, `idempotency_conflict`, `request_invalid` for a day that is past. */
  rotate (of: Of, rotation: Rotation, caller: Caller): Promise<Created>
  /** Points back to the previous version while its grace lasts. Throws `rollback_unavailable`. */
  rollback (of: Of, caller: Caller): Promise<ConnectionView>
  listVersions (of: Of, caller: Caller): Promise<VersionRow[]>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly catalog: Catalog
  readonly crypto: Pick<Crypto, 'seal' | 'forgetCurrentKeys'>
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly tester: Pick<Tester, 'testCredential'>
  readonly clock: Clock
}

export function createRotator (options: Options): Rotator {
  const { database, crypto, ledger, clock } = options
  const tryOut = createTrial(options)

  const replace = async (tx: Tx, row: ConnectionRow, by: { rotation: Rotation, version: SealedVersion, account: TestResult['account'], caller: Caller }): Promise<void> => {
    const { rotation, version, account, caller } = by
    const number = row.last_version_number + 1
    await requireGroup(tx, rotation.credential.integration, version.place)
    await retireCurrentVersion(tx, row, rotation.graceSeconds)
    await insertSealedVersion(tx, version, { number, previews: rotation.credential.previews, by: caller.by })
    await updateConnection(tx, row, {
      current_version: version.place.versionId, last_version_number: number, health: 'active', health_reason: null, refusals: 0,
      config: JSON.stringify(omit(rotation.credential.config, version.place.hostConfig)),
      allowed_hosts: rotation.allowedHosts === undefined ? keepNarrowing(row, version.place.hosts) : [...new Set(rotation.allowedHosts)],
      // Of a credential that was not tested nobody knows whose it is: it may be another account's than the one before.
      account_id: account?.id ?? null, account_label: account?.label ?? null, expires_on: rotation.expiresOn ?? null, updated_by: caller.by,
    })
    const details = { replaced: row.current_version, grace_seconds: rotation.graceSeconds, hosts: [...version.place.hosts] }
    const done = { ...recordOf('connection.rotated', { row, caller }, details), versionId: version.place.versionId }
    await ledger.recordIn(tx, done, ...recoveryOf(row, done))
  }

  return Object.freeze({
    rotate: async (of: Of, rotation: Rotation, caller: Caller) => {
      const { manifest } = rotation.credential.integration
      let account: TestResult['account'] = null
      return await whileKeyChanges(crypto, async (first) => {
        const place = { workspaceId: of.workspaceId, connectionId: of.id, environment: rotation.seen.environment, allowedHosts: rotation.allowedHosts }
        const version = await sealVersion(crypto, place, rotation.credential)
        if (rotation.test && first && manifest.test !== undefined) account = await tryOut(rotation, version, caller)
        return await database.transaction(async (tx) => {
          if (!await holdCurrentKey(tx, of.workspaceId, version.sealed.keyId)) return undefined
          const row = await requireLocked(tx, of, caller)
          const replayed = await isRepeat(tx, version.place, rotation.idempotency)
          if (!replayed && row.revision !== rotation.seen.revision) throw new VaultError('etag_mismatch', { detail: 'The connection was changed while the new credential was being checked; nothing was replaced. Repeat.' })
          if (!replayed) requireNotPast(rotation.expiresOn, clock.now())
          if (!replayed) await replace(tx, row, { rotation, version, account, caller })
          const view = await requireView(tx, of)
          const untested = rotation.test && manifest.test === undefined ? [describeUntested(manifest)] : []
          return { view, warnings: [...untested, ...await listWarnings(tx, { row: view, manifest }, caller.environments)], replayed }
        })
      })
    },

    rollback: async (of: Of, caller: Caller) => await database.transaction(async (tx) => {
      const row = await requireLocked(tx, of, caller)
      const previous = await findRollbackVersion(tx, row)
      if (previous === undefined) throw new VaultError('rollback_unavailable', { detail: 'The previous version is past its grace, or there was none.' })
      await swapVersions(tx, row, previous)
      await updateConnection(tx, row, {
        current_version: previous.id, health: 'active', health_reason: null, refusals: 0,
        // The day that is there was entered for the credential that goes.
        allowed_hosts: keepNarrowing(row, previous.hosts), account_id: null, account_label: null, expires_on: null, updated_by: caller.by,
      })
      const done = { ...recordOf('connection.rolled_back', { row, caller }, { replaced: row.current_version }), versionId: previous.id }
      await ledger.recordIn(tx, done, ...recoveryOf(row, done))
      return await requireView(tx, of)
    }),

    listVersions: async (of: Of, caller: Caller) => await guard(async () => {
      const view = await findConnection(database.db, of.workspaceId, of.id)
      if (view === undefined || !caller.environments.includes(view.environment)) throw new VaultError('not_found')
      return await listVersions(database.db, view)
    }),
  })
}

type Trial = (rotation: Rotation, version: SealedVersion, caller: Caller) => Promise<TestResult['account']>

/** Asks the provider about a credential that is not stored yet; answers whose it is, as far as that is told. For a repeat it was asked, and may refuse by now what it took. */
function createTrial ({ database, catalog, tester }: Pick<Options, 'database' | 'catalog' | 'tester'>): Trial {
  return async ({ credential, seen, idempotency }, version, caller) => {
    const { workspaceId } = version.place
    if (idempotency !== undefined && await guard(() => isRepeated(database.db, { workspaceId, ...idempotency }))) return null
    const connection = await describeUsable(catalog, asUsable(seen, version, credential))
    const tested = await tester.testCredential({ ...connection, hosts: version.place.hosts }, credential.secrets, caller)
    if (tested.result === 'auth_failed') throw new VaultError('credential_refused', { detail: tested.detail })
    if (tested.result === 'unreachable') throw new VaultError('upstream_unreachable', { detail: `${tested.detail} The credential could not be tested and nothing was changed.` })
    return tested.account
  }
}

/** Whether an earlier request under this key has done it. Throws `idempotency_conflict`. */
async function isRepeat (tx: Tx, { workspaceId, versionId }: VersionPlace, idempotency: Idempotency | undefined): Promise<boolean> {
  if (idempotency === undefined) return false
  return await claimIdempotencyKey(tx, { workspaceId, ...idempotency, resourceId: versionId, conflict: 'This key was used with another request.' }) !== undefined
}

/** A limit on hosts outlives a change of the credential as long as it still is one; a host that moved makes it void. */
export function keepNarrowing (row: ConnectionRow, hosts: readonly string[]): string[] | null {
  return row.allowed_hosts?.every((host) => isNarrower(host, hosts)) === true ? row.allowed_hosts : null
}

/** The connection as it will be with a version that is not stored yet. */
function asUsable (seen: ConnectionView, version: SealedVersion, credential: NewCredential): UsableRow {
  return {
    ...seen, version_id: version.place.versionId, field_set: [...version.place.fieldSet], hosts: [...version.place.hosts],
    config: omit(credential.config, version.place.hostConfig), host_config: { ...version.place.hostConfig }, sealed: null,
    app_owner: null, app_id: null, token_expires_at: null, token_ttl: null, token_life: null,
  }
}
