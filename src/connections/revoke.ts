import { isLinked, type Catalog } from '../catalog/index.ts'
import type { BindingContext, Crypto, SecretFields } from '../crypto/index.ts'
import { newId, type AppId, type AppOwner, type ConnectionId, type Environment, type RevocationId, type VersionId, type WorkspaceId } from '../ids.ts'
import type { AuditOutcome, Ledger } from '../ledger/index.ts'
import type { Log } from '../log.ts'
import type { OAuthApps, OAuthProtocol } from '../oauth/index.ts'
import {
  claimRevocations, deleteRevocation, getVersion, guard, insertRevocation, isGrantShared,
  type ConnectionRow, type Database, type PendingLinkRow, type RevocationRow, type Tx,
} from '../store/index.ts'
import { describeProvider, openClients } from './grant.ts'

/** Why a grant is nobody's any more. */
export type DiscardReason = 'connection_deleted' | 'replaced' | 'unconfirmed' | 'wrong_actor' | 'wrong_code' | 'wrong_account' | 'cancelled' | 'refused'

export interface Revoker {
  /** Keeps the connection's grant to be revoked, in the transaction that takes it away. Undefined when it has none. */
  discardConnection (tx: Tx, row: ConnectionRow, reason: DiscardReason): Promise<RevocationId | undefined>
  /** The same for a link that nobody confirmed. */
  discardLink (tx: Tx, link: PendingLinkRow, reason: DiscardReason): Promise<RevocationId | undefined>
  /** Revokes what is due, or only this one; what fails is tried again later. Answers how many were tried. Never throws for one of them. */
  run (id?: RevocationId): Promise<number>
  /** Starts `run` without waiting for it. */
  soon (id: RevocationId | undefined): void
  /** Resolves when what was started has ended. */
  drain (): Promise<void>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly catalog: Catalog
  readonly crypto: Pick<Crypto, 'open'>
  readonly oauth: OAuthProtocol & { readonly apps: OAuthApps }
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly log: Log
  readonly publicUrl: () => string
}

const BATCH = 20
const PAUSE_SECONDS = 60
/** Over a day and a half, each pause four times the one before. */
const ATTEMPTS_MAX = 6

/** What came of it. `grant.discarded`: for a reason, the provider was not told; the token is destroyed here all the same. */
type End = { readonly event?: 'grant.discarded', readonly outcome: AuditOutcome, readonly reason?: string, readonly again?: true }

export function createRevoker (options: Options): Revoker {
  const { database, ledger, log } = options
  const revoke = createAttempt(options)
  const running = new Set<Promise<unknown>>()

  const settle = async (row: RevocationRow): Promise<void> => {
    const end = await revoke(row).catch((error: unknown): End => {
      log.warn({ err: error, revocation_id: row.id }, 'a grant could not be revoked')
      return { outcome: 'failed', reason: 'failed', again: true }
    })
    const last = end.again !== true || row.attempts >= ATTEMPTS_MAX
    await database.transaction(async (tx) => {
      if (last) await deleteRevocation(tx, row)
      await ledger.recordIn(tx, {
        event: end.event ?? 'grant.revoked', outcome: end.outcome, reason: end.reason, principal: { kind: 'system', id: null, actor: null }, workspaceId: row.workspace_id,
        environment: row.environment, connectionId: row.connection_id, versionId: row.version_id,
        details: { because: row.reason, integration: row.integration, attempt: row.attempts, given_up: last && end.again === true },
      })
    })
  }

  const run = async (id?: RevocationId): Promise<number> => {
    const due = await guard(() => claimRevocations(database.db, { limit: BATCH, pauseSeconds: PAUSE_SECONDS, ...id !== undefined && { id } }))
    await Promise.all(due.map(settle))
    return due.length
  }

  return Object.freeze({
    discardConnection: async (tx: Tx, row: ConnectionRow, reason: DiscardReason) => {
      const version = await getVersion(tx, row, row.current_version)
      return await discard(tx, {
        workspace_id: row.workspace_id, connection_id: row.id, environment: row.environment, integration: row.integration, auth: row.auth, config: row.config,
        purpose: 'connection-credential', owner_id: row.id, version_id: version.id, field_set: version.field_set, hosts: version.hosts,
        host_config: version.host_config, sealed: version.sealed, key_id: version.key_id, app_owner: version.app_owner, app_id: version.app_id,
        account_id: row.account_id, grant_holder: version.grant_holder,
      }, reason)
    },
    discardLink: async (tx: Tx, link: PendingLinkRow, reason: DiscardReason) => {
      const choosing = link.stage === 'choosing'
      return await discard(tx, {
        workspace_id: link.workspace_id, connection_id: link.connection_id, environment: link.environment, integration: link.integration, auth: link.auth,
        config: link.config, purpose: choosing ? 'unassigned-grant' : 'connection-credential', owner_id: choosing ? link.session_id : link.connection_id,
        version_id: link.id, field_set: link.field_set, hosts: link.hosts, host_config: link.host_config, sealed: link.sealed, key_id: link.key_id,
        app_owner: link.app_owner, app_id: link.app_id, account_id: link.account_id, grant_holder: link.grant_holder,
      }, reason)
    },
    run,
    soon: (id: RevocationId | undefined) => {
      if (id === undefined) return
      const work: Promise<unknown> = run(id)
        .catch((error: unknown) => { log.warn({ err: error }, 'a revocation waits for its next turn') })
        .finally(() => { running.delete(work) })
      running.add(work)
    },
    drain: async () => { await Promise.all(running) },
  })
}

