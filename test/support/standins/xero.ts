import { randomBytes } from 'node:crypto'
import type { Account, Authority, Grant, Issued } from './authority.ts'
import type { Call, Said } from './definition.ts'
import { startStandin, type CommonOptions, type Standin } from './core.ts'
import { readJson, splitScopes } from './read.ts'

export interface XeroTenant {
  /** Of the connection between app and tenant, not of the tenant. */
  readonly id: string
  readonly tenantId: string
  readonly tenantName: string
  readonly tenantType: 'ORGANISATION' | 'PRACTICE'
}

export interface XeroAccount extends Account {
  readonly userId: string
  /** Those consented to. Changing the list is disconnecting one, or adding one, upstream. */
  readonly tenants: XeroTenant[]
}

export interface XeroOptions extends CommonOptions<XeroAccount> {
  /** The app is older than March 2026: it has the broad scopes, too. */
  readonly broadScopes?: true
}

const DAY = 86_400
const BROAD = ['accounting.transactions', 'accounting.reports.read']

const tenant = (n: number, tenantName: string): XeroTenant => ({
  id: `c0000000-3333-4333-8333-00000000000${n}`, tenantId: `7e000000-4444-4444-8444-00000000000${n}`, tenantName, tenantType: 'ORGANISATION',
})
const accounts = (): readonly XeroAccount[] => [
  { key: 'acme', userId: 'a0000000-5555-4555-8555-000000000001', tenants: [tenant(1, 'Acme Ltd')] },
  { key: 'several', userId: 'a0000000-5555-4555-8555-000000000002', tenants: [tenant(1, 'Acme Ltd'), tenant(2, 'Demo Company (UK)'), tenant(3, 'Globex GmbH')] },
  { key: 'globex', userId: 'a0000000-5555-4555-8555-000000000003', tenants: [tenant(3, 'Globex GmbH')] },
]

const refusal = (status: number, error: string): Said => ({ status, body: { error } })
const problem = (status: number, Title: string, Detail: string): Said => ({ status, body: { Type: null, Title, Status: status, Detail, Instance: 'b0000000-6666-4666-8666-000000000000', Extensions: {} } })

/**
 * Xero: access tokens that look like JWTs, one consent for one or several tenants, half an hour's
 * grace, and a revocation that ends all that the user has given the app.
 */
export function startXero (options: XeroOptions = {}): Promise<Standin<XeroAccount>> {
  return startStandin<XeroAccount>({
    id: 'xero',
    accounts: accounts(),
    paths: { authorize: '/identity/connect/authorize', token: '/connect/token', revoke: '/connect/revocation', afterToken: '/connections' },
    clientAuth: ['basic'],
    basicDecoding: true,
    tokenRequest: ['form'],
    grantTypes: ['authorization_code', 'refresh_token'],
    pkce: ['S256'],
    refusals: {
      unknown_client: refusal(400, 'invalid_client'), wrong_secret: refusal(400, 'invalid_client'), wrong_redirect_uri: refusal(400, 'invalid_grant'), wrong_code: refusal(400, 'invalid_grant'),
      wrong_verifier: refusal(400, 'invalid_grant'), wrong_refresh_token: refusal(400, 'invalid_grant'), wrong_grant_type: refusal(400, 'unsupported_grant_type'), wrong_request: refusal(400, 'invalid_request'),
    },
    rateLimited: { status: 429, headers: { 'retry-after': '3', 'x-rate-limit-problem': 'minute' } },
    bearer: {
      missing: problem(401, 'Unauthorized', 'AuthenticationUnsuccessful'), unknown: problem(401, 'Unauthorized', 'AuthenticationUnsuccessful'),
      expired: problem(401, 'Unauthorized', 'TokenExpired: token expired'), revoked: problem(401, 'Unauthorized', 'TokenInvalid: token revoked'), ended: problem(401, 'Unauthorized', 'AuthenticationUnsuccessful'),
    },
    newClient: (text) => ({ id: randomBytes(16).toString('hex').toUpperCase(), secret: `${text}-_` }),
    spell: (what, text, grant) => what === 'access' && grant !== undefined ? jwt({ xero_userid: grant.account.userId, authentication_event_id: eventId(grant), client_id: grant.client.id, scope: grant.scopes }, text) : text,
    lifetimes: (grant) => ({ access: 1_800, grace: 1_800, ...grant.scopes.includes('offline_access') && { refresh: 60 * DAY } }),
    redirectError: (query) => options.broadScopes === true || !splitScopes(query.get('scope'), ' ').some((scope) => BROAD.includes(scope)) ? undefined : { error: 'unauthorized_client', error_description: 'Invalid scope for client' },
    exchanged: (consent, open) => answer(open('', splitScopes(consent.query.get('scope'), ' '))),
    refreshed: answer,
    revoked: (grant, authority) => {
      for (const other of authority.grants) if (other.client === grant.client && other.account.userId === grant.account.userId) other.state = 'revoked'
    },
    api,
  }, options)
}

