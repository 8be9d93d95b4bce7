import { clientCredentialsGrantRequest, refreshTokenGrantRequest } from 'oauth4webapi'
import type { Clock } from '../clock.ts'
import type { Secret } from '../crypto/index.ts'
import { reveal } from '../crypto/reveal.ts'
import type { Egress } from '../egress/index.ts'
import { basicCredentials, createHide } from './hide.ts'
import { judgeTokenAnswer } from './normalise.ts'
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

/** Token requests without a browser. Each is sent once, whatever comes of it; none throws. */
export interface Grants {
  /** RFC 6749, 6. */
  refresh (client: OAuthClient, request: RefreshRequest): Promise<GrantOutcome>
  /** RFC 6749, 4.4. */
  clientCredentials (client: OAuthClient, request: ClientCredentialsRequest): Promise<GrantOutcome>
}

interface TokenRequest {
  readonly kind: GrantKind
  /** Plaintexts that the request carries beside the client's. */
  readonly secrets: readonly string[]
  readonly signal?: AbortSignal | undefined
  readonly send: (options: WebApiOptions & { additionalParameters: Record<string, string> }, clientSecret: string) => Promise<unknown>
  readonly scopes: readonly string[] | undefined
}

export function createGrants ({ egress, clock, timeoutMs }: { egress: Pick<Egress, 'send'>, clock: Pick<Clock, 'now'>, timeoutMs: number }): Grants {
  const request = async (client: OAuthClient, { kind, secrets, signal, send, scopes }: TokenRequest): Promise<GrantOutcome> => {
    const { provider } = client
    const clientSecret = reveal(client.clientSecret)
    const { separator, parameter } = provider.scope
    const additionalParameters: Record<string, string> = scopes === undefined || scopes.length === 0 ? {} : { [parameter]: scopes.join(separator) }
    const result = await postOnce(egress, { json: provider.tokenRequest === 'json', timeoutMs, signal }, (options) => send({ ...options, additionalParameters }, clientSecret))
    if (result === undefined) return { kind: 'config_error', error: 'client_invalid', description: 'The app’s settings can’t be used for a token request.' }
    if (result.kind !== 'answer') return judgeSendFailure(result)
    const hide = createHide([clientSecret, basicCredentials(client.clientId, clientSecret), ...secrets])
    return judgeTokenAnswer(provider, result, { kind, hide, nowMs: clock.now().getTime() })
  }

  return Object.freeze({
    refresh: async (client: OAuthClient, { refreshToken, scopes, signal }: RefreshRequest) => {
      const { as, who } = describeServer(client)
      const token = reveal(refreshToken)
      return await request(client, {
        kind: 'refresh',
        secrets: [token],
        scopes,
        signal,
        send: (options, clientSecret) => refreshTokenGrantRequest(as, who, authenticate(client, clientSecret), token, options),
      })
    },
    clientCredentials: async (client: OAuthClient, { scopes, extraBody, signal }: ClientCredentialsRequest) => {
      const { as, who } = describeServer(client)
      return await request(client, {
        kind: 'client_credentials',
        secrets: [],
        scopes,
        signal,
        send: ({ additionalParameters, ...options }, clientSecret) =>
          clientCredentialsGrantRequest(as, who, authenticate(client, clientSecret), { ...extraBody, ...additionalParameters }, options),
      })
    },
  })
}
