import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type JWTPayload } from 'jose'
import t from 'tap'
import { makeFolder } from '../support/folder.ts'
import { parseTrustedIssuers } from '../../src/access/index.ts'
import { eventually, startTestVault } from '../support/vault.ts'

/** A token issuer with rotating keys, as an identity provider has them. */
type PrivateKey = Awaited<ReturnType<typeof generateKeyPair>>['privateKey']
const signers = new Map<string, PrivateKey>()
const jwks: object[] = []
let jwksRequests = 0
let jwksFails = false
async function addKey (kid: string, alg = 'ES256'): Promise<void> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  signers.set(kid, privateKey)
  jwks.push({ ...await exportJWK(publicKey), kid, alg, use: 'sig' })
}
await addKey('first')
const issuerServer = createServer((_request, reply) => {
  jwksRequests++
  if (jwksFails) reply.writeHead(500).end()
  else reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: jwks }))
})
await new Promise<void>((resolve) => { issuerServer.listen(0, '127.0.0.1', resolve) })
const endpoint = `127.0.0.1:${(issuerServer.address() as AddressInfo).port}`
const ISSUER = 'https://kubernetes.default.svc'

const file = join(makeFolder('issuers'), 'issuers.json')
writeFileSync(file, JSON.stringify([{
  issuer: ISSUER,
  audience: 'connection-vault',
  jwks_url: `http://${endpoint}/keys`,
  algorithms: ['ES256'],
  rules: [
    { claims: { sub: 'system:serviceaccount:prod:runtime' }, preset: 'runtime', workspaces: ['*'], environments: ['live'] },
    { claims: { role: 'reader' }, scopes: ['connections:read'], workspaces: { claim: 'workspaces' }, environments: ['sandbox', 'live'] },
  ],
}]))
const vault = await startTestVault({ TRUSTED_ISSUERS_FILE: file, EGRESS_ALLOW_ISSUER: endpoint })
t.teardown(async () => {
  await vault.close()
  issuerServer.close()
})

const TOKENS = '/v1/service-tokens'
const list = (token: string, workspace = 'acme') => vault.request('GET', `/v1/workspaces/${workspace}/connections`, { token })

interface Changes {
  readonly kid?: string
  readonly alg?: string
  readonly key?: PrivateKey | Uint8Array
  readonly audience?: string | null
  readonly issuer?: string
  readonly expires?: string | null
}

async function jwt (claims: JWTPayload, changes: Changes = {}): Promise<string> {
  const kid = changes.kid ?? 'first'
  let token = new SignJWT(claims).setProtectedHeader({ alg: changes.alg ?? 'ES256', kid }).setIssuer(changes.issuer ?? ISSUER).setIssuedAt()
  if (changes.audience !== null) token = token.setAudience(changes.audience ?? 'connection-vault')
  if (changes.expires !== null) token = token.setExpirationTime(changes.expires ?? '5m')
  return await token.sign(changes.key ?? signers.get(kid) as PrivateKey)
}

t.test('make, list and revoke service tokens', async (t) => {
  const made = await vault.request('POST', TOKENS, { body: { name: 'runtime of acme', preset: 'runtime', workspaces: ['acme', 'acme'], environments: ['live', '*'] }, headers: { 'x-actor': 'ops_1' } })
  t.equal(made.status, 201)
  t.match(made.body, { token: /^cvt_[0-9a-z]{59}$/, service_token: { id: /^tok_/, scopes: ['actions:invoke', 'credentials:resolve'], workspaces: ['acme'], environments: ['*'], created_by: 'ops_1', revoked_at: null } })
  const { token, service_token: { id } } = made.body as { token: string, service_token: { id: string } }
  const listed = await vault.request('GET', TOKENS)
  t.ok((listed.body.service_tokens as { id: string }[]).some((one) => one.id === id))
  t.notMatch(listed.text, new RegExp(token.slice(4, 40)), 'a token is shown once')
  t.notMatch(listed.text, /hash/)
  t.same(await vault.database.query('select from service_tokens where token_hash = $1::bytea', [Buffer.from(token)]), [], 'and stored as a hash')

  const path = '/v1/workspaces/acme/resolve'
  const use = () => vault.request('POST', path, { token, body: { environment: 'live', connection_ids: ['conn_00000000000000000000000000'] } })
  t.equal((await use()).status, 200)
  t.match((await vault.request('DELETE', `${TOKENS}/${id}`, { headers: { 'x-actor': 'ops_2' } })).body, { id, revoked_by: 'ops_2', revoked_at: /^20/ })
  t.equal((await use()).status, 401, 'by the process that revoked it, at once')
  t.match((await vault.request('DELETE', `${TOKENS}/${id}`, { headers: { 'x-actor': 'ops_3' } })).body, { revoked_by: 'ops_2' }, 'the first revocation stands')
  t.match((await vault.request('DELETE', `${TOKENS}/tok_00000000000000000000000000`)).body, { status: 404, code: 'not_found' })
  const events = await vault.database.query<{ event: string, details: { token_id: string } }>("select event, details from audit_events where event like 'token.%' and details ->> 'token_id' = $1 order by id", [id])
  t.same(events.map((one) => one.event), ['token.created', 'token.revoked'], 'and is on record once')
})

