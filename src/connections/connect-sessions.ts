import { isLinked, type Catalog } from '../catalog/index.ts'
import { createOneTimeToken, sameDigest, sha256, type BindingContext, type Crypto } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { newId, type ConnectionId, type Environment, type RevocationId, type SessionId, type WorkspaceId } from '../ids.ts'
import type { AuditEventName, AuditRecord, Ledger } from '../ledger/index.ts'
import type { OAuthApps } from '../oauth/index.ts'
import {
  claimIdempotencyKey, deletePendingLink, endSession, findConnection, findPendingLink, findSession, guard, insertSession, isNameTaken, listDueSessions,
  lockSession,
  type Database, type Idempotency, type SessionRow, type Tx,
} from '../store/index.ts'
import type { Caller } from './caller.ts'
import { foldName } from './create.ts'
import { requireView } from './edit.ts'
import { ended } from './pending-link.ts'
import { promoteLink, type Promoted } from './promote-link.ts'
import type { DiscardReason, Revoker } from './revoke.ts'
import { listWarnings } from './warnings.ts'

/** A permission to link one account in a browser. */
export interface ConnectRequest {
  readonly workspaceId: WorkspaceId
  readonly environment: Environment
  /** Which the person may choose from; ignored at a reconnect. */
  readonly integrations: readonly string[]
  readonly name: string | undefined
  readonly labels: Readonly<Record<string, string>>
  /** The person it is for, as the host knows them. */
  readonly actor: string
  readonly returnUrl: string | undefined
  readonly confirmation: 'required' | 'none'
  readonly reconnectId: ConnectionId | undefined
  readonly allowAccountChange: boolean
  readonly idempotency: Idempotency | undefined
}

export interface SessionOf {
  readonly workspaceId: WorkspaceId
  readonly id: SessionId
}

export interface Completion {
  readonly code: string
  /** Who is logged in, at the host, in the browser that came back. */
  readonly actor: string
  /** Takes the place of the session's name. */
  readonly name: string | undefined
  readonly idempotency: Idempotency | undefined
}

/** What was confirmed; `replayed`: by an earlier request with the same idempotency key. */
export type Completed = Omit<Promoted, 'revocation'> & { readonly replayed: boolean }

export interface ConnectSessions {
  /**
   * Throws `integration_unknown`, `environment_mismatch`, `oauth_app_missing`, `return_url_invalid`,
   * `name_taken`, `not_found`, `idempotency_conflict`. The URL is answered once.
   */
  create (request: ConnectRequest, caller: Caller): Promise<{ session: SessionRow, connectUrl: string | undefined }>
  /** Throws `not_found`. */
  get (of: SessionOf, caller: Caller): Promise<SessionRow>
  /**
   * Confirms what was linked and makes it the connection. Throws `completion_refused` when the
   * code or the person is not the right one, and then what was linked is gone;
   * `connect_session_ended`, `connect_session_unconfirmed`, `idempotency_conflict`, and `name_taken`, which changes nothing.
   */
  complete (of: SessionOf, completion: Completion, caller: Caller): Promise<Completed>
  /** Ends sessions whose time is over, and what they hold; answers how many. */
  endDue (): Promise<number>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly catalog: Catalog
  readonly crypto: Pick<Crypto, 'macs'>
  readonly apps: Pick<OAuthApps, 'find'>
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly revoker: Revoker
  readonly publicUrl: () => string
  /** Origins that a browser may be sent back to. */
  readonly returnOrigins: ReadonlySet<string>
}

const SESSION_SECONDS = 900
const DUE_MAX = 100

