import { randomBytes } from 'node:crypto'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { addLocalKeks, createLocalKeyring, removeLocalKek, useLocalKek } from '../../src/crypto/index.ts'
import { createTestDatabase } from '../support/cluster.ts'
import { makeFolder } from '../support/folder.ts'
import { runCli, startVaultProcess, type VaultProcess } from '../support/process.ts'
import { eventually, STRIPE_KEY } from '../support/vault.ts'

/** Processes with different keyrings on one database: each works, or ends and says what to do. */
const database = await createTestDatabase()
const folder = makeFolder('saga')
const running: VaultProcess[] = []
t.teardown(async () => {
  await Promise.all(running.map((vault) => vault.kill('SIGKILL')))
  await database.drop()
})

interface Ring {
  readonly format: number
  readonly current: Record<string, string>
  readonly keks: readonly { readonly id: string, readonly created_at: string, readonly key: string }[]
}

const fileOf = (name: string) => join(folder, `${name}.json`)
const read = (name: string) => JSON.parse(readFileSync(fileOf(name), 'utf8')) as Ring
const write = (name: string, content: string | Ring, mode = 0o600) => { writeFileSync(fileOf(name), typeof content === 'string' ? content : JSON.stringify(content), { mode }) }
const copy = (from: string, to: string) => { copyFileSync(fileOf(from), fileOf(to)) }
const settingsOf = (name: string) => ({ NODE_ENV: 'production', DATABASE_URL: database.serviceUrl, KEYRING_FILE: fileOf(name), KEY_CACHE_SECONDS: '1', LOG_LEVEL: 'info' })

async function start (name: string): Promise<VaultProcess> {
  const vault = await startVaultProcess(settingsOf(name))
  running.push(vault)
  return vault
}

let token = ''
async function call (vault: VaultProcess, method: string, path: string, body?: object) {
  const response = await fetch(`${vault.urls.internal}/v1/${path}`, {
    method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, ...body && { body: JSON.stringify(body) }, signal: AbortSignal.timeout(10_000),
  })
  return { status: response.status, body: await response.json() as Record<string, unknown> & { id: string } }
}

let made = 0
const create = async (vault: VaultProcess, workspace: string) => await call(vault, 'POST', `workspaces/${workspace}/connections`, {
  integration: 'stripe', environment: 'sandbox', name: `Stripe ${++made}`, credentials: { secret_key: STRIPE_KEY },
})
const resolve = async (vault: VaultProcess, workspace: string, id: string) => await call(vault, 'POST', `workspaces/${workspace}/connections/${id}/resolve`, { environment: 'sandbox' })

/** A start that has to fail: by itself, soon, with something to do and no key in what it prints. */
async function refuses (t: Test, name: string, message: RegExp): Promise<void> {
  const { child, done, output } = runCli(['serve'], { INTERNAL_PORT: '0', PUBLIC_PORT: '0', OPERATIONS_PORT: '0', ...settingsOf(name) })
  const hung = setTimeout(() => { child.kill('SIGKILL') }, 20_000)
  const { code } = await done
  clearTimeout(hung)
  t.equal(code, 1, `${name}: ends by itself (${String(child.signalCode)})`)
  t.match(output(), message, name)
  t.notMatch(output(), /"listener"/, `${name}: nothing was opened`)
  for (const { key } of read('first').keks) t.notOk(output().includes(key.slice(0, 20)), `${name}: prints no key`)
}

createLocalKeyring(fileOf('first'), new Date())
const first = await start('first')
token = /cvt_\w+/.exec((await runCli(['tokens', 'create', '--name', 'saga', '--preset', 'ops', '--scopes', 'credentials:resolve', '--workspaces', '*', '--environments', '*'], settingsOf('first')).done).output)?.[0] ?? ''
const acme = await create(first, 'acme')

t.test('the same keyring, and one in another order', async (t) => {
  t.equal(acme.status, 201)
  write('reordered', { ...read('first'), keks: read('first').keks.toReversed() })
  copy('first', 'same')
  for (const name of ['same', 'reordered']) {
    const vault = await start(name)
    t.match(await resolve(vault, 'acme', acme.body.id), { status: 200, body: { credentials: { secret_key: STRIPE_KEY } } }, name)
    const { body: { id } } = await create(vault, `new-${name}`)
    t.match(await resolve(first, `new-${name}`, id), { status: 200 }, `${name}: and the first reads what it wrote`)
    await vault.kill('SIGTERM')
  }
})

