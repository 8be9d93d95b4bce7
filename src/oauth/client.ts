import oauth2Plugin, { type FastifyOAuth2Options, type OAuth2Namespace } from '@fastify/oauth2'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import type { Secret } from '../crypto/index.ts'
import { reveal } from '../crypto/reveal.ts'
import { wrapSecret } from '../crypto/wrap.ts'
import type { Egress, GuardedAgents, WatchedExchange } from '../egress/index.ts'
import { basicCredentials, createHide } from './hide.ts'
import { judgeTokenAnswer } from './normalise.ts'
import { judgeSendFailure } from './send-failure.ts'
import { RESPONSE_BYTES_MAX, TIMEOUT_MS, USER_AGENT } from './limits.ts'
import type { GrantOutcome, OAuthClient } from './provider.ts'

/** Why an app can't be used as it is set up. Names no value. */
export class BrokenClientError extends Error {}

export interface AuthorizeRequest {
  /** Goes to the provider and comes back; the caller keeps it, and judges it before it exchanges a code. */
  readonly state: string
  readonly scopes: readonly string[]
  /** Added to the manifest's parameters. Those of the protocol itself can't be set. */
  readonly extra?: Readonly<Record<string, string>> | undefined
}

export interface AuthorizeStart {
  readonly url: string
  /** PKCE's (RFC 7636): belongs to this state and to nobody else. */
  readonly verifier: Secret | undefined
}

export interface BrowserFlow {
  /** Where to send the browser (RFC 6749, 4.1.1). Throws BrokenClientError. */
  authorize (client: OAuthClient, request: AuthorizeRequest): Promise<AuthorizeStart>
  /** The token request of a code (RFC 6749, 4.1.3): sent once, whatever comes of it. The state has been judged before. */
  exchange (client: OAuthClient, grant: { code: Secret, verifier: Secret | undefined }): Promise<GrantOutcome>
  close (): Promise<void>
}

/** The plugin's decoration, with the part that its types leave out: simple-oauth2's client. */
type Flow = OAuth2Namespace & { readonly oauth2: { createToken: (payload: unknown) => unknown } }

interface Instance {
  readonly app: FastifyInstance
  readonly flow: Flow
}

/** One instance takes about 150 KB and 2 ms. */
const INSTANCES_MAX = 128
/** An app's secret is not kept in memory long after its last use. */
const INSTANCE_TTL_MS = 600_000
const VERIFIER_COOKIE = 'verifier'
const PROTOCOL_PARAMETERS = new Set(['client_id', 'response_type', 'redirect_uri', 'state', 'scope', 'code_challenge', 'code_challenge_method'])

/**
 * The browser flow by @fastify/oauth2. The plugin decorates at boot while apps come and go, so each
 * app version gets a Fastify instance of its own, which never listens.
 */
export function createBrowserFlow ({ egress, clock, timeoutMs }: { egress: Pick<Egress, 'agents'>, clock: Pick<Clock, 'now'>, timeoutMs: number }): BrowserFlow {
  const agents = egress.agents('provider')
  const instances = new LRUCache<string, Promise<Instance>>({
    max: INSTANCES_MAX,
    ttl: INSTANCE_TTL_MS,
    ttlAutopurge: true,
    updateAgeOnGet: true,
    dispose: (building) => { building.then(({ app }) => app.close()).catch(() => {}) },
  })
  const instanceOf = (client: OAuthClient): Promise<Instance> => {
    const known = instances.get(client.ref)
    if (known !== undefined) return known
    const building = buildInstance(client, agents)
    instances.set(client.ref, building)
    building.catch(() => { if (instances.peek(client.ref) === building) instances.delete(client.ref) })
    return building
  }

  return Object.freeze({
    authorize: async (client: OAuthClient, request: AuthorizeRequest) => {
      const { flow } = await instanceOf(client)
      return await authorize(flow, client, request)
    },
    exchange: async (client: OAuthClient, { code, verifier }: { code: Secret, verifier: Secret | undefined }): Promise<GrantOutcome> => {
      let flow: Flow
      try {
        flow = (await instanceOf(client)).flow
      } catch (error) {
        return { kind: 'config_error', error: 'client_invalid', description: error instanceof BrokenClientError ? error.message : BROKEN }
      }
      const codeText = reveal(code)
      const verifierText = verifier && reveal(verifier)
      const request = shimRequest({ query: { code: codeText }, cookies: { [VERIFIER_COOKIE]: verifierText } })
      const exchange = await agents.watch(timeoutMs, () => flow.getAccessTokenFromAuthorizationCodeFlow(request))
      const clientSecret = reveal(client.clientSecret)
      const hide = createHide([clientSecret, basicCredentials(client.clientId, clientSecret), codeText, ...verifierText === undefined ? [] : [verifierText]])
      const answer = readAnswer(exchange)
      return answer === undefined
        ? judgeSendFailure(exchange.failure ?? UNREADABLE)
        : judgeTokenAnswer(client.provider, answer, { kind: 'code', hide, nowMs: clock.now().getTime() })
    },
    close: async () => {
      const building = [...instances.values()]
      instances.clear()
      await Promise.allSettled(building.map(async (one) => (await one).app.close()))
    },
  })
}

const UNREADABLE = { kind: 'interrupted', maybeSent: true, detail: 'The provider’s answer can’t be read.' } as const

