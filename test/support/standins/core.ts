import type { ServerResponse } from 'node:http'
import { startProvider, type Received } from '../provider.ts'
import { Authority, canaryText, type Account, type Client } from './authority.ts'
import type { Definition, Said } from './definition.ts'
import { endpointOf, respond, type Choice, type Counts, type Room } from './endpoints.ts'
import { misbehave, nextFailure, type Endpoint, type Failure, type Failures } from './misbehave.ts'

export interface CommonOptions<A extends Account> {
  readonly accounts?: readonly A[]
  /** Sends `iss` on the redirect (RFC 9207): its own address, or another one to be caught. */
  readonly iss?: true | string
  /** A spent refresh token that comes after its grace ends the grant; else it is only refused. */
  readonly reuseEndsGrant?: true
  /** In place of what the provider has. */
  readonly accessSeconds?: number
  readonly graceSeconds?: number
}

export interface RegisteredClient extends Client {
  /** The newest of `secrets`. */
  readonly secret: string
}

/** A provider on loopback: its authorization server and its API. */
export interface Standin<A extends Account = Account> {
  readonly id: string
  readonly url: string
  /** `host:port`, as the operator's list of exceptions has it. */
  readonly endpoint: string
  readonly received: readonly Received[]
  readonly counts: Readonly<Counts>
  /** What it remembers: clients, grants, every secret it made; `advance` and `expire` move its clock and its tokens. */
  readonly authority: Authority<A>
  /** What goes wrong from now on. */
  readonly fail: Failures
  /** For a person in a real browser, which can't say more than the request does. */
  readonly choice: Choice
  register (...redirectUris: string[]): RegisteredClient
  /** A new secret; the old one is valid until it is taken out of the client's `secrets`. */
  addSecret (client: Client): string
  /** The user removes the app upstream, one account's or all. */
  disconnect (account?: string): void
  /** What has come to a path, the newest last. */
  requestsTo (path: string): Received[]
  close (): Promise<void>
}

export async function startStandin<A extends Account> (given: Definition<A>, options: CommonOptions<A>): Promise<Standin<A>> {
  const definition = { ...given, accounts: options.accounts ?? given.accounts }
  const counts: Counts = {
    authorizations: 0, tokenRequests: 0, exchanges: 0, refreshes: 0, clientCredentials: 0, refused: 0, revocations: 0, afterToken: 0, apiCalls: 0,
  }
  const authority = new Authority<A>({
    spell: definition.spell,
    lifetimes: (grant) => ({
      ...definition.lifetimes(grant),
      ...options.accessSeconds !== undefined && { access: options.accessSeconds },
      ...options.graceSeconds !== undefined && { grace: options.graceSeconds },
    }),
  }, options.reuseEndsGrant === true)
  const fail: Failures = {}
  const choice: Choice = {}
  const provider = await startProvider((received, reply) => {
    const endpoint = endpointOf(definition, new URL(received.url, provider.url).pathname)
    if (endpoint === 'token') counts.tokenRequests++
    const failure = nextFailure(fail, endpoint)
    if (misbehave(failure, reply)) return
    const room: Room<A> = { definition, authority, counts, choice, url: provider.url, iss: options.iss === true ? provider.url : options.iss }
    const said = refuseAsTold(definition, failure, { endpoint, received }) ?? respondOrBreak(room, endpoint, received)
    if (failure === 'lost') reply.socket?.resetAndDestroy()
    else if (failure === 'slow') setTimeout(() => { say(reply, said) }, 750)
    else if (failure !== 'lost_timeout') say(reply, said)
  })
  const { url, endpoint, received, close } = provider
  return {
    id: definition.id, url, endpoint, received, counts, authority, fail, choice, close,
    register: (...redirectUris) => register(definition, authority, redirectUris),
    addSecret: (client) => {
      const secret = authority.keep(definition.newClient(canaryText()).secret)
      client.secrets.push(secret)
      return secret
    },
    disconnect: (account) => {
      for (const grant of authority.grants) if (grant.state === 'good' && (account === undefined || grant.account.key === account)) grant.state = 'ended'
    },
    requestsTo: (path) => received.filter((one) => new URL(one.url, url).pathname === path),
  }
}

/** A fault of the stand-in's own shows as such. */
function respondOrBreak<A extends Account> (room: Room<A>, endpoint: Endpoint, received: Received): Said {
  try {
    return respond(room, endpoint, received)
  } catch (error) {
    return { status: 500, body: { error: 'standin_broke', error_description: error instanceof Error ? error.stack : '' } }
  }
}

/** A refusal in the provider's own words of what is in order. */
function refuseAsTold<A extends Account> (definition: Definition<A>, failure: Failure, at: { endpoint: Endpoint, received: Received }): Said | undefined {
  switch (failure) {
    case 'invalid_client': return definition.refusals.wrong_secret
    case 'invalid_grant': return definition.refusals[/"?grant_type"?[=:]\s*"?refresh_token/.test(at.received.body) ? 'wrong_refresh_token' : 'wrong_code']
    // What a provider's API says with another status, its token endpoint says with this one.
    case 'rate_limited': return at.endpoint === 'token' ? { headers: { 'retry-after': '3' }, ...definition.rateLimited, status: 429 } : definition.rateLimited
    case 'unauthorized': return at.endpoint === 'token' ? definition.refusals.wrong_secret : definition.bearer.expired
    default: return undefined
  }
}

function register<A extends Account> (definition: Definition<A>, authority: Authority<A>, redirectUris: string[]): RegisteredClient {
  const { id, secret } = definition.newClient(canaryText())
  const client = { id, secrets: [authority.keep(secret)], redirectUris, get secret () { return this.secrets.at(-1) ?? '' } }
  authority.clients.push(client)
  return client
}

function say (reply: ServerResponse, { status, body, headers }: Said): void {
  const page = typeof body === 'string'
  reply.writeHead(status, { ...body !== undefined && { 'content-type': page ? 'text/html' : 'application/json' }, 'cache-control': 'no-store', ...headers })
  reply.end(body === undefined ? undefined : page ? body : JSON.stringify(body))
}