function jwt (claims: object, signature: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'RS256', kid: 'standin', typ: 'JWT' })}.${part(claims)}.${signature}`
}

/** Each consent is one event. */
function eventId (grant: Grant<XeroAccount>): string {
  return `e0000000-7777-4777-8777-${grant.at.toString(16).padStart(12, '0').slice(-12)}`
}

function answer ({ grant, access, refresh, expiresIn }: Issued<XeroAccount>): object {
  return {
    ...grant.scopes.includes('openid') && { id_token: jwt({ xero_userid: grant.account.userId, aud: grant.client.id }, 'signature') },
    access_token: access, expires_in: expiresIn, token_type: 'Bearer', scope: grant.scopes.join(' '), ...refresh !== undefined && { refresh_token: refresh },
  }
}

function api (call: Call<XeroAccount>, authority: Authority<XeroAccount>): Said | undefined {
  const { path, method, grant } = call
  if (grant === undefined) return undefined
  const { tenants } = grant.account
  if (path === '/connections' && method === 'GET') return { status: 200, body: listConnections(call, grant, authority) }
  const connection = /^\/connections\/([^/]+)$/.exec(path)?.[1]
  if (connection !== undefined && method === 'DELETE') {
    const index = tenants.findIndex(({ id }) => id === connection)
    if (index < 0) return { status: 404 }
    tenants.splice(index, 1)
    return { status: 204 }
  }
  const here = tenants.find(({ tenantId }) => tenantId === call.received.headers['xero-tenant-id'])
  if (here === undefined) return problem(403, 'Forbidden', 'AuthenticationUnsuccessful')
  const needs = (scope: string) => grant.scopes.some((given) => given === scope || given === scope.replace(/\.read$/, '')) ? undefined : problem(403, 'Forbidden', 'AuthenticationUnsuccessful')
  if (path === '/api.xro/2.0/Organisation' && method === 'GET') {
    return needs('accounting.settings.read') ?? { status: 200, body: { Organisations: [{ OrganisationID: here.tenantId, Name: here.tenantName }] } }
  }
  if (path !== '/api.xro/2.0/Invoices') return undefined
  const { Invoices } = method === 'PUT' ? (readJson(call.received) ?? {}) as { Invoices?: object[] } : { Invoices: [] }
  if (Invoices === undefined) return { status: 400, body: { ErrorNumber: 10, Type: 'ValidationException', Message: 'A validation exception occurred' } }
  const scope = BROAD.some((broad) => grant.scopes.includes(broad)) ? 'accounting.transactions' : 'accounting.invoices'
  return needs(scope) ?? { status: 200, body: { Invoices: Invoices.map((invoice, index) => ({ ...invoice, InvoiceID: `f0000000-8888-4888-8888-00000000000${index}` })) } }
}

function listConnections (call: Call<XeroAccount>, grant: Grant<XeroAccount>, authority: Authority<XeroAccount>): object[] {
  const only = call.query.get('authEventId')
  const at = new Date(authority.now()).toISOString().replace('Z', '0000')
  const all = grant.account.tenants.map((one) => ({ ...one, authEventId: eventId(grant), createdDateUtc: at, updatedDateUtc: at }))
  return only === null ? all : all.filter(({ authEventId }) => authEventId === only)
}