export function createConnectSessions (options: Options): ConnectSessions {
  const { database, ledger, revoker, publicUrl } = options
  const insert = createInserter(ledger)

  const require = async (of: SessionOf, caller: Caller): Promise<SessionRow> => {
    const session = await guard(() => findSession(database.db, of.workspaceId, of.id))
    if (session === undefined || !caller.environments.includes(session.environment)) throw new VaultError('not_found')
    return session
  }

  /** What was linked becomes the connection, or is given up. */
  const decide = async (tx: Tx, of: SessionOf, { completion, caller }: { completion: Completion, caller: Caller }): Promise<Decision> => {
    const session = await lockSession(tx, { workspace_id: of.workspaceId, id: of.id })
    if (session === undefined || !caller.environments.includes(session.environment)) throw new VaultError('not_found')
    const earlier = completion.idempotency && await claimIdempotencyKey(tx, { workspaceId: of.workspaceId, ...completion.idempotency, resourceId: of.id })
    if (earlier !== undefined && session.state === 'completed') return await replayCompletion(tx, options.catalog, { session, caller })
    if (session.state === 'completed' || session.state === 'ended' || session.expired) throw ended(session)
    const link = await findPendingLink(tx, session)
    if (session.state !== 'confirming' || session.completion_hash === null || link === undefined) throw new VaultError('connect_session_unconfirmed')
    const wrong = judgeCompletion(session, completion)
    if (wrong !== undefined) return { view: undefined, revocation: await endIn(tx, session, { reason: wrong, ledger, revoker, caller }) }
    const promoted = await promoteLink(tx, { session, link, name: completion.name ?? session.name, caller, ledger, revoker, catalog: options.catalog })
    return { ...promoted, replayed: false }
  }

  return Object.freeze({
    create: async (request: ConnectRequest, caller: Caller) => {
      if (!caller.environments.includes(request.environment)) throw new VaultError('not_found')
      const returnUrl = requireReturnUrl(request, options.returnOrigins)
      const target = await findTarget(options, request, caller)
      const token = createOneTimeToken()
      const id = newId('session')
      const made = await database.transaction((tx) => insert(tx, { request: { ...request, returnUrl }, target, id, tokenHash: token.hash }, caller))
      const session = await require({ workspaceId: request.workspaceId, id: made }, caller)
      return { session, connectUrl: made === id ? `${publicUrl()}/connect/${token.token}` : undefined }
    },
    get: require,
    complete: async (of: SessionOf, completion: Completion, caller: Caller) => {
      const decided = await database.transaction((tx) => decide(tx, of, { completion, caller }))
      revoker.soon(decided.revocation)
      if (decided.view === undefined) throw new VaultError('completion_refused', { detail: 'The code is wrong, or another person brought it than started the session.' })
      return { view: decided.view, warnings: decided.warnings, replayed: decided.replayed }
    },
    endDue: async () => {
      const revocations = await database.transaction(async (tx) => {
        const ids: (RevocationId | undefined)[] = []
        for (const session of await listDueSessions(tx, DUE_MAX)) {
          ids.push(await endIn(tx, session, { reason: session.state === 'confirming' ? 'unconfirmed' : 'expired', ledger, revoker }))
        }
        return ids
      })
      for (const id of revocations) revoker.soon(id)
      return revocations.length
    },
  })
}

/** Without a view it was given up. */
type Decision = Promoted & { readonly replayed: boolean } | { readonly view: undefined, readonly revocation: RevocationId | undefined }

/** The answer once more, as the connection is now. Throws `not_found` when it has gone. */
async function replayCompletion (tx: Tx, catalog: Catalog, { session, caller }: { session: SessionRow, caller: Caller }): Promise<Decision> {
  if (session.connection_id === null) throw new VaultError('not_found')
  const view = await requireView(tx, { workspaceId: session.workspace_id, id: session.connection_id })
  const { manifest } = await catalog.requireIn(view.workspace_id, view.integration, view.integration_revision)
  return { view, warnings: await listWarnings(tx, { row: view, manifest }, caller.environments), revocation: undefined, replayed: true }
}

function createInserter (ledger: Pick<Ledger, 'recordIn'>) {
  return async (tx: Tx, { request, target, id, tokenHash }: Inserting, caller: Caller): Promise<SessionId> => {
    const { workspaceId, environment, reconnectId, confirmation, actor } = request
    if (request.idempotency !== undefined) {
      const earlier = await claimIdempotencyKey(tx, { workspaceId, ...request.idempotency, resourceId: id })
      if (earlier !== undefined) return earlier as SessionId
    }
    await insertSession(tx, {
      workspace_id: workspaceId, id, environment, state: 'open', integrations: target.integrations, name: target.name, labels: JSON.stringify(request.labels),
      actor, return_url: request.returnUrl ?? null, confirmation, reconnect_id: reconnectId ?? null, allow_account_change: request.allowAccountChange,
      token_hash: tokenHash, created_by: caller.by,
    }, SESSION_SECONDS)
    await ledger.recordIn(tx, {
      event: 'connect_session.created', outcome: 'ok', principal: caller.principal, workspaceId, environment, connectionId: reconnectId, requestId: caller.requestId,
      details: { session_id: id, integrations: target.integrations, for: actor, confirmation },
    })
    return id
  }
}

interface Inserting {
  readonly request: ConnectRequest
  readonly target: Target
  readonly id: SessionId
  readonly tokenHash: Buffer
}

interface Ending {
  readonly reason: DiscardReason | 'expired'
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly revoker: Revoker
  readonly caller?: Caller
}

