import { clientCredentialsGrantRequest, refreshTokenGrantRequest } from 'oauth4webapi'
import type { Clock } from '../clock.ts'
import type { Secret } from '../crypto/index.ts'
import { reveal } from '../crypto/reveal.ts'
import { wrapSecret } from '../crypto/wrap.ts'
import type { Egress } from '../egress/index.ts'
import { basicCredentials, createHide } from './hide.ts'
import { judgeTokenAnswer, type TokenAnswer as Answer } from './normalise.ts'
import { authenticate, describeServer, postOnce, type WebApiOptions } from './post.ts'
import type { GrantKind, GrantOutcome, OAuthClient } from './provider.ts'
import { judgeSendFailure } from './send-failure.ts'

export interface RefreshRequest {
  readonly refreshToken: Secret
  /** Fewer than were granted; left out, all of them. */
  readonly scopes?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ClientCredentialsRequest {
  readonly scopes?: readonly string[] | undefined
  /** Parameters beyond the RFC, such as `audience`. Nothing secret. */
  readonly extraBody?: Readonly<Record<string, string>> | undefined
  readonly signal?: AbortSignal | undefined
}

/** What came of a refresh: an answer nobody has looked into yet, or none. The answer holds tokens. */
export type RefreshReply = { readonly kind: 'answered', readonly answer: Secret } | Exclude<GrantOutcome, { kind: 'granted' | 'rejected' }>

/** Token requests without a browser. Each is sent once, whatever comes of it; none throws. */
export interface Grants {
  /** RFC 6749, 6. The answer is given as it came, so that it can be kept before it is read. */
  requestRefresh (client: OAuthClient, request: RefreshRequest): Promise<RefreshReply>
  /** What such an answer means, now or after a crash. */
  judgeRefresh (client: OAuthClient, reply: { refreshToken: Secret, answer: Secret }): GrantOutcome
  /** RFC 6749, 4.4. */
  clientCredentials (client: OAuthClient, request: ClientCredentialsRequest): Promise<GrantOutcome>
}

interface TokenRequest {
  readonly signal?: AbortSignal | undefined
  readonly send: (options: WebApiOptions & { additionalParameters: Record<string, string> }, clientSecret: string) => Promise<unknown>
  readonly scopes: readonly string[] | undefined
}

type TokenAnswer = Answer & { readonly kind: 'answer' }
type NoAnswer = Exclude<GrantOutcome, { kind: 'granted' | 'rejected' }>

/** Of the headers, those that an answer is judged by. */
const KEPT_HEADERS = ['content-type', 'retry-after']

function packAnswer ({ status, headers, body }: TokenAnswer): Secret {
  const kept = Object.fromEntries(KEPT_HEADERS.flatMap((name) => headers[name] === undefined ? [] : [[name, headers[name]]]))
  return wrapSecret(JSON.stringify([status, kept, Buffer.from(body).toString('base64')]))
}

function unpackAnswer (answer: Secret): TokenAnswer {
  const [status, headers, body] = JSON.parse(reveal(answer)) as [number, Record<string, string>, string]
  return { kind: 'answer', status, headers, body: Buffer.from(body, 'base64') }
}

export function createGrants ({ egress, clock, timeoutMs }: { egress: Pick<Egress, 'send'>, clock: Pick<Clock, 'now'>, timeoutMs: number }): Grants {
  const request = async (client: OAuthClient, { signal, send, scopes }: TokenRequest): Promise<TokenAnswer | NoAnswer> => {
    const { provider } = client
    const clientSecret = reveal(client.clientSecret)
    const { separator, parameter } = provider.scope
    const additionalParameters: Record<string, string> = scopes === undefined || scopes.length === 0 ? {} : { [parameter]: scopes.join(separator) }
    const result = await postOnce(egress, { json: provider.tokenRequest === 'json', timeoutMs, signal }, (options) => send({ ...options, additionalParameters }, clientSecret))
    if (result === undefined) return { kind: 'config_error', error: 'client_invalid', description: 'The app’s settings can’t be used for a token request.' }
    return result.kind === 'answer' ? { kind: 'answer', status: result.status, headers: result.headers, body: result.body } : judgeSendFailure(result)
  }

  const judge = (client: OAuthClient, answer: TokenAnswer, { kind, secrets }: { kind: GrantKind, secrets: readonly string[] }): GrantOutcome => {
    const clientSecret = reveal(client.clientSecret)
    const hide = createHide([clientSecret, basicCredentials(client.clientId, clientSecret), ...secrets])
    return judgeTokenAnswer(client.provider, answer, { kind, hide, nowMs: clock.now().getTime() })
  }

  return Object.freeze({
    requestRefresh: async (client: OAuthClient, { refreshToken, scopes, signal }: RefreshRequest): Promise<RefreshReply> => {
      const { as, who } = describeServer(client)
      const token = reveal(refreshToken)
      const answer = await request(client, {
        scopes,
        signal,
        send: (options, clientSecret) => refreshTokenGrantRequest(as, who, authenticate(client, clientSecret), token, options),
      })
      return answer.kind === 'answer' ? { kind: 'answered', answer: packAnswer(answer) } : answer
    },
    judgeRefresh: (client: OAuthClient, { refreshToken, answer }: { refreshToken: Secret, answer: Secret }) =>
      judge(client, unpackAnswer(answer), { kind: 'refresh', secrets: [reveal(refreshToken)] }),
    clientCredentials: async (client: OAuthClient, { scopes, extraBody, signal }: ClientCredentialsRequest) => {
      const { as, who } = describeServer(client)
      const answer = await request(client, {
        scopes,
        signal,
        send: ({ additionalParameters, ...options }, clientSecret) =>
          clientCredentialsGrantRequest(as, who, authenticate(client, clientSecret), { ...extraBody, ...additionalParameters }, options),
      })
      return answer.kind === 'answer' ? judge(client, answer, { kind: 'client_credentials', secrets: [] }) : answer
    },
  })
}
