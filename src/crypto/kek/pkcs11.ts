import { fork, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { aeadOpen, aeadSeal, IV_BYTES } from '../aead.ts'
import { asKey, kekUnavailable, KeyringError, within, type KekProvider, type WrappedKey } from './provider.ts'
import type { ModuleAnswer, ModulePlace, ModuleRequest } from './pkcs11-module.ts'

/** A token behind a PKCS#11 module, and how the vault signs in to it. */
export interface Pkcs11Settings {
  /** The module's shared library. */
  readonly module: string
  readonly tokenLabel: string
  /** Holds the PIN of the token's user. */
  readonly pinFile: string
}

const NAME = 'pkcs11'
const DEADLINE_MS = 6_000
const DIED_WITHIN_MS = 1_000
const FORMAT = 1
const SALT_BYTES = 32
/** Before what is authenticated, so that a key used for something else as well gives nothing away. */
const PURPOSE = Buffer.from('connection-vault pkcs11 wrap 1\0')

/** What only somebody's hand can change. */
const TO_MEND: Readonly<Record<string, string>> = {
  absent: 'is not in the token: check PKCS11_TOKEN_LABEL and the key’s label (CKA_LABEL)',
  ambiguous: 'is the label of several keys of the token: rename all but the right one',
  extractable: 'can be taken out of the token: make it with CKA_EXTRACTABLE false',
  CKR_KEY_TYPE_INCONSISTENT: 'is not a generic secret key: make one for CKM_SHA256_HMAC',
  CKR_KEY_FUNCTION_NOT_PERMITTED: 'may not sign: make it with CKA_SIGN true',
  not_installed: 'needs the package pkcs11js, which is optional and is not built here: install a compiler, then run `npm rebuild pkcs11js`',
  module_absent: 'is behind a module that can’t be loaded: check PKCS11_MODULE',
}

/**
 * KEKs in an HSM, through its PKCS#11 module. A KEK's id is `pkcs11:<token label>/<key label>`, and
 * it is a generic secret that never leaves the token. For each wrapping the token computes
 * HMAC-SHA-256 (CKM_SHA256_HMAC) over a fresh salt and the context; what comes out is the key of
 * AES-256-GCM here, with the context as AAD. Not CKM_AES_GCM: modules differ in who makes its IV,
 * and some answer a wrong context as they answer a broken device. See docs/adr/0018.
 *
 * The module runs in a process of its own: it blocks its thread, may crash, and shall not share
 * memory with the keys of tenants. A call takes 6 s at most; then that process is killed.
 */
export function openPkcs11 (settings: Pkcs11Settings): KekProvider {
  const ask = createModule(settings)
  const use = async (kekId: string, request: Omit<ModuleRequest, 'id' | 'label'>): Promise<Buffer> => {
    const asked = { ...request, label: labelOf(settings, kekId) }
    const startedMs = performance.now()
    const first = await ask(asked)
    // A MAC can be computed again: a process that dies is not yet a module that is away. One that was killed because it hung is.
    const answer = first.fault === 'module_ended' && performance.now() - startedMs < DIED_WITHIN_MS ? await ask(asked) : first
    if (answer.mac !== undefined) return Buffer.from(answer.mac)
    const fault = answer.fault ?? 'unknown'
    const mend = TO_MEND[fault]
    throw mend === undefined ? kekUnavailable(NAME, fault) : new KeyringError(`${kekId} ${mend}`)
  }
  const messageOf = (salt: Uint8Array, context: Uint8Array) => Buffer.concat([PURPOSE, salt, context])

  return Object.freeze({
    name: NAME,
    wrap: async (kekId: string, key: Uint8Array, context: Uint8Array) => {
      const [salt, iv] = [randomBytes(SALT_BYTES), randomBytes(IV_BYTES)]
      const wrapping = await use(kekId, { data: messageOf(salt, context) })
      const sealed = aeadSeal({ key: wrapping, iv, aad: context }, key)
      wrapping.fill(0)
      return Buffer.concat([Buffer.from([FORMAT]), salt, iv, sealed]) as Buffer as WrappedKey
    },
    unwrap: async (kekId: string, wrapped: WrappedKey, context: Uint8Array) => {
      labelOf(settings, kekId)
      if (wrapped[0] !== FORMAT || wrapped.length < 1 + SALT_BYTES + IV_BYTES) return undefined
      const salt = wrapped.subarray(1, 1 + SALT_BYTES)
      const rest = wrapped.subarray(1 + SALT_BYTES)
      const wrapping = await use(kekId, { data: messageOf(salt, context) })
      const key = aeadOpen({ key: wrapping, iv: rest.subarray(0, IV_BYTES), aad: context }, rest.subarray(IV_BYTES))
      wrapping.fill(0)
      return asKey(key)
    },
    health: async (kekId: string) => { await use(kekId, { data: PURPOSE, inspect: true }) },
  })
}

function labelOf ({ tokenLabel }: Pkcs11Settings, kekId: string): string {
  const prefix = `pkcs11:${tokenLabel}/`
  const label = kekId.slice(prefix.length)
  if (!kekId.startsWith(prefix) || !/^[\w.-]{1,64}$/.test(label)) throw new KeyringError(`${kekId} is no key of the token ${tokenLabel}: check PKCS11_TOKEN_LABEL`)
  return label
}

/** The process with the module: started when it is needed, killed when it does not answer. */
function createModule (settings: Pkcs11Settings) {
  let child: ChildProcess | undefined
  /** A refused PIN is never tried twice: tokens lock after a few. */
  let refusedPin: string | undefined
  let lastId = 0
  const waiting = new Map<number, (answer: ModuleAnswer) => void>()

  const end = (gone: ChildProcess): void => {
    if (child !== gone) return
    child = undefined
    gone.kill('SIGKILL')
    for (const settle of waiting.values()) settle({ id: 0, fault: 'module_ended' })
    waiting.clear()
  }
  const start = (): ChildProcess => {
    const made = fork(new URL('./pkcs11-module.ts', import.meta.url), { serialization: 'advanced', execArgv: [], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    made.on('message', (answer: ModuleAnswer) => { waiting.get(answer.id)?.(answer) })
    made.on('error', () => { end(made) })
    made.on('exit', () => { end(made) })
    // It ends with this process, and does not keep it.
    made.unref()
    made.channel?.unref()
    child = made
    return made
  }

  return async (request: Omit<ModuleRequest, 'id'>): Promise<ModuleAnswer> => {
    const pin = readPin(settings.pinFile)
    if (pin === refusedPin) throw kekUnavailable(NAME, 'pin_refused')
    const id = ++lastId
    const asked = child ?? start()
    try {
      const answer = await within(NAME, DEADLINE_MS, async () => await new Promise<ModuleAnswer>((resolve) => {
        waiting.set(id, resolve)
        asked.channel?.ref()
        asked.send({ ...request, id, pin, module: settings.module, tokenLabel: settings.tokenLabel } satisfies ModuleRequest & ModulePlace, (error) => {
          if (error !== null) end(asked)
        })
      }))
      if (answer.fault === 'CKR_PIN_INCORRECT' || answer.fault === 'CKR_PIN_LOCKED') refusedPin = pin
      return answer
    } catch (error) {
      end(asked)
      throw error
    } finally {
      waiting.delete(id)
      if (waiting.size === 0) asked.channel?.unref()
    }
  }
}

function readPin (file: string): string {
  let pin: string
  try {
    pin = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch {
    throw kekUnavailable(NAME, 'no_pin_file')
  }
  if (pin === '') throw kekUnavailable(NAME, 'pin_file_empty')
  return pin
}
