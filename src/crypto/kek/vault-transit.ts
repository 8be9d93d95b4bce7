import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { asKey, kekUnavailable, KeyringError, requireAnswer, within, type KekAnswer, type KekProvider, type KekTransport, type WrappedKey } from './provider.ts'

/** Where OpenBao or HashiCorp Vault is, and how the vault signs in. */
export interface TransitSettings {
  readonly address: URL
  /** Path of the secrets engine, such as `transit`. */
  readonly mount: string
  readonly namespace?: string
  /** Holds a token; an agent of OpenBao or Vault keeps it fresh. Read again when it is refused. */
  readonly tokenFile: string
}

const NAME = 'vault-transit'
/** One attempt, and all of a call with its repeats. */
const ATTEMPT_MS = 4_000
const DEADLINE_MS = 6_000
const REPEAT_AFTER_MS = [100, 300]
const ANSWER_BYTES_MAX = 65_536
const TAKES_ASSOCIATED_DATA = /^(aes(128|256)-gcm96|x?chacha20-poly1305)$/
/** As the engine takes names (sdk/framework, GenericNameRegex): none is a step up the path. */
const NAME_OF_KEY = /^\w([\w.-]{0,126}\w)?$/
/** As the engine writes ciphertexts: nonce, ciphertext and tag in base64 under the version of the key. */
const CIPHERTEXT = /^vault:v[1-9]\d{0,8}:([A-Za-z0-9+/]{16,8192}={0,2})$/
/** Of the transport, or of a server or a balancer in front of it, in passing (HTTP API, “HTTP status codes”). */
const PASSING_KINDS = ['unreachable', 'interrupted']
const PASSING_STATUSES = [412, 429, 500, 502, 503, 504]

/**
 * KEKs in the transit secrets engine of OpenBao or HashiCorp Vault (HTTP API, “Transit secrets
 * engine”: encrypt, decrypt, read key). A KEK's id is `vault-transit:<mount>/<key>`. The context
 * goes as `associated_data`, which HashiCorp Vault knows since 1.13. The token needs `update` on
 * encrypt and decrypt and `read` on the key; not `create`, with which a mistyped name would make
 * a new key. A call takes 6 s at most.
 */
export function openVaultTransit (settings: TransitSettings, transport: KekTransport): KekProvider {
  const ask = createAsk(settings, transport)
  const health = async (kekId: string): Promise<void> => {
    const answer = await ask('GET', pathOf(settings, 'keys', kekId))
    const type = answer.status === 200 ? readText(answer, 'type') : undefined
    if (type === undefined) throw describe(answer, kekId)
    if (!TAKES_ASSOCIATED_DATA.test(type)) throw new KeyringError(`${kekId} is a key of type ${/^[a-z0-9-]{1,40}$/.test(type) ? type : 'unknown'}: make one of type aes256-gcm96, without derivation`)
    const { derived, soft_deleted: softDeleted } = readData(answer)
    if (derived === true) throw new KeyringError(`${kekId} is a key with derivation: make one without`)
    if (softDeleted === true) throw new KeyringError(`${kekId} ${SOFT_DELETED}`)
  }
  return Object.freeze({
    name: NAME,
    wrap: async (kekId: string, key: Uint8Array, context: Uint8Array) => {
      const answer = await ask('POST', pathOf(settings, 'encrypt', kekId), { plaintext: base64(key), associated_data: base64(context) })
      const ciphertext = answer.status === 200 ? readText(answer, 'ciphertext') : undefined
      // For a key that does not exist, encrypt would need `create` and is refused; reading it tells.
      if (answer.status === 403) await health(kekId)
      if (ciphertext === undefined || !isCiphertext(ciphertext)) throw describe(answer, kekId)
      if (ignored(answer)) throw new KeyringError(`${kekId} is not bound to what it wraps: the server ignores associated_data. HashiCorp Vault knows it since 1.13, OpenBao always has`)
      return Buffer.from(ciphertext) as Buffer as WrappedKey
    },
    unwrap: async (kekId: string, wrapped: WrappedKey, context: Uint8Array) => {
      const path = pathOf(settings, 'decrypt', kekId)
      if (!isCiphertext(wrapped.toString('latin1'))) return undefined
      const answer = await ask('POST', path, { ciphertext: wrapped.toString('latin1'), associated_data: base64(context) })
      if (answer.status === 400 && errorsOf(answer).some((text) => /message authentication failed|invalid ciphertext/i.test(text))) return undefined
      const plaintext = answer.status === 200 ? readText(answer, 'plaintext') : undefined
      if (plaintext === undefined) throw describe(answer, kekId)
      answer.body.fill(0)
      return asKey(Buffer.from(plaintext, 'base64'))
    },
    health,
  })
}

