import { randomBytes } from 'node:crypto'
import { copyFileSync, chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mock } from 'node:test'
import t from 'tap'
import {
  addLocalKeks, createKeks, createLocalKeyring, failFast, KeyringError, listLocalKeks, openLocalKeyring, removeLocalKek, useLocalKek,
  type KekProvider, type WrappedKey,
} from '../../src/crypto/index.ts'
import { VaultError } from '../../src/errors.ts'
import { conformKekProvider } from '../support/kek-conformance.ts'
import { happenings, KEK_CONTEXT as CONTEXT, stageKeks, tooSlow, TRANSIT_TOKEN as TOKEN, unreachable } from '../support/keks.ts'
import { KMS_ACCESS_KEY, KMS_SECRET_KEY } from '../support/kms.ts'

/** Every provider conforms; and what stands in front of them. */
const stage = await stageKeks()
const { dir, kms, openKms, openTransit, reached, transit } = stage
t.teardown(async () => { await stage.close() })

t.test('local', async (t) => {
  const file = join(dir, 'keyring.json')
  createLocalKeyring(file, new Date())
  const [sandbox, live] = listLocalKeks(file).map(({ id }) => id) as [string, string]
  const copy = join(dir, 'copy.json')
  copyFileSync(file, copy)
  await t.test('conforms', async (t) => {
    await conformKekProvider(t, {
      provider: openLocalKeyring(file), kekId: live, otherKekId: sandbox, absentKekId: 'live-2020-01-01-00000000', absentSays: /keyring that holds it/,
      secrets: (JSON.parse(readFileSync(file, 'utf8')) as { keks: { key: string }[] }).keks.map(({ key }) => key),
      boundMs: 1_000, away: [], states: [], wrongPlaintexts: [],
    })
  })
  await t.test('its file', async (t) => {
    const provider = openLocalKeyring(file)
    const key = randomBytes(32)
    const wrapped = await provider.wrap(live, key, CONTEXT)
    for (const [name, spoil, says] of [
      ['damaged', () => { writeFileSync(file, '{') }, /damaged, restore/],
      ['gone', () => { rmSync(file) }, /keys init/],
    ] as const) {
      spoil()
      t.same(await provider.unwrap(live, wrapped, CONTEXT), key, `${name}: KEKs in memory are used on`)
      await t.rejects(provider.health(live), says, `${name}: health says so`)
      t.throws(() => provider.currentKekId('live'), { code: 'kek_unavailable' }, `${name}: no new key`)
      await t.rejects(provider.unwrap('another', wrapped, CONTEXT), says)
      rmSync(file, { force: true })
      copyFileSync(copy, file)
      chmodSync(file, 0o600)
      await provider.health(live)
    }
    const [added] = addLocalKeks(file, ['live'], { use: true, now: new Date() }) as [string]
    t.equal(provider.currentKekId('live'), added, 'a replaced file is read again')
    const later = await provider.wrap(added, key, CONTEXT)
    useLocalKek(file, added, ['system'])
    removeLocalKek(file, live)
    t.same(await provider.unwrap(added, later, CONTEXT), key)
    await t.rejects(openLocalKeyring(file).unwrap(live, wrapped, CONTEXT), /does not hold/)
  })
})

t.test('aws-kms', async (t) => {
  const [arn, other, gone] = [kms.makeKey(), kms.makeKey(), kms.makeKey().replace(/.{12}$/, '000000000000')] as const
  const state = (name: 'Disabled' | 'PendingDeletion' | 'PendingImport' | 'Unavailable') => ({ name, begin: () => { kms.key(arn).state = name }, end: () => { kms.key(arn).state = 'Enabled' } })
  await conformKekProvider(t, {
    provider: await openKms(), kekId: `aws-kms:${arn}`, otherKekId: `aws-kms:${other}`, absentKekId: `aws-kms:${gone}`, absentSays: /check its ARN, account and region/,
    secrets: [KMS_SECRET_KEY, KMS_ACCESS_KEY, 'AWS4-HMAC', 'Signature', 'arn:aws:iam'],
    boundMs: 6_500,
    away: [unreachable(kms), tooSlow(kms.troubles), ...happenings(kms.troubles, ['throttled', 'internal', 'denied', 'expired_token', 'hang', 'cut', 'html', 'proxy_404', 'flood'])],
    states: [
      { ...state('Disabled'), health: 'kek_unavailable', use: 'kek_unavailable' },
      { ...state('PendingDeletion'), health: /CancelKeyDeletion/, use: 'kek_unavailable' },
      { ...state('PendingImport'), health: 'kek_unavailable', use: 'kek_unavailable' },
      { ...state('Unavailable'), health: 'kek_unavailable', use: 'kek_unavailable' },
      { name: 'not symmetric', begin: () => { kms.key(arn).spec = 'HMAC_256' }, end: () => { kms.key(arn).spec = 'SYMMETRIC_DEFAULT' }, health: /SYMMETRIC_DEFAULT/, use: /SYMMETRIC_DEFAULT/ },
    ],
    wrongPlaintexts: happenings(kms.troubles, ['short_plaintext', 'long_plaintext', 'other_key', 'no_plaintext']),
  })
})

