import type { AuthorizationServer, Client, ClientAuth } from 'oauth4webapi'
import { allowInsecureRequests, customFetch } from 'oauth4webapi'
import type { Egress, SendResult } from '../egress/index.ts'
import { basicCredentials } from './hide.ts'
import { RESPONSE_BYTES_MAX, USER_AGENT } from './limits.ts'
import type { OAuthClient } from './provider.ts'

export interface PostOptions {
  /** The body is rewritten: some providers take JSON alone (Jira, Notion). */
  readonly json: boolean
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/** What oauth4webapi's request functions take to send through egress. */
export interface WebApiOptions {
  [customFetch]: (url: string, init: { readonly body?: unknown, readonly headers: Record<string, string>, readonly method: string }) => Promise<Response>
  [allowInsecureRequests]: true
  headers: Record<string, string>
}

/**
 * Lets oauth4webapi build and authenticate one request, sends that through egress, and gives back
 * what came of it; undefined when the library would not build it. What the library makes of the
 * answer, or throws, goes nowhere: it is stricter than providers are.
 */
export async function postOnce (egress: Pick<Egress, 'send'>, { json, timeoutMs, signal }: PostOptions, request: (options: WebApiOptions) => Promise<unknown>): Promise<SendResult | undefined> {
  let result: SendResult | undefined
  const options: WebApiOptions = {
    headers: { 'user-agent': USER_AGENT },
    // Whether plain http may be called, egress decides.
    [allowInsecureRequests]: true,
    [customFetch]: async (url, { body, headers, method }) => {
      const fields = body instanceof URLSearchParams ? body : new URLSearchParams()
      result = await egress.send('provider', {
        method,
        url: new URL(url),
        headers: { accept: 'application/json', ...headers, 'content-type': json ? 'application/json' : 'application/x-www-form-urlencoded' },
        body: Buffer.from(json ? JSON.stringify(Object.fromEntries(fields)) : fields.toString()),
        timeoutMs,
        maxResponseBytes: RESPONSE_BYTES_MAX,
        ...signal && { signal },
      })
      return new Response(null)
    },
  }
  try {
    await request(options)
  } catch {
    // Its errors may quote the request.
  }
  return result
}

/** A provider as oauth4webapi knows it. The issuer only stands where one has to: no ID token is validated. */
export function describeServer ({ provider, clientId }: OAuthClient): { as: AuthorizationServer, who: Client } {
  return {
    as: {
      issuer: provider.issuer ?? 'https://issuer.invalid',
      token_endpoint: provider.tokenUrl,
      ...provider.revoke && { revocation_endpoint: provider.revoke.url },
    },
    who: { client_id: clientId },
  }
}

/**
 * RFC 6749, 2.3.1. Not oauth4webapi's own Basic, which escapes hyphens and dots, too: correct, but
 * providers that don't decode (and the browser flow, which doesn't escape them) would disagree.
 */
export function authenticate ({ provider, clientId }: OAuthClient, clientSecret: string): ClientAuth {
  return (...[, , body, headers]) => {
    if (provider.clientAuth === 'basic') headers.set('authorization', `Basic ${basicCredentials(clientId, clientSecret)}`)
    else {
      body.set('client_id', clientId)
      body.set('client_secret', clientSecret)
    }
  }
}
