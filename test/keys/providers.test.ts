import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { startVault } from '../../src/main.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { makeFolder } from '../support/folder.ts'
import { provideAwsCredentials, startKms } from '../support/kms.ts'
import { json, startProvider } from '../support/provider.ts'
import { startTransit } from '../support/transit.ts'
import { eventually, startTestVault, STRIPE_KEY, type Answer, type TestVault } from '../support/vault.ts'

/**
 * Whole vaults whose KEKs are elsewhere. What takes minutes for operators takes a second here by
 * KEY_CACHE_SECONDS: the clock of that cache is the process's own and can't be moved.
 */
provideAwsCredentials()
const TOKEN = 'hvs.CanaryToken0002'
const tokenFile = join(makeFolder('providers'), 'token')
writeFileSync(tokenFile, TOKEN)
const kms = await startKms()
const transit = await startTransit(TOKEN)
const provider = await startProvider((_received, reply) => { json(reply, 200, { livemode: false }) })
const COMMON = {
  CATALOG_DIR: retargetCatalog(provider.url, ['stripe']), EGRESS_ALLOW_PROVIDER: provider.endpoint, EGRESS_ALLOW_KEK: `${kms.endpoint},${transit.endpoint}`,
  AWS_KMS_ENDPOINT: kms.url, VAULT_ADDR: transit.url, VAULT_TOKEN_FILE: tokenFile,
}
t.teardown(async () => { await Promise.all([kms.close(), transit.close(), provider.close()]) })

const onKms = () => ({ ...COMMON, KEK_PROVIDER: 'aws-kms', AWS_KMS_KEY_LIVE: kms.makeKey(), AWS_KMS_KEY_SANDBOX: kms.makeKey() })
const LIVE = { environment: 'live', credentials: { secret_key: STRIPE_KEY.replace('test', 'live') } }
const start = async (t: { teardown (work: () => Promise<void>): void }, settings: Record<string, string>) => {
  const vault = await startTestVault(settings)
  t.teardown(async () => {
    kms.troubles.end()
    transit.troubles.end()
    await kms.setReachable(true)
    await vault.close()
  })
  return vault
}
const resolve = async (vault: TestVault, id: string, { workspace = 'acme', environment = 'sandbox' } = {}): Promise<Answer & { ms: number }> => {
  const startedMs = performance.now()
  const answer = await vault.request('POST', `/v1/workspaces/${workspace}/connections/${id}/resolve`, { body: { environment } })
  return { ...answer, ms: performance.now() - startedMs }
}
const readiness = async (vault: TestVault) => {
  const response = await fetch(`${vault.urls.operations}/readyz`)
  return { status: response.status, body: await response.json() }
}
const wrappedBy = async (vault: TestVault) => {
  const rows = await vault.database.query<{ kek_id: string }>('select kek_id from system_keys where wrapped is not null union select kek_id from workspace_keys where wrapped is not null order by 1')
  return rows.map(({ kek_id: id }) => id)
}
const AWAY = { status: 503, body: { code: 'kek_unavailable', retryable: true } }

t.test('live in KMS, sandbox in transit', async (t) => {
  transit.makeKey('sandbox')
  const arn = kms.makeKey()
  const vault = await start(t, { ...COMMON, KEK_PROVIDER: 'aws-kms', KEK_PROVIDER_SANDBOX: 'vault-transit', AWS_KMS_KEY_LIVE: arn, VAULT_TRANSIT_KEY_SANDBOX: 'sandbox' })
  const [sandbox, live] = [await vault.connect('acme'), await vault.connect('acme', LIVE)]
  t.same(await wrappedBy(vault), [`aws-kms:${arn}`, 'vault-transit:transit/sandbox'])
  t.match(await resolve(vault, sandbox), { status: 200 })
  t.match(await resolve(vault, live, { environment: 'live' }), { status: 200 })
  const { body } = await vault.request('GET', '/v1/keys')
  t.match((body.keks as { provider: string, current_for: string[] }[]).find((kek) => kek.provider === 'aws-kms'), { current_for: ['live', 'system'] })
  t.match((body.keks as { provider: string, current_for: string[] }[]).find((kek) => kek.provider === 'vault-transit'), { current_for: ['sandbox'] })
  await vault.stop()
  rmSync(vault.keyringFile)
  await vault.start()
  kms.key(arn).state = 'Disabled'
  t.match(await resolve(vault, live, { environment: 'live' }), AWAY)
  kms.key(arn).state = 'Enabled'
  const seen = [...vault.logs, JSON.stringify(await vault.database.query('select * from audit_events'))].join('\n')
  for (const secret of [TOKEN, STRIPE_KEY, 'AWS4-HMAC', 'wJalrXUtnFEMI']) t.notOk(seen.includes(secret), 'no secret in the log or the record')
})

