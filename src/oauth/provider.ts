import type { Secret } from '../crypto/index.ts'
import type { Predicate } from '../predicate.ts'

/** Stands for the app's client id in the address of a provider that wants it there. */
export const CLIENT_ID = '{client_id}'

/** How a provider differs from RFC 6749. URLs come filled in: nothing here is a template any more. */
export interface OAuthProvider {
  readonly authorizeUrl: string
  readonly tokenUrl: string
  /** When known, whoever takes the callback compares its `iss` with it (RFC 9207). */
  readonly issuer?: string | undefined
  /** `form` is RFC 7009; `json` the same in JSON; `bearer` sends the access token as the call's own authorization. */
  readonly revoke?: { readonly url: string, readonly style: 'form' | 'json' | 'bearer' | 'delete' } | undefined
  readonly scope: { readonly separator: string, readonly parameter: string }
  readonly authorizeParameters: Readonly<Record<string, string>>
  /** RFC 7636, S256 alone. */
  readonly pkce: 'required' | 'use' | 'never'
  /** RFC 6749, 2.3.1. */
  readonly clientAuth: 'basic' | 'body'
  readonly tokenRequest: 'form' | 'json'
  readonly answer: AnswerShape
  /** The first that fits a failed answer names its class, before the codes of RFC 6749 are looked at. */
  readonly errors: readonly { readonly when: Predicate, readonly class: 'reauthorise' | 'config_error' | 'try_later' }[]
  /** How long an access token lives where the answer does not say; null: until it is refused. */
  readonly accessTokenSeconds: number | null
}

/** Where things stand in a token answer: JSON pointers (RFC 6901), the first that is there wins. Left out: the standard member. */
export interface AnswerShape {
  /** What a failure at HTTP 200 looks like. */
  readonly failed?: readonly Predicate[] | undefined
  readonly accessToken?: readonly string[] | undefined
  readonly refreshToken?: readonly string[] | undefined
  readonly expiresIn?: readonly string[] | undefined
  readonly scope?: readonly string[] | undefined
  readonly refreshExpiresIn?: readonly string[] | undefined
  /** The end of the access token in milliseconds of the epoch. */
  readonly expiresAtMs?: readonly string[] | undefined
  /** Config that is read from the answer: name → pointer. Nothing secret. */
  readonly config?: Readonly<Record<string, string>> | undefined
  readonly account?: { readonly id: string | readonly string[], readonly label?: string | readonly string[] | undefined } | undefined
  /** Who gave the grant: `token` points at a JWT in the answer, `pointer` into its claims, which are not verified. */
  readonly holder?: { readonly token: string, readonly pointer: string } | undefined
}

/** One version of an OAuth app, as the protocol needs it. */
export interface OAuthClient {
  /** Changes whenever anything below changes. */
  readonly ref: string
  readonly provider: OAuthProvider
  readonly clientId: string
  readonly clientSecret: Secret
  readonly redirectUri: string
}

export interface TokenSet {
  readonly accessToken: Secret
  /** Absent in an answer to a refresh: the one that was used stays good. */
  readonly refreshToken?: Secret | undefined
  /** Counted from the start of the request. */
  readonly expiresInSeconds?: number | undefined
  readonly refreshExpiresInSeconds?: number | undefined
  /** Absent: the answer does not say. */
  readonly scopes?: readonly string[] | undefined
  readonly config: Readonly<Record<string, string>>
  readonly account?: { readonly id: string, readonly label: string | null } | undefined
  readonly holder?: string | undefined
}

/**
 * What a token request came to. `error` and `description` are the provider's words, bounded,
 * printable, and without any secret of the request.
 */
export type GrantOutcome =
  | { readonly kind: 'granted', readonly tokens: TokenSet }
  /** The code or the refresh token is dead. */
  | { readonly kind: 'rejected', readonly error: string, readonly description: string, readonly status?: number | undefined }
  /** The app is wrong: its id, secret, redirect URI or scopes. Without a status nothing has been sent. */
  | { readonly kind: 'config_error', readonly error: string, readonly description: string, readonly status?: number | undefined }
  /** The grant was not carried out and is as good as before. Without a status nothing has been sent. */
  | { readonly kind: 'try_later', readonly error: string, readonly description: string, readonly status?: number | undefined, readonly retryAfterSeconds?: number | undefined }
  /** Bytes have left, and no answer that can be read has come: the grant may have been spent. */
  | { readonly kind: 'outcome_unknown', readonly description: string }

export type GrantKind = 'code' | 'refresh' | 'client_credentials'

export type RevokeOutcome =
  | { readonly kind: 'revoked' }
  | { readonly kind: 'failed', readonly description: string, readonly status?: number | undefined }
  /** The provider has no way to revoke. */
  | { readonly kind: 'unsupported' }
