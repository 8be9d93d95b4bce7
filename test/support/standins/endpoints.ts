import type { Received } from '../provider.ts'
import type { Account, Authority, Client } from './authority.ts'
import type { Definition, RedirectError, Refusal, Said } from './definition.ts'
import type { Endpoint } from './misbehave.ts'
import { readBearer, readCredentials, readParameters, splitScopes, type SentCredentials } from './read.ts'

/** Who consents and whether, unless the request itself says so. */
export interface Choice {
  account?: string
  deny?: boolean
}

export interface Counts {
  authorizations: number
  /** Received, whatever became of them. */
  tokenRequests: number
  exchanges: number
  refreshes: number
  clientCredentials: number
  /** Token and revocation requests it said no to. */
  refused: number
  revocations: number
  afterToken: number
  apiCalls: number
}

export interface Room<A extends Account> {
  readonly definition: Definition<A>
  readonly authority: Authority<A>
  readonly counts: Counts
  readonly choice: Choice
  readonly url: string
  /** Sent on the redirect. */
  readonly iss: string | undefined
}

/** The headers by which a person without a screen tells what they choose. */
export const ACCOUNT_HEADER = 'x-standin-account'
export const DENY_HEADER = 'x-standin-deny'

export function endpointOf<A extends Account> ({ paths }: Definition<A>, path: string): Endpoint {
  if (path === paths.token) return 'token'
  if (path === paths.authorize) return 'authorize'
  if (path === paths.revoke) return 'revoke'
  return path === paths.afterToken ? 'after_token' : 'api'
}

export function respond<A extends Account> (room: Room<A>, endpoint: Endpoint, received: Received): Said {
  switch (endpoint) {
    case 'authorize': return authorize(room, received)
    case 'token': return counted(room, answerToken(room, received))
    case 'revoke': return counted(room, answerRevocation(room, received))
    default: return answerCall(room, endpoint, received)
  }
}

/** The authorize endpoint: an error page, or a redirect with a code or an error (RFC 6749, 4.1.2). */
function authorize<A extends Account> (room: Room<A>, received: Received): Said {
  const { definition, authority, counts } = room
  const query = new URL(received.url, room.url).searchParams
  const page = (text: string): Said => ({ status: 400, body: `<h1>${definition.id}: ${text}</h1>` })
  const redirectUri = query.get('redirect_uri') ?? ''
  const client = authority.clients.find(({ id }) => id === query.get('client_id'))
  if (client === undefined) return page('unknown client')
  if (!client.redirectUris.includes(redirectUri)) return page('redirect_uri is not registered')
  if (received.method !== 'GET' || new Set(query.keys()).size !== query.size) return page('the request is malformed')
  const problem = definition.judgeAuthorize?.(query)
  if (problem !== undefined) return page(problem)
  const account = chosen(room, received)
  if (account === undefined) return page('nobody of that name is signed in')
  counts.authorizations++
  const error = redirectError(room, received, query)
  const answer = error ?? { code: authority.issueCode({ client, account, query, at: authority.now() }, redirectUri) }
  const back = new URL(redirectUri)
  for (const [name, value] of Object.entries({ ...answer, state: query.get('state'), iss: room.iss })) {
    if (typeof value === 'string') back.searchParams.set(name, value)
  }
  return { status: 302, headers: { location: back.href } }
}

function redirectError<A extends Account> (room: Room<A>, received: Received, query: URLSearchParams): RedirectError | undefined {
  const { pkce } = room.definition
  if (query.get('response_type') !== 'code') return { error: 'unsupported_response_type' }
  const method = query.get('code_challenge_method') ?? 'plain'
  if (pkce.length > 0 && query.has('code_challenge') && !pkce.some((known) => known === method)) {
    return { error: 'invalid_request', error_description: 'code_challenge_method is not supported' }
  }
  if (received.headers[DENY_HEADER] === '1' || room.choice.deny === true) return { error: 'access_denied', error_description: 'The user declined.' }
  return room.definition.redirectError?.(query)
}