/** Ends a session and gives up what it holds. Answers the revocation that is to be run after the commit. */
export async function endIn (tx: Tx, session: SessionRow, by: Ending): Promise<RevocationId | undefined> {
  const link = await findPendingLink(tx, session)
  const revocation = link && await by.revoker.discardLink(tx, link, by.reason === 'expired' ? 'unconfirmed' : by.reason)
  await deletePendingLink(tx, session)
  await endSession(tx, session, by.reason)
  await by.ledger.recordIn(tx, {
    ...sessionRecord('connect_session.ended', session, by.caller), outcome: by.reason === 'expired' || by.reason === 'cancelled' ? 'ok' : 'refused', reason: by.reason,
  })
  return revocation
}

/** The record of something that happened to a session. */
export function sessionRecord (event: AuditEventName, session: SessionRow, caller: Caller | undefined): AuditRecord {
  return {
    event, outcome: 'ok', principal: caller?.principal ?? { kind: 'system', id: null, actor: null }, workspaceId: session.workspace_id, environment: session.environment,
    connectionId: session.reconnect_id ?? undefined, requestId: caller?.requestId, details: { session_id: session.id },
  }
}

function judgeCompletion (session: SessionRow, { code, actor }: Completion): DiscardReason | undefined {
  if (!sameDigest(sha256(code), session.completion_hash as Buffer)) return 'wrong_code'
  // Who started the session and who finished it in a browser have to be one person.
  return sameDigest(sha256(actor), sha256(session.actor)) ? undefined : 'wrong_actor'
}

interface Target {
  readonly integrations: string[]
  readonly name: string
}

async function findTarget (options: Options, request: ConnectRequest, caller: Caller): Promise<Target> {
  const { database, catalog } = options
  const { workspaceId, environment, reconnectId } = request
  if (reconnectId !== undefined) {
    const before = await guard(() => findConnection(database.db, workspaceId, reconnectId))
    if (before === undefined || !caller.environments.includes(before.environment)) throw new VaultError('not_found')
    if (before.environment !== environment) throw new VaultError('environment_mismatch', { detail: `This is a ${before.environment} connection.` })
    await requireWayIn(options, request, before.integration)
    return { integrations: [before.integration], name: before.name }
  }
  for (const id of request.integrations) {
    const { manifest } = await catalog.requireIn(workspaceId, id)
    if (!manifest.environments.includes(environment)) throw new VaultError('environment_mismatch', { detail: `${manifest.name} can be connected in: ${manifest.environments.join(', ')}.` })
    await requireWayIn(options, request, id)
  }
  const name = request.name ?? ''
  if (await guard(() => isNameTaken(database.db, { workspaceId, environment, nameKey: foldName(name) }))) throw new VaultError('name_taken')
  return { integrations: [...new Set(request.integrations)], name }
}

/** An integration that is only linked in a browser needs an app before anybody is sent there. */
async function requireWayIn ({ catalog, apps }: Options, { workspaceId, environment }: ConnectRequest, integration: string): Promise<void> {
  const { manifest } = await catalog.requireIn(workspaceId, integration)
  if (!manifest.auth.every(isLinked)) return
  if (await apps.find({ workspaceId, integration, environment }) === undefined) throw new VaultError('oauth_app_missing', { detail: `${integration} in ${environment} has none.` })
}

/** The address as a browser reads it. */
function requireReturnUrl ({ returnUrl, confirmation, environment }: ConnectRequest, origins: ReadonlySet<string>): string | undefined {
  if (confirmation === 'none' && environment !== 'sandbox') {
    throw new VaultError('request_invalid', { detail: 'A live connection is always confirmed.', errors: [{ pointer: '/confirmation', message: 'may be none in sandbox only' }] })
  }
  if (returnUrl === undefined) {
    if (confirmation === 'none') return undefined
    throw new VaultError('return_url_invalid', { detail: 'Without a return URL nobody would learn the completion code.' })
  }
  const url = URL.parse(returnUrl)
  const plain = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && url.hash === ''
  if (!plain || !origins.has(url.origin)) throw new VaultError('return_url_invalid', { detail: 'Its origin is not one of RETURN_ORIGINS.' })
  return url.href
}

/** A browser that came with a session's link, on behalf of the person the session is for. */
export function browserCaller (session: SessionRow, requestId: string): Caller {
  return { principal: { kind: 'connect_session', id: session.id, actor: session.actor }, by: session.actor, environments: [session.environment], requestId }
}

/** Where a PKCE verifier is sealed to. */
export function verifierBinding (session: { readonly workspace_id: SessionRow['workspace_id'], readonly environment: Environment, readonly id: string }, id: string): BindingContext {
  return {
    purpose: 'pkce-verifier', scope: { kind: 'workspace', workspaceId: session.workspace_id, environment: session.environment }, ownerId: session.id, versionId: id,
    fieldSet: ['verifier'], hosts: [], hostConfig: {},
  }
}
