import { isSameSecret, type BindingContext, type Crypto, type KeyScope, type Secret } from '../crypto/index.ts'
import { isVaultError, VaultError } from '../errors.ts'
import { GLOBAL_OWNER, newId, type AppId, type AppOwner, type Environment, type WorkspaceId } from '../ids.ts'
import type { AuditPrincipal, Ledger } from '../ledger/index.ts'
import { requireRevision, type Expected } from '../revision.ts'
import {
  sealedColumn,
  countGrants, deleteApp, findApp, findAppById, findAppFor, guard, holdCurrentKey, insertApp, isUniqueViolation, listApps, listAppSecrets, lockApp,
  replaceAppSecret, updateApp, type AppPlace, type AppRow, type AppSecretRow, type Database, type Tx,
} from '../store/index.ts'

/** Who changes an app, as the audit has it. */
export interface AppCaller {
  readonly principal: AuditPrincipal
  readonly by: string
  readonly requestId: string | undefined
}

export interface AppSettings {
  readonly clientId: string
  /** Undefined keeps the one there is, and so does the same again. */
  readonly clientSecret: Secret | undefined
  /** Its last characters, for those who manage it. */
  readonly preview: string
  /** By auth scheme; the manifest's own where a scheme is not named. Undefined keeps what there is. */
  readonly scopes: Readonly<Record<string, readonly string[]>> | undefined
  /** How long the secret before stays valid beside a new one; with 0 seconds there is none, also where the secret is no new one. */
  readonly overlapSeconds: number
  /** Undefined: whatever there is, or nothing. */
  readonly expected?: Expected
  /** Hosts the secret may be sent to: those of the provider's token and revocation endpoints. */
  readonly hosts: readonly string[]
}

/** A client secret that is valid now. */
export interface OpenSecret {
  readonly id: string
  readonly secret: Secret
  readonly hosts: readonly string[]
}

export interface OAuthApps {
  /** Makes the app or changes it. Throws `oauth_app_invalid` when a new one has no secret, `etag_mismatch`. */
  put (place: AppPlace, settings: AppSettings, caller: AppCaller): Promise<{ app: AppRow, created: boolean }>
  /** Throws `not_found`. */
  get (place: AppPlace): Promise<AppRow>
  list (owner: AppOwner, environments: readonly Environment[]): Promise<AppRow[]>
  /** Throws `not_found`, `etag_mismatch`, and `oauth_app_in_use` while connections live on its grants, unless forced. */
  remove (place: AppPlace, removal: Removal, caller: AppCaller): Promise<void>
  /** The app a workspace links with: its own, else the vault's. */
  find (of: { workspaceId: WorkspaceId, integration: string, environment: Environment }): Promise<AppRow | undefined>
  findById (owner: AppOwner, id: AppId): Promise<AppRow | undefined>
  /** The current secret, and during a rotation the one before. Throws `integrity_failure`. */
  open (app: AppRow): Promise<OpenSecret[]>
}

export interface Removal {
  readonly force: boolean
  readonly expected?: Expected
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly crypto: Pick<Crypto, 'seal' | 'open' | 'forgetCurrentKeys'>
  readonly ledger: Pick<Ledger, 'recordIn'>
}

const KEY_RACES_MAX = 3

