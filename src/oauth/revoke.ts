import { revocationRequest } from 'oauth4webapi'
import type { Secret } from '../crypto/index.ts'
import { reveal } from '../crypto/reveal.ts'
import type { Egress, SendResult } from '../egress/index.ts'
import { matches, readPointer } from '../predicate.ts'
import { DESCRIPTION_LENGTH_MAX } from './failure.ts'
import { basicCredentials, createHide, type Hide } from './hide.ts'
import { RESPONSE_BYTES_MAX, USER_AGENT } from './limits.ts'
import { authenticate, describeServer, postOnce } from './post.ts'
import type { OAuthClient, OAuthProvider, RevokeOutcome } from './provider.ts'
import { readBody } from './read-body.ts'

export interface RevokeRequest {
  readonly accessToken: Secret
  /** Where there is one, it is what is revoked: access tokens end with it (RFC 7009, 2.1). */
  readonly refreshToken?: Secret | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Revoker {
  /** Ends a grant at the provider. One request; never throws. */
  revoke (client: OAuthClient, request: RevokeRequest): Promise<RevokeOutcome>
}

export function createRevoker ({ egress, timeoutMs }: { egress: Pick<Egress, 'send'>, timeoutMs: number }): Revoker {
  const byBearer = async (url: string, token: string, signal: AbortSignal | undefined): Promise<SendResult | undefined> => {
    const parsed = URL.parse(url)
    if (parsed === null) return undefined
    return await egress.send('provider', {
      method: 'POST',
      url: parsed,
      headers: { accept: 'application/json', 'user-agent': USER_AGENT, authorization: `Bearer ${token}` },
      timeoutMs,
      maxResponseBytes: RESPONSE_BYTES_MAX,
      ...signal && { signal },
    })
  }

  return Object.freeze({
    revoke: async (client: OAuthClient, { accessToken, refreshToken, signal }: RevokeRequest): Promise<RevokeOutcome> => {
      const { provider } = client
      if (provider.revoke === undefined) return { kind: 'unsupported' }
      const { style, url } = provider.revoke
      const clientSecret = reveal(client.clientSecret)
      const token = reveal(style === 'bearer' ? accessToken : refreshToken ?? accessToken)
      const { as, who } = describeServer(client)
      // The hint is RFC 7009's; APIs that only look like it may refuse what they don't know.
      const additionalParameters: Record<string, string> = style === 'form' ? { token_type_hint: refreshToken === undefined ? 'access_token' : 'refresh_token' } : {}
      const result = style === 'bearer'
        ? await byBearer(url, token, signal)
        : await postOnce(egress, { json: style === 'json', timeoutMs, signal }, (options) =>
          revocationRequest(as, who, authenticate(client, clientSecret), token, { ...options, additionalParameters }))
      if (result === undefined) return { kind: 'failed', description: 'The app’s settings can’t be used to revoke.' }
      return judgeRevocation(provider, result, createHide([clientSecret, basicCredentials(client.clientId, clientSecret), token]))
    },
  })
}

/** RFC 7009, 2.2: success also for a token that the provider does not know. */
function judgeRevocation (provider: OAuthProvider, result: SendResult, hide: Hide): RevokeOutcome {
  if (result.kind !== 'answer') return { kind: 'failed', description: result.detail, ...result.status !== undefined && { status: result.status } }
  const { status, headers } = result
  const json = readBody(result.body, headers['content-type'])
  const refused = readPointer(json, '/ok') === false || provider.answer.failed?.some((predicate) => matches(predicate, { status, headers, json })) === true
  if (status >= 200 && status <= 299 && !refused) return { kind: 'revoked' }
  const words = ['/error', '/error_description'].map((pointer) => readPointer(json, pointer)).filter((word) => typeof word === 'string').join(': ')
  const description = hide(words, DESCRIPTION_LENGTH_MAX)
  return { kind: 'failed', description: description === '' ? `The provider answers ${status} and gives no reason.` : description, status }
}
