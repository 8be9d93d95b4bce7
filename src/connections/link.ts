import { isLinked, type AuthScheme, type Catalog, type Integration } from '../catalog/index.ts'
import { createOneTimeToken, sameDigest, sha256, type Crypto, type Secret } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Ledger } from '../ledger/index.ts'
import type { OAuthApps, OAuthProtocol } from '../oauth/index.ts'
import {
  bindSession, countAttempt, findPendingLink, findSessionByToken, guard, holdCurrentKey, lockSession, replaceState, whileKeyChanges, type AppRow,
  type Database, type LinkChoice, type SessionRow,
} from '../store/index.ts'
import type { Caller } from './caller.ts'
import { endIn, sessionRecord, verifierBinding } from './connect-sessions.ts'
import type { NewCredential } from './create.ts'
import { describeProvider, openClients, requireOAuth } from './grant.ts'
import { createCallback, requireWay, type TakeCallback } from './link-callback.ts'
import { ended, questionOf, type LinkKeeper } from './pending-link.ts'
import type { Revoker } from './revoke.ts'
import { createSettler, type LinkStep, type Settler } from './settle-link.ts'

/** A way in that the page offers: by consent if there is an app for it, or pasted. */
export interface Way {
  readonly integration: Integration
  readonly scheme: AuthScheme
  /** Of a way that is linked. */
  readonly scopes: readonly string[]
}

export interface Linking {
  /** The session a link leads to. Consumes nothing. Throws `not_found`, `connect_session_ended`. */
  find (token: string): Promise<SessionRow>
  listWays (session: SessionRow): Promise<Way[]>
  /** Ties the session to this browser, or checks that it is the one. Undefined: it is another's. The answer may have a cookie to set. */
  bind (session: SessionRow, cookie: string | undefined, caller: Caller): Promise<{ session: SessionRow, cookie: string | undefined } | undefined>
  /** Begins the way to the provider. Throws `oauth_app_missing`, `oauth_app_broken`, `config_invalid`, `connect_session_ended`. */
  authorize (session: SessionRow, by: { way: Way, config: Readonly<Record<string, string>> }, caller: Caller): Promise<LinkStep>
  paste (session: SessionRow, credential: NewCredential, caller: Caller): Promise<LinkStep>
  choose (session: SessionRow, index: number, caller: Caller): Promise<LinkStep>
  /** Asks the provider again where it could not be reached, or shows the way back again. */
  retry (session: SessionRow, caller: Caller): Promise<LinkStep>
  cancel (session: SessionRow, caller: Caller): Promise<void>
  readonly callback: TakeCallback
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly catalog: Catalog
  readonly crypto: Pick<Crypto, 'seal' | 'open' | 'forgetCurrentKeys'>
  readonly oauth: OAuthProtocol & { readonly apps: OAuthApps }
  readonly ledger: Pick<Ledger, 'recordIn' | 'record'>
  readonly revoker: Revoker
  readonly keeper: LinkKeeper
  readonly publicUrl: () => string
}

const STATE_SECONDS = 600
const ATTEMPTS_MAX = 30

export function createLinking (options: Options): Linking {
  const { database, catalog, oauth, ledger, revoker } = options
  const settle = createSettler(options)
  return Object.freeze({
    find: async (token: string) => {
      const session = await guard(() => findSessionByToken(database.db, sha256(token)))
      if (session === undefined) throw new VaultError('not_found')
      if (session.expired || session.state === 'completed' || session.state === 'ended') throw ended(session)
      return session
    },

    listWays: async (session: SessionRow) => {
      const ways = await Promise.all(session.integrations.map(async (id) => {
        const integration = await catalog.findIn(session.workspace_id, id)
        const app = await oauth.apps.find({ workspaceId: session.workspace_id, integration: id, environment: session.environment })
        return integration?.manifest.auth.filter((scheme) => !isLinked(scheme) || app !== undefined)
          .map((scheme): Way => ({ integration, scheme, scopes: isLinked(scheme) ? app?.scopes[scheme.id] ?? requireOAuth(scheme).scopes.default : [] })) ?? []
      }))
      return ways.flat()
    },

    bind: async (session: SessionRow, cookie: string | undefined, caller: Caller) => {
      if (session.state === 'open') {
        const made = createOneTimeToken()
        if (!await guard(() => bindSession(database.db, session, made.hash))) return undefined
        await ledger.record(sessionRecord('connect_session.opened', session, caller))
        return { session: { ...session, state: 'bound' as const, cookie_hash: made.hash }, cookie: made.token }
      }
      const same = cookie !== undefined && session.cookie_hash !== null && sameDigest(sha256(cookie), session.cookie_hash)
      return same ? { session, cookie: undefined } : undefined
    },

    ...createSteps(options, settle),

    cancel: async (session: SessionRow, caller: Caller) => {
      revoker.soon(await database.transaction(async (tx) => {
        const locked = await lockSession(tx, session)
        if (locked === undefined || locked.state === 'completed' || locked.state === 'ended') return undefined
        return await endIn(tx, locked, { reason: 'cancelled', ledger, revoker, caller })
      }))
    },

    callback: createCallback(options, settle),
  })
}