/** One call with its repeats. */
function createAsk (settings: TransitSettings, transport: KekTransport) {
  let token: string | undefined
  const exchange = async ({ method, path, body, signal }: Call): Promise<KekAnswer> => {
    for (const pauseMs of [...REPEAT_AFTER_MS, undefined]) {
      token ??= readToken(settings.tokenFile)
      const answer = await transport({
        method,
        url: new URL(`v1/${path}`, withSlash(settings.address)),
        headers: {
          'x-vault-token': token, 'x-vault-request': 'true', ...settings.namespace !== undefined && { 'x-vault-namespace': settings.namespace },
          ...body !== undefined && { 'content-type': 'application/json' },
        },
        ...body !== undefined && { body },
        timeoutMs: ATTEMPT_MS,
        maxResponseBytes: ANSWER_BYTES_MAX,
        signal,
      })
      const passing = answer.kind === 'answer' ? PASSING_STATUSES.includes((answer as KekAnswer).status) : PASSING_KINDS.includes(answer.kind)
      if (!passing || pauseMs === undefined) return requireAnswer(NAME, answer)
      await sleep(pauseMs, undefined, { signal })
    }
    throw kekUnavailable(NAME, 'unknown')
  }

  /** Signs in again once: the token may have been renewed since it was read. */
  return async (method: string, path: string, content?: object): Promise<KekAnswer> => await within(NAME, DEADLINE_MS, async (signal) => {
    const body = content === undefined ? undefined : Buffer.from(JSON.stringify(content))
    try {
      const answer = await exchange({ method, path, body, signal })
      if (answer.status !== 403) return answer
      token = undefined
      return await exchange({ method, path, body, signal })
    } finally {
      body?.fill(0)
    }
  })
}

interface Call {
  readonly method: string
  readonly path: string
  readonly body: Buffer | undefined
  readonly signal: AbortSignal
}

function pathOf ({ mount }: TransitSettings, verb: string, kekId: string): string {
  const prefix = `vault-transit:${mount}/`
  const name = kekId.slice(prefix.length)
  if (!kekId.startsWith(prefix) || !NAME_OF_KEY.test(name)) throw new KeyringError(`${kekId} is no key of the mount ${mount}: check VAULT_TRANSIT_MOUNT`)
  return `${mount}/${verb}/${name}`
}

/** Strictly: the engine's own reading of base64 passes over spare bits. */
function isCiphertext (text: string): boolean {
  const [, bytes] = CIPHERTEXT.exec(text) ?? []
  return bytes !== undefined && Buffer.from(bytes, 'base64').toString('base64') === bytes
}

const SOFT_DELETED = 'is deleted there, and what it wraps stays sealed: restore it'

/** Only classes of failure: the text of an answer goes no further. */
function describe (answer: KekAnswer, kekId: string): Error {
  const said = errorsOf(answer)
  // A balancer's page is no word of the engine's.
  const absent = (answer.status === 404 && 'errors' in readJson(answer)) || (answer.status === 400 && said.some((text) => /key not found/i.test(text)))
  if (absent) return new KeyringError(`${kekId} does not exist there: restore it, or check VAULT_ADDR, VAULT_NAMESPACE and VAULT_TRANSIT_MOUNT`)
  if (answer.status === 400 && said.some((text) => /soft.deleted/i.test(text))) return new KeyringError(`${kekId} ${SOFT_DELETED}`)
  if (answer.status === 400 && said.some((text) => /disallowed by policy/i.test(text))) return new KeyringError(`${kekId} no longer decrypts old versions: lower its min_decryption_version`)
  return kekUnavailable(NAME, `status_${answer.status}`)
}

function readToken (file: string): string {
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch {
    throw kekUnavailable(NAME, 'no_token_file')
  }
  if (!/^[\x21-\x7e]{1,4096}$/.test(text)) throw kekUnavailable(NAME, 'token_file_damaged')
  return text
}

function readJson (answer: KekAnswer): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(answer.body.toString())
    return typeof parsed === 'object' && parsed !== null ? parsed as Record<string, unknown> : {}
  } catch {
    return {}
  }
}

function readData (answer: KekAnswer): Readonly<Record<string, unknown>> {
  const { data } = readJson(answer)
  return typeof data === 'object' && data !== null ? data as Record<string, unknown> : {}
}

function readText (answer: KekAnswer, name: string): string | undefined {
  const value = readData(answer)[name]
  return typeof value === 'string' ? value : undefined
}

function errorsOf (answer: KekAnswer): readonly string[] {
  const { errors } = readJson(answer)
  return Array.isArray(errors) ? errors.filter((text) => typeof text === 'string') : []
}

/** “Endpoint ignored these unrecognized parameters”: said by servers too old for `associated_data`. */
function ignored (answer: KekAnswer): boolean {
  const { warnings } = readJson(answer)
  return Array.isArray(warnings) && warnings.some((text) => typeof text === 'string' && /unrecognized.*associated_data/i.test(text))
}

function base64 (bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function withSlash (url: URL): URL {
  return url.href.endsWith('/') ? url : new URL(`${url.href}/`)
}
