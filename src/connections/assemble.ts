import type { Calls } from '../calls/index.ts'
import type { Catalog } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import type { Crypto } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { WorkspaceId } from '../ids.ts'
import type { Ledger } from '../ledger/index.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { OAuthApps, OAuthProtocol } from '../oauth/index.ts'
import type { Presence } from '../relay/index.ts'
import { findConnection, guard, listConnections, type ConnectionFilter, type ConnectionView, type Database } from '../store/index.ts'
import type { Caller } from './caller.ts'
import { createConnectSessions, type ConnectSessions } from './connect-sessions.ts'
import { createCreator, type Creator } from './create.ts'
import { createCredentialOpener, type CredentialOpener } from './credential.ts'
import { createEditor, type Editor, type Of } from './edit.ts'
import { createLinking, type Linking } from './link.ts'
import { createOAuthAppKeeper, type OAuthAppKeeper } from './oauth-apps.ts'
import { createLinkKeeper } from './pending-link.ts'
import { createRecordedCalls, type RecordedCalls } from './recorded-call.ts'
import { createRefusals, type Refusals } from './refusals.ts'
import { createRefreshScheduler, type RefreshScheduler } from './refresh-lanes.ts'
import { createRefresher } from './refresh.ts'
import { createRecall, type Recall } from './recall.ts'
import { createReminder, type Reminder } from './remind.ts'
import { createRenewer, type Renewer } from './renew.ts'
import { createResolver, type Resolver } from './resolve.ts'
import { createRevoker, type Revoker } from './revoke.ts'
import { createRotator, type Rotator } from './rotate.ts'
import { createTester, type Tester } from './test.ts'
import { createTokenEndpoints } from './token-endpoints.ts'
import { createUsageKeeper, type UsageKeeper } from './usage.ts'

export type Connections = Creator & Editor & Resolver & Rotator & Pick<Tester, 'test'> & {
  /** Throws `not_found`. */
  get (of: Of, caller: Caller): Promise<ConnectionView>
  list (workspaceId: WorkspaceId, filter: ConnectionFilter): Promise<ConnectionView[]>
  readonly usage: UsageKeeper
  readonly oauthApps: OAuthAppKeeper
  readonly sessions: ConnectSessions
  readonly linking: Linking
  readonly revoker: Revoker
  /** Renews the token now. Throws `not_found`, `refresh_unavailable`, `connection_needs_reauth`, `oauth_app_broken`, `refresh_failed`. */
  refresh (of: Of, caller: Caller): Promise<ConnectionView>
  /** Renews tokens before anybody needs them. */
  readonly scheduler: RefreshScheduler
  readonly reminder: Reminder
  /** For the room that runs actions. */
  readonly renewer: Renewer
  readonly opener: CredentialOpener
  readonly recall: Recall
  readonly recordedCalls: RecordedCalls
  readonly refusals: Refusals
}

export interface ConnectionsOptions {
  readonly database: Database
  readonly catalog: Catalog
  readonly crypto: Crypto
  readonly ledger: Ledger
  readonly calls: Calls
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly maxResponseBytes: number
  /** Which agents are there. */
  readonly presence: Pick<Presence, 'countOnline'>
  readonly oauth: OAuthProtocol & { readonly apps: OAuthApps }
  /** Where browsers reach the public listener. */
  readonly publicUrl: () => string
  /** Origins that a browser may be sent back to. */
  readonly returnOrigins: ReadonlySet<string>
  /** Tells this process from the others. */
  readonly owner: string
}

/** Wires the parts of this room. */
export function createConnections (options: ConnectionsOptions): Connections {
  const { database } = options
  const opener = createCredentialOpener(options)
  const recall = createRecall({ ...options, opener })
  const recordedCalls = createRecordedCalls(options)
  const endpoints = createTokenEndpoints(options.clock)
  const refreshing = { ...options, opener, endpoints }
  const renewer = createRenewer({ ...refreshing, refresher: createRefresher(refreshing) })
  const tester = createTester({ ...options, opener, renewer, calls: recordedCalls })
  const refusals = createRefusals({ ...options, tester })
  const revoker = createRevoker(options)
  const keeper = createLinkKeeper({ ...options, calls: recordedCalls, tester })
  const get = async (of: Of, caller: Caller): Promise<ConnectionView> => {
    const view = await guard(() => findConnection(database.db, of.workspaceId, of.id))
    if (view === undefined || !caller.environments.includes(view.environment)) throw new VaultError('not_found')
    return view
  }
  return Object.freeze({
    ...createCreator(options),
    ...createEditor({ ...options, revoker }),
    ...createResolver({ ...options, opener, recall, refusals, renewer }),
    ...createRotator({ ...options, tester }),
    test: tester.test,
    get,
    list: async (workspaceId: WorkspaceId, filter: ConnectionFilter) => await guard(() => listConnections(database.db, workspaceId, filter)),
    usage: createUsageKeeper(options),
    oauthApps: createOAuthAppKeeper(options),
    sessions: createConnectSessions({ ...options, apps: options.oauth.apps, revoker }),
    linking: createLinking({ ...options, revoker, keeper }),
    revoker,
    refresh: async (of: Of, caller: Caller) => {
      await get(of, caller)
      const row = await database.usable.find(of.workspaceId, of.id)
      if (row === undefined) throw new VaultError('not_found')
      await renewer.renew(row, caller)
      return await get(of, caller)
    },
    opener,
    recall,
    renewer,
    scheduler: createRefreshScheduler({ ...refreshing, renewer }),
    reminder: createReminder(options),
    recordedCalls,
    refusals,
  })
}