function chosen<A extends Account> (room: Room<A>, received: Received): A | undefined {
  const { accounts } = room.definition
  const key = received.headers[ACCOUNT_HEADER] ?? room.choice.account
  return key === undefined ? accounts[0] : accounts.find((account) => account.key === key)
}

interface Known {
  readonly client: Client
  readonly credentials: SentCredentials
}

/** A client that proved itself, or why it did not. */
function identify<A extends Account> (room: Room<A>, received: Received, parameters: URLSearchParams): Known | Refusal {
  const credentials = readCredentials(received, parameters, room.definition)
  if (credentials === undefined) return 'wrong_secret'
  const client = room.authority.clients.find(({ id }) => id === credentials.id)
  if (client === undefined) return 'unknown_client'
  return client.secrets.includes(credentials.secret) ? { client, credentials } : 'wrong_secret'
}

function answerToken<A extends Account> (room: Room<A>, received: Received): Said | Refusal {
  const { definition, authority, counts } = room
  const parameters = received.method === 'POST' ? readParameters(received, definition.tokenRequest) : undefined
  if (parameters === undefined) return 'wrong_request'
  const known = identify(room, received, parameters)
  if (typeof known === 'string') return known
  const { client, credentials } = known
  const grantType = definition.grantType?.(parameters, credentials) ?? parameters.get('grant_type')
  if (!definition.grantTypes.some((type) => type === grantType)) return 'wrong_grant_type'
  if (grantType === 'client_credentials') {
    const [account] = definition.accounts
    if (account === undefined) return 'unknown_client'
    counts.clientCredentials++
    const scopes = splitScopes(parameters.get('scope'), ' ')
    return { status: 200, body: definition.granted?.(authority.open({ client, account, query: parameters, at: authority.now() }, '', scopes), credentials) }
  }
  if (grantType === 'refresh_token') {
    const issued = authority.refresh(client, parameters.get('refresh_token') ?? '')
    if (issued === undefined) return 'wrong_refresh_token'
    counts.refreshes++
    return { status: 200, body: definition.refreshed(issued) }
  }
  const sent = { code: parameters.get('code') ?? '', redirectUri: parameters.get('redirect_uri') ?? '', verifier: parameters.get('code_verifier') }
  const consent = authority.redeem(client, sent, definition.pkce.length > 0)
  if (typeof consent === 'string') return consent
  counts.exchanges++
  return { status: 200, body: definition.exchanged(consent, (kind, scopes) => authority.open(consent, kind, scopes)) }
}

/** RFC 7009: the client proves itself, and a token it does not know is as good as revoked. */
function answerRevocation<A extends Account> (room: Room<A>, received: Received): Said | Refusal {
  const parameters = received.method === 'POST' ? readParameters(received, ['form']) : undefined
  if (parameters?.has('token') !== true) return 'wrong_request'
  const known = identify(room, received, parameters)
  if (typeof known === 'string') return known
  const grant = room.authority.grantOf(parameters.get('token') ?? '')
  if (grant?.client === known.client) {
    grant.state = 'revoked'
    room.definition.revoked?.(grant, room.authority)
  }
  room.counts.revocations++
  return { status: 200 }
}

function counted<A extends Account> (room: Room<A>, answer: Said | Refusal): Said {
  if (typeof answer !== 'string') return answer
  room.counts.refused++
  return room.definition.refusals[answer]
}

function answerCall<A extends Account> (room: Room<A>, endpoint: Endpoint, received: Received): Said {
  const { definition, authority, counts } = room
  if (endpoint === 'after_token') counts.afterToken++
  else counts.apiCalls++
  const url = new URL(received.url, room.url)
  const { state, grant } = authority.judge(readBearer(received.headers.authorization))
  const alsoKnown = state !== 'good' && definition.alsoKnown?.(received, authority) === true
  if (state !== 'good' && !alsoKnown) return definition.bearer[state === 'missing' && received.headers.authorization !== undefined ? 'unknown' : state]
  const call = { received, method: received.method, path: url.pathname, query: url.searchParams, grant: alsoKnown ? undefined : grant }
  return definition.api(call, authority, counts) ?? { status: 404, body: { error: 'not_found', message: `${received.method} ${url.pathname}` } }
}
