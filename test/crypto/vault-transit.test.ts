import { randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { KeyringError, type WrappedKey } from '../../src/crypto/index.ts'
import { KEK_CONTEXT as CONTEXT, reasonOf, stageKeks, TRANSIT_TOKEN as TOKEN } from '../support/keks.ts'

/** What a transit engine is asked, and what becomes of its answers. That it conforms is in kek.test.ts. */
const stage = await stageKeks()
const { openTransit, reached, tokenFile, transit } = stage
t.teardown(async () => { await stage.close() })
for (const name of ['live', 'sandbox']) transit.makeKey(name)
const provider = openTransit()
const kekId = 'vault-transit:transit/live'
const key = randomBytes(32)

t.test('versions of a key', async (t) => {
  const first = await provider.wrap(kekId, key, CONTEXT)
  t.match(first.toString(), /^vault:v1:/)
  transit.key('live').versions.push(randomBytes(32))
  const second = await provider.wrap(kekId, key, CONTEXT)
  t.match(second.toString(), /^vault:v2:/)
  t.same(await Promise.all([first, second].map(async (one) => await provider.unwrap(kekId, one, CONTEXT))), [key, key])
  t.equal(await provider.unwrap(kekId, Buffer.from(first.toString().replace(':v1:', ':v2:')) as WrappedKey, CONTEXT), undefined, 'a version is no decoration')
  t.equal(await provider.unwrap(kekId, Buffer.from(first.toString().replace(':v1:', ':v0:')) as WrappedKey, CONTEXT), undefined, 'nor is there a version 0, which the engine takes for 1')
  transit.key('live').minDecryptionVersion = 2
  await t.rejects(provider.unwrap(kekId, first, CONTEXT), { constructor: KeyringError, message: /lower its min_decryption_version/ })
  t.same(await provider.unwrap(kekId, second, CONTEXT), key)
  transit.key('live').minDecryptionVersion = 1
})

t.test('tokens', async (t) => {
  const wrapped = await provider.wrap(kekId, key, CONTEXT)
  transit.tokens.clear()
  transit.tokens.add('hvs.next')
  t.equal(await reasonOf(provider.unwrap(kekId, wrapped, CONTEXT)), 'status_403', 'the file still has the old one')
  writeFileSync(tokenFile, 'hvs.next')
  const all = await Promise.all(Array.from({ length: 8 }, async () => await provider.unwrap(kekId, wrapped, CONTEXT)))
  t.same(all, all.map(() => key), 'read again when it was refused')
  rmSync(tokenFile)
  t.same(await provider.unwrap(kekId, wrapped, CONTEXT), key, 'a token in hand is used on')
  t.equal(await reasonOf(openTransit().health(kekId)), 'no_token_file', 'its agent may be about to write it')
  writeFileSync(tokenFile, 'two\nlines')
  t.equal(await reasonOf(openTransit().health(kekId)), 'token_file_damaged')
  transit.tokens.add(TOKEN)
  writeFileSync(tokenFile, `${TOKEN}\n`)
})

t.test('passing troubles', async (t) => {
  const wrapped = await provider.wrap(kekId, key, CONTEXT)
  for (const trouble of ['throttled', 'cut', 'stale_index', 'internal', 'sealed'] as const) {
    transit.troubles.begin(trouble, { times: 2 })
    t.same(await provider.unwrap(kekId, wrapped, CONTEXT), key, `${trouble} twice, and then answered`)
  }
  transit.troubles.begin('slow', { times: 1, ms: 2_000 })
  t.same(await provider.unwrap(kekId, wrapped, CONTEXT), key, '2 s are waited for')
  for (const trouble of ['no_ciphertext', 'odd_ciphertext'] as const) {
    transit.troubles.begin(trouble, { times: 1 })
    t.equal(await reasonOf(provider.wrap(kekId, key, CONTEXT)), 'status_200', trouble)
  }
  transit.troubles.end()
})

t.test('places', async (t) => {
  transit.place = { mount: 'team/transit', namespace: 'tenants/one' }
  const there = openTransit({ mount: 'team/transit', namespace: 'tenants/one' })
  t.same(await there.unwrap('vault-transit:team/transit/live', await there.wrap('vault-transit:team/transit/live', key, CONTEXT), CONTEXT), key)
  t.equal(await reasonOf(openTransit({ mount: 'team/transit' }).health('vault-transit:team/transit/live')), 'status_403', 'another namespace')
  await t.rejects(openTransit({ mount: 'transit', namespace: 'tenants/one' }).health(kekId), /VAULT_TRANSIT_MOUNT/, 'another mount')
  await t.rejects(there.health(kekId), /no key of the mount/)
  transit.place = { mount: 'transit', namespace: undefined }
  for (const name of ['', '.', '..', '../x', 'a/b', 'a b', 'x'.repeat(129)]) await t.rejects(provider.health(`vault-transit:transit/${name}`), /no key of the mount/, name)
  const blocked = openTransit({ address: 'http://127.0.0.1:1/' })
  await t.rejects(blocked.health(kekId), { constructor: KeyringError, message: /EGRESS_ALLOW_KEK/ })
})

t.test('keys that don’t bind', async (t) => {
  transit.makeKey('rsa', 'rsa-4096')
  await t.rejects(provider.health('vault-transit:transit/rsa'), /aes256-gcm96/)
  transit.makeKey('derived')
  transit.key('derived').derived = true
  await t.rejects(provider.health('vault-transit:transit/derived'), /derivation/)
  transit.ignoresAssociatedData = true
  await t.rejects(provider.wrap(kekId, key, CONTEXT), { constructor: KeyringError, message: /since 1\.13/ }, 'a server too old')
  transit.ignoresAssociatedData = false
})

t.test('nothing else was reached', async (t) => { t.same([...reached].sort(), [transit.endpoint, '127.0.0.1:1'].sort()) })
