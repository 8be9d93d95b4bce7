import { createSecretKey, randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeFolder } from '../support/folder.ts'
import { createCrypto, createLocalKeyring, KeyringError, openLocalKeyring, type BindingContext, type Crypto } from '../../src/crypto/index.ts'
import { openEnvelope, sealEnvelope } from '../../src/crypto/envelope.ts'
import { openResealThread } from '../../src/crypto/reseal-thread.ts'
import { reveal } from '../../src/crypto/reveal.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { createKekCheckTable, createKeyTable, openDatabase } from '../../src/store/index.ts'
import { createTestDatabase } from '../support/cluster.ts'

const dir = makeFolder('keyring')
const database = await createTestDatabase()
const open = openDatabase({ url: database.serviceUrl, poolSize: 4, log: createLog('silent') })
t.teardown(async () => {
  await open.close()
  await database.drop()
})

function cryptoOf (file: string, cacheMs = 60_000): Crypto {
  return createCrypto({ keks: openLocalKeyring(file), keys: createKeyTable(open.reads), checks: createKekCheckTable(open.reads), cacheMs })
}

function contextOf (workspaceId: string, environment: 'sandbox' | 'live', versionId = 'ver_1'): BindingContext {
  return { purpose: 'connection-credential', scope: { kind: 'workspace', workspaceId, environment }, ownerId: 'conn_1', versionId, fieldSet: ['key'], hosts: ['h'], hostConfig: {} }
}

const file = join(dir, 'keyring.json')
createLocalKeyring(file, new Date())

t.test('a keyring file', async (t) => {
  t.equal(statSync(file).mode & 0o777, 0o600)
  const before = readFileSync(file, 'utf8')
  t.throws(() => { createLocalKeyring(file, new Date()) }, /exists already/, 'is never overwritten')
  t.equal(readFileSync(file, 'utf8'), before)

  const spoilt = join(dir, 'spoilt.json')
  const write = (text: string, mode = 0o600) => {
    writeFileSync(spoilt, text)
    chmodSync(spoilt, mode)
  }
  write(before, 0o644)
  t.throws(() => openLocalKeyring(spoilt), /chmod 600/)
  write('not json')
  t.throws(() => openLocalKeyring(spoilt), /damaged/)
  write(before.replace('"format": 1', '"format": 2'))
  t.throws(() => openLocalKeyring(spoilt), /damaged/)
  const ring = JSON.parse(before) as { current: Record<string, string>, keks: { id: string, key: string }[] }
  const secretBytes = ring.keks[0]?.key ?? ''
  write(JSON.stringify({ ...ring, keks: [ring.keks[0], ring.keks[0]] }))
  t.throws(() => openLocalKeyring(spoilt), /twice/)
  write(JSON.stringify({ ...ring, current: { ...ring.current, live: 'other' } }))
  const error = t.throws(() => openLocalKeyring(spoilt), /does not hold/) as Error
  t.ok(error instanceof KeyringError)
  t.notOk(error.message.includes(secretBytes), 'no key in the message')
  t.throws(() => openLocalKeyring(join(dir, 'absent.json')), /keys init/)
})

t.test('seals, and opens in another process with the same keyring', async (t) => {
  const { sealed, keyId } = await cryptoOf(file).seal(contextOf('acme', 'sandbox'), { key: wrapSecret('value') })
  const opened = await cryptoOf(file).open(contextOf('acme', 'sandbox'), sealed)
  t.equal(opened['key'] && reveal(opened['key']), 'value')
  const rows = await database.query<{ id: string, environment: string }>('select id, environment from workspace_keys where workspace_id = $1', ['acme'])
  t.same(rows, [{ id: keyId, environment: 'sandbox' }])
  await t.rejects(cryptoOf(file).open(contextOf('acme', 'live'), sealed), { code: 'integrity_failure' })
  await t.rejects(cryptoOf(file).open(contextOf('other', 'sandbox'), sealed), { code: 'integrity_failure' })
  await t.rejects(cryptoOf(file).open({ ...contextOf('acme', 'sandbox'), fieldSet: ['key', 'other'] }, sealed), { code: 'integrity_failure' })
})

t.test('seals values again, each of its own scope', async (t) => {
  const crypto = cryptoOf(file)
  const resealing = crypto.openResealing()
  t.teardown(async () => { await resealing.close() })
  const [context, elsewhere] = [contextOf('again', 'sandbox'), contextOf('again', 'live')]
  const { sealed, keyId } = await crypto.seal(context, { key: wrapSecret('value') })
  const { sealed: live, keyId: liveKey } = await crypto.seal(elsewhere, { key: wrapSecret('live value') })
  const before = Buffer.from(sealed)
  const changed = Buffer.from(sealed) as Buffer as typeof sealed
  changed.writeUInt8(changed.readUInt8(changed.length - 1) ^ 1, changed.length - 1)
  const noEnvelope = Buffer.from('no envelope') as Buffer as typeof sealed
  const again = await resealing.reseal([
    { context, sealed }, { context: contextOf('again', 'sandbox', 'ver_2'), sealed }, { context, sealed: changed }, { context, sealed: live },
    { context: elsewhere, sealed: live }, { context, sealed: noEnvelope }, { context: contextOf('nobody', 'sandbox'), sealed },
  ])
  t.same(again.map((one) => one?.keyId), [keyId, undefined, undefined, undefined, liveKey, undefined, undefined],
    'not what was moved, or changed, or is of another environment, or nothing at all, or of a workspace without keys')
  t.ok(sealed.equals(before), 'what was given stays as it was')
  for (const [index, place, value] of [[0, context, 'value'], [4, elsewhere, 'live value']] as const) {
    const one = again[index]
    if (one === undefined) throw new Error('it was not sealed again')
    t.notOk(one.sealed.equals(index === 0 ? sealed : live))
    const opened = await cryptoOf(file).open(place, one.sealed)
    t.equal(opened['key'] && reveal(opened['key']), value)
  }
  t.same(await resealing.reseal([]), [])
})

