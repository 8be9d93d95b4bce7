import type { Account, Issued } from './authority.ts'
import type { Call, Said } from './definition.ts'
import { startStandin, type CommonOptions, type Standin } from './core.ts'
import { readJson, splitScopes } from './read.ts'

export interface JiraSite {
  /** The cloud ID. */
  readonly id: string
  readonly name: string
  readonly url: string
}

export interface JiraAccount extends Account {
  readonly accountId: string
  readonly displayName: string
  readonly sites: readonly JiraSite[]
}

const DAY = 86_400

export const ACME_SITE: JiraSite = { id: '0a0a0a0a-1111-4111-8111-000000000001', name: 'acme', url: 'https://acme.atlassian.net' }
export const ACME_SANDBOX_SITE: JiraSite = { id: '0a0a0a0a-1111-4111-8111-000000000002', name: 'acme-sandbox', url: 'https://acme-sandbox.atlassian.net' }
export const GLOBEX_SITE: JiraSite = { id: '0b0b0b0b-2222-4222-8222-000000000003', name: 'globex', url: 'https://globex.atlassian.net' }

const accounts: readonly JiraAccount[] = [
  { key: 'acme', accountId: '5b10acme0000000000000001', displayName: 'Ada', sites: [ACME_SITE] },
  { key: 'several', accountId: '5b10many0000000000000002', displayName: 'Sam', sites: [ACME_SITE, ACME_SANDBOX_SITE, GLOBEX_SITE] },
  { key: 'nowhere', accountId: '5b10none0000000000000003', displayName: 'Nemo', sites: [] },
  { key: 'globex', accountId: '5b10glob0000000000000004', displayName: 'Grace', sites: [GLOBEX_SITE] },
]

const refusal = (status: number, error: string, error_description: string): Said => ({ status, body: { error, error_description } })
const unauthorized: Said = { status: 401, body: { code: 401, message: 'Unauthorized' } }

const answer = ({ grant, access, refresh, expiresIn }: Issued<JiraAccount>) => ({
  access_token: access, expires_in: expiresIn, token_type: 'Bearer', scope: grant.scopes.join(' '), ...refresh !== undefined && { refresh_token: refresh },
})

/**
 * Jira Cloud: tokens are asked for in JSON, sites are looked up with them, and a refresh leaves the
 * old pair ten minutes. There is nothing to revoke with, and a wrong secret is called access_denied.
 */
export function startJira (options: CommonOptions<JiraAccount> = {}): Promise<Standin<JiraAccount>> {
  return startStandin<JiraAccount>({
    id: 'jira',
    accounts,
    paths: { authorize: '/authorize', token: '/oauth/token', afterToken: '/oauth/token/accessible-resources' },
    clientAuth: ['body'],
    tokenRequest: ['json'],
    grantTypes: ['authorization_code', 'refresh_token'],
    pkce: [],
    refusals: {
      unknown_client: refusal(401, 'invalid_client', 'Unknown client'), wrong_secret: refusal(401, 'access_denied', 'Unauthorized'),
      wrong_redirect_uri: refusal(403, 'invalid_grant', 'Invalid redirect_uri'), wrong_code: refusal(403, 'invalid_grant', 'Invalid authorization code'),
      wrong_verifier: refusal(403, 'invalid_grant', 'Failed to verify code verifier'),
      wrong_refresh_token: refusal(403, 'invalid_grant', 'Unknown or invalid refresh token.'),
      wrong_grant_type: refusal(403, 'unsupported_grant_type', 'Unsupported grant type'), wrong_request: refusal(400, 'invalid_request', 'The request is malformed'),
    },
    rateLimited: { status: 429, headers: { 'retry-after': '3' }, body: { code: 429, message: 'Rate limit exceeded' } },
    bearer: { missing: unauthorized, unknown: unauthorized, expired: unauthorized, revoked: unauthorized, ended: unauthorized },
    newClient: (text) => ({ id: text.replace(/^\D+/, 'jra'), secret: `ATOA${text}` }),
    spell: (_what, text) => text,
    lifetimes: (grant) => ({ access: 3_600, grace: 600, companion: true, ...grant.scopes.includes('offline_access') && { refresh: 90 * DAY } }),
    judgeAuthorize: (query) => {
      if (query.get('audience') !== 'api.atlassian.com') return 'audience is missing'
      if ((query.get('state') ?? '') === '') return 'state is missing'
      return splitScopes(query.get('scope'), ' ').length > 0 ? undefined : 'scope is missing'
    },
    exchanged: (consent, open) => answer(open('', splitScopes(consent.query.get('scope'), ' '))),
    refreshed: answer,
    api,
  }, options)
}

function api (call: Call<JiraAccount>): Said | undefined {
  const { path, method, grant } = call
  if (grant === undefined) return undefined
  const scopes = grant.scopes.filter((scope) => scope !== 'offline_access')
  if (path === '/oauth/token/accessible-resources') {
    return { status: 200, body: grant.account.sites.map((site) => ({ ...site, scopes, avatarUrl: `https://site-admin-avatar-cdn.prod.public.atl-paas.net/${site.name}.png` })) }
  }
  const [, cloudId, rest = ''] = /^\/ex\/jira\/([^/]+)(\/.*)$/.exec(path) ?? []
  // At a site's own address such a token is refused.
  if (cloudId === undefined) return unauthorized
  const site = grant.account.sites.find(({ id }) => id === cloudId)
  if (site === undefined) return { status: 404, body: { code: 404, message: 'Not Found' } }
  const permitted = (scope: string) => scopes.includes(scope) ? undefined : { status: 403, body: { code: 403, message: 'Forbidden' } }
  if (method === 'GET' && rest === '/rest/api/3/myself') {
    return permitted('read:jira-user') ?? { status: 200, body: { accountId: grant.account.accountId, displayName: grant.account.displayName, active: true } }
  }
  if (method === 'POST' && rest === '/rest/api/3/issue') return permitted('write:jira-work') ?? createIssue(call, site)
  const key = /^\/rest\/api\/3\/issue\/([A-Z]+-\d+)$/.exec(rest)?.[1]
  return method === 'GET' && key !== undefined ? permitted('read:jira-work') ?? { status: 200, body: { id: '10000', key, fields: { summary: `Of ${site.name}` } } } : undefined
}

function createIssue (call: Call<JiraAccount>, site: JiraSite): Said {
  const { fields } = (readJson(call.received) ?? {}) as { fields?: { summary?: unknown, project?: unknown } }
  if (fields?.summary === undefined || fields.project === undefined) return { status: 400, body: { errorMessages: [], errors: { summary: 'You must specify a summary of the issue.' } } }
  return { status: 201, body: { id: '10001', key: 'OPS-1', self: `https://api.atlassian.com/ex/jira/${site.id}/rest/api/3/issue/10001` } }
}
