import { revocationRequest } from 'oauth4webapi'
import type { Secret } from '../crypto/index.ts'
import { reveal } from '../crypto/reveal.ts'
import type { Egress, SendResult } from '../egress/index.ts'
import { matches, readPointer } from '../predicate.ts'
import { DESCRIPTION_LENGTH_MAX } from './failure.ts'
import { basicCredentials, createHide, type Hide } from './hide.ts'
import { RESPONSE_BYTES_MAX, USER_AGENT } from './limits.ts'
import { authenticate, describeServer, postOnce } from './post.ts'
import { CLIENT_ID, type OAuthClient, type OAuthProvider, type RevokeOutcome } from './provider.ts'
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
  const send = async (url: string, call: Call, signal: AbortSignal | undefined): Promise<SendResult | undefined> => {
    const parsed = URL.parse(url)
    if (parsed === null) return undefined
    return await egress.send('provider', {
      method: call.method,
      url: parsed,
      headers: { accept: 'application/json', 'user-agent': USER_AGENT, authorization: call.authorization, ...call.json !== undefined && { 'content-type': 'application/json' } },
      ...call.json !== undefined && { body: Buffer.from(JSON.stringify(call.json)) },
      timeoutMs,
      maxResponseBytes: RESPONSE_BYTES_MAX,
      ...signal && { signal },
    })
  }
  const byPost = async (client: OAuthClient, { clientSecret, token, hint, signal }: Posted): Promise<SendResult | undefined> => {
    const { as, who } = describeServer(client)
    const json = client.provider.revoke?.style === 'json'
    // The hint is RFC 7009's; APIs that only look like it may refuse what they don't know.
    const additionalParameters: Record<string, string> = json ? {} : { token_type_hint: hint }
    return await postOnce(egress, { json, timeoutMs, signal }, (options) =>
      revocationRequest(as, who, authenticate(client, clientSecret), token, { ...options, additionalParameters }))
  }

  return Object.freeze({
    revoke: async (client: OAuthClient, { accessToken, refreshToken, signal }: RevokeRequest): Promise<RevokeOutcome> => {
      const { provider } = client
      if (provider.revoke === undefined) return { kind: 'unsupported' }
      const { style, url } = provider.revoke
      const clientSecret = reveal(client.clientSecret)
      const direct = style === 'bearer' || style === 'delete'
      const token = reveal(direct ? accessToken : refreshToken ?? accessToken)
      const basic = basicCredentials(client.clientId, clientSecret)
      const result = direct
        ? await send(url.replace(CLIENT_ID, encodeURIComponent(client.clientId)), style === 'bearer'
          ? { method: 'POST', authorization: `Bearer ${token}` }
          : { method: 'DELETE', authorization: `Basic ${basic}`, json: { access_token: token } }, signal)
        : await byPost(client, { clientSecret, token, hint: refreshToken === undefined ? 'access_token' : 'refresh_token', signal })
      if (result === undefined) return { kind: 'failed', description: 'The app’s settings can’t be used to revoke.' }
      // An access token may be no longer valid while what renews it is.
      const ended = direct && refreshToken !== undefined ? GRANT_ENDED : [...GRANT_ENDED, ...TOKEN_ENDED]
      return judgeRevocation(provider, result, { hide: createHide([clientSecret, basic, token]), ended })
    },
  })
}

interface Call {
  readonly method: 'POST' | 'DELETE'
  readonly authorization: string
  readonly json?: object
}

interface Posted {
  readonly clientSecret: string
  readonly token: string
  readonly hint: 'access_token' | 'refresh_token'
  readonly signal: AbortSignal | undefined
}

/** What providers say of a token that was taken away, with its grant: Slack, which revokes nothing twice. */
const GRANT_ENDED: readonly unknown[] = ['token_revoked', 'account_inactive']
/** What they say of one that is not valid, for whatever reason: Salesforce and Google, where RFC 7009 has a 200. */
const TOKEN_ENDED: readonly unknown[] = ['invalid_token', 'token_expired']

/** RFC 7009, 2.2: success also for a token that the provider does not know, or, as some say instead, that is not valid any more. */
function judgeRevocation (provider: OAuthProvider, result: SendResult, { hide, ended }: { hide: Hide, ended: readonly unknown[] }): RevokeOutcome {
  if (result.kind !== 'answer') return { kind: 'failed', description: result.detail, ...result.status !== undefined && { status: result.status } }
  const { status, headers } = result
  const json = readBody(result.body, headers['content-type'])
  const refused = readPointer(json, '/ok') === false || provider.answer.failed?.some((predicate) => matches(predicate, { status, headers, json })) === true
  const gone = (provider.revoke?.style === 'delete' && status === 404) || (status < 500 && ended.includes(readPointer(json, '/error')))
  if ((status >= 200 && status <= 299 && !refused) || gone) return { kind: 'revoked' }
  const words = ['/error', '/error_description'].map((pointer) => readPointer(json, pointer)).filter((word) => typeof word === 'string').join(': ')
  const description = hide(words, DESCRIPTION_LENGTH_MAX)
  return { kind: 'failed', description: description === '' ? `The provider answers ${status} and gives no reason.` : description, status }
}
