import { Type } from 'typebox'
import { closed, Name, PerEnvironment, Pointer, Pointers, Predicate, TextMap, Url } from './manifest-parts.ts'

/**
 * How a provider's OAuth differs from RFC 6749. Pointers are into its token answer; fields of the
 * scheme called `access_token` and `refresh_token` take the tokens.
 */
export const OAuth = Type.Object({
  /**
   * What the token is had with: a person's consent in a browser (RFC 6749, 4.1) through an
   * operator's app, or the connection's own client id and secret (4.4), which are pasted then.
   */
  grant: Type.Optional(Type.Enum(['authorization_code', 'client_credentials'], { default: 'authorization_code' })),
  /** The fields that hold the client of a client credentials grant. */
  client: Type.Optional(Type.Object({ id: Name, secret: Name }, closed)),
  /** One for all environments, or one each; `{name}` stands for a config field entered before. */
  authorize_url: Type.Optional(PerEnvironment),
  token_url: PerEnvironment,
  /** Issuer identifier (RFC 8414) of a provider whose redirects say it: their `iss` has to be it (RFC 9207). */
  issuer: Type.Optional(PerEnvironment),
  /** RFC 7009 unless `style` says otherwise; without one, tokens are only destroyed here. */
  revoke: Type.Optional(Type.Object({
    url: PerEnvironment,
    /**
     * How the token is sent: a form as in RFC 7009, a JSON body, as the bearer of the call itself, or as `access_token` in the JSON of
     * a DELETE with the app's HTTP Basic, in whose URL `{client_id}` stands for the app's.
     */
    style: Type.Enum(['form', 'json', 'bearer', 'delete']),
    /** Revoking ends every connection this person has made through the app. */
    whole_account: Type.Optional(Type.Literal(true)),
  }, closed)),
  scopes: Type.Object({
    default: Type.Array(Type.String()),
    separator: Type.Optional(Type.String({ default: ' ' })),
    /** Name of the request parameter, `scope` when left out. */
    parameter: Type.Optional(Type.String()),
    /** Other scopes worth offering. */
    offered: Type.Optional(Type.Array(Type.String())),
  }, closed),
  authorize_parameters: Type.Optional(TextMap),
  /** RFC 7636, always S256. `never` where using it changes what the app is. */
  pkce: Type.Enum(['required', 'use', 'never']),
  /** RFC 6749, 2.3.1: HTTP Basic, or client_id and client_secret in the body. */
  client_auth: Type.Enum(['basic', 'body']),
  token_request: Type.Enum(['form', 'json']),
  token_answer: Type.Object({
    /** What a failure at HTTP 200 looks like. */
    failed: Type.Optional(Type.Array(Predicate)),
    access_token: Type.Optional(Type.Array(Pointer)),
    refresh_token: Type.Optional(Type.Array(Pointer)),
    expires_in: Type.Optional(Type.Array(Pointer)),
    /** When it ends, in milliseconds since 1970. */
    expires_at_ms: Type.Optional(Type.Array(Pointer)),
    scope: Type.Optional(Type.Array(Pointer)),
    /** Seconds until the refresh token ends. */
    refresh_expires_in: Type.Optional(Type.Array(Pointer)),
    /** Config fields that the answer fills. */
    config: Type.Optional(Type.Record(Name, Pointer)),
    account: Type.Optional(Type.Object({ id: Pointers, label: Type.Optional(Pointers) }, closed)),
    /** Who gave the grant, where a JWT in the answer says so: where the JWT is, and where in its claims. */
    holder: Type.Optional(Type.Object({ token: Pointer, pointer: Pointer }, closed)),
  }, closed),
  /**
   * The config field that tells which account a grant is used for: a company, a site, an organisation. Its label is the one it was
   * chosen by, or else the test request's. Left out, the token answer or the test request names the account.
   */
  account_config: Type.Optional(Name),
  /** Config fields that stand as parameters on the redirect. */
  redirect_config: Type.Optional(Type.Record(Name, Type.String())),
  /** How long an access token lives where the answer does not say; null: until it is refused. */
  access_token_seconds: Type.Union([Type.Integer({ minimum: 60 }), Type.Null()]),
  refresh: Type.Object({
    /** Whether there is a refresh token at all. */
    issued: Type.Enum(['always', 'sometimes', 'never']),
    /** A new refresh token with each use, the old one spent. */
    rotates: Type.Boolean(),
    /** How long a spent one may be used again when an answer was lost. */
    grace_seconds: Type.Optional(Type.Integer({ minimum: 0 })),
    /** An unused one ends after this long. */
    idle_seconds: Type.Optional(Type.Integer({ minimum: 3_600 })),
    /** How long before its end an access token is renewed; 5 minutes or a tenth of its life when left out, whichever is longer. */
    margin_seconds: Type.Optional(Type.Integer({ minimum: 10 })),
    /** Refreshes at one time, for all connections of the provider. */
    concurrency: Type.Optional(Type.Integer({ minimum: 1 })),
  }, closed),
  /** Calls made with a fresh token to learn what the connection is to be about. */
  after_token: Type.Optional(Type.Array(Type.Object({
    url: Url,
    /** Where the list to choose from is; the answer itself when left out. */
    list: Type.Optional(Pointer),
    /** Within one entry: what is put into config, and how the entry is shown. */
    config: Type.Record(Name, Pointer),
    label: Type.Optional(Pointer),
    /** A second line to tell it from the others. */
    detail: Type.Optional(Pointer),
    /** What a person is asked where there are several. */
    question: Type.Optional(Type.String()),
  }, closed))),
  /** Token endpoint errors beyond RFC 6749's own `invalid_grant` and `invalid_client`. */
  errors: Type.Optional(Type.Array(Type.Object({ when: Predicate, class: Type.Enum(['reauthorise', 'config_error', 'try_later']) }, closed))),
}, closed)