/** What the browser that has the session does in it. */
function createSteps (options: Options, settle: Settler): Pick<Linking, 'authorize' | 'paste' | 'choose' | 'retry'> {
  const { database, catalog, oauth, keeper, publicUrl } = options
  const keepState = createStateKeeper(options)

  /** A form sent twice finds what the first one brought; undefined while there is nothing yet. */
  const begin = async (session: SessionRow, caller: Caller): Promise<LinkStep | undefined> => {
    if (session.state === 'confirming') return await settle.again({ session, caller })
    if (session.state !== 'bound') throw ended(session)
    if (await guard(() => countAttempt(database.db, session, ATTEMPTS_MAX)) === undefined) {
      throw new VaultError('rate_limited', { detail: 'Too many attempts in this session.' })
    }
    return undefined
  }

  const keepAgain = async (session: SessionRow, choice: LinkChoice | undefined, caller: Caller): Promise<LinkStep> => {
    const link = await guard(() => findPendingLink(database.db, session))
    if (link === undefined) throw new VaultError('connect_session_unconfirmed')
    const brought = await keeper.reopen(link, requireWay(catalog, link))
    const chosen = choice === undefined ? {} : { config: { ...brought.config, ...choice.config }, chosen: choice.label }
    return await settle({ session, caller }, await keeper.keep(session, { ...brought, ...chosen }, caller))
  }

  return {
    authorize: async (session: SessionRow, { way, config }: { way: Way, config: Readonly<Record<string, string>> }, caller: Caller) => {
      const before = await begin(session, caller)
      if (before !== undefined) return before
      const { id: integration } = way.integration.manifest
      const app = await oauth.apps.find({ workspaceId: session.workspace_id, integration, environment: session.environment })
      if (app === undefined) throw new VaultError('oauth_app_missing')
      const provider = describeProvider({ ...way, environment: session.environment, config })
      const [client] = await openClients(oauth.apps, { app, provider, publicUrl: publicUrl() })
      if (client === undefined) throw new VaultError('oauth_app_broken')
      const state = createOneTimeToken()
      const { url, verifier } = await oauth.authorize(client, { state: state.token, scopes: way.scopes })
      await keepState(session, { hash: state.hash, verifier, way, config, app })
      return { session, end: { kind: 'authorize', to: url } }
    },

    paste: async (session: SessionRow, credential: NewCredential, caller: Caller) =>
      await begin(session, caller) ?? await settle({ session, caller }, await keeper.keep(session, { ...credential, grant: undefined }, caller)),

    choose: async (session: SessionRow, index: number, caller: Caller) => {
      const before = await begin(session, caller)
      if (before !== undefined) return before
      const link = await guard(() => findPendingLink(database.db, session))
      if (link === undefined || link.choices.length === 0) throw new VaultError('connect_session_unconfirmed')
      const choice = link.choices[index]
      if (choice === undefined) return { session, end: { kind: 'choose', question: questionOf(requireWay(catalog, link).scheme), choices: link.choices, missed: true } }
      return await keepAgain(session, choice, caller)
    },

    retry: async (session: SessionRow, caller: Caller) => await begin(session, caller) ?? await keepAgain(session, undefined, caller),
  }
}

/** Keeps a way to the provider until the browser comes back from it. */
function createStateKeeper ({ database, crypto }: Options): (session: SessionRow, state: NewState) => Promise<void> {
  return async (session, { hash, verifier, way, config, app }) => {
    const id = newId('version')
    await whileKeyChanges(crypto, async () => {
      const sealed = verifier && await crypto.seal(verifierBinding(session, id), { verifier })
      return await database.transaction(async (tx) => {
        const locked = await lockSession(tx, session)
        if (locked?.state !== 'bound' || locked.expired) throw ended(locked)
        if (sealed !== undefined && !await holdCurrentKey(tx, session.workspace_id, sealed.keyId)) return undefined
        await replaceState(tx, {
          workspace_id: session.workspace_id, session_id: session.id, id, environment: session.environment, state_hash: hash,
          integration: way.integration.manifest.id, auth: way.scheme.id, config: JSON.stringify(config), app_owner: app.workspace_id, app_id: app.id,
          scopes: [...way.scopes], sealed: sealed?.sealed ?? null, key_id: sealed?.keyId ?? null,
        }, STATE_SECONDS)
        return true
      })
    })
  }
}

interface NewState {
  readonly hash: Buffer
  readonly verifier: Secret | undefined
  readonly way: Way
  readonly config: Readonly<Record<string, string>>
  readonly app: AppRow
}