export function createOAuthApps (options: Options): OAuthApps {
  const { database, crypto } = options
  const putOnce = createWriter(options)

  const get = async (place: AppPlace): Promise<AppRow> => {
    const app = await guard(() => findApp(database.db, place))
    if (app === undefined) throw new VaultError('not_found')
    return app
  }

  return Object.freeze({
    get,
    put: async (place: AppPlace, settings: AppSettings, caller: AppCaller) => {
      for (let race = 0; race < KEY_RACES_MAX; race++) {
        const created = await putOnce(place, settings, caller)
        if (created !== undefined) return { app: await get(place), created }
        crypto.forgetCurrentKeys()
      }
      throw new VaultError('overloaded', { detail: 'The app is being changed by somebody else.', retryAfterSeconds: 1 })
    },
    list: async (owner: AppOwner, environments: readonly Environment[]) => await guard(() => listApps(database.db, owner, environments)),
    remove: async (place: AppPlace, { force, expected }: Removal, caller: AppCaller) => {
      await database.transaction(async (tx) => {
        const row = await lockApp(tx, place)
        if (row === undefined) throw new VaultError('not_found')
        requireRevision(row.revision, expected)
        const grants = await countGrants(tx, row.id)
        if (grants > 0 && !force) {
          throw new VaultError('oauth_app_in_use', { detail: `${grants} connections were linked through this app and could not be refreshed or revoked without it.` })
        }
        await deleteApp(tx, row)
        await options.ledger.recordIn(tx, recordOf('oauth_app.deleted', { place, id: row.id }, { caller, details: { forced: force, grants } }))
      })
    },
    find: async (of: { workspaceId: WorkspaceId, integration: string, environment: Environment }) => await guard(() => findAppFor(database.db, of)),
    findById: async (owner: AppOwner, id: AppId) => await guard(() => findAppById(database.db, owner, id)),
    open: async (app: AppRow) => {
      const rows = await guard(() => listAppSecrets(database.db, app.workspace_id, app.id))
      return await Promise.all(rows.map(async (row) => await openSecret(crypto, app, row)))
    },
  })
}

async function openSecret (crypto: Pick<Crypto, 'open'>, app: AppRow, row: AppSecretRow): Promise<OpenSecret> {
  const opened = row.sealed === null ? {} : await crypto.open(bindingOf({ owner: app.workspace_id, ...app }, row), row.sealed)
  if (opened['client_secret'] === undefined) throw new VaultError('integrity_failure')
  return { id: row.id, secret: opened['client_secret'], hosts: row.hosts }
}

/**
 * Whether a secret that is entered is the current one: who repeats a request must not end the overlap, in which the one before
 * may be all that the provider takes.
 */
function createComparison ({ database, crypto }: Options): (app: AppRow, settings: AppSettings) => Promise<boolean> {
  return async (app, { clientId, clientSecret, overlapSeconds, hosts }) => {
    if (clientSecret === undefined || clientId !== app.client_id || overlapSeconds === 0) return false
    const [row] = await guard(() => listAppSecrets(database.db, app.workspace_id, app.id))
    // Entered again is how it comes to be sealed for hosts that have moved.
    if (row?.state !== 'current' || row.hosts.length !== hosts.length || !hosts.every((host) => row.hosts.includes(host))) return false
    try {
      return isSameSecret((await openSecret(crypto, app, row)).secret, clientSecret)
    } catch (error) {
      // Entered again is also how one is mended that does not open.
      if (isVaultError(error, 'integrity_failure')) return false
      throw error
    }
  }
}

