import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { reveal } from '../../src/crypto/reveal.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'
import { createEgress } from '../../src/egress/index.ts'
import { createMetrics } from '../../src/metrics.ts'
import { BrokenClientError, createOAuthProtocol, type GrantOutcome, type OAuthProtocol, type TokenSet } from '../../src/oauth/index.ts'
import { startMockAuthorizationServer } from '../support/mock-authorization-server.ts'
import { refresh, sampleClient } from '../support/oauth-client.ts'
import { startOidcProvider, type OidcServer } from '../support/oidc.ts'
import { json, startProvider, type Answer, type Provider } from '../support/provider.ts'

const closers: (() => Promise<void>)[] = []
t.teardown(async () => { for (const close of closers.reverse()) await close() })

function protocolTo (endpoints: string[], timeoutMs = 5_000): OAuthProtocol {
  const exceptions = { provider: new Set(endpoints) }
  const egress = createEgress({ exceptions, metrics: createMetrics() })
  const protocol = createOAuthProtocol({ egress, clock: systemClock, timeoutMs })
  closers.push(egress.close, protocol.close)
  return protocol
}

async function oidc (options?: Parameters<typeof startOidcProvider>[0]): Promise<OidcServer> {
  const server = await startOidcProvider(options)
  closers.push(server.close)
  return server
}

async function standIn (answer: Answer): Promise<Provider> {
  const provider = await startProvider(answer)
  closers.push(provider.close)
  return provider
}

function granted (t: Test, outcome: GrantOutcome): TokenSet {
  if (outcome.kind !== 'granted') throw new Error(`${outcome.kind}: ${JSON.stringify(outcome)}`)
  t.equal(outcome.kind, 'granted')
  return outcome.tokens
}

t.test('a real authorization server: code with PKCE, rotation, revocation', async (t) => {
  const server = await oidc({ accessTokenSeconds: 900 })
  const protocol = protocolTo([server.endpoint])
  for (const auth of ['basic', 'body'] as const) {
    const client = sampleClient(server, { clientId: `client-${auth}.1`, provider: { ...server, clientAuth: auth, issuer: server.url, revoke: { url: server.revokeUrl, style: 'form' }, answer: { holder: { token: '/id_token', pointer: '/sub' } } } })
    server.addClient({ id: client.clientId, secret: 'app-secret/with+signs=and~more', redirectUri: client.redirectUri, auth })

    const { url, verifier } = await protocol.authorize(client, { state: 'state-1', scopes: ['openid', 'email'] })
    const redirect = new URL(await server.consent(url))
    t.equal(redirect.origin + redirect.pathname, client.redirectUri)
    t.match(Object.fromEntries(redirect.searchParams), { state: 'state-1', iss: server.url, code: String })
    const code = wrapSecret(redirect.searchParams.get('code') ?? '')

    t.match(await protocol.exchange(client, { code, verifier: wrapSecret('x'.repeat(43)) }), { kind: 'rejected', error: 'invalid_grant', status: 400 }, 'another verifier')
    const again = new URL(await server.consent((await protocol.authorize(client, { state: 's', scopes: ['openid'] })).url))
    t.match(await protocol.exchange(client, { code: wrapSecret(again.searchParams.get('code') ?? ''), verifier }), { kind: 'rejected' }, 'a verifier of another flow')

    const start = await protocol.authorize(client, { state: 'state-2', scopes: ['openid', 'email'] })
    const second = wrapSecret(new URL(await server.consent(start.url)).searchParams.get('code') ?? '')
    const first = granted(t, await protocol.exchange(client, { code: second, verifier: start.verifier }))
    t.match(first, { expiresInSeconds: 900, scopes: ['openid', 'email'], holder: 'person-1', config: {} })
    t.ok(first.refreshToken)
    if (first.refreshToken === undefined) return
    t.match(await protocol.exchange(client, { code: second, verifier: start.verifier }), { kind: 'rejected', error: 'invalid_grant' }, 'a code is good once')
  }
})

