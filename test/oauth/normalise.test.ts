import fc from 'fast-check'
import t from 'tap'
import { reveal } from '../../src/crypto/reveal.ts'
import { Secret } from '../../src/crypto/index.ts'
import { createHide } from '../../src/oauth/hide.ts'
import { judgeTokenAnswer } from '../../src/oauth/normalise.ts'
import type { GrantKind, GrantOutcome, OAuthProvider, TokenSet } from '../../src/oauth/provider.ts'
import { sampleProvider } from '../support/oauth-client.ts'

const NOW_MS = Date.parse('2026-07-01T12:00:00Z')

interface Sample {
  readonly provider?: Partial<OAuthProvider>
  readonly kind?: GrantKind
  readonly status?: number
  readonly headers?: Record<string, string>
  /** JSON unless it is a text. */
  readonly body?: unknown
}

function judge ({ provider, kind = 'refresh', status = 200, headers = {}, body = '' }: Sample): GrantOutcome {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  return judgeTokenAnswer(sampleProvider(provider), { status, headers, body: bytes }, { kind, hide: createHide([]), nowMs: NOW_MS })
}

/** A granted outcome with its secrets shown. */
function show (sample: Sample): Record<string, unknown> {
  const outcome = judge(sample)
  if (outcome.kind !== 'granted') return { ...outcome }
  const plain = (secret: Secret | undefined) => secret && reveal(secret)
  const tokens: TokenSet = outcome.tokens
  return { ...tokens, accessToken: plain(tokens.accessToken), refreshToken: plain(tokens.refreshToken) }
}

