import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto'
import { closeSync, constants, fchmodSync, fstatSync, fsyncSync, openSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { aeadOpen, aeadSeal, IV_BYTES, KEY_BYTES } from '../aead.ts'
import { asKey, KEK_SLOTS, kekUnavailable, KeyringError, type KekProvider, type KekSlot, type WrappedKey } from './provider.ts'

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

/** KEKs of a keyring file, and which of them wrap new keys. */
export interface LocalKeks extends KekProvider {
  currentKekId (slot: KekSlot): string
}

interface Ring {
  readonly current: KeyringFile['current']
  readonly keks: ReadonlyMap<string, KeyObject>
  /** Tells whether the file was replaced since. */
  readonly stamp: string
}

/**
 * KEKs from a file that only the service's user can read. A file that was replaced is read again
 * when the next key is made, or one is needed that it did not hold: no process is restarted to
 * rotate a KEK. One that was replaced by something damaged changes nothing for the KEKs in memory.
 */
export function openLocalKeyring (file: string): LocalKeks {
  let ring = loadRing(file)
  const renew = (): void => {
    if (stampOf(file) !== ring.stamp) ring = loadRing(file)
  }
  const requireKek = (kekId: string): KeyObject => {
    if (!ring.keks.has(kekId)) renew()
    const kek = ring.keks.get(kekId)
    if (kek === undefined) {
      throw new KeyringError(`the database was sealed under the KEK ${kekId}, which ${file} does not hold. Start with the keyring that holds it (a backup copy, or the one of the other replicas); without it the data can't be read`)
    }
    return kek
  }
  return Object.freeze({
    name: 'local',
    currentKekId: (slot: KekSlot) => {
      try {
        renew()
      } catch {
        throw kekUnavailable('local', 'keyring_damaged')
      }
      return ring.current[slot]
    },
    wrap: async (kekId: string, key: Uint8Array, context: Uint8Array) => {
      const iv = randomBytes(IV_BYTES)
      return Buffer.concat([iv, aeadSeal({ key: requireKek(kekId), iv, aad: context }, key)]) as Buffer as WrappedKey
    },
    unwrap: async (kekId: string, wrapped: WrappedKey, context: Uint8Array) =>
      asKey(aeadOpen({ key: requireKek(kekId), iv: wrapped.subarray(0, IV_BYTES), aad: context }, wrapped.subarray(IV_BYTES))),
    health: async (kekId: string) => {
      renew()
      requireKek(kekId)
    },
  })
}

function loadRing (file: string): Ring {
  const stamp = stampOf(file)
  const { current, keks } = readKeyring(file)
  const opened = keks.map(({ id, key }) => {
    const bytes = Buffer.from(key, 'base64')
    const kek = createSecretKey(bytes)
    bytes.fill(0)
    return [id, kek] as const
  })
  return { current, stamp, keks: new Map(opened) }
}

function stampOf (file: string): string {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? '' : `${stat.ino} ${stat.mtimeNs} ${stat.size}`
}

/** Reads the file and judges it. Throws KeyringError with what to do. */
function readKeyring (file: string): KeyringFile {
  let text: string
  let descriptor: number
  try {
    descriptor = openSync(file, 'r')
  } catch (error) {
    throw new KeyringError(`${file} can't be read (${codeOf(error)}); restore it, or make the first one with \`connection-vault keys init\``)
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
  const ids = parsed.keks.map(({ id }) => id)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined) throw new KeyringError(`${file} lists the KEK ${twice} twice`)
  const absent = Object.values(parsed.current).find((id) => !ids.includes(id))
  if (absent !== undefined) throw new KeyringError(`${file} names ${absent} as current but does not hold it`)
  return parsed
}

/** A fresh KEK. The random part of its id tells two of the same day apart, so that a mix-up is named as one. */
function newKek (purpose: string, now: Date): KeyringFile['keks'][number] {
  const id = `${purpose}-${now.toISOString().slice(0, 10)}-${randomBytes(4).toString('hex')}`
  return { id, created_at: now.toISOString(), key: randomBytes(KEY_BYTES).toString('base64') }
}

/**
 * Writes a keyring with fresh KEKs, one for sandbox and one for live and the vault's own keys.
 * Never overwrites: losing a keyring is losing the data.
 */
export function createLocalKeyring (file: string, now: Date): void {
  const [sandbox, live] = [newKek('sandbox', now), newKek('live', now)]
  writeKeyring(file, { format: 1, current: { sandbox: sandbox.id, live: live.id, system: live.id }, keks: [sandbox, live] })
}

/** Adds fresh KEKs for these slots; with `use` they wrap new keys from now on. Answers their ids. */
export function addLocalKeks (file: string, slots: readonly KekSlot[], { use, now }: { use: boolean, now: Date }): string[] {
  const ring = readKeyring(file)
  const made = slots.map((slot) => [slot, newKek(slot, now)] as const)
  const current = use ? { ...ring.current, ...Object.fromEntries(made.map(([slot, kek]) => [slot, kek.id])) } : ring.current
  replaceKeyring(file, { ...ring, current, keks: [...ring.keks, ...made.map(([, kek]) => kek)] })
  return made.map(([, kek]) => kek.id)
}

/** Makes a KEK that the file holds the current one of these slots. */
export function useLocalKek (file: string, kekId: string, slots: readonly KekSlot[]): void {
  const ring = readKeyring(file)
  if (!ring.keks.some(({ id }) => id === kekId)) throw new KeyringError(`${file} holds no KEK ${kekId}`)
  replaceKeyring(file, { ...ring, current: { ...ring.current, ...Object.fromEntries(slots.map((slot) => [slot, kekId])) } })
}

/** Takes a KEK out of the file. Nothing that it wrapped can be unwrapped again, but for copies of the file. */
export function removeLocalKek (file: string, kekId: string): void {
  const ring = readKeyring(file)
  if (!ring.keks.some(({ id }) => id === kekId)) throw new KeyringError(`${file} holds no KEK ${kekId}`)
  const slots = KEK_SLOTS.filter((slot) => ring.current[slot] === kekId)
  if (slots.length > 0) throw new KeyringError(`${kekId} is current for ${slots.join(' and ')}: name another with \`connection-vault keys use-kek\` first`)
  replaceKeyring(file, { ...ring, keks: ring.keks.filter(({ id }) => id !== kekId) })
}

/** KEKs of a file with their birthdays, no keys. */
export function listLocalKeks (file: string): { readonly id: string, readonly createdAt: string, readonly currentFor: readonly KekSlot[] }[] {
  const ring = readKeyring(file)
  return ring.keks.map(({ id, created_at: createdAt }) => ({ id, createdAt, currentFor: KEK_SLOTS.filter((slot) => ring.current[slot] === id) }))
}

/** Either the old file or the new one is there, whenever the machine stops. */
function replaceKeyring (file: string, ring: KeyringFile): void {
  const beside = `${file}.${randomBytes(4).toString('hex')}`
  writeKeyring(beside, ring)
  try {
    renameSync(beside, file)
  } catch (error) {
    unlinkSync(beside)
    throw new KeyringError(`${file} can't be replaced (${codeOf(error)})`)
  }
}

function writeKeyring (file: string, ring: KeyringFile): void {
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