t.test('from a keyring to KMS, with callers all the time', async (t) => {
  const [live, sandbox] = [kms.makeKey(), kms.makeKey()]
  const both = { ...COMMON, AWS_KMS_KEY_LIVE: live, AWS_KMS_KEY_SANDBOX: sandbox }
  const vault = await start(t, { ...both, KEK_PROVIDER: 'local', KEY_CACHE_SECONDS: '1' })
  const ids = [...await Promise.all(['a', 'b', 'c'].map(async (workspace) => ({ workspace, environment: 'sandbox', id: await vault.connect(workspace) }))),
    { workspace: 'a', environment: 'live', id: await vault.connect('a', LIVE) }]
  const local = await wrappedBy(vault)
  // The second replica has been restarted with the new provider already, the first one has not.
  const second = await startVault({
    ...readConfig('serve', { NODE_ENV: 'test', DATABASE_URL: vault.database.serviceUrl, KEYRING_FILE: vault.keyringFile, DATABASE_POOL_SIZE: '5', INTERNAL_PORT: '0', PUBLIC_PORT: '0', OPERATIONS_PORT: '0', KEY_CACHE_SECONDS: '1', ...both, KEK_PROVIDER: 'aws-kms' }),
    databaseUrl: vault.database.serviceUrl, keyringFile: vault.keyringFile,
  }, createLog('silent'))
  const replicas = new Set([vault.urls.internal, second.urls.internal])
  const calling = { on: true }
  const answers: Record<string, number> = {}
  const callers = Array.from({ length: 4 }, async (_, index) => {
    for (let turn = index; calling.on; turn++) {
      const { workspace, environment, id } = ids[turn % ids.length] as typeof ids[number]
      const url = [...replicas][turn % replicas.size] as string
      const response = await fetch(`${url}/v1/workspaces/${workspace}/connections/${id}/resolve`, {
        method: 'POST', headers: { authorization: `Bearer ${vault.token}`, 'content-type': 'application/json' }, body: JSON.stringify({ environment }),
      })
      await response.arrayBuffer()
      answers[response.status] = (answers[response.status] ?? 0) + 1
      await new Promise((resolve) => { setTimeout(resolve, 5) })
    }
  })
  replicas.delete(vault.urls.internal)
  await new Promise((resolve) => { setTimeout(resolve, 200) })
  await vault.stop()
  await vault.start({ KEK_PROVIDER: 'aws-kms' })
  replicas.add(vault.urls.internal)
  t.match(await vault.request('POST', '/v1/keys/rotate', { body: { target: 'kek' } }), { status: 202 })
  t.match(await eventually(async () => {
    const { body } = await vault.request('GET', '/v1/keys/sweep')
    return body.state === 'idle' && body as object
  }), { rows_failed: 0 })
  t.same(await wrappedBy(vault), [`aws-kms:${live}`, `aws-kms:${sandbox}`].sort())
  // Long enough for every cached key to end and be had again, from KMS.
  await new Promise((resolve) => { setTimeout(resolve, 2_500) })
  calling.on = false
  await Promise.all(callers)
  t.same(Object.keys(answers), ['200'], `none failed: ${JSON.stringify(answers)}`)
  t.ok((answers['200'] ?? 0) > 50, `${answers['200']} resolves`)

  await second.close()
  await vault.stop()
  const keyring = readFileSync(vault.keyringFile)
  rmSync(vault.keyringFile)
  await t.rejects(vault.start({ KEK_PROVIDER: 'aws-kms' }), { message: /the provider local is not configured.*retire --kek/ }, 'not before they are retired')
  writeFileSync(vault.keyringFile, keyring, { mode: 0o600 })
  await vault.start({ KEK_PROVIDER: 'aws-kms' })
  for (const kek of local) t.match(await vault.request('POST', '/v1/keys/retire', { body: { kek_id: kek } }), { status: 200 })
  await vault.stop()
  rmSync(vault.keyringFile)
  await vault.start({ KEK_PROVIDER: 'aws-kms' })
  for (const { id, ...where } of ids) t.match(await resolve(vault, id, where), { status: 200 })
  t.notOk(existsSync(vault.keyringFile))
  t.match(await vault.request('GET', '/v1/audit/verify'), { status: 200, body: { ok: true } })
})

t.test('away at the start', async (t) => {
  const vault = await start(t, onKms())
  const id = await vault.connect('acme')
  for (const trouble of ['unreachable', 'hang'] as const) {
    await vault.stop()
    vault.logs.length = 0
    if (trouble === 'hang') kms.troubles.begin('hang')
    else await kms.setReachable(false)
    const startedMs = performance.now()
    await vault.start()
    t.ok(performance.now() - startedMs < 20_000, `${trouble}: starts all the same`)
    t.ok(vault.logs.some((line) => line.includes('the key provider can’t be used') && line.includes(trouble === 'hang' ? 'timeout' : 'unreachable')), 'and says why it is not ready')
    t.match(await readiness(vault), { status: 503, body: { status: 'not_ready', checks: { database: 'ok', keys: 'failed' } } })
    const answer = await resolve(vault, id)
    t.match(answer, AWAY)
    t.ok(answer.ms < 8_000, `${Math.round(answer.ms)} ms`)
    t.match(answer.headers.get('retry-after'), /^[1-9]/)
    kms.troubles.end()
    await kms.setReachable(true)
    await eventually(async () => (await readiness(vault)).status === 200)
    t.match(await resolve(vault, id), { status: 200 })
  }
})