t.test('refresh tokens rotate, and a second use ends the family', async (t) => {
  const server = await oidc()
  const protocol = protocolTo([server.endpoint])
  const client = sampleClient(server, { provider: { ...server, revoke: { url: server.revokeUrl, style: 'form' } } })
  server.addClient({ id: client.clientId, secret: 'app-secret/with+signs=and~more', redirectUri: client.redirectUri })
  const link = async () => {
    const { url, verifier } = await protocol.authorize(client, { state: 's', scopes: ['openid'] })
    const code = new URL(await server.consent(url)).searchParams.get('code') ?? ''
    return granted(t, await protocol.exchange(client, { code: wrapSecret(code), verifier }))
  }
  const tokens = await link()
  const { refreshToken } = tokens
  if (refreshToken === undefined) throw new Error('no refresh token')
  const before = server.tokenRequests()
  const renewed = granted(t, await refresh(protocol, client, { refreshToken }))
  t.equal(server.tokenRequests(), before + 1)
  if (renewed.refreshToken === undefined) throw new Error('no refresh token')
  t.not(reveal(renewed.refreshToken), reveal(refreshToken))
  t.not(reveal(renewed.accessToken), reveal(tokens.accessToken))
  t.match(await refresh(protocol, client, { refreshToken }), { kind: 'rejected', error: 'invalid_grant' })
  t.match(await refresh(protocol, client, { refreshToken: renewed.refreshToken }), { kind: 'rejected', error: 'invalid_grant' }, 'the family is gone')
  t.match(server.grants.slice(-3), [{ grantType: 'refresh_token', error: undefined }, { error: 'invalid_grant' }, { error: 'invalid_grant' }])

  const other = await link()
  if (other.refreshToken === undefined) throw new Error('no refresh token')
  t.same(await protocol.revoke(client, other), { kind: 'revoked' })
  t.match(await refresh(protocol, client, { refreshToken: other.refreshToken }), { kind: 'rejected' })
  t.same(await protocol.revoke(client, { accessToken: wrapSecret('nobody-knows-it') }), { kind: 'revoked' }, 'RFC 7009: unknown is as good as revoked')

  const wrong = { ...client, ref: 'wrong', clientSecret: wrapSecret('another secret') }
  t.match(await refresh(protocol, wrong, { refreshToken }), { kind: 'config_error', error: 'invalid_client', status: 401 })
  t.match(await protocol.exchange(wrong, { code: wrapSecret('any'), verifier: wrapSecret('any') }), { kind: 'config_error', error: 'invalid_client', status: 401 })
  t.match(await protocol.revoke(wrong, other), { kind: 'failed', status: 401, description: /invalid_client/ })
})

t.test('client credentials', async (t) => {
  const server = await oidc({ accessTokenSeconds: 60 })
  const protocol = protocolTo([server.endpoint])
  const client = sampleClient(server)
  server.addClient({ id: client.clientId, secret: 'app-secret/with+signs=and~more', redirectUri: client.redirectUri })
  const tokens = granted(t, await protocol.clientCredentials(client, {}))
  t.equal(tokens.expiresInSeconds, 60)
  t.equal(tokens.refreshToken, undefined)
  const wrong = { ...client, ref: 'wrong', clientSecret: wrapSecret('another secret') }
  t.match(await protocol.clientCredentials(wrong, {}), { kind: 'config_error', error: 'invalid_client', status: 401 })
})

t.test('a server that grants everything', async (t) => {
  const server = await startMockAuthorizationServer()
  closers.push(server.close)
  const protocol = protocolTo([server.endpoint])
  const client = sampleClient(server, { provider: { ...server, revoke: { url: server.revokeUrl, style: 'form' }, clientAuth: 'body', accessTokenSeconds: 7_200 } })
  const { url, verifier } = await protocol.authorize(client, { state: 's', scopes: ['a', 'b'] })
  const code = wrapSecret(new URL(await server.consent(url)).searchParams.get('code') ?? '')
  server.rewriteNext((answer) => { Object.assign(answer.body, { expires_in: '120', scope: 'a,b' }) })
  const tokens = granted(t, await protocol.exchange(client, { code, verifier }))
  t.match(tokens, { expiresInSeconds: 120, scopes: ['a', 'b'] })
  if (tokens.refreshToken === undefined) throw new Error('no refresh token')
  server.rewriteNext(({ body }) => { if (body !== '') delete body['expires_in'] })
  t.match(await refresh(protocol, client, { refreshToken: tokens.refreshToken }), { kind: 'granted', tokens: { expiresInSeconds: 7_200 } })
  server.rewriteNext((answer) => { Object.assign(answer, { statusCode: 400, body: { error: 'invalid_grant' } }) })
  t.match(await refresh(protocol, client, { refreshToken: tokens.refreshToken }), { kind: 'rejected' })
  t.same(await protocol.revoke(client, tokens), { kind: 'revoked' })
})