t.test('another process hears that a token was revoked before it would have asked again', async (t) => {
  await vault.withRooms(async ({ access }) => {
    const takesUntilRefused = async (): Promise<number> => {
      const { body } = await vault.request('POST', TOKENS, { body: { name: 'heard of', preset: 'runtime', workspaces: ['acme'], environments: ['live'] } })
      const { token, service_token: { id } } = body as { token: string, service_token: { id: string } }
      await access.authenticate(token)
      const rememberedMs = performance.now()
      t.equal((await vault.request('DELETE', `${TOKENS}/${id}`)).status, 200)
      while (await access.authenticate(token).then(() => true, () => false)) await new Promise((resolve) => { setTimeout(resolve, 5) })
      return performance.now() - rememberedMs
    }
    // Of what it remembers for half a second it must have heard. It may not listen yet at first, and a slow machine may take longer.
    let [heard, turns] = [false, 0]
    while (!heard && turns++ < 20) heard = await takesUntilRefused() < 300
    t.ok(heard, 'in one of twenty turns at least')
  })
})

t.test('what does not fit', async (t) => {
  const good = { name: 'x', preset: 'runtime', workspaces: ['*'], environments: ['*'] }
  const refused = [
    { ...good, preset: undefined }, { ...good, preset: 'root' }, { ...good, scopes: ['everything'] }, { ...good, scopes: [] }, { ...good, workspaces: [] }, { ...good, workspaces: ['a b'] },
    { ...good, environments: ['test'] }, { ...good, environments: [] }, { ...good, expires_at: 'tomorrow' }, { ...good, expires_at: '2030-01-01' }, { ...good, expires_at: '2030-02-31T25:00:00Z' }, { ...good, name: '' }, { ...good, extra: 1 },
  ]
  for (const body of refused) t.match((await vault.request('POST', TOKENS, { body })).body, { status: 400, code: 'request_invalid', errors: [{ pointer: /./ }] }, JSON.stringify(body))
})

t.test('expiry is the database’s to say', async (t) => {
  const made = await vault.request('POST', TOKENS, { body: { name: 'short', preset: 'dashboard', workspaces: ['*'], environments: ['*'], expires_at: new Date(Date.now() + 3_600_000).toISOString() } })
  t.equal((await list(made.body.token as string)).status, 200)
  await vault.database.advance('61 minutes')
  await eventually(async () => (await list(made.body.token as string)).status === 401)
  await vault.database.advance('-61 minutes')
})

t.test('a repeated request makes one token, and shows it once', async (t) => {
  const body = { name: 'once', preset: 'dashboard', workspaces: ['*'], environments: ['*'] }
  const headers = { 'idempotency-key': 'token-1' }
  const first = await vault.request('POST', TOKENS, { body, headers })
  const second = await vault.request('POST', TOKENS, { body, headers })
  t.equal(second.body.service_token.id, first.body.service_token.id)
  t.equal(second.body.token, undefined)
  t.equal(second.headers.get('idempotent-replayed'), 'true')
  t.match((await vault.request('POST', TOKENS, { body: { ...body, name: 'twice' }, headers })).body, { status: 409, code: 'idempotency_conflict' })
  const race = await Promise.all(Array.from({ length: 5 }, () => vault.request('POST', TOKENS, { body, headers: { 'idempotency-key': 'token-race' } })))
  t.same(new Set(race.map((one) => one.status)), new Set([201]))
  t.equal(new Set(race.map((one) => one.body.service_token.id as string)).size, 1)
  t.equal(race.filter((one) => one.body.token !== undefined).length, 1)
})

t.test('pages of tokens', async (t) => {
  const page = await vault.request('GET', `${TOKENS}?limit=2`)
  t.equal(page.body.service_tokens.length, 2)
  const next = await vault.request('GET', `${TOKENS}?limit=2&cursor=${page.body.next_cursor}`)
  t.ok((next.body.service_tokens[0].id as string) < page.body.service_tokens[1].id)
})

t.test('a JWT of a trusted issuer', async (t) => {
  const runtime = await jwt({ sub: 'system:serviceaccount:prod:runtime' })
  const body = { environment: 'live', connection_ids: ['conn_00000000000000000000000000'] }
  t.equal((await vault.request('POST', '/v1/workspaces/acme/resolve', { token: runtime, body })).status, 200)
  t.match((await list(runtime)).body, { status: 403, code: 'insufficient_scope' })
  const reader = await jwt({ sub: 'someone', role: 'reader', workspaces: ['acme', 'beta'] })
  t.equal((await list(reader)).status, 200)
  t.equal((await list(reader, 'beta')).status, 200)
  t.equal((await list(reader, 'gamma')).status, 404)
  t.equal((await list(await jwt({ sub: 's', role: 'reader', workspaces: 'acme' }))).status, 200)
  const id = await vault.connect('acme')
  await vault.request('POST', '/v1/workspaces/acme/resolve', { token: runtime, body })
  await vault.request('GET', `/v1/workspaces/acme/connections/${id}`, { token: reader })
  const [row] = await vault.database.query("select principal_kind, principal_id from audit_events where principal_kind = 'jwt' limit 1")
  t.match(row, { principal_kind: 'jwt', principal_id: `${ISSUER}#system:serviceaccount:prod:runtime` })
})

