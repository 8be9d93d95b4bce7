import { randomUUID } from 'node:crypto'
import type { Account, Authority, Issued } from './authority.ts'
import type { Call, Said } from './definition.ts'
import { startStandin, type CommonOptions, type Standin } from './core.ts'
import { readBasic, readJson } from './read.ts'

/** Providers that a machine signs in to by itself: client credentials, nobody consents. */

const own: readonly Account[] = [{ key: 'own' }]
const LIFETIME = 3_600

export interface OnfidoOptions extends CommonOptions<Account> {
  /** How it takes the client's id and secret and writes scopes is in no fact; both ways unless one is said. */
  readonly clientAuth?: 'basic' | 'body'
}

const onfidoError = (status: number, type: string, message: string): Said => ({ status, body: { error: { type, message } } })
const refusal = (status: number, error: string): Said => ({ status, body: { error } })

/** Onfido since 2026: a token for an app's own credentials beside the classic API tokens. */
export function startOnfido (options: OnfidoOptions = {}): Promise<Standin> {
  const unauthorized = onfidoError(401, 'authorization_error', 'Authorization error: please re-check your credentials')
  return startStandin<Account>({
    id: 'onfido',
    accounts: own,
    paths: { token: '/v3.6/oauth/token' },
    clientAuth: options.clientAuth === undefined ? ['basic', 'body'] : [options.clientAuth],
    tokenRequest: ['form', 'json'],
    grantTypes: ['client_credentials'],
    pkce: [],
    refusals: {
      unknown_client: refusal(401, 'invalid_client'), wrong_secret: refusal(401, 'invalid_client'), wrong_redirect_uri: refusal(400, 'invalid_grant'), wrong_code: refusal(400, 'invalid_grant'),
      wrong_verifier: refusal(400, 'invalid_grant'), wrong_refresh_token: refusal(400, 'invalid_grant'), wrong_grant_type: refusal(400, 'unsupported_grant_type'), wrong_request: refusal(400, 'invalid_request'),
    },
    rateLimited: onfidoError(429, 'rate_limit', 'Too many requests'),
    bearer: { missing: unauthorized, unknown: unauthorized, expired: onfidoError(401, 'expired_token', 'The token has expired'), revoked: unauthorized, ended: unauthorized },
    newClient: (text) => ({ id: randomUUID(), secret: text }),
    spell: (_what, text) => text,
    lifetimes: () => ({ access: LIFETIME }),
    exchanged: () => undefined,
    refreshed: () => undefined,
    granted: ({ access, expiresIn }) => ({ access_token: access, token_type: 'Bearer', expires_in: expiresIn, scope: 'all_scopes' }),
    api: onfidoApi,
  }, options)
}

function onfidoApi ({ path, method, received }: Call<Account>): Said | undefined {
  if (path !== '/v3.6/applicants') return undefined
  if (method === 'GET') return { status: 200, body: { applicants: [] } }
  const { first_name, last_name } = (readJson(received) ?? {}) as { first_name?: string, last_name?: string }
  if (first_name === undefined || last_name === undefined) return onfidoError(422, 'validation_error', 'There was a validation error on this request')
  return { status: 201, body: { id: randomUUID(), first_name, last_name, sandbox: true } }
}

export interface AlloyOptions extends CommonOptions<Account> {
  /** The pair is an account's, not a workflow's: a header has to name the workflow. */
  readonly accountLevel?: true
}

const alloyError = (status: number, minor_code: number, message: string): Said => ({ status, body: { error: { minor_code, type: 'error', message } } })

/**
 * Alloy: the pair is good for calls themselves, by Basic, or for a token. What the answer with the
 * token is called depends on how the pair came, and in a body its end is told in milliseconds.
 */
export function startAlloy (options: AlloyOptions = {}): Promise<Standin> {
  const unauthorized = alloyError(401, 4010, 'Unauthorized')
  const wrong = alloyError(400, 4002, 'Body validation failed')
  return startStandin<Account>({
    id: 'alloy',
    accounts: own,
    paths: { token: '/v1/oauth/bearer' },
    clientAuth: ['basic', 'body'],
    bodyNames: ['application_token', 'application_secret'],
    tokenRequest: ['json'],
    grantTypes: ['client_credentials'],
    pkce: [],
    refusals: {
      unknown_client: unauthorized, wrong_secret: unauthorized, wrong_redirect_uri: wrong, wrong_code: wrong, wrong_verifier: wrong, wrong_refresh_token: wrong,
      wrong_grant_type: wrong, wrong_request: wrong,
    },
    rateLimited: { ...alloyError(429, 4290, 'Too many requests'), headers: { 'retry-after': '3' } },
    bearer: { missing: unauthorized, unknown: unauthorized, expired: unauthorized, revoked: unauthorized, ended: unauthorized },
    newClient: (text) => ({ id: randomUUID().replaceAll('-', ''), secret: text.slice(0, 32) }),
    grantType: (parameters, { by }) => by === 'body' ? 'client_credentials' : parameters.get('grant_type') ?? undefined,
    spell: (_what, text) => text,
    lifetimes: () => ({ access: LIFETIME }),
    exchanged: () => undefined,
    refreshed: () => undefined,
    granted: ({ access, at, expiresIn = 0 }: Issued<Account>, { by }) => by === 'basic'
      ? { access_token: access, token_type: 'Bearer', expires_in: expiresIn }
      : { bearer_token: access, expires: at + expiresIn * 1_000 },
    alsoKnown: (received, authority: Authority<Account>) => {
      const [id, secret] = readBasic(received.headers.authorization) ?? []
      return authority.clients.some((client) => client.id === id && client.secrets.includes(secret ?? ''))
    },
    api: (call) => alloyApi(call, options.accountLevel === true),
  }, options)
}

function alloyApi ({ path, method, received }: Call<Account>, accountLevel: boolean): Said | undefined {
  if (accountLevel && received.headers['alloy-workflow-token'] === undefined) return alloyError(400, 4001, 'Header validation failed: alloy-workflow-token')
  if (path === '/v1/parameters' && method === 'GET') return { status: 200, body: { required: [{ key: 'name_first', type: 'string' }] } }
  if (path === '/v1/evaluations' && method === 'POST') return { status: 201, body: { status_code: 201, evaluation_token: 'L-standin', summary: { outcome: 'Approved' } } }
  return undefined
}