t.test('the authorization URL', async (t) => {
  const protocol = protocolTo([])
  const params = async (...[changes, request]: [Parameters<typeof sampleClient>[1], { scopes?: string[], extra?: Record<string, string> }]) => {
    const client = sampleClient({ tokenUrl: 'https://provider.example//token' }, changes)
    const start = await protocol.authorize(client, { state: 'st', scopes: [], ...request })
    return { start, url: new URL(start.url), query: Object.fromEntries(new URL(start.url).searchParams) }
  }
  const plain = await params({}, { scopes: ['read:a b', 'c+d'] })
  t.match(plain.query, { response_type: 'code', client_id: 'client-1.app', state: 'st', scope: 'read:a b c+d', code_challenge_method: 'S256', redirect_uri: 'https://vault.example/oauth/callback/app_1' })
  t.match(plain.start.url, /scope=read%3Aa%20b%20c%2Bd/, 'no plus stands for a space')
  t.match(plain.query['code_challenge'], /^[\w-]{43}$/)
  t.match(reveal(plain.start.verifier as NonNullable<typeof plain.start.verifier>), /^[\w-]{43}$/)

  const slack = await params({ provider: { pkce: 'never', scope: { separator: ',', parameter: 'user_scope' } } }, { scopes: ['chat:write', 'users:read'] })
  t.equal(slack.start.verifier, undefined)
  t.same(slack.query, { response_type: 'code', client_id: 'client-1.app', state: 'st', redirect_uri: 'https://vault.example/oauth/callback/app_1', user_scope: 'chat:write,users:read' })

  const own = await params({ provider: { authorizeUrl: 'https://provider.example//odd/authorize?tenant=a%20b&prompt=x', authorizeParameters: { prompt: 'consent', access_type: 'offline' } } },
    { extra: { actor: 'app', state: 'mine', client_id: 'mine', redirect_uri: 'https://evil.example', code_challenge: 'x', scope: 'all' } })
  t.equal(own.url.origin + own.url.pathname, 'https://provider.example//odd/authorize')
  t.match(own.query, { tenant: 'a b', prompt: 'consent', access_type: 'offline', actor: 'app', state: 'st', client_id: 'client-1.app', redirect_uri: 'https://vault.example/oauth/callback/app_1' })
  t.notOk('scope' in own.query, 'none asked for, none sent')

  const states = await Promise.all(['a', 'b', 'c'].map((state) => protocol.authorize(sampleClient({ tokenUrl: 'https://provider.example/t' }, { ref: 'shared' }), { state, scopes: [state] })))
  t.same(states.map(({ url }) => new URL(url).searchParams.get('state')), ['a', 'b', 'c'], 'concurrent flows of one app stay apart')
  t.equal(new Set(states.map(({ verifier }) => reveal(verifier as NonNullable<typeof verifier>))).size, 3)
  const broken = protocol.authorize(sampleClient({ tokenUrl: 'https://p.example/t' }, { secret: 'ключ' }), { state: 's', scopes: [] })
  t.ok(await broken.catch((error: unknown) => error) instanceof BrokenClientError)
})