t.test('a thread that ends fails what it was asked for, and all it is asked afterwards', async (t) => {
  const key = { id: newId('key'), key: createSecretKey(randomBytes(32)) }
  const thread = openResealThread()
  const binding = Buffer.from('a place')
  const value = { keys: { from: key, to: key }, binding, sealed: sealEnvelope(key, binding, Buffer.from('value')) }
  const [again] = await thread.run([value])
  t.equal(again && openEnvelope(key, binding, again)?.toString(), 'value')
  const underWay = thread.run([value])
  await Promise.all([t.rejects(underWay, { message: 'the thread that seals again has ended' }), thread.close()])
  await t.rejects(thread.run([value]), { message: 'the thread that seals again has ended' })
})

t.test('processes that start together agree on one key', async (t) => {
  const sealed = await Promise.all(Array.from({ length: 8 }, async (_, index) => await cryptoOf(file).seal(contextOf('race', 'live', `ver_${index}`), { key: wrapSecret('v') })))
  t.equal(new Set(sealed.map((one) => one.keyId)).size, 1)
  const [{ count }] = await database.query<{ count: number }>("select count(*)::int as count from workspace_keys where workspace_id = 'race'") as [{ count: number }]
  t.equal(count, 1)
})

t.test('a wrapped key in another tenant’s row does not unwrap', async (t) => {
  const { sealed } = await cryptoOf(file).seal(contextOf('victim', 'live'), { key: wrapSecret('v') })
  const { sealed: own } = await cryptoOf(file).seal(contextOf('thief', 'live'), { key: wrapSecret('w') })
  await database.query('update workspace_keys t set wrapped = v.wrapped from workspace_keys v where t.workspace_id = \'thief\' and v.workspace_id = \'victim\'')
  await t.rejects(cryptoOf(file).open(contextOf('thief', 'live'), own), { code: 'integrity_failure' })
  t.ok(await cryptoOf(file).open(contextOf('victim', 'live'), sealed))
})

t.test('a keyring that does not belong to the database stops the start, and says what to do', async (t) => {
  const ring = JSON.parse(readFileSync(file, 'utf8')) as { current: Record<string, string>, keks: { id: string, key: string }[] }
  const other = join(dir, 'other.json')
  createLocalKeyring(other, new Date())
  await t.rejects(cryptoOf(other).checkKeks(), /does not hold.*backup/)

  const lookalike = join(dir, 'lookalike.json')
  writeFileSync(lookalike, JSON.stringify({ ...ring, keks: ring.keks.map((kek) => ({ ...kek, key: randomBytes(32).toString('base64') })) }), { mode: 0o600 })
  await t.rejects(cryptoOf(lookalike).checkKeks(), /not the one the database was sealed under/)

  const reordered = join(dir, 'reordered.json')
  writeFileSync(reordered, JSON.stringify({ ...ring, keks: ring.keks.toReversed() }), { mode: 0o600 })
  await t.resolves(cryptoOf(reordered).checkKeks(), 'the order of KEKs does not matter')

  const more = join(dir, 'more.json')
  const newKek = { id: 'next', created_at: 'now', key: randomBytes(32).toString('base64') }
  writeFileSync(more, JSON.stringify({ ...ring, current: { sandbox: 'next', live: 'next', system: 'next' }, keks: [...ring.keks, newKek] }), { mode: 0o600 })
  const crypto = cryptoOf(more)
  await crypto.checkKeks()
  await crypto.seal(contextOf('new', 'live'), { key: wrapSecret('v') })
  const [row] = await database.query<{ kek_id: string }>("select kek_id from workspace_keys where workspace_id = 'new'")
  t.equal(row?.kek_id, 'next', 'new keys are wrapped by the current KEK')
  await t.rejects(cryptoOf(file).checkKeks(), /next/, 'from then on a keyring without it is refused')
})

t.test('MACs of each purpose have a key of their own', async (t) => {
  const { macs } = cryptoOf(file)
  const mac = (await macs.key('audit-link')).compute('data')
  t.equal(await macs.verify('audit-link', 'data', mac), true)
  t.equal(await macs.verify('audit-link', 'datb', mac), false)
  t.equal(await macs.verify('audit-batch', 'data', mac), false)
  await database.query("update system_keys set state = 'previous', replaced_at = vault_now() - interval '9 years' where state = 'current'")
  const later = cryptoOf(file).macs
  t.not((await later.key('audit-link')).compute('data').keyId, mac.keyId)
  t.equal(await later.verifyByAny('audit-link', 'data', mac.mac), true, 'also one that was replaced long ago')
  t.equal(await later.verifyByAny('audit-batch', 'data', mac.mac), false)
  t.equal(await later.verifyByAny('audit-link', 'data', mac.mac.subarray(1)), false)
})
