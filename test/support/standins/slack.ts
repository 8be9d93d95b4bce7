import { randomBytes } from 'node:crypto'
import type { Account, Authority, Consent, Grant, Issued } from './authority.ts'
import type { Call, Said } from './definition.ts'
import type { Counts } from './endpoints.ts'
import { startStandin, type CommonOptions, type Standin } from './core.ts'
import { readJson, splitScopes } from './read.ts'

export interface SlackAccount extends Account {
  /** Null where the app is installed for a whole organisation. */
  readonly team: { readonly id: string, readonly name: string } | null
  readonly enterprise?: { readonly id: string, readonly name: string }
  readonly user: { readonly id: string, readonly name: string }
  readonly bot: string
}

export interface SlackOptions extends CommonOptions<SlackAccount> {
  /** Token rotation is on: tokens of 12 hours, and refresh tokens. */
  readonly rotation?: boolean
}

const DAY = 86_400
const ROTATED_SECONDS = 43_200

const accounts: readonly SlackAccount[] = [
  { key: 'acme', team: { id: 'T0ACME001', name: 'Acme' }, user: { id: 'U0ACME001', name: 'ada' }, bot: 'U0ACMEBOT' },
  { key: 'globex', team: { id: 'T0GLOBEX1', name: 'Globex' }, user: { id: 'U0GLOBEX1', name: 'grace' }, bot: 'U0GLOBBOT' },
  { key: 'starship', team: null, enterprise: { id: 'E0STARSHP', name: 'Starship' }, user: { id: 'W0STARSHP', name: 'kay' }, bot: 'W0STARBOT' },
]

/** Slack says no at HTTP 200. */
const no = (error: string, more: object = {}): Said => ({ status: 200, body: { ok: false, error, ...more } })

/** Slack: tokens of a bot and a person from one consent, failures at HTTP 200, rotation if the app has it on. */
export function startSlack (options: SlackOptions = {}): Promise<Standin<SlackAccount>> {
  const rotation = options.rotation === true
  return startStandin<SlackAccount>({
    id: 'slack',
    accounts,
    paths: { authorize: '/oauth/v2/authorize', token: '/api/oauth.v2.access' },
    clientAuth: ['basic', 'body'],
    tokenRequest: ['form', 'json'],
    grantTypes: ['authorization_code', 'refresh_token'],
    pkce: [],
    refusals: {
      unknown_client: no('invalid_client_id'), wrong_secret: no('bad_client_secret'), wrong_redirect_uri: no('bad_redirect_uri'), wrong_code: no('invalid_code'),
      wrong_verifier: no('invalid_code_verifier'), wrong_refresh_token: no('invalid_refresh_token'), wrong_grant_type: no('invalid_grant_type'), wrong_request: no('invalid_arguments'),
    },
    rateLimited: { ...no('ratelimited'), status: 429, headers: { 'retry-after': '3' } },
    bearer: { missing: no('not_authed'), unknown: no('invalid_auth'), expired: no('token_expired'), revoked: no('token_revoked'), ended: no('account_inactive') },
    newClient: () => ({ id: `${Date.now()}.${randomBytes(5).readUIntBE(0, 5)}`, secret: randomBytes(16).toString('hex') }),
    // An exchange comes without a grant type.
    grantType: (parameters) => parameters.get('grant_type') ?? 'authorization_code',
    spell: (what, text, grant) => {
      const kind = grant?.kind === 'user' ? 'xoxp' : 'xoxb'
      if (what === 'code') return `${text.length}.${text}`
      if (what === 'refresh') return `xoxe-1-${text}`
      return rotation ? `xoxe.${kind}-1-${text}` : `${kind}-${text}`
    },
    // A refresh token has no end of its own; ten years stand for that.
    lifetimes: () => rotation ? { access: ROTATED_SECONDS, refresh: 3_650 * DAY } : {},
    judgeAuthorize: (query) => query.has('scope') || query.has('user_scope') ? undefined : 'invalid_scope: no scopes are requested',
    exchanged,
    refreshed: (issued) => ({ ok: true, token_type: issued.grant.kind, ...tokens(issued) }),
    api,
  }, options)
}

function tokens ({ access, refresh, expiresIn }: Issued<SlackAccount>): object {
  return { access_token: access, ...refresh !== undefined && { refresh_token: refresh, expires_in: expiresIn } }
}

/** Who asked for the person's scopes only gets nothing at the top. */
function exchanged (consent: Consent<SlackAccount>, open: (kind: string, scopes: readonly string[]) => Issued<SlackAccount>): unknown {
  const { account, query, client } = consent
  const asked = (name: string) => splitScopes(query.get(name), ',')
  const [bot, user] = [asked('scope'), asked('user_scope')]
  return {
    ok: true,
    app_id: `A${client.id.slice(-8)}`,
    ...bot.length > 0 && { ...tokens(open('bot', bot)), token_type: 'bot', scope: bot.join(','), bot_user_id: account.bot },
    authed_user: { id: account.user.id, ...user.length > 0 && { ...tokens(open('user', user)), scope: user.join(','), token_type: 'user' } },
    team: account.team,
    enterprise: account.enterprise ?? null,
    is_enterprise_install: account.team === null,
  }
}

function api (call: Call<SlackAccount>, _authority: Authority<SlackAccount>, counts: Counts): Said | undefined {
  const { grant } = call
  if (grant === undefined) return undefined
  const { account } = grant
  switch (call.path) {
    case '/api/auth.test':
      return {
        status: 200,
        body: {
          ok: true, url: `https://${account.key}.slack.com/`, team: account.team?.name ?? null, team_id: account.team?.id ?? null,
          ...account.enterprise && { enterprise_id: account.enterprise.id, is_enterprise_install: account.team === null },
          ...grant.kind === 'bot' ? { user: 'vault', user_id: account.bot, bot_id: `B${account.bot.slice(1)}` } : { user: account.user.name, user_id: account.user.id },
        },
      }
    case '/api/auth.revoke':
      if (argument(call, 'test') !== '1' && argument(call, 'test') !== 'true') {
        grant.state = 'revoked'
        counts.revocations++
      }
      return { status: 200, body: { ok: true, revoked: grant.state === 'revoked' } }
    case '/api/chat.postMessage':
      return permitted(grant, 'chat:write') ?? postMessage(call)
    case '/api/conversations.list':
      return permitted(grant, 'channels:read') ?? {
        status: 200, body: { ok: true, channels: [{ id: 'C0GENERAL', name: 'general' }], response_metadata: { next_cursor: '' } },
      }
    default:
      return no('unknown_method')
  }
}

function permitted (grant: Grant<SlackAccount>, needed: string): Said | undefined {
  return grant.scopes.includes(needed) ? undefined : no('missing_scope', { needed, provided: grant.scopes.join(',') })
}

function postMessage (call: Call<SlackAccount>): Said {
  const channel = argument(call, 'channel')
  if (channel === undefined) return no('channel_not_found')
  return { status: 200, body: { ok: true, channel, ts: '1700000000.000100', message: { text: argument(call, 'text') } } }
}

/** Of a JSON body, a form or the query. */
function argument (call: Call<SlackAccount>, name: string): string | undefined {
  if (call.received.headers['content-type']?.startsWith('application/json') === true) {
    const value = (readJson(call.received) as Record<string, unknown> | undefined)?.[name]
    return typeof value === 'string' || typeof value === 'boolean' ? String(value) : undefined
  }
  return new URLSearchParams(call.received.body).get(name) ?? call.query.get(name) ?? undefined
}
