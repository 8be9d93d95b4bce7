import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { makeFolder } from './folder.ts'

/** SoftHSM2, a PKCS#11 module without hardware, with a token of this process's own. */
const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/pkcs11/libsofthsm2.so', '/opt/homebrew/lib/softhsm/libsofthsm2.so', '/usr/local/lib/softhsm/libsofthsm2.so']
export const HSM_TOKEN = 'vault token'
export const HSM_PIN = '739104'

export interface SoftHsm {
  readonly module: string
  readonly pinFile: string
  makeKey (label: string, changes?: { extractable?: boolean, sign?: boolean }): void
  /** Processes in which the module runs for this one. */
  processes (): number[]
}

/** As much of pkcs11js as is used: where it is not built, neither are its types. */
interface Cryptoki {
  load (module: string): void
  C_Initialize (): void
  C_GetSlotList (present: boolean): Buffer[]
  C_GetTokenInfo (slot: Buffer): { label: string }
  C_OpenSession (slot: Buffer, flags: number): Buffer
  C_Login (session: Buffer, user: number | undefined, pin: string): void
  C_GenerateKey (session: Buffer, mechanism: object, template: readonly object[]): Buffer
}

/** What is missing, or the token. */
export function startSoftHsm (): SoftHsm | string {
  const module = MODULES.find((path) => existsSync(path))
  if (module === undefined) return 'SoftHSM2 is not installed (Debian: apt-get install softhsm2)'
  const require = createRequire(import.meta.url)
  let pkcs11: { readonly PKCS11: new () => Cryptoki } & Readonly<Record<string, number>>
  try {
    pkcs11 = require('pkcs11js') as typeof pkcs11
  } catch {
    return 'pkcs11js is not built here (it is optional; it needs a compiler)'
  }
  const dir = makeFolder('softhsm')
  mkdirSync(join(dir, 'tokens'))
  const conf = join(dir, 'softhsm2.conf')
  writeFileSync(conf, `directories.tokendir = ${join(dir, 'tokens')}\nobjectstore.backend = file\n`)
  process.env['SOFTHSM2_CONF'] = conf
  execFileSync('softhsm2-util', ['--init-token', '--free', '--label', HSM_TOKEN, '--pin', HSM_PIN, '--so-pin', '40213'], { stdio: 'ignore' })
  const pinFile = join(dir, 'pin')
  writeFileSync(pinFile, `${HSM_PIN}\n`)

  const hsm = new pkcs11.PKCS11()
  hsm.load(module)
  hsm.C_Initialize()
  const slot = hsm.C_GetSlotList(true).find((one) => hsm.C_GetTokenInfo(one).label.trimEnd() === HSM_TOKEN)
  if (slot === undefined) throw new Error('the token was not made')
  const session = hsm.C_OpenSession(slot, (pkcs11['CKF_SERIAL_SESSION'] ?? 0) | (pkcs11['CKF_RW_SESSION'] ?? 0))
  hsm.C_Login(session, pkcs11['CKU_USER'], HSM_PIN)
  return {
    module,
    pinFile,
    makeKey: (label, { extractable = false, sign = true } = {}) => {
      hsm.C_GenerateKey(session, { mechanism: pkcs11['CKM_GENERIC_SECRET_KEY_GEN'] }, [
        { type: pkcs11['CKA_CLASS'], value: pkcs11['CKO_SECRET_KEY'] },
        { type: pkcs11['CKA_KEY_TYPE'], value: pkcs11['CKK_GENERIC_SECRET'] }, { type: pkcs11['CKA_VALUE_LEN'], value: 32 },
        { type: pkcs11['CKA_TOKEN'], value: true }, { type: pkcs11['CKA_PRIVATE'], value: true }, { type: pkcs11['CKA_LABEL'], value: label },
        { type: pkcs11['CKA_SENSITIVE'], value: true }, { type: pkcs11['CKA_EXTRACTABLE'], value: extractable }, { type: pkcs11['CKA_SIGN'], value: sign },
      ])
    },
    processes: () => readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').trim().split(' ').map(Number)
      .filter((pid) => pid > 0 && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('pkcs11-module')),
  }
}
