import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createCrypto, createLocalKeyring, openLocalKeyring, type BindingContext, type Keks } from '../../src/crypto/index.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'
import { createKekCheckTable, createKeyTable } from '../../src/store/index.ts'
import { makeFolder } from '../support/folder.ts'
import { openTestDatabase } from '../support/open-database.ts'
import { startTransit } from '../support/transit.ts'
import { eventually, startTestVault, type Answer } from '../support/vault.ts'

/** A key provider that hangs holds up those who need a key from it, for a bounded time, and nobody else. */
const PATIENCE_MS = 20_000

t.test('keys in memory, and keys that are not', async (t) => {
  const open = await openTestDatabase(t)
  const file = join(makeFolder('slow-kek'), 'keyring.json')
  createLocalKeyring(file, new Date())
  const local = openLocalKeyring(file)
  const state = { unwraps: 0, hung: undefined as Promise<void> | undefined }
  const slow: Keks = {
    ...local,
    unwrap: async (...of: Parameters<Keks['unwrap']>) => {
      state.unwraps++
      await state.hung
      return await local.unwrap(...of)
    },
  }
  const cryptoOf = (keks: Keks, cacheMs: number) => createCrypto({ keks, keys: createKeyTable(open.reads), checks: createKekCheckTable(open.reads), cacheMs })
  const contextOf = (workspaceId: string): BindingContext =>
    ({ purpose: 'connection-credential', scope: { kind: 'workspace', workspaceId, environment: 'live' }, ownerId: 'conn_1', versionId: 'ver_1', fieldSet: ['key'], hosts: ['h'], hostConfig: {} })
  const seal = async (workspaceId: string) => (await cryptoOf(local, 60_000).seal(contextOf(workspaceId), { key: wrapSecret('value') })).sealed
  const [warm, cold] = [await seal('warm'), await seal('cold')]

  await t.test('while the provider hangs', async (t) => {
    const crypto = cryptoOf(slow, 60_000)
    await crypto.open(contextOf('warm'), warm)
    const { promise, resolve } = Promise.withResolvers<void>()
    state.hung = promise
    state.unwraps = 0
    let waits = 0
    const beforeWait = () => { waits++ }
    const startedMs = performance.now()
    const missing = Promise.allSettled(Array.from({ length: 50 }, () => crypto.open(contextOf('cold'), cold, beforeWait)))
    for (let times = 0; times < 100; times++) await crypto.open(contextOf('warm'), warm, beforeWait)
    t.equal(waits, 50, 'only who has to wait is asked to step aside')
    for (const result of await missing) t.match(result, { status: 'rejected', reason: { code: 'kek_unavailable', details: { retryAfterSeconds: Number } } })
    t.ok(performance.now() - startedMs < PATIENCE_MS)
    t.equal(state.unwraps, 1, 'and they share one question')
    resolve()
    await eventually(async () => await crypto.open(contextOf('cold'), cold).then(() => true, () => false))
    t.equal(state.unwraps, 1, 'whose answer is kept, however late')
  })

  await t.test('a key in use is fetched again before its time is over', async (t) => {
    const crypto = cryptoOf(slow, 3_000)
    await crypto.open(contextOf('warm'), warm)
    state.unwraps = 0
    let waits = 0
    await eventually(async () => {
      await crypto.open(contextOf('warm'), warm, () => { waits++ })
      return state.unwraps > 0
    })
    t.equal(waits, 0)
    t.equal(state.unwraps, 1)
  })
})

t.test('callers of a vault whose key provider hangs', async (t) => {
  const transit = await startTransit('hvs.test')
  for (const key of ['live', 'sandbox']) transit.makeKey(key)
  const tokenFile = join(makeFolder('transit'), 'token')
  writeFileSync(tokenFile, 'hvs.test')
  const vault = await startTestVault({
    KEK_PROVIDER: 'vault-transit', VAULT_ADDR: transit.url, VAULT_TOKEN_FILE: tokenFile, VAULT_TRANSIT_KEY_LIVE: 'live', VAULT_TRANSIT_KEY_SANDBOX: 'sandbox',
    EGRESS_ALLOW_KEK: transit.endpoint, WORK_IN_FLIGHT: '8',
  })
  t.teardown(async () => {
    transit.troubles.end()
    await vault.close()
    await transit.close()
  })
  const resolve = (workspace: string, id: string, token = vault.token) => vault.request('POST', `/v1/workspaces/${workspace}/connections/${id}/resolve`, { body: { environment: 'sandbox' }, token })
  const outside = async () => Number(/^vault_work\{listener="internal",state="outside"\} (\d+)$/m.exec(await (await fetch(`${vault.urls.operations}/metrics`)).text())?.[1])
  const other = await vault.mint({ preset: 'runtime' })
  const [warm, cold] = [await vault.connect('warm'), await vault.connect('cold')]
  await vault.stop()
  await vault.start()
  for (const token of [vault.token, other]) t.equal((await resolve('warm', warm, token)).status, 200)

  transit.troubles.begin('hang')
  const startedMs = performance.now()
  const waiting: Promise<Answer>[] = []
  for (let one = 1; one <= 8; one++) {
    waiting.push(resolve('cold', cold))
    // Twice as many as one token may have at work.
    await eventually(async () => await outside() >= one || performance.now() - startedMs > 2_500)
  }
  for (let times = 0; times < 10; times++) {
    t.equal((await resolve('warm', warm)).status, 200, 'the same token')
    t.equal((await resolve('warm', warm, other)).status, 200, 'another token')
  }
  for (const answer of await Promise.all(waiting)) {
    t.match(answer.body, { status: 503, code: 'kek_unavailable', retryable: true })
    t.match(answer.headers.get('retry-after'), /^\d+$/)
  }
  t.ok(performance.now() - startedMs < PATIENCE_MS)
  await eventually(async () => await outside() === 0)
  transit.troubles.end()
  await eventually(async () => (await resolve('cold', cold)).status === 200, PATIENCE_MS)
})