/** The answer's bytes, from what the library returns (below 400) or throws. The rest of what it throws holds the request: it ends here. */
function readAnswer ({ result, head }: WatchedExchange<unknown>): { status: number, headers: Readonly<Record<string, string>>, body: Uint8Array } | undefined {
  const payload = 'value' in result ? result.value : (result.thrown as { data?: { payload?: unknown } | null } | null | undefined)?.data?.payload
  return head !== undefined && Buffer.isBuffer(payload) ? { ...head, body: payload } : undefined
}

async function authorize (flow: Flow, { provider }: OAuthClient, { state, scopes, extra }: AuthorizeRequest): Promise<AuthorizeStart> {
  let verifier: Secret | undefined
  // Stands for the reply: the verifier that would become a cookie is kept by the caller.
  const reply = { setCookie: (name: string, value: string) => { if (name === VERIFIER_COOKIE) verifier = wrapSecret(value) } }
  const url = new URL(await flow.generateAuthorizationUri(shimRequest({ state }), reply as unknown as FastifyReply))
  for (const [name, value] of Object.entries({ ...provider.authorizeParameters, ...extra })) {
    if (!PROTOCOL_PARAMETERS.has(name) && name !== provider.scope.parameter) url.searchParams.set(name, value)
  }
  // The plugin writes an empty one where there are none, which some providers refuse.
  url.searchParams.delete('scope')
  if (scopes.length > 0) url.searchParams.set(provider.scope.parameter, scopes.join(provider.scope.separator))
  // Everybody reads %20 as a space, not everybody a plus; a plus itself stands as %2B here.
  url.search = url.search.replaceAll('+', '%20')
  return { url: url.href, verifier }
}

/** As much of a request as the plugin and our own state functions look at. */
function shimRequest (parts: { state?: string, query?: object, cookies?: object }): FastifyRequest {
  return parts as unknown as FastifyRequest
}

const BROKEN = 'The app’s settings can’t be used for a token request.'

/** Throws BrokenClientError: the library's own errors quote what they complain of, the client secret included. */
async function buildInstance (client: OAuthClient, agents: GuardedAgents): Promise<Instance> {
  const clientSecret = reveal(client.clientSecret)
  // RFC 6749, appendix A.1 and A.2.
  if (!/^[\x20-\x7e]*$/.test(client.clientId)) throw new BrokenClientError('The client id has characters that no client id has.')
  if (!/^[\x20-\x7e]*$/.test(clientSecret)) throw new BrokenClientError('The client secret has characters that no client secret has.')
  const app = fastify({ logger: false })
  try {
    const options = toOptions(client, clientSecret, agents)
    const flow = await new Promise<Flow>((resolve, reject) => {
      app.register((child, _options, next) => {
        // Thrown in a plugin, an error travels through the boot of the instance; here it stops.
        try {
          oauth2Plugin(child, options, (error) => {
            if (error === undefined || error === null) resolve((child as unknown as { provider: Flow }).provider)
            else reject(new BrokenClientError(BROKEN))
          })
        } catch {
          reject(new BrokenClientError(BROKEN))
        }
        next()
      })
      app.ready().then(undefined, () => { reject(new BrokenClientError(BROKEN)) })
    })
    // It would take the answer for a parsed token; we want its bytes.
    flow.oauth2.createToken = (payload) => payload
    return { app, flow }
  } catch {
    await app.close().catch(() => {})
    throw new BrokenClientError(BROKEN)
  }
}

function toOptions ({ provider, clientId, redirectUri }: OAuthClient, clientSecret: string, agents: GuardedAgents): FastifyOAuth2Options {
  const tokenUrl = new URL(provider.tokenUrl)
  const authorizeUrl = new URL(provider.authorizeUrl)
  return {
    name: 'provider',
    scope: [],
    callbackUri: redirectUri,
    credentials: {
      client: { id: clientId, secret: clientSecret },
      // Whole URLs as paths: one that begins with two slashes would otherwise name another host.
      auth: { tokenHost: tokenUrl.origin, tokenPath: tokenUrl.href, authorizeHost: authorizeUrl.origin, authorizePath: authorizeUrl.href },
      http: {
        agent: tokenUrl.protocol === 'https:' ? agents.https : agents.http,
        // A second guard beside that of the agents' watch, which covers the whole exchange.
        timeout: TIMEOUT_MS,
        maxBytes: RESPONSE_BYTES_MAX,
        // The bytes as they came: most of what goes wrong is not JSON.
        json: false,
        redirects: false,
        gunzip: true,
        headers: { 'Accept-Encoding': 'identity' },
      },
      options: { authorizationMethod: provider.clientAuth === 'basic' ? 'header' : 'body', bodyFormat: provider.tokenRequest },
    },
    userAgent: USER_AGENT,
    ...provider.pkce !== 'never' && { pkce: 'S256' as const },
    verifierCookieName: VERIFIER_COOKIE,
    // State is the caller's: it is single use and server-side, and judged before a code gets here.
    generateStateFunction: (request: FastifyRequest, callback?: (error: null, state: string) => void) => { callback?.(null, (request as unknown as { state: string }).state); return '' },
    checkStateFunction: (_request: FastifyRequest, callback?: () => void) => { callback?.(); return true },
  }
}