const jwt = (claims: unknown) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`

const SLACK: Partial<OAuthProvider> = {
  scope: { separator: ',', parameter: 'scope' },
  answer: { failed: [{ pointer: '/ok', is: [false] }], account: { id: '/team/id', label: '/team/name' } },
  errors: [
    { when: { pointer: '/error', is: ['invalid_refresh_token', 'token_revoked'] }, class: 'reauthorise' },
    { when: { pointer: '/error', is: ['bad_client_secret'] }, class: 'config_error' },
    { when: { pointer: '/error', is: ['ratelimited'] }, class: 'try_later' },
  ],
}
const SLACK_USER: Partial<OAuthProvider> = {
  ...SLACK,
  answer: {
    ...SLACK.answer,
    accessToken: ['/authed_user/access_token', '/access_token'],
    refreshToken: ['/authed_user/refresh_token', '/refresh_token'],
    expiresIn: ['/authed_user/expires_in', '/expires_in'],
    scope: ['/authed_user/scope', '/scope'],
  },
}
const GITHUB: Partial<OAuthProvider> = {
  answer: { failed: [{ pointer: '/error' }], refreshExpiresIn: ['/refresh_token_expires_in'] },
  errors: [{ when: { pointer: '/error', is: ['bad_refresh_token'] }, class: 'reauthorise' }, { when: { pointer: '/error', is: ['incorrect_client_credentials'] }, class: 'config_error' }],
}
const ALLOY: Partial<OAuthProvider> = { answer: { accessToken: ['/bearer_token'], expiresAtMs: ['/expires'] } }

t.test('tokens', async (t) => {
  const slack = { ok: true, access_token: 'xoxe.xoxb-1', refresh_token: 'xoxe-1', expires_in: 43200, scope: 'chat:write,users:read', team: { id: 'T1', name: 'Acme' } }
  const person = { ...slack, authed_user: { id: 'U1', access_token: 'xoxe.xoxp-1', refresh_token: 'xoxe-p', expires_in: 100, scope: 'search:read' } }
  const rows: [string, Sample, Record<string, unknown>][] = [
    ['RFC 6749', { body: { access_token: 'at', token_type: 'bearer', refresh_token: 'rt', expires_in: 3600, scope: 'a b' } },
      { accessToken: 'at', refreshToken: 'rt', expiresInSeconds: 3600, scopes: ['a', 'b'], config: {}, account: undefined, holder: undefined, refreshExpiresInSeconds: undefined }],
    ['Slack, the bot', { provider: SLACK, body: slack }, { accessToken: 'xoxe.xoxb-1', refreshToken: 'xoxe-1', expiresInSeconds: 43200, scopes: ['chat:write', 'users:read'], account: { id: 'T1', label: 'Acme' } }],
    ['Slack, the person', { provider: SLACK_USER, body: person }, { accessToken: 'xoxe.xoxp-1', refreshToken: 'xoxe-p', expiresInSeconds: 100, scopes: ['search:read'] }],
    ['Slack, the person, refreshed', { provider: SLACK_USER, body: slack }, { accessToken: 'xoxe.xoxb-1', refreshToken: 'xoxe-1' }],
    ['Slack without rotation', { provider: SLACK, body: { ok: true, access_token: 'xoxb' } }, { accessToken: 'xoxb', expiresInSeconds: undefined, refreshToken: undefined, account: undefined }],
    ['no expires_in, a default', { provider: { accessTokenSeconds: 1800 }, body: { access_token: 'at' } }, { expiresInSeconds: 1800 }],
    ['no refresh token in a refresh', { body: { access_token: 'at', expires_in: 3599 } }, { refreshToken: undefined }],
    ['a refresh token of null', { body: { access_token: 'at', refresh_token: null, expires_in: null } }, { refreshToken: undefined, expiresInSeconds: undefined }],
    ['a refresh token that is none', { body: { access_token: 'at', refresh_token: { a: 1 } } }, { refreshToken: undefined }],
    ['expires_in as text', { body: { access_token: 'at', expires_in: '3600' } }, { expiresInSeconds: 3600 }],
    ['expires_in with a fraction', { body: { access_token: 'at', expires_in: 59.9 } }, { expiresInSeconds: 59 }],
    ['GitHub', { provider: GITHUB, body: { access_token: 'ghu_1', expires_in: 28800, refresh_token: 'ghr_1', refresh_token_expires_in: 15811200, scope: '' } }, { refreshExpiresInSeconds: 15811200, scopes: [] }],
    ['GitHub, commas', { provider: GITHUB, body: { access_token: 'gho_1', scope: 'repo,gist' } }, { scopes: ['repo', 'gist'] }],
    ['GitHub, a form', { provider: GITHUB, headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }, body: 'access_token=gho_1&scope=repo%2Cgist&expires_in=60' }, { accessToken: 'gho_1', scopes: ['repo', 'gist'], expiresInSeconds: 60 }],
    ['scopes in a list', { body: { access_token: 'at', scope: ['a', 'b', 7, 'a'] } }, { scopes: ['a', 'b'] }],
    ['no scopes', { body: { access_token: 'at' } }, { scopes: undefined }],
    ['Alloy', { provider: ALLOY, body: { bearer_token: 'alloy', expires: NOW_MS + 3_600_000 } }, { accessToken: 'alloy', expiresInSeconds: 3600 }],
    ['Alloy, as text', { provider: ALLOY, body: { bearer_token: 'alloy', expires: String(NOW_MS + 60_500) } }, { expiresInSeconds: 60 }],
    ['Alloy, in the past', { provider: { ...ALLOY, accessTokenSeconds: 300 }, body: { bearer_token: 'alloy', expires: NOW_MS - 1 } }, { expiresInSeconds: 300 }],
    ['Salesforce', { provider: { answer: { config: { instance_url: '/instance_url', none: '/none' }, account: { id: '/id' } } }, body: { access_token: '00D!x', instance_url: 'https://acme.my.salesforce.com', id: 'https://login/id/1' } },
      { config: { instance_url: 'https://acme.my.salesforce.com' }, account: { id: 'https://login/id/1', label: null } }],
    ['an id of 64 bits', { provider: { answer: { account: { id: '/id', label: '/name' } } }, body: '{"access_token":"at","id":9007199254740993,"name":7}' }, { account: { id: '9007199254740993', label: '7' } }],
    ['Xero’s holder', { provider: { answer: { holder: { token: '/access_token', pointer: '/xero_userid' } } }, body: { access_token: jwt({ xero_userid: 'u-1' }) } }, { holder: 'u-1' }],
    ['Google’s holder', { provider: { answer: { holder: { token: '/id_token', pointer: '/sub' } } }, body: { access_token: 'at', id_token: jwt({ sub: '110' }) } }, { holder: '110' }],
    ['a holder in no JWT', { provider: { answer: { holder: { token: '/id_token', pointer: '/sub' } } }, body: { access_token: 'at', id_token: 'a.!!.c' } }, { holder: undefined }],
    ['text that can’t be stored', { provider: { answer: { config: { a: '/a', b: '/b' }, account: { id: '/c' } } }, body: '{"access_token":"at","a":"\\u0000","b":"\\ud800","c":{}}' }, { config: {}, account: undefined }],
    ['a byte order mark', { body: `\ufeff${JSON.stringify({ access_token: 'at' })}` }, { accessToken: 'at' }],
  ]
  for (const [about, sample, expected] of rows) t.match(show({ kind: 'code', ...sample }), expected, about)
  for (const expires_in of [-1, 0, 0.5, '-1', 'soon', '1e9', {}, [], true, '']) {
    t.match(show({ provider: { accessTokenSeconds: 77 }, body: { access_token: 'at', expires_in } }), { expiresInSeconds: 77 }, `expires_in ${JSON.stringify(expires_in)}`)
  }
  t.match(show({ provider: { accessTokenSeconds: 77 }, body: '{"access_token":"at","expires_in":1e999}' }), { expiresInSeconds: 77 })
  t.match(show({ body: { access_token: 'at', expires_in: 1e15 } }), { expiresInSeconds: 315_360_000 }, 'no token lives longer than ten years')
})

t.test('failures', async (t) => {
  const rows: [string, Sample, Partial<GrantOutcome>][] = [
    ['Slack: revoked', { provider: SLACK, body: { ok: false, error: 'token_revoked' } }, { kind: 'rejected', error: 'token_revoked', status: 200 }],
    ['Slack: secret', { provider: SLACK, body: { ok: false, error: 'bad_client_secret' } }, { kind: 'config_error', error: 'bad_client_secret' }],
    ['Slack: busy', { provider: SLACK, body: { ok: false, error: 'ratelimited' }, headers: { 'retry-after': '30' } }, { kind: 'try_later', retryAfterSeconds: 30 }],
    ['Slack: unheard of, code', { provider: SLACK, kind: 'code', body: { ok: false, error: 'invalid_code' } }, { kind: 'rejected', error: 'invalid_code' }],
    ['Slack: unheard of, refresh', { provider: SLACK, body: { ok: false, error: 'odd' } }, { kind: 'try_later', error: 'odd' }],
    ['Slack: false with a token', { provider: SLACK, body: { ok: false, error: 'odd', access_token: 'at' } }, { kind: 'try_later' }],
    ['GitHub: refresh token', { provider: GITHUB, body: { error: 'bad_refresh_token', error_description: 'The refresh token passed is incorrect or expired.' } }, { kind: 'rejected', description: 'The refresh token passed is incorrect or expired.' }],
    ['GitHub: secret', { provider: GITHUB, kind: 'code', body: { error: 'incorrect_client_credentials' } }, { kind: 'config_error' }],
    ['GitHub: a form', { provider: GITHUB, kind: 'code', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'error=bad_verification_code&error_description=It+is+expired.' }, { kind: 'rejected', error: 'bad_verification_code', description: 'It is expired.' }],
    ['an error at 200 that no manifest names', { body: { error: 'invalid_grant' } }, { kind: 'rejected', status: 200 }],
    ['invalid_grant', { status: 400, body: { error: 'invalid_grant' } }, { kind: 'rejected', status: 400 }],
    ['invalid_grant at 401', { status: 401, body: { error: 'invalid_grant' } }, { kind: 'rejected' }],
    ['invalid_grant at 500', { status: 500, body: { error: 'invalid_grant' } }, { kind: 'try_later' }],
    ...['invalid_client', 'unauthorized_client', 'unsupported_grant_type', 'invalid_scope', 'redirect_uri_mismatch'].map((error): [string, Sample, Partial<GrantOutcome>] =>
      [error, { status: 400, body: { error } }, { kind: 'config_error', error }]),
    ['a manifest’s word first', { provider: { errors: [{ when: { pointer: '/error', is: ['invalid_client'] }, class: 'try_later' }] }, status: 400, body: { error: 'invalid_client' } }, { kind: 'try_later' }],
    ['by description (Jira)', { provider: { errors: [{ when: { pointer: '/error_description', is: ['refresh_token is invalid'] }, class: 'reauthorise' }] }, status: 403, body: { error: 'unauthorized_client', error_description: 'refresh_token is invalid' } }, { kind: 'rejected' }],
    ['temporarily_unavailable', { kind: 'code', status: 400, body: { error: 'temporarily_unavailable' } }, { kind: 'try_later' }],
    ['unknown, refresh', { status: 400, body: { error: 'invalid_request', error_description: 'no' } }, { kind: 'try_later', error: 'invalid_request' }],
    ['unknown, code', { kind: 'code', status: 400, body: { error: 'invalid_request' } }, { kind: 'rejected' }],
    ['unknown, client credentials', { kind: 'client_credentials', status: 400, body: {} }, { kind: 'config_error', error: 'http_400' }],
    ['not found', { status: 404, body: '<html>' }, { kind: 'try_later', error: 'http_404' }],
    ['401 without a body', { status: 401 }, { kind: 'config_error', error: 'http_401' }],
    ['401 without a code', { status: 401, body: { message: 'no' } }, { kind: 'config_error', description: 'no' }],
    ['401 of a proxy', { status: 401, body: '<html>' }, { kind: 'try_later' }],
    ['401 with an unknown code, refresh', { status: 401, body: { error: 'odd' } }, { kind: 'try_later' }],
    ['401 with an unknown code, code', { kind: 'code', status: 401, body: { error: 'odd' } }, { kind: 'config_error' }],
    ['a code and no words', { status: 401, body: { error: 'invalid_client' } }, { kind: 'config_error', description: 'The provider answers 401 (invalid_client) and gives no other reason.' }],
    ['an error object', { status: 400, body: { error: { code: 'invalid_grant', message: 'gone' } } }, { kind: 'rejected', error: 'invalid_grant', description: 'gone' }],
    ['429', { status: 429, headers: { 'retry-after': '120' } }, { kind: 'try_later', status: 429, retryAfterSeconds: 120 }],
    ['429 until a date', { status: 429, headers: { 'retry-after': 'Wed, 01 Jul 2026 12:01:30 GMT' } }, { kind: 'try_later', retryAfterSeconds: 90 }],
    ['429 until a past date', { status: 429, headers: { 'retry-after': 'Wed, 01 Jul 2020 12:01:30 GMT' } }, { retryAfterSeconds: 0 }],
    ['429 with nonsense', { status: 429, headers: { 'retry-after': 'later' } }, { retryAfterSeconds: undefined }],
    ['429 for years', { status: 429, headers: { 'retry-after': '999999999' } }, { retryAfterSeconds: 86_400 }],
    ['HTML 502', { status: 502, headers: { 'content-type': 'text/html' }, body: '<html><h1>Bad gateway</h1>' }, { kind: 'try_later', error: 'http_502', description: 'The provider answers 502 and gives no reason.' }],
    ['redirect', { status: 302, headers: { location: 'https://x.example' } }, { kind: 'try_later', status: 302 }],
  ]
  for (const [about, sample, expected] of rows) t.match(judge(sample), expected, about)
})

t.test('answers that may have spent the grant', async (t) => {
  const bodies: [string, unknown][] = [
    ['nothing', ''], ['HTML', '<!doctype html><title>Welcome</title>'], ['half', '{"access_token":"a'], ['a list', [{ access_token: 'at' }]], ['null', 'null'], ['a text', '"at"'],
    ['no token', { token_type: 'bearer' }], ['an empty token', { access_token: '' }], ['a number', { access_token: 7 }], ['a line break', { access_token: 'a\r\nb' }],
    ['beyond ASCII', { access_token: 'tökén' }], ['spaces', { access_token: 'a b' }], ['too deep', `{"access_token":"at","x":${'['.repeat(50)}${']'.repeat(50)}}`],
    ['too many keys', { access_token: 'at', ...Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`k${index}`, 1])) }],
    ['a form that was not announced', 'access_token=at'],
  ]
  for (const [about, body] of bodies) t.match(judge({ body }), { kind: 'outcome_unknown', description: String }, about)
  t.match(judge({ status: 204 }), { kind: 'outcome_unknown' })
  const utf16 = judgeTokenAnswer(sampleProvider(), { status: 200, headers: {}, body: Buffer.from('{"access_token":"at"}', 'utf16le') }, { kind: 'code', hide: createHide([]), nowMs: 0 })
  t.equal(utf16.kind, 'outcome_unknown')
})

t.test('words of a provider', async (t) => {
  const words = (error_description: string) => {
    const outcome = judge({ status: 400, body: { error: 'invalid_grant', error_description } })
    return 'description' in outcome ? outcome.description : ''
  }
  t.equal(words('a\u0000b\r\n\tc\u202ed\u200b e'), 'a b c d e', 'printable, in one line')
  t.equal(words('x'.repeat(10_000)).length, 300)
  t.ok(words('😀'.repeat(500)).isWellFormed())
  const outcome = judge({ status: 400, body: { error: `e${'r'.repeat(5_000)}` } })
  t.equal('error' in outcome && outcome.error.length, 100)

  const silent = judge({ status: 400, body: { error: `e${'r'.repeat(5_000)}` } })
  t.match(silent, { description: `The provider answers 400 (e${'r'.repeat(98)}…) and gives no other reason.` })
  const echo = judgeTokenAnswer(sampleProvider(), { status: 401, headers: {}, body: Buffer.from('{"error":"no such client: s3cr3t-of-the-app"}') }, { kind: 'code', hide: createHide(['s3cr3t-of-the-app']), nowMs: 0 })
  t.match(echo, { description: 'The provider answers 401 (no such client: [hidden]) and gives no other reason.' })

  const secret = 's3cr3t/with+and=and~ünïcode and\\quote"'
  const hide = createHide([secret, 'tiny'])
  const buffer = Buffer.from(secret)
  const forms = [
    secret, secret.toUpperCase(), encodeURIComponent(secret), encodeURIComponent(secret).toLowerCase(), new URLSearchParams({ a: secret }).toString(), buffer.toString('base64'), buffer.toString('base64url'),
    buffer.toString('hex'), buffer.toString('hex').toUpperCase(), JSON.stringify(secret), secret.slice(0, 20), secret.slice(5, 25), `Basic ${buffer.toString('base64').slice(0, 30)}`, 'it is TINY.',
  ]
  for (const form of forms) {
    const hidden = hide(`before ${form} after`, 300)
    t.match(hidden, /^before .*\[hidden\].* after$/, form)
    t.notMatch(hidden, /s3cr3t|tiny/i)
  }
  t.equal(hide('nothing of it', 300), 'nothing of it')
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 100 }), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), (text, value) => {
    const result = createHide([value])(text + value + text, 50)
    return result.length <= 50 && result.isWellFormed()
  }))
})

t.test('no answer makes it throw', async (t) => {
  const provider = fc.constantFrom<Partial<OAuthProvider>>({}, SLACK, SLACK_USER, GITHUB, ALLOY, { answer: { holder: { token: '/access_token', pointer: '/sub' }, config: { a: '/a' }, account: { id: '', label: '/b' } }, accessTokenSeconds: 60 })
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom('at', 60, -1, null, 'a.b.c', jwt({ sub: {} })))
  const known = fc.record({ access_token: value, refresh_token: value, expires_in: value, scope: value, error: value, error_description: value, ok: value, authed_user: value, bearer_token: value, expires: value, a: value, b: value, ['__proto__']: value }, { requiredKeys: [] })
  const body = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)), known.map((object) => Buffer.from(JSON.stringify(object))), fc.json().map((text) => Buffer.from(text)), fc.webQueryParameters().map((text) => Buffer.from(text)))
  const headers = fc.dictionary(fc.constantFrom('content-type', 'retry-after', 'x'), fc.oneof(fc.string(), fc.constantFrom('application/x-www-form-urlencoded', 'text/plain', '10', 'Infinity', '-5')))
  const kinds = new Set<string>()
  const answers = fc.record({ status: fc.oneof(fc.integer({ min: 100, max: 599 }), fc.constantFrom(200, 400, 401)), headers, body })
  fc.assert(fc.property(provider, answers, fc.constantFrom<GrantKind>('code', 'refresh', 'client_credentials'), (changes, answer, kind) => {
    const outcome = judgeTokenAnswer(sampleProvider(changes), answer, { kind, hide: createHide(['at']), nowMs: NOW_MS })
    kinds.add(outcome.kind)
    if (outcome.kind !== 'granted') return outcome.description.length > 0 && outcome.description.length <= 300
    const { accessToken, expiresInSeconds = 1, refreshExpiresInSeconds = 1 } = outcome.tokens
    return answer.status >= 200 && answer.status < 300 && accessToken instanceof Secret &&
      [expiresInSeconds, refreshExpiresInSeconds].every((seconds) => Number.isSafeInteger(seconds) && seconds > 0)
  }), { numRuns: 3_000 })
  t.same([...kinds].sort(), ['config_error', 'granted', 'outcome_unknown', 'rejected', 'try_later'])
})