/** One attempt to make or change an app: whether it was made; undefined when the key, or the row, was replaced by another in between. */
function createWriter (options: Options): (place: AppPlace, settings: AppSettings, caller: AppCaller) => Promise<boolean | undefined> {
  const { database, crypto, ledger } = options
  const isCurrent = createComparison(options)

  const seal = async (place: AppPlace, appId: AppId, settings: AppSettings) => {
    if (settings.clientSecret === undefined) return undefined
    const id = newId('version')
    const sealed = await crypto.seal(bindingOf({ ...place, id: appId }, { id, hosts: settings.hosts }), { client_secret: settings.clientSecret })
    return { id, ...sealed }
  }

  const write = async (tx: Tx, place: AppPlace, { row, settings, appId, sealed, caller }: Writing): Promise<boolean> => {
    if (row === undefined && sealed === undefined) throw missingSecret()
    const number = (row?.last_secret_number ?? 0) + (sealed === undefined ? 0 : 1)
    const scopes = settings.scopes ?? row?.scopes ?? {}
    const columns = { client_id: settings.clientId, scopes: JSON.stringify(scopes), last_secret_number: number, updated_by: caller.by }
    if (row === undefined) {
      const { owner, integration, environment } = place
      await insertApp(tx, { ...columns, workspace_id: owner, id: appId, integration, environment, created_by: caller.by })
    } else await updateApp(tx, row, columns)
    if (sealed !== undefined) {
      // The secret before is another registration's when the client id changes: it is of no use then.
      const grace = row?.client_id === settings.clientId ? settings.overlapSeconds : 0
      await replaceAppSecret(tx, {
        workspace_id: place.owner, environment: place.environment, app_id: appId, id: sealed.id, number, state: 'current', hosts: [...settings.hosts], preview: settings.preview,
        sealed: sealed.sealed, key_id: sealed.keyId, created_by: caller.by,
      }, grace)
    }
    const event = row === undefined ? 'oauth_app.created' : 'oauth_app.updated'
    await ledger.recordIn(tx, recordOf(event, { place, id: appId }, { caller, details: { secret_replaced: sealed !== undefined } }))
    return row === undefined
  }

  return async (place, settings, caller) => {
    const known = await guard(() => findApp(database.db, place))
    const appId = known?.id ?? newId('app')
    const sealed = known !== undefined && await isCurrent(known, settings) ? undefined : await seal(place, appId, settings)
    return await database.transaction(async (tx) => {
      if (sealed !== undefined && !await holdCurrentKey(tx, place.owner, sealed.keyId)) return undefined
      const row = await lockApp(tx, place)
      requireRevision(row?.revision, settings.expected)
      // What was found of the secret holds while there is no newer one.
      if (row?.id !== known?.id || row?.last_secret_number !== known?.last_secret_number) return undefined
      return await write(tx, place, { row, settings, appId, sealed, caller })
    }).catch((error: unknown) => {
      if (isUniqueViolation(error, 'oauth_apps_place')) return undefined
      throw error
    })
  }
}

interface Writing {
  readonly row: Awaited<ReturnType<typeof lockApp>>
  readonly settings: AppSettings
  readonly appId: AppId
  readonly sealed: Awaited<ReturnType<Crypto['seal']>> & { readonly id: ReturnType<typeof newId<'version'>> } | undefined
  readonly caller: AppCaller
}

export const APP_SECRET_COLUMN = sealedColumn({
  table: 'oauth_app_secrets', column: 'sealed', id: ['workspace_id', 'app_id', 'id'], owners: ['system', 'workspace'], bound: ['environment', 'hosts'],
  bindingOf: (row) => bindingOf({ owner: row.workspace_id, environment: row.environment, id: row.app_id }, row),
})

/** The vault's own apps are sealed under the vault's own key, a workspace's under its own. */
function bindingOf (app: { owner: AppOwner, environment: Environment, id: AppId }, secret: { id: string, hosts: readonly string[] }): BindingContext {
  const scope: KeyScope = app.owner === GLOBAL_OWNER ? { kind: 'system' } : { kind: 'workspace', workspaceId: app.owner, environment: app.environment }
  return { purpose: 'oauth-client-secret', scope, ownerId: app.id, versionId: secret.id, fieldSet: ['client_secret'], hosts: secret.hosts, hostConfig: {} }
}

function missingSecret (): VaultError {
  return new VaultError('oauth_app_invalid', { detail: 'A new app needs its client secret.', errors: [{ pointer: '/client_secret', message: 'is required: there is none yet' }] })
}

interface Said {
  readonly caller: AppCaller
  readonly details: Readonly<Record<string, boolean | number>>
}

function recordOf (event: 'oauth_app.created' | 'oauth_app.updated' | 'oauth_app.deleted', { place, id }: { place: AppPlace, id: AppId }, said: Said) {
  return {
    event, outcome: 'ok' as const, principal: said.caller.principal, requestId: said.caller.requestId, environment: place.environment,
    workspaceId: place.owner === GLOBAL_OWNER ? undefined : place.owner, details: { app_id: id, integration: place.integration, ...said.details },
  }
}