async function discard (tx: Tx, grant: Grant, reason: DiscardReason): Promise<RevocationId | undefined> {
  const { app_owner: owner, app_id: appId, sealed, config, host_config: hostConfig, ...columns } = grant
  if (owner === null || appId === null || sealed === null) return undefined
  const id = newId('revocation')
  await insertRevocation(tx, {
    ...columns, id, app_owner: owner, app_id: appId, sealed, reason, config: JSON.stringify(config), host_config: JSON.stringify(hostConfig),
  })
  return id
}

/** One attempt to tell the provider. */
function createAttempt ({ database, catalog, crypto, oauth, publicUrl }: Options): (row: RevocationRow) => Promise<End> {
  return async (row) => {
    const integration = catalog.find(row.integration)
    const scheme = integration?.manifest.auth.find((one) => one.id === row.auth)
    if (integration === undefined || scheme?.oauth === undefined) return { outcome: 'failed', reason: 'integration_gone' }
    const { revoke } = scheme.oauth
    if (revoke === undefined) return { event: 'grant.discarded', outcome: 'ok', reason: 'no_endpoint' }
    const wholeAccount = revoke.whole_account === true
    const schemes = integration.manifest.auth.filter(isLinked).map(({ id }) => id)
    const grant = {
      appId: row.app_id, integration: row.integration, environment: row.environment, schemes,
      except: row.connection_id, accountId: row.account_id, holder: row.grant_holder, wholeAccount,
    }
    if (await guard(() => isGrantShared(database.db, grant))) return { event: 'grant.discarded', outcome: 'ok', reason: 'shared' }
    const app = await oauth.apps.findById(row.app_owner, row.app_id)
    if (app === undefined) return { outcome: 'failed', reason: 'app_deleted' }
    const secrets = await crypto.open(bindingOf(row), row.sealed)
    const provider = describeProvider({ integration, scheme, environment: row.environment, config: { ...row.config, ...row.host_config } })
    const [client] = await openClients(oauth.apps, { app, provider, publicUrl: publicUrl() })
    if (client === undefined) return { outcome: 'failed', reason: 'no_secret' }
    return await ask(oauth, client, secrets)
  }
}

interface Grant {
  readonly workspace_id: WorkspaceId
  readonly connection_id: ConnectionId
  readonly environment: Environment
  readonly integration: string
  readonly auth: string
  readonly config: Readonly<Record<string, string>>
  readonly purpose: RevocationRow['purpose']
  readonly owner_id: string
  readonly version_id: VersionId
  readonly field_set: string[]
  readonly hosts: string[]
  readonly host_config: Readonly<Record<string, string>>
  readonly sealed: RevocationRow['sealed'] | null
  readonly key_id: RevocationRow['key_id']
  readonly app_owner: AppOwner | null
  readonly app_id: AppId | null
  readonly account_id: string | null
  readonly grant_holder: string | null
}

async function ask (oauth: OAuthProtocol, client: Parameters<OAuthProtocol['revoke']>[0], secrets: SecretFields): Promise<End> {
  const { access_token: accessToken, refresh_token: refreshToken } = secrets
  if (accessToken === undefined) return { outcome: 'failed', reason: 'no_token' }
  const revoked = await oauth.revoke(client, { accessToken, refreshToken })
  if (revoked.kind === 'revoked') return { outcome: 'ok' }
  if (revoked.kind === 'unsupported') return { event: 'grant.discarded', outcome: 'ok', reason: 'no_endpoint' }
  return { outcome: 'failed', reason: 'provider_failed', again: true }
}

/** A revocation keeps what a connection held as it was sealed. */
type Bound = 'purpose' | 'workspace_id' | 'environment' | 'owner_id' | 'version_id' | 'field_set' | 'hosts' | 'host_config'

export function bindingOf (row: Pick<RevocationRow, Bound>): BindingContext {
  return {
    purpose: row.purpose, scope: { kind: 'workspace', workspaceId: row.workspace_id, environment: row.environment }, ownerId: row.owner_id, versionId: row.version_id,
    fieldSet: row.field_set, hosts: row.hosts, hostConfig: row.host_config,
  }
}