t.test('what is sent', async (t) => {
  const provider = await standIn((_received, reply) => { json(reply, 200, { access_token: 'at-1' }) })
  const protocol = protocolTo([provider.endpoint])
  const tokenUrl = `${provider.url}/token?tenant=1`
  const last = () => provider.received.at(-1)
  const code = wrapSecret('the code/+')
  const verifier = wrapSecret('v'.repeat(43))
  const basic = `Basic ${Buffer.from('client-1.app:app-secret%2Fwith%2Bsigns%3Dand~more').toString('base64')}`

  const form = sampleClient({ tokenUrl })
  await protocol.exchange(form, { code, verifier })
  t.match(last(), { method: 'POST', url: '/token?tenant=1', headers: { authorization: basic, accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded', 'user-agent': 'connection-vault' } })
  t.same(Object.fromEntries(new URLSearchParams(last()?.body)), { grant_type: 'authorization_code', code: 'the code/+', redirect_uri: form.redirectUri, code_verifier: 'v'.repeat(43) })
  await refresh(protocol, form, { refreshToken: wrapSecret('rt +/'), scopes: ['a', 'b'] })
  t.match(last(), { url: '/token?tenant=1', headers: { authorization: basic, 'content-type': 'application/x-www-form-urlencoded', 'user-agent': 'connection-vault' } }, 'both libraries authenticate alike')
  t.same(Object.fromEntries(new URLSearchParams(last()?.body)), { grant_type: 'refresh_token', refresh_token: 'rt +/', scope: 'a b' })

  const body = sampleClient({ tokenUrl }, { provider: { clientAuth: 'body', tokenRequest: 'json', pkce: 'never' } })
  await protocol.exchange(body, { code, verifier: undefined })
  const secret = { client_id: 'client-1.app', client_secret: 'app-secret/with+signs=and~more' }
  t.same(JSON.parse(last()?.body ?? ''), { grant_type: 'authorization_code', code: 'the code/+', redirect_uri: body.redirectUri, ...secret })
  t.match(last()?.headers, { 'content-type': 'application/json', authorization: undefined })
  await refresh(protocol, body, { refreshToken: wrapSecret('rt') })
  t.same(JSON.parse(last()?.body ?? ''), { grant_type: 'refresh_token', refresh_token: 'rt', ...secret })
  t.match(last()?.headers, { 'content-type': 'application/json', authorization: undefined })
  await protocol.clientCredentials(body, { scopes: ['x'], extraBody: { audience: 'api', grant_type: 'password', client_id: 'other' } })
  t.same(JSON.parse(last()?.body ?? ''), { grant_type: 'client_credentials', scope: 'x', audience: 'api', ...secret }, 'what is added can’t change the grant')
})

t.test('revocation in its four forms', async (t) => {
  const provider = await standIn((_received, reply) => { json(reply, 200, { ok: true }) })
  const protocol = protocolTo([provider.endpoint])
  const revoker = (style: 'form' | 'json' | 'bearer' | 'delete') => sampleClient({ tokenUrl: provider.url }, { clientId: 'the client/1', provider: { revoke: { url: `${provider.url}/${style === 'delete' ? '{client_id}/' : ''}revoke`, style } } })
  const tokens = { accessToken: wrapSecret('the-access-token'), refreshToken: wrapSecret('the-refresh-token') }
  const last = () => provider.received.at(-1)

  t.same(await protocol.revoke(revoker('form'), tokens), { kind: 'revoked' })
  t.same(Object.fromEntries(new URLSearchParams(last()?.body)), { token: 'the-refresh-token', token_type_hint: 'refresh_token' })
  await protocol.revoke(revoker('form'), { accessToken: tokens.accessToken })
  t.same(Object.fromEntries(new URLSearchParams(last()?.body)), { token: 'the-access-token', token_type_hint: 'access_token' })
  t.same(await protocol.revoke(revoker('json'), tokens), { kind: 'revoked' })
  t.same(JSON.parse(last()?.body ?? ''), { token: 'the-refresh-token' })
  t.same(await protocol.revoke(revoker('bearer'), tokens), { kind: 'revoked' })
  t.match(last(), { method: 'POST', headers: { authorization: 'Bearer the-access-token' }, body: '' })
  t.same(await protocol.revoke(revoker('delete'), tokens), { kind: 'revoked' })
  t.match(last(), { method: 'DELETE', url: '/the%20client%2F1/revoke', headers: { authorization: /^Basic /, 'content-type': 'application/json' }, body: '{"access_token":"the-access-token"}' })
  t.same(await protocol.revoke(sampleClient({ tokenUrl: provider.url }), tokens), { kind: 'unsupported' })

  provider.answer = (_received, reply) => { json(reply, 200, { ok: false, error: 'invalid_auth for the-access-token' }) }
  t.same(await protocol.revoke(revoker('bearer'), tokens), { kind: 'failed', status: 200, description: 'invalid_auth for [hidden]' })
  provider.answer = (_received, reply) => { json(reply, 400, { error: 'unsupported_token_type' }) }
  t.same(await protocol.revoke(revoker('form'), tokens), { kind: 'failed', status: 400, description: 'unsupported_token_type' })
  provider.answer = (_received, reply) => { json(reply, 404, { message: 'Not Found' }) }
  t.same(await protocol.revoke(revoker('delete'), tokens), { kind: 'revoked' }, 'what is not there is as good as revoked')
  t.match(await protocol.revoke(revoker('json'), tokens), { kind: 'failed', status: 404 })
  const access = { accessToken: tokens.accessToken }
  for (const [style, of, status, error, kind] of [
    ['form', tokens, 400, 'invalid_token', 'revoked'], ['form', access, 400, 'invalid_token', 'revoked'], ['form', tokens, 400, 'invalid_request', 'failed'],
    ['form', tokens, 401, 'invalid_client', 'failed'], ['form', tokens, 503, 'invalid_token', 'failed'],
    ['bearer', tokens, 200, 'token_revoked', 'revoked'], ['bearer', tokens, 200, 'account_inactive', 'revoked'],
    ['bearer', tokens, 200, 'token_expired', 'failed'], ['bearer', tokens, 401, 'invalid_token', 'failed'], ['bearer', access, 200, 'token_expired', 'revoked'],
  ] as const) {
    provider.answer = (_received, reply) => { json(reply, status, { ...status === 200 && { ok: false }, error }) }
    t.match(await protocol.revoke(revoker(style), of), { kind }, `${style}: ${error}, ${of === tokens ? 'with' : 'without'} a refresh token`)
  }
  provider.answer = (_received, reply) => { reply.writeHead(503).end() }
  t.match(await protocol.revoke(revoker('json'), tokens), { kind: 'failed', status: 503 })
  t.match(await protocol.revoke(sampleClient({ tokenUrl: provider.url }, { provider: { revoke: { url: 'http://127.0.0.1:1/', style: 'bearer' } } }), tokens), { kind: 'failed' })
  t.match(await protocol.revoke(sampleClient({ tokenUrl: provider.url }, { provider: { revoke: { url: 'no url', style: 'form' } } }), tokens), { kind: 'failed' })
})

t.test('a provider that misbehaves', async (t) => {
  const provider = await standIn(() => {})
  const protocol = protocolTo([provider.endpoint], 1_000)
  const client = sampleClient({ tokenUrl: `${provider.url}/token` })
  const each = async (answer: Answer, expected: Record<'exchange' | 'refresh', object>, about: string) => {
    provider.answer = answer
    const before = provider.received.length
    t.match(await protocol.exchange(client, { code: wrapSecret('code'), verifier: wrapSecret('v') }), expected.exchange, `${about}: exchange`)
    t.match(await refresh(protocol, client, { refreshToken: wrapSecret('rt') }), expected.refresh, `${about}: refresh`)
    t.equal(provider.received.length, before + 2, `${about}: sent once`)
  }
  const both = (expected: object) => ({ exchange: expected, refresh: expected })
  const unknown = both({ kind: 'outcome_unknown', description: String })
  await each((_r, reply) => { reply.writeHead(200, { 'content-type': 'text/html' }).end('<html>hello</html>') }, unknown, 'HTML at 200')
  await each((_r, reply) => { reply.writeHead(200).end() }, unknown, 'nothing at 200')
  await each((_r, reply) => { reply.writeHead(200, { 'content-type': 'application/json' }).end('{"access_token":') }, unknown, 'half of JSON')
  await each((_r, reply) => { reply.destroy() }, unknown, 'reset')
  await each((_r, reply) => { reply.writeHead(200, { 'content-length': '100' }).write('half', () => { reply.destroy() }) }, unknown, 'cut off')
  await each((_r, reply) => { reply.writeHead(200, { 'content-encoding': 'gzip' }).end('garbage') }, unknown, 'gzip garbage')
  await each((_r, reply) => { reply.writeHead(200).end(Buffer.alloc(300_000, 'x')) }, unknown, 'oversize')
  await each(() => {}, unknown, 'silence')
  await each((_r, reply) => { reply.writeHead(200).write('{') }, unknown, 'silence in the middle')
  await each((_r, reply) => { reply.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad gateway</html>') }, both({ kind: 'try_later', status: 502 }), 'HTML 502')
  await each((_r, reply) => { reply.writeHead(503, { 'retry-after': '17' }).end() }, both({ kind: 'try_later', status: 503, retryAfterSeconds: 17 }), '503')
  await each((_r, reply) => { reply.writeHead(302, { location: `${provider.url}/elsewhere` }).end() }, both({ kind: 'try_later', status: 302 }), 'redirect')
  await each((_r, reply) => { reply.writeHead(201, { 'content-type': 'application/vnd.x' }).end('{"access_token":"t"}') }, both({ kind: 'granted' }), 'another status and type')
  await each((_r, reply) => { json(reply, 400, { error: 'odd' }) }, { exchange: { kind: 'rejected' }, refresh: { kind: 'try_later' } }, 'unknown 400')
  await each((_r, reply) => { reply.writeHead(401).end() }, both({ kind: 'config_error', status: 401 }), 'bare 401')

  const nowhere = sampleClient({ tokenUrl: 'http://127.0.0.1:9/token' })
  t.match(await refresh(protocol, nowhere, { refreshToken: wrapSecret('rt') }), { kind: 'try_later', error: 'blocked', status: undefined })
  t.match(await protocol.exchange(nowhere, { code: wrapSecret('c'), verifier: wrapSecret('v') }), { kind: 'try_later', error: 'blocked', status: undefined })
  const closed = await startProvider(() => {})
  await closed.close()
  const gone = protocolTo([closed.endpoint])
  t.match(await refresh(gone, sampleClient({ tokenUrl: closed.url }), { refreshToken: wrapSecret('rt') }), { kind: 'try_later', error: 'unreachable' })
  t.match(await gone.exchange(sampleClient({ tokenUrl: closed.url }), { code: wrapSecret('c'), verifier: wrapSecret('v') }), { kind: 'try_later', error: 'unreachable' })
  const insecure = sampleClient({ tokenUrl: `https://${provider.endpoint}/token` })
  t.match(await protocol.exchange(insecure, { code: wrapSecret('c'), verifier: wrapSecret('v') }), { kind: 'try_later', error: 'unreachable', description: /TLS/ }, 'nothing leaves before TLS stands')
  for (const tokenUrl of ['', 'no url', 'ftp://x.example/']) {
    t.match(await protocol.exchange(sampleClient({ tokenUrl }), { code: wrapSecret('c'), verifier: wrapSecret('v') }), { kind: 'config_error', error: 'client_invalid' }, tokenUrl)
    t.match(await refresh(protocol, sampleClient({ tokenUrl }), { refreshToken: wrapSecret('rt') }), { kind: 'config_error', error: 'client_invalid' }, tokenUrl)
  }

  const controller = new AbortController()
  provider.answer = () => { controller.abort() }
  t.match(await refresh(protocol, client, { refreshToken: wrapSecret('rt'), signal: controller.signal }), { kind: 'outcome_unknown' }, 'given up after it was sent')
  t.match(await refresh(protocol, client, { refreshToken: wrapSecret('rt'), signal: AbortSignal.abort() }), { kind: 'try_later' }, 'given up before')
})

t.test('apps come, go and are evicted', async (t) => {
  const provider = await standIn((_received, reply) => { json(reply, 200, { access_token: 'at' }) })
  const protocol = protocolTo([provider.endpoint])
  const clients = Array.from({ length: 140 }, (_, index) => sampleClient({ tokenUrl: provider.url }, { ref: `many_${index}`, clientId: `id-${index}` }))
  for (const client of clients) await protocol.authorize(client, { state: 's', scopes: [] })
  const outcomes = await Promise.all(clients.map((client) => protocol.exchange(client, { code: wrapSecret('c'), verifier: wrapSecret('v') })))
  t.ok(outcomes.every(({ kind }) => kind === 'granted'))
  const ids = provider.received.map(({ headers }) => Buffer.from(headers.authorization?.slice(6) ?? '', 'base64').toString().split(':')[0])
  t.equal(new Set(ids).size, 140)
  await protocol.close()
})
