import type { AuthScheme, Catalog, Integration } from '../catalog/index.ts'
import { sameDigest, sha256, type Crypto, type Secret } from '../crypto/index.ts'
import type { AppId } from '../ids.ts'
import type { Ledger } from '../ledger/index.ts'
import type { GrantOutcome, OAuthApps, OAuthProtocol, TokenSet } from '../oauth/index.ts'
import { findSession, findState, guard, takeState, type Database, type SessionRow, type TakenState } from '../store/index.ts'
import { createAppHealth } from './app-health.ts'
import type { Caller } from './caller.ts'
import { browserCaller, sessionRecord, verifierBinding } from './connect-sessions.ts'
import { describeProvider, openClients, requireOAuth, withEachSecret } from './grant.ts'
import type { Brought, LinkKeeper } from './pending-link.ts'
import { after } from './refresh-store.ts'
import type { LinkStep, Settler } from './settle-link.ts'

/** What a provider's redirect brought. */
export interface Redirected {
  readonly appId: AppId
  readonly state: string
  readonly code: Secret | undefined
  readonly issuer: string | undefined
  readonly error: string | undefined
  readonly errorDescription: string | undefined
  /** Every parameter as it came; a few providers say more there (QuickBooks' realmId). */
  readonly parameters: Readonly<Record<string, string>>
}

/**
 * Takes a provider's redirect. Undefined when the state is unknown, used, too old, another app's
 * or another browser's: then nothing has been sent anywhere.
 */
export type TakeCallback = (redirected: Redirected, cookieOf: (session: string) => string | undefined, requestId: string) => Promise<LinkStep | undefined>

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly catalog: Catalog
  readonly crypto: Pick<Crypto, 'open'>
  readonly oauth: OAuthProtocol & { readonly apps: OAuthApps }
  readonly ledger: Pick<Ledger, 'record' | 'recordIn'>
  readonly keeper: LinkKeeper
  readonly publicUrl: () => string
}

export function createCallback (options: Options, settle: Settler): TakeCallback {
  const { database, catalog, keeper, ledger } = options
  const exchange = createExchange(options)

  /** The session behind a state, if app and browser are those it was made for. Consumes nothing, so that a stranger can't use it up. */
  const recognise = async ({ state, appId }: Redirected, cookieOf: (session: string) => string | undefined): Promise<SessionRow | undefined> => {
    const found = await guard(() => findState(database.db, sha256(state)))
    if (found?.app_id !== appId) return undefined
    const session = await guard(() => findSession(database.db, found.workspace_id, found.session_id))
    const cookie = cookieOf(found.session_id)
    if (session?.state !== 'bound' || session.expired || session.cookie_hash === null || cookie === undefined) return undefined
    return sameDigest(sha256(cookie), session.cookie_hash) ? session : undefined
  }

  const receive = async (session: SessionRow, exchanged: Exchange, caller: Caller): Promise<LinkStep> => {
    const outcome = await exchange(session, exchanged)
    if (outcome.kind === 'granted') return await settle({ session, caller }, await keeper.keep(session, toBrought(outcome.tokens, exchanged), caller))
    const details = { session_id: session.id, ...'error' in outcome && { error: outcome.error } }
    await ledger.record({ ...sessionRecord('connection.linked', session, caller), outcome: 'failed', reason: outcome.kind, details })
    if (outcome.kind === 'config_error') return { session, end: { kind: 'app_broken', detail: outcome.description } }
    if (outcome.kind === 'rejected') return { session, end: { kind: 'provider_refused', detail: outcome.description } }
    return { session, end: { kind: 'exchange_lost', detail: outcome.description } }
  }

  return async (redirected, cookieOf, requestId) => {
    const session = await recognise(redirected, cookieOf)
    if (session === undefined) return undefined
    const state = await guard(() => takeState(database.db, { workspaceId: session.workspace_id, stateHash: sha256(redirected.state) }))
    if (state === undefined) return undefined
    const way = requireWay(catalog, state)
    const { issuer } = describeProvider({ ...way, environment: session.environment, config: state.config })
    // RFC 9207, 2.4: one that is known to name itself has to be the one that was asked.
    if (issuer !== undefined && redirected.issuer !== issuer) return undefined
    if (redirected.error !== undefined) return { session, end: { kind: 'provider_refused', detail: redirected.errorDescription ?? redirected.error } }
    if (redirected.code === undefined) return undefined
    return await receive(session, { state, redirected, way }, browserCaller(session, requestId))
  }
}

/** Trades the code for tokens, with the verifier that was kept. */
function createExchange (options: Options): (session: SessionRow, exchange: Exchange) => Promise<GrantOutcome> {
  const { crypto, oauth, publicUrl } = options
  const health = createAppHealth(options)
  return async (session, { state, redirected: { code }, way }) => {
    const app = await oauth.apps.findById(state.app_owner, state.app_id)
    if (app === undefined || code === undefined) return { kind: 'config_error', error: 'app_deleted', description: 'The OAuth app was deleted meanwhile.' }
    const provider = describeProvider({ ...way, environment: session.environment, config: state.config })
    const verifier = state.sealed === null ? undefined : (await crypto.open(verifierBinding(session, state.id), state.sealed))['verifier']
    const clients = await openClients(oauth.apps, { app, provider, publicUrl: publicUrl() })
    const outcome = await withEachSecret(clients, (client) => oauth.exchange(client, { code, verifier }))
    // A link may be the first to find that an app's secret is wrong, or right again.
    const { integration, environment } = app
    if (outcome.kind === 'config_error') await health.broken({ app_owner: app.workspace_id, app_id: app.id, integration, environment }, outcome.error)
    else if (app.broken_since !== null) await health.recovered(app)
    return outcome
  }
}

interface Exchange {
  readonly state: TakenState
  readonly redirected: Redirected
  readonly way: { readonly integration: Integration, readonly scheme: AuthScheme }
}

/** The way in that a row names. Throws where its manifest has gone. */
export function requireWay (catalog: Catalog, of: { integration: string, auth: string }): { integration: Integration, scheme: AuthScheme } {
  const integration = catalog.require(of.integration)
  return { integration, scheme: integration.requireScheme(of.auth) }
}

function toBrought (tokens: TokenSet, { state, redirected, way }: Exchange): Brought {
  const redirect = Object.entries(requireOAuth(way.scheme).redirect_config ?? {}).flatMap(([name, parameter]) => {
    const value = redirected.parameters[parameter]
    return value === undefined ? [] : [[name, value] as const]
  })
  const takesRefresh = way.scheme.fields.some((field) => field.name === 'refresh_token')
  const defaults = way.scheme.fields.flatMap((field) => field.secret || field.default === undefined ? [] : [[field.name, field.default] as const])
  return {
    ...way,
    secrets: { access_token: tokens.accessToken, ...takesRefresh && tokens.refreshToken && { refresh_token: tokens.refreshToken } },
    config: { ...Object.fromEntries(defaults), ...state.config, ...Object.fromEntries(redirect), ...tokens.config },
    previews: {},
    grant: {
      appOwner: state.app_owner, appId: state.app_id, scopes: tokens.scopes ?? state.scopes, holder: tokens.holder ?? null, account: tokens.account ?? null,
      tokenExpiresAt: after(state.taken_at, tokens.expiresInSeconds), refreshExpiresAt: after(state.taken_at, tokens.refreshExpiresInSeconds),
    },
  }
}
