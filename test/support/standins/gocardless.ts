import { randomBytes } from 'node:crypto'
import type { Account, Issued } from './authority.ts'
import type { Call, Said } from './definition.ts'
import { startStandin, type CommonOptions, type Standin } from './core.ts'
import { readJson } from './read.ts'

export interface GoCardlessAccount extends Account {
  readonly organisationId: string
  readonly creditor: { readonly id: string, readonly name: string }
}

const accounts: readonly GoCardlessAccount[] = [
  { key: 'acme', organisationId: 'OR000ACME', creditor: { id: 'CR000ACME', name: 'Acme Ltd' } },
  { key: 'globex', organisationId: 'OR000GLOBEX', creditor: { id: 'CR000GLOBEX', name: 'Globex GmbH' } },
]

const refusal = (status: number, error: string, error_description: string): Said => ({ status, body: { error, error_description } })

function failure (status: number, type: string, one: { reason: string, message: string, links?: object }): Said {
  return { status, body: { error: { type, code: status, message: one.message, errors: [one], documentation_url: 'https://developer.gocardless.com/api-reference', request_id: 'standin' } } }
}
const unauthorized = (reason: string) => failure(401, 'invalid_api_usage', { reason, message: 'The access token is not valid' })

/** GoCardless: a token for good, with nothing to refresh it by, that is one organisation's. */
export function startGoCardless (options: CommonOptions<GoCardlessAccount> = {}): Promise<Standin<GoCardlessAccount>> {
  const answer = ({ grant, access }: Issued<GoCardlessAccount>) => ({
    access_token: access, token_type: 'bearer', scope: grant.scopes[0], organisation_id: grant.account.organisationId,
  })
  const payments = new Map<string, { id: string }>()
  return startStandin<GoCardlessAccount>({
    id: 'gocardless',
    accounts,
    paths: { authorize: '/oauth/authorize', token: '/oauth/access_token', revoke: '/oauth/revoke' },
    clientAuth: ['body'],
    tokenRequest: ['form', 'json'],
    grantTypes: ['authorization_code'],
    pkce: [],
    refusals: {
      unknown_client: refusal(401, 'invalid_client', 'Unknown client'), wrong_secret: refusal(401, 'invalid_client', 'Client authentication failed'),
      wrong_redirect_uri: refusal(400, 'invalid_grant', 'The redirect URI does not match'), wrong_code: refusal(400, 'invalid_grant', 'The code is invalid, expired or was used before'),
      wrong_verifier: refusal(400, 'invalid_grant', ''), wrong_refresh_token: refusal(400, 'unsupported_grant_type', 'The grant type is not supported'),
      wrong_grant_type: refusal(400, 'unsupported_grant_type', 'The grant type is not supported'), wrong_request: refusal(400, 'invalid_request', 'The request is malformed'),
    },
    rateLimited: failure(429, 'invalid_api_usage', { reason: 'rate_limit_exceeded', message: 'Rate limit exceeded' }),
    bearer: {
      missing: unauthorized('unauthorized'), unknown: unauthorized('unauthorized'), expired: unauthorized('unauthorized'),
      revoked: unauthorized('access_token_revoked'), ended: unauthorized('access_token_revoked'),
    },
    newClient: (text) => ({ id: randomBytes(32).toString('hex'), secret: text }),
    spell: (what, text) => what === 'access' ? `sandbox_${text}` : text,
    lifetimes: () => ({}),
    judgeAuthorize: (query) => ['read_write', 'read_only'].includes(query.get('scope') ?? '') ? undefined : 'scope has to be read_write or read_only',
    exchanged: (consent, open) => answer(open('', [consent.query.get('scope') ?? ''])),
    refreshed: () => undefined,
    api: (call) => api(call, payments),
  }, options)
}

function api (call: Call<GoCardlessAccount>, payments: Map<string, { id: string }>): Said | undefined {
  const { path, method, grant, received } = call
  if (grant === undefined) return undefined
  if (received.headers['gocardless-version'] !== '2015-07-06') return failure(400, 'invalid_api_usage', { reason: 'missing_version_header', message: 'GoCardless-Version is missing' })
  if (method === 'POST' && !grant.scopes.includes('read_write')) return failure(403, 'invalid_api_usage', { reason: 'insufficient_permissions', message: 'The token may only read' })
  const meta = { cursors: { before: null, after: null }, limit: Number(call.query.get('limit') ?? 50) }
  if (path === '/creditors' && method === 'GET') return { status: 200, body: { creditors: [{ ...grant.account.creditor, verification_status: 'successful' }], meta } }
  if (path === '/payments' && method === 'GET') return { status: 200, body: { payments: [...payments.values()], meta } }
  return path === '/payments' && method === 'POST' ? createPayment(call, payments) : undefined
}

/** A key that came before leads to what it made. */
function createPayment ({ received }: Call<GoCardlessAccount>, payments: Map<string, { id: string }>): Said {
  const { payments: asked } = (readJson(received) ?? {}) as { payments?: object }
  if (asked === undefined) return failure(400, 'invalid_api_usage', { reason: 'missing_envelope', message: 'The body has no payments' })
  const key = String(received.headers['idempotency-key'] ?? `none-${payments.size}`)
  const known = payments.get(key)
  if (known !== undefined) {
    return failure(409, 'invalid_state', { reason: 'idempotent_creation_conflict', message: 'A resource has been created with this key', links: { conflicting_resource_id: known.id } })
  }
  const payment = { id: `PM${String(payments.size + 1).padStart(6, '0')}`, status: 'pending_submission', ...asked }
  payments.set(key, payment)
  return { status: 201, body: { payments: payment } }
}