t.test('away while it runs', async (t) => {
  const vault = await start(t, { ...onKms(), KEY_CACHE_SECONDS: '2' })
  const [id, other] = [await vault.connect('acme'), await vault.connect('other')]
  for (const trouble of ['unreachable', 'throttled', 'hang'] as const) {
    // All keys at hand, and fresh.
    await eventually(async () => (await resolve(vault, id)).status === 200)
    await vault.stop()
    await vault.start()
    await resolve(vault, id)
    if (trouble === 'unreachable') await kms.setReachable(false)
    else kms.troubles.begin(trouble)
    t.match(await resolve(vault, id), { status: 200 }, `${trouble}: a key at hand is used on`)
    t.match(await resolve(vault, other, { workspace: 'other' }), AWAY, 'one that is not, can’t be had')
    await eventually(async () => (await resolve(vault, id)).status === 503)
    const all = await Promise.all(Array.from({ length: 20 }, async () => await resolve(vault, id)))
    t.ok(all.every(({ status, body }) => status === 503 && (body.code as string) === 'kek_unavailable'))
    const slowest = Math.max(...all.map(({ ms }) => ms))
    t.ok(slowest < 7_500, `no hang: ${Math.round(slowest)} ms`)
    const again = await resolve(vault, id)
    t.match(again, AWAY)
    t.ok(trouble !== 'hang' || again.ms < 1_000, `the next does not wait: ${Math.round(again.ms)} ms`)
    kms.troubles.end()
    await kms.setReachable(true)
    await eventually(async () => (await resolve(vault, id)).status === 200)
    t.match(await resolve(vault, other, { workspace: 'other' }), { status: 200 }, 'and over')
    t.equal((await readiness(vault)).status, 200)
  }
})

t.test('slow', async (t) => {
  const vault = await start(t, onKms())
  const [id, other] = [await vault.connect('acme'), await vault.connect('other')]
  await vault.stop()
  await vault.start()
  await resolve(vault, id)
  kms.troubles.begin('slow', { ms: 2_000 })
  kms.calls.length = 0
  const misses = Array.from({ length: 20 }, async () => await resolve(vault, other, { workspace: 'other' }))
  const hits: number[] = []
  for (let turn = 0; turn < 20; turn++) hits.push((await resolve(vault, id)).ms)
  t.ok(Math.max(...hits) < 1_000, `a key at hand: ${Math.round(Math.max(...hits))} ms at most`)
  const done = await Promise.all(misses)
  t.ok(done.every(({ status }) => status === 200))
  t.ok(done.every(({ ms }) => ms > 1_900 && ms < 4_000), 'one wait, of all together')
  t.equal(kms.calls.length, 1, 'one unwrapping for twenty')
})

t.test('wrong at the start', async (t) => {
  const settings = onKms()
  const vault = await start(t, settings)
  const id = await vault.connect('acme')
  await vault.stop()
  const arn = settings.AWS_KMS_KEY_SANDBOX
  const right = kms.key(arn).material
  kms.key(arn).material = randomBytes(32)
  await t.rejects(vault.start(), { message: /aws-kms:arn.*not the one the database was sealed under.*belongs to this database/ }, 'another key behind the same ARN')
  kms.key(arn).material = right
  await t.rejects(vault.start({ AWS_KMS_KEY_LIVE: arn.replace(/.{12}$/, '000000000000') }), { message: /does not exist: check its ARN/ }, 'a key that is to be used, and is not there')
  await t.rejects(vault.start({ AWS_KMS_ENDPOINT: 'http://127.0.0.1:1/' }), { message: /EGRESS_ALLOW_KEK/ })
  await t.rejects(vault.start({ AWS_KMS_ENDPOINT: 'ftp://x/' }), { message: /AWS_KMS_ENDPOINT must be/ })
  for (const [name, value] of [['AWS_KMS_KEY_LIVE', 'arn:aws:kms:eu-central-1:111122223333:alias/vault'], ['AWS_KMS_KEY_LIVE', ''], ['VAULT_TRANSIT_MOUNT', '../sys'], ['KEK_PROVIDER', 'other']] as const) {
    await t.rejects(vault.start({ [name]: value }), { message: new RegExp(name) }, `${name}=${value}`)
  }
  await t.rejects(vault.start({ KEK_PROVIDER_SANDBOX: 'vault-transit', VAULT_TRANSIT_KEY_SANDBOX: 'nope' }), { message: /does not exist there/ })
  await vault.start()
  t.match(await resolve(vault, id), { status: 200 })
})