t.test('keyrings that can’t be right', async (t) => {
  createLocalKeyring(fileOf('foreign'), new Date())
  write('lookalike', { ...read('first'), keks: read('first').keks.map((kek) => ({ ...kek, key: randomBytes(32).toString('base64') })) })
  write('cut', readFileSync(fileOf('first'), 'utf8').slice(0, 200))
  write('empty', '')
  write('bit', { ...read('first'), keks: read('first').keks.map((kek, index) => index === 0 ? { ...kek, key: flip(kek.key) } : kek) })
  write('half', { ...read('first'), current: { sandbox: read('first').current['live'] ?? '', live: read('first').current['live'] ?? '', system: read('first').current['system'] ?? '' }, keks: read('first').keks.filter(({ id }) => id === read('first').current['live']) })
  write('open', read('first'), 0o644)
  await refuses(t, 'absent', /does not exist: restore it.*keys init/)
  await refuses(t, 'foreign', /sealed under the KEK .*does not hold.*backup copy/)
  await refuses(t, 'lookalike', /not the one the database was sealed under.*that belongs to this database/)
  await refuses(t, 'bit', /not the one the database was sealed under/)
  await refuses(t, 'half', /sealed under the KEK sandbox-.*does not hold/)
  await refuses(t, 'cut', /damaged, restore it from its copy/)
  await refuses(t, 'empty', /damaged, restore it from its copy/)
  await refuses(t, 'open', /chmod 600/)
  t.match(await resolve(first, 'acme', acme.body.id), { status: 200 }, 'and the one that runs has not noticed')
})

t.test('a new KEK is rolled out, one replica after the other', async (t) => {
  copy('first', 'second')
  const second = await start('second')
  const [fresh = ''] = addLocalKeks(fileOf('first'), ['sandbox'], { use: true, now: new Date() })
  const { status, body } = await create(first, 'early')
  t.equal(status, 201, 'the first uses it already')
  const early = await resolve(second, 'early', body.id)
  t.match(early, { status: 503, body: { code: 'kek_unavailable' } }, 'the second can’t read that, and says so at once')
  t.match(await resolve(second, 'acme', acme.body.id), { status: 200 }, 'all else goes on')
  await refuses(t, 'same', new RegExp(`sealed under the KEK ${fresh}`))

  copy('first', 'second')
  t.match(await eventually(async () => {
    const answer = await resolve(second, 'early', body.id)
    return answer.status === 200 && answer
  }), { status: 200 }, 'it reads the file again, without a restart')

  const old = read('first').keks.find(({ id }) => id.startsWith('sandbox-') && id !== fresh)?.id ?? ''
  t.match(await call(first, 'POST', 'keys/retire', { kek_id: old }), { status: 409, body: { code: 'key_in_use' } })
  t.match(await call(second, 'POST', 'keys/rotate', { target: 'kek' }), { status: 202 })
  await eventually(async () => (await call(first, 'GET', 'keys/sweep')).body['state'] === 'idle')
  t.match(await call(first, 'POST', 'keys/retire', { kek_id: old }), { status: 200 })
  for (const name of ['first', 'second']) removeLocalKek(fileOf(name), old)
  const third = await start('first')
  for (const vault of [first, second, third]) {
    t.match(await resolve(vault, 'acme', acme.body.id), { status: 200, body: { credentials: { secret_key: STRIPE_KEY } } })
    t.match(await create(vault, 'late'), { status: 201 })
  }
  await third.kill('SIGTERM')
  await second.kill('SIGTERM')
})

t.test('a keyring is damaged under a vault that runs', async (t) => {
  const whole = readFileSync(fileOf('first'), 'utf8')
  write('first', whole.slice(0, 300))
  t.match(await resolve(first, 'acme', acme.body.id), { status: 200 }, 'KEKs in memory serve on')
  await new Promise((resolve) => { setTimeout(resolve, 1_100) })
  t.match(await resolve(first, 'acme', acme.body.id), { status: 200 }, 'also once the workspace’s key has to be unwrapped again')
  t.match(await create(first, 'another'), { status: 503, body: { code: 'kek_unavailable' } }, 'no new key is made by half a keyring')
  write('first', whole)
  t.match(await create(first, 'another'), { status: 201 }, 'restored')
})

t.test('back to the KEK before', async (t) => {
  const before = read('first').current['live'] ?? ''
  const [next = ''] = addLocalKeks(fileOf('first'), ['live'], { use: true, now: new Date() })
  t.not(next, before)
  useLocalKek(fileOf('first'), before, ['live'])
  t.match(await call(first, 'POST', 'keys/rotate', { target: 'kek' }), { status: 202 })
  await eventually(async () => (await call(first, 'GET', 'keys/sweep')).body['state'] === 'idle')
  t.match(await resolve(first, 'acme', acme.body.id), { status: 200 })
  const keks = (await call(first, 'GET', 'keys')).body['keks'] as { kek_id: string, current_for: string[] }[]
  t.notOk(keks.some(({ kek_id: id }) => id === next), 'one that never wrapped anything is not missed')
})

function flip (base64: string): string {
  const bytes = Buffer.from(base64, 'base64')
  bytes.writeUInt8(bytes.readUInt8(7) ^ 1, 7)
  return bytes.toString('base64')
}
