import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto'
import { closeSync, constants, fchmodSync, fstatSync, fsyncSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { aeadOpen, aeadSeal, IV_BYTES, KEY_BYTES } from '../aead.ts'
import { KeyringError, type KekProvider, type KekSlot, type WrappedKey } from './provider.ts'

/** The keyring file: any number of KEKs, and which of them wraps new keys of each slot. */
const KeyringFile = Type.Object({
  format: Type.Literal(1),
  current: Type.Object({ sandbox: Type.String(), live: Type.String(), system: Type.String() }, { additionalProperties: false }),
  keks: Type.Array(Type.Object({
    id: Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' }),
    created_at: Type.String(),
    key: Type.String({ pattern: '^[A-Za-z0-9+/]{43}=$' }),
  }, { additionalProperties: false }), { minItems: 1, maxItems: 1000 }),
}, { additionalProperties: false })
type KeyringFile = Static<typeof KeyringFile>
const keyringCheck = Compile(KeyringFile)

/** KEKs from a file that only the service's user can read. */
export function openLocalKeyring (file: string): KekProvider {
  const ring = readKeyring(file)
  const keks = new Map<string, KeyObject>()
  for (const kek of ring.keks) {
    if (keks.has(kek.id)) throw new KeyringError(`${file} lists the KEK ${kek.id} twice`)
    const bytes = Buffer.from(kek.key, 'base64')
    keks.set(kek.id, createSecretKey(bytes))
    bytes.fill(0)
  }
  for (const id of Object.values(ring.current)) {
    if (!keks.has(id)) throw new KeyringError(`${file} names ${id} as current but does not hold it`)
  }
  return Object.freeze({
    name: 'local',
    currentKekId: (slot: KekSlot) => ring.current[slot],
    wrap: async (kekId: string, key: Uint8Array, context: Uint8Array) => {
      const iv = randomBytes(IV_BYTES)
      return Buffer.concat([iv, aeadSeal({ key: requireKek(keks, kekId, file), iv, aad: context }, key)]) as Buffer as WrappedKey
    },
    unwrap: async (kekId: string, wrapped: WrappedKey, context: Uint8Array) =>
      aeadOpen({ key: requireKek(keks, kekId, file), iv: wrapped.subarray(0, IV_BYTES), aad: context }, wrapped.subarray(IV_BYTES)),
  })
}

function requireKek (keks: ReadonlyMap<string, KeyObject>, kekId: string, file: string): KeyObject {
  const kek = keks.get(kekId)
  if (kek === undefined) {
    throw new KeyringError(`the database was sealed under the KEK ${kekId}, which ${file} does not hold. Start with the keyring that holds it (a backup copy, or the one of the other replicas); without it the data can't be read`)
  }
  return kek
}

function readKeyring (file: string): KeyringFile {
  let text: string
  let descriptor: number
  try {
    descriptor = openSync(file, 'r')
  } catch (error) {
    throw new KeyringError(`${file} can't be read (${codeOf(error)}); make one with \`connection-vault keys init\` or restore it`)
  }
  try {
    const mode = fstatSync(descriptor).mode & 0o777
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new KeyringError(`${file} can be read by others (mode ${mode.toString(8)}): run chmod 600 on it`)
    }
    text = readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw new KeyringError(`${file} is not JSON: it is damaged, restore it from its copy`)
  }
  // Values of the parsed file never reach the message: they are keys.
  if (!keyringCheck.Check(parsed)) throw new KeyringError(`${file} is not a keyring of format 1: it is damaged, restore it from its copy`)
  return parsed
}

/**
 * Writes a keyring with fresh KEKs, one for sandbox and one for live and the vault's own keys.
 * Never overwrites: losing a keyring is losing the data.
 */
export function createLocalKeyring (file: string, now: Date): void {
  // The random part tells two keyrings of the same day apart, so that a mix-up is named as one.
  const suffix = `${now.toISOString().slice(0, 10)}-${randomBytes(4).toString('hex')}`
  const kek = (id: string) => ({ id, created_at: now.toISOString(), key: randomBytes(KEY_BYTES).toString('base64') })
  const ring: KeyringFile = {
    format: 1,
    current: { sandbox: `sandbox-${suffix}`, live: `live-${suffix}`, system: `live-${suffix}` },
    keks: [kek(`sandbox-${suffix}`), kek(`live-${suffix}`)],
  }
  let descriptor: number
  try {
    descriptor = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  } catch (error) {
    throw new KeyringError(codeOf(error) === 'EEXIST' ? `${file} exists already and is left as it is` : `${file} can't be written (${codeOf(error)})`)
  }
  try {
    fchmodSync(descriptor, 0o600)
    writeFileSync(descriptor, `${JSON.stringify(ring, null, 2)}\n`)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function codeOf (error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
