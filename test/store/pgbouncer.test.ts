import { join } from 'node:path'
import t from 'tap'
import { createLocalKeyring } from '../../src/crypto/index.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { createTestDatabase } from '../support/cluster.ts'
import { makeFolder } from '../support/folder.ts'
import { startPgBouncer } from '../support/pgbouncer.ts'
import { runCli, startVaultProcess, type VaultProcess } from '../support/process.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, STRIPE_KEY } from '../support/vault.ts'

/** Two vaults behind a pooler in transaction mode: each statement may reach another session of the database. */
const database = await createTestDatabase()
const pooler = await startPgBouncer(database.serviceUrl)
const provider = await startProvider((_received, reply) => { json(reply, 200, { livemode: false, available: [] }) })
const vaults: VaultProcess[] = []
t.teardown(async () => {
  await Promise.all(vaults.map((vault) => vault.kill('SIGTERM')))
  await pooler?.stop()
  await provider.close()
  await database.drop()
})

t.test('everything works behind PgBouncer', { skip: pooler === undefined ? 'no pgbouncer is installed here' : false }, async (t) => {
  if (pooler === undefined) return
  const folder = makeFolder('pooled')
  const keyringFile = join(folder, 'keyring.json')
  createLocalKeyring(keyringFile, new Date())
  const settings = {
    NODE_ENV: 'production', DATABASE_URL: pooler.url(database.serviceUrl), KEYRING_FILE: keyringFile, DATABASE_NOTIFY: 'off', DATABASE_STATEMENTS: 'unnamed', DATABASE_POOL_SIZE: '3', LOG_LEVEL: 'info',
    CATALOG_DIR: retargetCatalog(provider.url, ['stripe']), EGRESS_ALLOW_PROVIDER: provider.endpoint,
  }
  const pair = await Promise.all([startVaultProcess(settings), startVaultProcess(settings)])
  vaults.push(...pair)
  const minted = await runCli(['tokens', 'create', '--name', 'pooled', '--preset', 'ops', '--scopes', 'credentials:resolve,actions:invoke', '--workspaces', '*', '--environments', '*'], settings).done
  const token = /cvt_\w+/.exec(minted.output)?.[0] ?? ''
  t.ok(token, minted.output)
  let turn = 0
  const call = async (method: string, path: string, body?: object, headers: Record<string, string> = {}) => {
    const response = await fetch(`${pair[turn++ % 2]?.urls.internal ?? ''}/v1/${path}`, {
      method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers }, ...body && { body: JSON.stringify(body) }, signal: AbortSignal.timeout(20_000),
    })
    const text = await response.text()
    return { status: response.status, etag: response.headers.get('etag') ?? '', body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> & { id: string } }
  }
  const W = 'workspaces/acme'
  const made = await Promise.all(Array.from({ length: 20 }, async (_, index) => await call('POST', `${W}/connections`, {
    integration: 'stripe', environment: 'sandbox', name: `Stripe ${index}`, credentials: { secret_key: `${STRIPE_KEY}${index}` },
  })))
  t.ok(made.every(({ status }) => status === 201), JSON.stringify(made.find(({ status }) => status !== 201)?.body))
  const ids = made.map(({ body }) => body.id)

  const resolves = await Promise.all(Array.from({ length: 300 }, async (_, index) => ({ index, ...await call('POST', `${W}/connections/${ids[index % 20] ?? ''}/resolve`, { environment: 'sandbox' }) })))
  t.same(resolves.filter(({ status }) => status !== 200), [])
  for (const { index, body } of resolves.slice(0, 40)) t.same((body['credentials'] as { secret_key: string }).secret_key, `${STRIPE_KEY}${index % 20}`, 'each its own')
  const invokes = await Promise.all(ids.map(async (id) => await call('POST', `${W}/connections/${id}/invoke`, { environment: 'sandbox', action: 'get_balance' }, { 'idempotency-key': `once-${id}` })))
  t.ok(invokes.every(({ status }) => status === 200), JSON.stringify(invokes.find(({ status }) => status !== 200)?.body))

  const [first = ''] = ids
  t.match(await call('POST', `${W}/connections/${first}/rotate`, { credentials: { secret_key: `${STRIPE_KEY}new` }, test: false }), { status: 200 })
  t.match(await call('POST', `${W}/connections/${first}/resolve`, { environment: 'sandbox' }), { body: { credentials: { secret_key: `${STRIPE_KEY}new` } } }, 'the other one knows')
  t.match(await call('POST', 'keys/rotate', { target: 'workspace' }), { status: 202 })
  await eventually(async () => (await call('GET', 'keys/sweep')).body['state'] === 'idle', 30_000)
  t.match(await call('POST', `${W}/connections/${first}/resolve`, { environment: 'sandbox' }), { status: 200 })
  t.match(await call('GET', 'audit/verify'), { status: 200, body: { ok: true } })
  for (const vault of pair) t.notMatch(vault.output(), /prepared statement/, 'no statement was looked for where it is not')
})
