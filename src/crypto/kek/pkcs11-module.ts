/**
 * The process in which a PKCS#11 module runs (see pkcs11.ts): it answers one message after the
 * other, holds one session, and ends with its parent. Of errors only names of return values leave.
 */
export interface ModuleRequest {
  readonly id: number
  /** CKA_LABEL of the key. */
  readonly label: string
  /** What is to be authenticated. */
  readonly data: Uint8Array
  /** Whether to look at the key's attributes as well. */
  readonly inspect?: boolean
}

export interface ModulePlace {
  /** The module's shared library. */
  readonly module: string
  readonly tokenLabel: string
  readonly pin: string
}

export interface ModuleAnswer {
  readonly id: number
  readonly mac?: Uint8Array
  /** The name of a PKCS#11 return value (CKR_…), or one of our own. */
  readonly fault?: string
}

/** As much of pkcs11js as is used: it is optional, and its types are not there where it is not. */
interface Cryptoki {
  load (module: string): void
  C_Initialize (): void
  C_Finalize (): void
  C_GetSlotList (present: boolean): Buffer[]
  C_GetTokenInfo (slot: Buffer): { label: string }
  C_OpenSession (slot: Buffer, flags: number): Buffer
  C_CloseSession (session: Buffer): void
  C_Login (session: Buffer, user: number, pin: string): void
  C_FindObjectsInit (session: Buffer, template: readonly object[]): void
  C_FindObjects (session: Buffer, max: number): Buffer[]
  C_FindObjectsFinal (session: Buffer): void
  C_GetAttributeValue (session: Buffer, key: Buffer, template: readonly object[]): { value: Buffer }[]
  C_SignInit (session: Buffer, mechanism: object, key: Buffer): void
  C_Sign (session: Buffer, data: Buffer, out: Buffer): Buffer
}

/** Values of PKCS#11 2.40 (pkcs11t.h). */
const CKF_SERIAL_SESSION = 0x4
const CKU_USER = 1
const [CKA_CLASS, CKA_LABEL, CKA_EXTRACTABLE] = [0x0, 0x3, 0x162]
const CKO_SECRET_KEY = 4
const CKM_SHA256_HMAC = 0x251
const MAC_BYTES = 32

class Fault extends Error {}

let cryptoki: Cryptoki | undefined
let session: Buffer | undefined
const keys = new Map<string, Buffer>()

async function load (module: string): Promise<Cryptoki> {
  if (cryptoki !== undefined) return cryptoki
  // By a name that no tool resolves: the package is optional.
  const name = 'pkcs11js'
  const { PKCS11 } = await (import(name) as Promise<{ PKCS11: new () => Cryptoki }>).catch(() => { throw new Fault('not_installed') })
  const made = new PKCS11()
  try {
    made.load(module)
  } catch {
    throw new Fault('module_absent')
  }
  made.C_Initialize()
  cryptoki = made
  return made
}

function signIn (module: Cryptoki, { tokenLabel, pin }: ModulePlace): Buffer {
  const slot = module.C_GetSlotList(true).find((one) => module.C_GetTokenInfo(one).label.trimEnd() === tokenLabel)
  if (slot === undefined) throw new Fault('token_absent')
  const opened = module.C_OpenSession(slot, CKF_SERIAL_SESSION)
  try {
    module.C_Login(opened, CKU_USER, pin)
  } catch (error) {
    if (nameOf(error) !== 'CKR_USER_ALREADY_LOGGED_IN') {
      module.C_CloseSession(opened)
      throw error
    }
  }
  return opened
}

function findKey (module: Cryptoki, at: Buffer, label: string): Buffer {
  module.C_FindObjectsInit(at, [{ type: CKA_CLASS, value: CKO_SECRET_KEY }, { type: CKA_LABEL, value: label }])
  const found = module.C_FindObjects(at, 2)
  module.C_FindObjectsFinal(at)
  const [key] = found
  if (key === undefined) throw new Fault('absent')
  if (found.length > 1) throw new Fault('ambiguous')
  return key
}

async function answer (request: ModuleRequest & ModulePlace): Promise<Buffer> {
  const module = await load(request.module)
  session ??= signIn(module, request)
  const key = keys.get(request.label) ?? findKey(module, session, request.label)
  if (request.inspect === true && module.C_GetAttributeValue(session, key, [{ type: CKA_EXTRACTABLE }])[0]?.value[0] !== 0) throw new Fault('extractable')
  module.C_SignInit(session, { mechanism: CKM_SHA256_HMAC }, key)
  const mac = module.C_Sign(session, Buffer.from(request.data), Buffer.alloc(MAC_BYTES))
  if (mac.length !== MAC_BYTES) throw new Fault('mac_length')
  keys.set(request.label, key)
  return mac
}

/** A session that failed is not trusted again: tokens are pulled, and networks end. */
function signOut (): void {
  keys.clear()
  const [module, ended] = [cryptoki, session]
  session = undefined
  cryptoki = undefined
  try {
    if (ended !== undefined) module?.C_CloseSession(ended)
    module?.C_Finalize()
  } catch {
    // It is gone.
  }
}

function nameOf (error: unknown): string {
  const text = error instanceof Error ? error.message : ''
  return error instanceof Fault || /^CKR_[A-Z0-9_]{1,60}$/.test(text) ? text : 'unknown'
}

async function serve (request: ModuleRequest & ModulePlace): Promise<ModuleAnswer> {
  const { id } = request
  const isSignedIn = session !== undefined
  try {
    return { id, mac: await answer(request) }
  } catch (error) {
    signOut()
    if (error instanceof Fault || !isSignedIn) return { id, fault: nameOf(error) }
  }
  // The session was an old one, which may have been all.
  try {
    return { id, mac: await answer(request) }
  } catch (error) {
    signOut()
    return { id, fault: nameOf(error) }
  }
}

let last: Promise<unknown> = Promise.resolve()
process.on('message', (request: ModuleRequest & ModulePlace) => {
  last = last.then(async () => process.send?.(await serve(request)))
})
process.on('disconnect', () => { process.exit(0) })
