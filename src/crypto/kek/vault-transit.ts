import { readFileSync } from 'node:fs'
import { kekUnavailable, KeyringError, type KekAnswer, type KekProvider, type KekTransport, type WrappedKey } from './provider.ts'

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
const TIMEOUT_MS = 3_000
const ANSWER_BYTES_MAX = 65_536
const TAKES_ASSOCIATED_DATA = /^(aes(128|256)-gcm96|chacha20-poly1305)$/

/**
 * KEKs in the transit secrets engine of OpenBao or HashiCorp Vault (HTTP API, “Transit secrets
 * engine”: encrypt, decrypt, read key). A KEK's id is `vault-transit:<mount>/<key>`. The context
 * goes as `associated_data`. The token needs `update` on encrypt and decrypt and `read` on the
 * key; not `create`, with which a mistyped name would make a new key.
 */
export function openVaultTransit (settings: TransitSettings, transport: KekTransport): KekProvider {
  let token: string | undefined
  const exchange = async (method: string, path: string, body?: object): Promise<KekAnswer> => {
    token ??= readToken(settings.tokenFile)
    const answer = await transport({
      method,
      url: new URL(`v1/${path}`, withSlash(settings.address)),
      headers: {
        'x-vault-token': token, 'x-vault-request': 'true', ...settings.namespace !== undefined && { 'x-vault-namespace': settings.namespace },
        ...body !== undefined && { 'content-type': 'application/json' },
      },
      ...body !== undefined && { body: Buffer.from(JSON.stringify(body)) },
      timeoutMs: TIMEOUT_MS,
      maxResponseBytes: ANSWER_BYTES_MAX,
    })
    if (answer.kind !== 'answer') throw kekUnavailable(NAME, answer.kind)
    return answer as KekAnswer
  }

  /** Signs in again once: the token may have been renewed since it was read. */
  const ask = async (method: string, path: string, body?: object): Promise<KekAnswer> => {
    const answer = await exchange(method, path, body)
    if (answer.status !== 403) return answer
    token = undefined
    return await exchange(method, path, body)
  }

  return Object.freeze({
    name: NAME,
    wrap: async (kekId: string, key: Uint8Array, context: Uint8Array) => {
      const answer = await ask('POST', pathOf(settings, 'encrypt', kekId), { plaintext: base64(key), associated_data: base64(context) })
      const ciphertext = answer.status === 200 ? readText(answer, 'ciphertext') : undefined
      if (ciphertext === undefined) throw describe(answer, kekId)
      return Buffer.from(ciphertext) as Buffer as WrappedKey
    },
    unwrap: async (kekId: string, wrapped: WrappedKey, context: Uint8Array) => {
      const answer = await ask('POST', pathOf(settings, 'decrypt', kekId), { ciphertext: wrapped.toString(), associated_data: base64(context) })
      if (answer.status === 400 && /message authentication failed|invalid ciphertext/i.test(answer.body.toString())) return undefined
      const plaintext = answer.status === 200 ? readText(answer, 'plaintext') : undefined
      if (plaintext === undefined) throw describe(answer, kekId)
      return Buffer.from(plaintext, 'base64')
    },
    health: async (kekId: string) => {
      const answer = await ask('GET', pathOf(settings, 'keys', kekId))
      const type = answer.status === 200 ? readText(answer, 'type') : undefined
      if (type === undefined) throw describe(answer, kekId)
      if (!TAKES_ASSOCIATED_DATA.test(type)) throw new KeyringError(`${kekId} is a key of type ${type}: make one of type aes256-gcm96, without derivation`)
    },
  })
}

function pathOf ({ mount }: TransitSettings, verb: string, kekId: string): string {
  const prefix = `vault-transit:${mount}/`
  const name = kekId.slice(prefix.length)
  if (!kekId.startsWith(prefix) || !/^[A-Za-z0-9._-]{1,128}$/.test(name)) throw new KeyringError(`${kekId} is no key of the mount ${mount}: check VAULT_TRANSIT_MOUNT`)
  return `${mount}/${verb}/${name}`
}

/** Only classes of failure: the text of an answer goes no further. */
function describe (answer: KekAnswer, kekId: string): Error {
  const text = answer.body.toString()
  if (answer.status === 404 || (answer.status === 400 && /key not found/i.test(text))) return new KeyringError(`${kekId} does not exist there: restore it, or check VAULT_ADDR, VAULT_NAMESPACE and VAULT_TRANSIT_MOUNT`)
  if (answer.status === 400 && /disallowed by policy/i.test(text)) return new KeyringError(`${kekId} no longer decrypts old versions: lower its min_decryption_version`)
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

function readText (answer: KekAnswer, name: string): string | undefined {
  try {
    const { data } = JSON.parse(answer.body.toString()) as { data?: Record<string, unknown> }
    const value = data?.[name]
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

function base64 (bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function withSlash (url: URL): URL {
  return url.href.endsWith('/') ? url : new URL(`${url.href}/`)
}