t.test('vault-transit', async (t) => {
  for (const name of ['live', 'sandbox']) transit.makeKey(name)
  await conformKekProvider(t, {
    provider: openTransit(), kekId: 'vault-transit:transit/live', otherKekId: 'vault-transit:transit/sandbox', absentKekId: 'vault-transit:transit/nope', absentSays: /restore it, or check VAULT_ADDR/,
    secrets: [TOKEN, 'permission denied', 'internal error', 'index state'],
    boundMs: 6_500,
    away: [unreachable(transit), tooSlow(transit.troubles), ...happenings(transit.troubles, [
      'throttled', 'sealed', 'standby', 'recovering', 'performance_standby', 'internal', 'denied', 'redirect', 'stale_index', 'hang', 'cut', 'html', 'proxy_404', 'flood',
    ])],
    states: [
      { name: 'soft-deleted', begin: () => { transit.key('live').softDeleted = true }, end: () => { transit.key('live').softDeleted = false }, health: /deleted there.*restore it/, use: /deleted there.*restore it/ },
    ],
    wrongPlaintexts: happenings(transit.troubles, ['short_plaintext', 'long_plaintext', 'no_plaintext']),
  })
})

t.test('failFast', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => { mock.timers.reset() })
  const counts: Record<string, number> = {}
  const answers: Record<string, () => Promise<Buffer | undefined>> = {}
  const inner: KekProvider = {
    name: 'aws-kms',
    wrap: async (kekId) => (await inner.unwrap(kekId, Buffer.alloc(0) as Buffer as WrappedKey, CONTEXT)) as WrappedKey,
    unwrap: async (kekId) => {
      counts[kekId] = (counts[kekId] ?? 0) + 1
      return await (answers[kekId]?.() ?? Promise.resolve(Buffer.from(kekId)))
    },
    health: async (kekId) => { await inner.unwrap(kekId, Buffer.alloc(0) as Buffer as WrappedKey, CONTEXT) },
  }
  const provider = failFast(inner)
  const unwrap = async (kekId: string) => await provider.unwrap(kekId, Buffer.alloc(0) as Buffer as WrappedKey, CONTEXT)
  const away = new VaultError('kek_unavailable')
  answers['a'] = async () => { throw away }
  await t.rejects(unwrap('a'), away)
  await t.rejects(unwrap('a'), away)
  await t.rejects(provider.wrap('a', CONTEXT, CONTEXT), away)
  t.equal(counts['a'], 1, 'one call found out for all')
  t.same(await unwrap('b'), Buffer.from('b'), 'another KEK is not kept away')
  await t.rejects(provider.health('a'), away)
  t.equal(counts['a'], 2, 'health asks always')
  mock.timers.tick(1_001)
  const tried: { answer?: (bytes: Buffer) => void } = {}
  answers['a'] = async () => await new Promise((resolve) => { tried.answer = resolve })
  const first = unwrap('a')
  await t.rejects(unwrap('a'), away, 'one tries again, the others don’t wait for it')
  t.equal(counts['a'], 3)
  tried.answer?.(Buffer.from('back'))
  t.same(await first, Buffer.from('back'))
  answers['a'] = async () => Buffer.from('back')
  t.same(await Promise.all([unwrap('a'), unwrap('a')]), [Buffer.from('back'), Buffer.from('back')])
  answers['a'] = async () => { throw new KeyringError('gone') }
  await t.rejects(unwrap('a'), /gone/)
  await t.rejects(unwrap('a'), /gone/)
  t.equal(counts['a'], 7, 'what waiting does not mend is no pause')
  answers['a'] = async () => undefined
  t.equal(await unwrap('a'), undefined)
})

t.test('several providers as one', async (t) => {
  const file = join(dir, 'mixed.json')
  createLocalKeyring(file, new Date())
  const local = openLocalKeyring(file)
  const arn = `aws-kms:${kms.makeKey()}`
  transit.makeKey('mixed')
  const ids = { live: arn, system: arn, sandbox: 'vault-transit:transit/mixed' }
  const keks = createKeks([local, failFast(await openKms()), failFast(openTransit())], (slot) => ids[slot])
  const key = randomBytes(32)
  for (const kekId of [local.currentKekId('live'), keks.currentKekId('live'), keks.currentKekId('sandbox')]) {
    const wrapped = await keks.wrap(kekId, key, CONTEXT)
    t.same(await keks.unwrap(kekId, wrapped, CONTEXT), key, kekId)
    await keks.health(kekId)
    for (const other of [local.currentKekId('live'), keks.currentKekId('live'), keks.currentKekId('sandbox')].filter((id) => id !== kekId)) {
      t.equal(await keks.unwrap(other, wrapped, CONTEXT), undefined, `what ${kekId} wrapped is nothing to ${other}`)
    }
  }
  const without = createKeks([failFast(await openKms())], (slot) => ids[slot])
  for (const kekId of [local.currentKekId('live'), 'vault-transit:transit/mixed']) {
    const what = { constructor: KeyringError, message: /is not configured.*rotate kek.*retire --kek/ }
    await t.rejects(without.wrap(kekId, key, CONTEXT), what)
    await t.rejects(without.unwrap(kekId, key as WrappedKey, CONTEXT), what)
    await t.rejects(without.health(kekId), what)
  }
})

t.test('nothing else was reached', async (t) => { t.same([...reached].sort(), [kms.endpoint, transit.endpoint].sort()) })
