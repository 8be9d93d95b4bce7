import { randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { KeyringError, openPkcs11, type WrappedKey } from '../../src/crypto/index.ts'
import { conformKekProvider } from '../support/kek-conformance.ts'
import { KEK_CONTEXT as CONTEXT, reasonOf } from '../support/keks.ts'
import { HSM_PIN, HSM_TOKEN, startSoftHsm, type SoftHsm } from '../support/softhsm.ts'
import { startTestVault, STRIPE_KEY } from '../support/vault.ts'

/** KEKs in an HSM, on SoftHSM2 where it and pkcs11js are installed. */
const started = startSoftHsm()
if (typeof started === 'string') t.test('KEKs in an HSM', { skip: started }, async () => {})
else await prove(t, started)

async function prove (t: Test, hsm: SoftHsm): Promise<void> {
  const { module, pinFile } = hsm
  for (const label of ['live', 'sandbox', 'twice', 'twice']) hsm.makeKey(label)
  const settings = { module, tokenLabel: HSM_TOKEN, pinFile }
  const id = (label: string) => `pkcs11:${HSM_TOKEN}/${label}`
  const signal = (name: NodeJS.Signals) => { for (const pid of hsm.processes()) process.kill(pid, name) }

  t.test('conforms', async (t) => {
    await conformKekProvider(t, {
      provider: openPkcs11(settings), kekId: id('live'), otherKekId: id('sandbox'), absentKekId: id('nope'), absentSays: /is not in the token: check PKCS11_TOKEN_LABEL/,
      secrets: [HSM_PIN], boundMs: 6_500,
      away: [{ name: 'hanging', begin: () => { signal('SIGSTOP') }, end: () => {} }],
      states: [], wrongPlaintexts: [],
    })
  })

  t.test('its process', async (t) => {
    const provider = openPkcs11(settings)
    const key = randomBytes(32)
    const wrapped = await provider.wrap(id('live'), key, CONTEXT)
    for (let turn = 0; turn < 3; turn++) {
      signal('SIGKILL')
      await sleep(100)
      t.same(await provider.unwrap(id('live'), wrapped, CONTEXT), key, 'one that died is replaced')
    }
    signal('SIGSTOP')
    const call = provider.unwrap(id('live'), wrapped, CONTEXT)
    setTimeout(() => { signal('SIGKILL') }, 200)
    t.same(await call, key, 'one that dies in between is no hang: another is asked')
    const times: number[] = []
    for (let turn = 0; turn < 200; turn++) {
      const startedMs = performance.now()
      await provider.unwrap(id('live'), wrapped, CONTEXT)
      times.push(performance.now() - startedMs)
    }
    t.comment(`an unwrapping takes ${times.toSorted((a, b) => a - b)[100]?.toFixed(2)} ms, and none of it in this thread but AES-GCM`)
  })

  t.test('PINs', async (t) => {
    const provider = openPkcs11(settings)
    writeFileSync(pinFile, '000000')
    t.equal(await reasonOf(provider.health(id('live'))), 'CKR_PIN_INCORRECT')
    t.equal(await reasonOf(provider.health(id('live'))), 'pin_refused', 'never tried twice: tokens lock')
    writeFileSync(pinFile, HSM_PIN)
    await provider.health(id('live'))
    rmSync(pinFile)
    t.equal(await reasonOf(openPkcs11(settings).health(id('live'))), 'no_pin_file')
    writeFileSync(pinFile, '\n')
    t.equal(await reasonOf(openPkcs11(settings).health(id('live'))), 'pin_file_empty')
    writeFileSync(pinFile, HSM_PIN)
  })

  t.test('keys and tokens that won’t do', async (t) => {
    hsm.makeKey('extractable', { extractable: true })
    hsm.makeKey('mute', { sign: false })
    const provider = openPkcs11(settings)
    for (const [label, says] of [['twice', /several keys/], ['extractable', /CKA_EXTRACTABLE false/], ['mute', /CKA_SIGN true/], ['a/b', /no key of the token/], ['', /no key of the token/]] as const) {
      await t.rejects(provider.health(id(label)), { constructor: KeyringError, message: says }, label)
    }
    await t.rejects(provider.health('pkcs11:other/live'), /PKCS11_TOKEN_LABEL/)
    t.equal(await reasonOf(openPkcs11({ ...settings, tokenLabel: 'other' }).health('pkcs11:other/live')), 'token_absent', 'a network may be down')
    await t.rejects(openPkcs11({ ...settings, module: '/nowhere.so' }).health(id('live')), /check PKCS11_MODULE/)
    const other = Buffer.concat([Buffer.from([2]), randomBytes(92)]) as Buffer as WrappedKey
    t.equal(await provider.unwrap(id('live'), other, CONTEXT), undefined, 'a format of later times')
  })

  t.test('a vault on it', async (t) => {
    const vault = await startTestVault({
      KEK_PROVIDER: 'pkcs11', PKCS11_MODULE: module, PKCS11_TOKEN_LABEL: HSM_TOKEN, PKCS11_PIN_FILE: pinFile, PKCS11_KEY_LIVE: 'live', PKCS11_KEY_SANDBOX: 'sandbox',
    })
    t.teardown(async () => { await vault.close() })
    const connection = await vault.connect('acme')
    await vault.stop()
    rmSync(vault.keyringFile)
    await vault.start()
    t.match(await vault.request('POST', `/v1/workspaces/acme/connections/${connection}/resolve`, { body: { environment: 'sandbox' } }), { status: 200, body: { credentials: { secret_key: STRIPE_KEY } } })
    t.same(await vault.database.query('select kek_id from workspace_keys union select kek_id from system_keys order by 1'), [{ kek_id: id('live') }, { kek_id: id('sandbox') }])
    await vault.stop()
    await t.rejects(vault.start({ PKCS11_PIN_FILE: '' }), /PKCS11_PIN_FILE/)
    await t.rejects(vault.start({ PKCS11_KEY_LIVE: 'nope' }), /is not in the token/)
  })
}
