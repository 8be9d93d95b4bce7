import type { Received } from '../provider.ts'
import type { Account, Authority, BearerState, Consent, Grant, Issued, Spelling } from './authority.ts'
import type { Counts } from './endpoints.ts'
import type { ClientAuthRules, Encoding, SentCredentials } from './read.ts'

/** What a provider answers. A text is a page. */
export interface Said {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export type Refusal =
  | 'unknown_client' | 'wrong_secret' | 'wrong_redirect_uri' | 'wrong_code' | 'wrong_verifier' | 'wrong_refresh_token' | 'wrong_grant_type' | 'wrong_request'

export interface RedirectError {
  readonly error: string
  readonly error_description?: string
}

export interface Call<A extends Account> {
  readonly received: Received
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** What the bearer may do; undefined where `alsoKnown` let the call in. */
  readonly grant: Grant<A> | undefined
}

/** What is a provider's own; the rest is RFC 6749 and the same for all. */
export interface Definition<A extends Account> extends Spelling<A>, ClientAuthRules {
  readonly id: string
  readonly accounts: readonly A[]
  /** `afterToken` and everything else is called with a bearer. */
  readonly paths: { readonly authorize?: string, readonly token: string, readonly revoke?: string, readonly afterToken?: string }
  readonly tokenRequest: readonly Encoding[]
  readonly grantTypes: readonly ('authorization_code' | 'refresh_token' | 'client_credentials')[]
  /** Methods it verifies; where there are none, it ignores RFC 7636. */
  readonly pkce: readonly ('S256' | 'plain')[]
  readonly refusals: Readonly<Record<Refusal, Said>>
  readonly rateLimited: Said
  readonly bearer: Readonly<Record<Exclude<BearerState, 'good'>, Said>>
  newClient (text: string): { id: string, secret: string }
  /** What its error page says of a request for consent; undefined when all is well. */
  judgeAuthorize? (query: URLSearchParams): string | undefined
  /** What it sends back on the redirect, though somebody consented. */
  redirectError? (query: URLSearchParams): RedirectError | undefined
  exchanged (consent: Consent<A>, open: (kind: string, scopes: readonly string[]) => Issued<A>): unknown
  refreshed (issued: Issued<A>): unknown
  /** The answer to client credentials. */
  granted? (issued: Issued<A>, credentials: SentCredentials): unknown
  /** Tells the grant type where `grant_type` does not. */
  grantType? (parameters: URLSearchParams, credentials: SentCredentials): string | undefined
  /** What a revocation ends beside the grant of its token. */
  revoked? (grant: Grant<A>, authority: Authority<A>): void
  alsoKnown? (received: Received, authority: Authority<A>): boolean
  api (call: Call<A>, authority: Authority<A>, counts: Counts): Said | undefined
}