t.test('JWTs that are not accepted', async (t) => {
  const claims = { sub: 'someone', role: 'reader', workspaces: ['acme'] }
  const stranger = (await generateKeyPair('ES256')).privateKey
  const refused: [string, string, string?][] = [
    ['of another issuer', await jwt(claims, { issuer: 'https://evil.example' }), 'issuer_not_trusted'],
    ['for another audience', await jwt(claims, { audience: 'another-service' }), 'audience'],
    ['for nobody', await jwt(claims, { audience: null })],
    ['expired', await jwt(claims, { expires: '-1m' }), 'expired'],
    ['without an expiry', await jwt(claims, { expires: null }), 'expiry_missing'],
    ['without a subject', await jwt({ role: 'reader', workspaces: ['acme'] }), 'subject_missing'],
    ['whose subject can’t be written down', await jwt({ ...claims, sub: 'some\0one' })],
    ['signed by a stranger', await jwt(claims, { key: stranger })],
    ['of an algorithm not agreed on', await jwt(claims, { alg: 'HS256', key: new TextEncoder().encode('x'.repeat(32)) })],
    ['unsigned', new UnsecuredJWT(claims).setIssuer(ISSUER).setAudience('connection-vault').setExpirationTime('5m').encode()],
    ['that no rule knows', await jwt({ sub: 'someone', role: 'writer', workspaces: ['acme'] }), 'no_rule_fits'],
    ['without a workspace', await jwt({ sub: 'someone', role: 'reader' }), 'no_workspace'],
    ['that claims every workspace', await jwt({ sub: 'someone', role: 'reader', workspaces: ['*'] })],
    ['changed', `${(await jwt(claims)).slice(0, -6)}AAAAAA`],
  ]
  for (const [name, token, reason] of refused) {
    vault.logs.length = 0
    t.match((await list(token)).body, { status: 401, code: 'unauthenticated', detail: 'The token is not accepted.' }, `a JWT ${name}`)
    const said = vault.logs.map((line) => JSON.parse(line) as { msg: string, reason?: string }).filter(({ msg }) => msg === 'a JWT is not accepted')
    t.match(said, [reason === undefined ? {} : { reason }], 'the operator learns why')
    t.notMatch(vault.logs.join(''), token.split('.')[1] ?? token)
  }
})

t.test('keys of an issuer that change, and an issuer that is away', async (t) => {
  jwksRequests = 0
  for (let times = 0; times < 20; times++) await list(await jwt({ sub: `s${times}`, role: 'reader', workspaces: ['acme'] }))
  t.equal(jwksRequests, 0, 'keys are kept')
  const other = await startTestVault({ TRUSTED_ISSUERS_FILE: file, EGRESS_ALLOW_ISSUER: endpoint })
  t.teardown(() => other.close())
  jwksFails = true
  const token = await jwt({ sub: 's', role: 'reader', workspaces: ['acme'] })
  t.match((await other.request('GET', '/v1/workspaces/acme/connections', { token })).body, { status: 503, code: 'issuer_unavailable', retryable: true })
  jwksFails = false
  await eventually(async () => (await other.request('GET', '/v1/workspaces/acme/connections', { token })).status === 200)
})

t.test('an issuer in a private network needs the operator’s word', async (t) => {
  const other = await startTestVault({ TRUSTED_ISSUERS_FILE: file })
  t.teardown(() => other.close())
  t.equal((await other.request('GET', '/v1/workspaces/acme/connections', { token: await jwt({ sub: 's', role: 'reader', workspaces: ['acme'] }) })).status, 503)
})

t.test('a list of issuers that can’t be used says where', async (t) => {
  const rule = { claims: {}, preset: 'runtime', workspaces: ['*'], environments: ['*'] }
  const issuer = { issuer: 'i', audience: 'a', jwks_url: 'https://i/keys', rules: [rule] }
  t.equal(parseTrustedIssuers(JSON.stringify([issuer])).length, 1)
  for (const [bad, message] of [
    ['not json', /not JSON/], [JSON.stringify([{ ...issuer, audience: undefined }]), /\/0\/audience is required/], [JSON.stringify([{ ...issuer, algorithms: ['none'] }]), /\/0\/algorithms\/0/],
    [JSON.stringify([{ ...issuer, algorithms: ['HS256'] }]), /algorithms/], [JSON.stringify([{ ...issuer, rules: [{ ...rule, preset: undefined }] }]), /preset or scopes/], [JSON.stringify([{ ...issuer, extra: 1 }]), /\/0\/extra is not known/],
  ] as const) t.throws(() => parseTrustedIssuers(bad), message)
})
