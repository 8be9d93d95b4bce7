import type { Account, Grant, Issued } from './authority.ts'
import type { Call, Said } from './definition.ts'
import { startStandin, type CommonOptions, type Standin } from './core.ts'
import { readJson, splitScopes } from './read.ts'

export interface LinearAccount extends Account {
  readonly viewer: { readonly id: string, readonly name: string, readonly email: string }
  readonly organization: { readonly id: string, readonly name: string, readonly urlKey: string }
}

export interface LinearOptions extends CommonOptions<LinearAccount> {
  /** `scope` of a token answer has been seen as a string and as a list. */
  readonly scopeAs?: 'string' | 'list'
  /** A refused token has been seen answered by both. */
  readonly refusedStatus?: 401 | 400
}

const DAY = 86_400

const accounts: readonly LinearAccount[] = [
  {
    key: 'acme', viewer: { id: '11111111-aaaa-4aaa-8aaa-000000000001', name: 'Ada', email: 'ada@acme.example' },
    organization: { id: '22222222-aaaa-4aaa-8aaa-000000000001', name: 'Acme', urlKey: 'acme' },
  },
  {
    key: 'globex', viewer: { id: '11111111-bbbb-4bbb-8bbb-000000000002', name: 'Grace', email: 'grace@globex.example' },
    organization: { id: '22222222-bbbb-4bbb-8bbb-000000000002', name: 'Globex', urlKey: 'globex' },
  },
]

function refusal (status: number, error: string, error_description?: string): Said {
  return { status, body: { error, ...error_description !== undefined && { error_description } } }
}

/** A GraphQL error as its SDK reads it. */
function graphqlError (status: number, type: string, message: string): Said {
  return { status, body: { errors: [{ message, extensions: { type, userError: true, userPresentableMessage: message } }] } }
}

/** Linear: scopes with commas, PKCE if sent, refresh tokens that rotate and, as far as is documented, have no grace. */
export function startLinear (options: LinearOptions = {}): Promise<Standin<LinearAccount>> {
  const unauthenticated = graphqlError(options.refusedStatus ?? 401, 'authentication error', 'Authentication required, not authenticated')
  const answer = ({ grant, access, refresh, expiresIn }: Issued<LinearAccount>) => ({
    access_token: access, token_type: 'Bearer', expires_in: expiresIn, refresh_token: refresh,
    scope: options.scopeAs === 'list' ? grant.scopes : grant.scopes.join(' '),
  })
  return startStandin<LinearAccount>({
    id: 'linear',
    accounts,
    paths: { authorize: '/oauth/authorize', token: '/oauth/token', revoke: '/oauth/revoke' },
    clientAuth: ['body'],
    tokenRequest: ['form'],
    grantTypes: ['authorization_code', 'refresh_token'],
    pkce: ['S256', 'plain'],
    refusals: {
      unknown_client: refusal(401, 'invalid_client'), wrong_secret: refusal(401, 'invalid_client'),
      wrong_redirect_uri: refusal(400, 'invalid_grant', 'redirect_uri does not match'), wrong_code: refusal(400, 'invalid_grant', 'The code is invalid or was used before'),
      wrong_verifier: refusal(400, 'invalid_grant', 'code_verifier does not match'), wrong_refresh_token: refusal(400, 'invalid_grant', 'The refresh token is invalid'),
      wrong_grant_type: refusal(400, 'unsupported_grant_type'), wrong_request: refusal(400, 'invalid_request'),
    },
    // Seen as HTTP 400 as well as 429.
    rateLimited: graphqlError(400, 'ratelimited', 'Rate limit exceeded'),
    bearer: { missing: unauthenticated, unknown: unauthenticated, expired: unauthenticated, revoked: unauthenticated, ended: unauthenticated },
    newClient: (text) => ({ id: text.replace(/^\D+/, 'lin'), secret: text }),
    spell: (what, text) => what === 'access' ? `lin_oauth_${text}` : what === 'refresh' ? `lin_refresh_${text}` : text,
    lifetimes: () => ({ access: 86_399, refresh: 3_650 * DAY }),
    exchanged: (consent, open) => answer(open('', [...new Set(['read', ...splitScopes(consent.query.get('scope'), ',')])])),
    refreshed: answer,
    api,
  }, options)
}

function api ({ path, method, received, grant }: Call<LinearAccount>): Said | undefined {
  if (path !== '/graphql' || method !== 'POST' || grant === undefined) return undefined
  const { query, variables } = (readJson(received) ?? {}) as { query?: string, variables?: Record<string, unknown> }
  if (query === undefined) return graphqlError(400, 'graphql error', 'Must provide a query')
  if (/\bissueCreate\b/.test(query)) return createIssue(grant, variables ?? {})
  if (/^\s*mutation\b/.test(query)) return graphqlError(400, 'graphql error', 'This stand-in does not know the mutation')
  const { viewer, organization } = grant.account
  return {
    status: 200,
    body: {
      data: {
        ...query.includes('viewer') && { viewer: { ...viewer, ...query.includes('organization') && { organization } } },
        ...query.includes('teams') && { teams: { nodes: [{ id: '33333333-aaaa-4aaa-8aaa-000000000001', key: 'ENG', name: 'Engineering' }], pageInfo: { hasNextPage: false, endCursor: null } } },
      },
    },
  }
}

function createIssue (grant: Grant<LinearAccount>, { title, id }: Record<string, unknown>): Said {
  if (!grant.scopes.some((scope) => ['write', 'issues:create', 'admin'].includes(scope))) return graphqlError(403, 'forbidden', 'Invalid scope: `write` required')
  const issue = { id: id ?? '44444444-aaaa-4aaa-8aaa-000000000001', identifier: 'ENG-1', title, url: `https://linear.app/${grant.account.key}/issue/ENG-1` }
  return { status: 200, body: { data: { issueCreate: { success: true, issue } } } }
}
