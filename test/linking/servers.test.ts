import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeFolder } from '../support/folder.ts'
import { goToProvider, HOST, returned, RETURN_URL } from '../support/linking.ts'
import { startMockAuthorizationServer } from '../support/mock-authorization-server.ts'
import { startOidcProvider } from '../support/oidc.ts'
import { Person } from '../support/person.ts'
import { eventually, startTestVault } from '../support/vault.ts'

/** Authorization servers that are not ours, as integrations of an operator's own: linked, used, renewed, deleted. */
const real = await startOidcProvider({ accessTokenSeconds: 120 })
const mock = await startMockAuthorizationServer()
const dir = makeFolder('catalog')

interface Addresses {
  readonly url: string
  readonly endpoint: string
  readonly authorizeUrl: string
  readonly tokenUrl: string
  readonly revokeUrl?: string
  readonly userinfo: string
  readonly issuer?: string
}

function writeManifest (id: string, of: Addresses): void {
  writeFileSync(join(dir, `${id}.yaml`), JSON.stringify({
    id,
    name: `The ${id} server`,
    category: 'identity',
    docs: 'https://openid.net/specs/openid-connect-core-1_0.html',
    environments: ['sandbox'],
    separation: 'none',
    auth: [{
      id: 'oauth',
      label: 'Sign in',
      fields: [
        { name: 'access_token', label: 'Access token', secret: true },
        { name: 'refresh_token', label: 'Refresh token', secret: true, required: false, vault_only: true },
      ],
      inject: [{ header: 'authorization', value: 'Bearer {access_token}' }],
      oauth: {
        authorize_url: of.authorizeUrl, token_url: of.tokenUrl, ...of.issuer !== undefined && { issuer: of.issuer },
        ...of.revokeUrl !== undefined && { revoke: { url: of.revokeUrl, style: 'form' } },
        scopes: { default: ['openid', 'email'] }, pkce: 'required', client_auth: 'basic', token_request: 'form',
        token_answer: { holder: { token: '/id_token', pointer: '/sub' } }, access_token_seconds: null, refresh: { issued: 'always', rotates: true },
      },
    }],
    servers: { sandbox: of.url },
    hosts: [of.endpoint],
    conventions: { body: 'json' },
    errors: [{ when: { status: 401 }, class: 'refresh_then_retry' }],
    test: { method: 'GET', path: of.userinfo, auth_failed: [{ status: 401 }], account: { id: '/sub' } },
    actions: [{ name: 'who', title: 'Who it is', method: 'GET', path: of.userinfo, effect: 'read' }],
  }))
}
writeManifest('real', { ...real, userinfo: '/me', issuer: real.url })
writeManifest('mock', { url: mock.url, endpoint: mock.endpoint, authorizeUrl: mock.authorizeUrl, tokenUrl: mock.tokenUrl, userinfo: '/userinfo' })

const vault = await startTestVault({ CATALOG_DIR: dir, EGRESS_ALLOW_PROVIDER: `${real.endpoint},${mock.endpoint}`, RETURN_ORIGINS: HOST })
t.teardown(async () => { for (const { close } of [vault, real, mock]) await close() })
const W = 'ws_servers'

interface Server {
  readonly integration: string
  /** What its answer says was granted. */
  readonly scopes: string[]
  consent (url: string): Promise<string>
  addClient (client: { id: string, secret: string, redirectUri: string }): void
}

async function walk (t: Test, of: Server): Promise<string> {
  const client = { id: `client-of-${of.integration}`, secret: 'a-secret/with+signs=and~more' }
  const app = await vault.request('PUT', `/v1/oauth-apps/${of.integration}/sandbox`, { body: { client_id: client.id, client_secret: client.secret } })
  t.equal(app.status, 201, app.text)
  of.addClient({ ...client, redirectUri: app.body.redirect_uri as string })

  const session = await vault.request('POST', `/v1/workspaces/${W}/connect-sessions`, { body: { integration: of.integration, environment: 'sandbox', name: of.integration, actor: 'ada', return_url: RETURN_URL } })
  const person = new Person()
  const end = returned(await person.visit(await of.consent(await goToProvider(person, session.body.connect_url as string, { integration: of.integration }))))
  const made = await vault.request('POST', `/v1/workspaces/${W}/connect-sessions/${end.sessionId}/complete`, { body: { completion_code: end.code, actor: 'ada' } })
  t.match(made, { status: 200, body: { status: 'active', granted_scopes: of.scopes } }, made.text)
  const id = made.body.id as string
  const at = `/v1/workspaces/${W}/connections/${id}`

  t.match((await vault.request('POST', `${at}/resolve`, { body: { environment: 'sandbox' } })).body, { credentials: { access_token: /^.{20,}$/ }, freshness: 'fresh' })
  t.match((await vault.request('POST', `${at}/invoke`, { body: { environment: 'sandbox', action: 'who', input: {} } })).body, { output: { sub: String } })
  t.match(await vault.request('POST', `${at}/refresh`), { status: 200, body: { version_number: 2 } })
  t.match((await vault.request('POST', `${at}/invoke`, { body: { environment: 'sandbox', action: 'who', input: {} } })).body, { output: { sub: String } }, 'with the renewed one')
  return id
}

t.test('oidc-provider', async (t) => {
  const id = await walk(t, { integration: 'real', scopes: ['openid', 'email'], consent: real.consent, addClient: real.addClient })
  const at = `/v1/workspaces/${W}/connections/${id}`
  t.match((await vault.request('GET', at)).body, { account: { id: 'person-1' } })
  // Twice over its whole life, with many who want it at the same time: a rotating token is used once each.
  for (let life = 0; life < 3; life++) {
    await vault.database.advance('121 seconds')
    const answers = await Promise.all(Array.from({ length: 8 }, async () => await vault.request('POST', `${at}/resolve`, { body: { environment: 'sandbox' } })))
    t.strictSame([...new Set(answers.map(({ status }) => status))], [200])
  }
  const used = real.grants.filter(({ grantType }) => grantType === 'refresh_token').map(({ refreshToken }) => refreshToken)
  t.equal(used.length, 4)
  t.equal(new Set(used).size, used.length, 'no refresh token twice')
  t.ok(real.grants.every(({ error }) => error === undefined))

  const { credentials } = (await vault.request('POST', `${at}/resolve`, { body: { environment: 'sandbox' } })).body as { credentials: { access_token: string } }
  const me = async () => (await fetch(`${real.url}/me`, { headers: { authorization: `Bearer ${credentials.access_token}` } })).status
  t.equal(await me(), 200)
  t.equal((await vault.request('DELETE', `${at}?force=true`)).status, 204)
  t.equal(await eventually(async () => { const status = await me(); return status !== 200 && status }), 401, 'revoked by RFC 7009')
})

t.test('oauth2-mock-server', async (t) => {
  const id = await walk(t, { integration: 'mock', scopes: ['dummy'], consent: mock.consent, addClient: () => {} })
  const at = `/v1/workspaces/${W}/connections/${id}`
  mock.rewriteNext((answer) => {
    answer.statusCode = 400
    answer.body = { error: 'invalid_grant' }
  })
  await vault.database.advance('2 hours')
  t.match(await vault.request('POST', `${at}/resolve`, { body: { environment: 'sandbox' } }), { status: 409, body: { code: 'connection_needs_reauth' } })
  t.equal((await vault.request('DELETE', `${at}?force=true`)).status, 204)
})
