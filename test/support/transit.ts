import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { json, startProvider, type Received } from './provider.ts'
import { createTroubles, type Troubles } from './troubles.ts'

/**
 * The transit secrets engine of OpenBao and HashiCorp Vault on loopback: encrypt, decrypt and read
 * key as their HTTP API documentation has them, with the words of their errors as in OpenBao's
 * sources (builtin/logical/transit, sdk/helper/keysutil). Tokens may use keys, not make them.
 */
export interface TransitKey {
  type: string
  derived: boolean
  softDeleted: boolean
  /** Of version 1, 2 and so on. */
  versions: Buffer[]
  minDecryptionVersion: number
}

export interface Transit {
  readonly url: string
  readonly endpoint: string
  readonly received: Received[]
  readonly troubles: Troubles<TransitTrouble>
  readonly calls: { readonly verb: string, readonly name: string }[]
  /** Tokens that are let in. */
  readonly tokens: Set<string>
  /** Where the engine is mounted, and in which namespace; changed, and nothing is found where it was. */
  place: { mount: string, namespace: string | undefined }
  /** As a Vault before 1.13: takes `associated_data` for a parameter it does not know. */
  ignoresAssociatedData: boolean
  makeKey (name: string, type?: string): void
  key (name: string): TransitKey
  setReachable (reachable: boolean): Promise<void>
  close (): Promise<void>
}

type TransitTrouble = 'throttled' | 'sealed' | 'standby' | 'recovering' | 'performance_standby' | 'internal' | 'denied' | 'redirect' | 'stale_index'
  | 'short_plaintext' | 'long_plaintext' | 'no_plaintext' | 'no_ciphertext' | 'odd_ciphertext'

class TransitError extends Error {
  readonly status: number
  constructor (status: number, message: string) {
    super(message)
    this.status = status
  }
}

interface Input { plaintext?: string, ciphertext?: string, associated_data?: string }

const errors = (status: number, ...said: string[]) => (reply: ServerResponse): void => { json(reply, status, { errors: said }) }
const data = (content: object, warnings: string[] | null = null) => (reply: ServerResponse): void => {
  json(reply, 200, { request_id: randomUUID(), lease_id: '', renewable: false, lease_duration: 0, data: content, wrap_info: null, warnings, auth: null, mount_type: 'transit' })
}

export async function startTransit (token: string): Promise<Transit> {
  const keys = new Map<string, TransitKey>()
  const calls: Transit['calls'] = []
  const troubles = createTroubles<TransitTrouble>({
    throttled: errors(429, 'request path "transit/decrypt/live": rate limit quota exceeded'),
    sealed: errors(503, 'Vault is sealed'),
    standby: errors(429),
    recovering: errors(472),
    performance_standby: errors(473),
    internal: errors(500, '1 error occurred:\n\t* internal error\n\n'),
    denied: errors(403, '1 error occurred:\n\t* permission denied\n\n'),
    redirect: (reply) => { reply.writeHead(307, { location: 'https://active.example.com/' }).end() },
    stale_index: errors(412, 'required index state not present'),
    short_plaintext: data({ plaintext: Buffer.alloc(16, 7).toString('base64') }),
    long_plaintext: data({ plaintext: Buffer.alloc(64, 7).toString('base64') }),
    no_plaintext: data({ plaintext: null }),
    no_ciphertext: data({}),
    odd_ciphertext: data({ ciphertext: 'cipher', key_version: 1 }),
  })
  const provider = await startProvider(async (received, reply) => {
    const { mount, namespace } = transit.place
    const [, verb = '', name = ''] = new RegExp(`^/v1/${mount}/([a-z]+)/([\\w.-]+)$`).exec(received.url) ?? []
    calls.push({ verb, name })
    if (await troubles.befall(reply)) return
    try {
      // Requests of other namespaces are served by other tokens and other mounts.
      const { 'x-vault-namespace': asked, 'x-vault-token': token } = received.headers
      if (asked !== namespace || !transit.tokens.has(String(token))) throw new TransitError(403, 'permission denied')
      if (received.headers['x-vault-request'] !== 'true') throw new TransitError(400, 'missing \'X-Vault-Request\' header')
      if (verb === '') throw new TransitError(404, 'no handler for route. route entry not found.')
      const input = received.body === '' ? {} : JSON.parse(received.body) as Input
      const warnings = transit.ignoresAssociatedData && input.associated_data !== undefined ? ['Endpoint ignored these unrecognized parameters: [associated_data]'] : null
      if (transit.ignoresAssociatedData) delete input.associated_data
      const content = answer(`${received.method} ${verb}`, name, keys.get(name))(input)
      if (content === undefined) json(reply, 404, { errors: [] })
      else data(content, warnings)(reply)
    } catch (error) {
      if (error instanceof TransitError) json(reply, error.status, { errors: [error.message] })
      else json(reply, 500, { errors: [String(error)] })
    }
  })
  const transit: Transit = {
    url: provider.url,
    endpoint: provider.endpoint,
    received: provider.received,
    troubles,
    calls,
    tokens: new Set([token]),
    place: { mount: 'transit', namespace: undefined },
    ignoresAssociatedData: false,
    makeKey: (name, type = 'aes256-gcm96') => { keys.set(name, { type, derived: false, softDeleted: false, versions: [randomBytes(32)], minDecryptionVersion: 1 }) },
    key: (name) => {
      const key = keys.get(name)
      if (key === undefined) throw new Error(`no key ${name}`)
      return key
    },
    setReachable: provider.setReachable,
    close: provider.close,
  }
  return transit
}

function answer (call: string, name: string, key: TransitKey | undefined): (input: Input) => object | undefined {
  switch (call) {
    case 'GET keys': return () => key && describe(name, key)
    // It would be made, by a token that may.
    case 'POST encrypt': return (input) => {
      if (key === undefined) throw new TransitError(403, '1 error occurred:\n\t* permission denied\n\n')
      return encrypt(input, key)
    }
    case 'POST decrypt': return (input) => decrypt(input, key)
    default: throw new TransitError(405, 'unsupported operation')
  }
}

function describe (name: string, { type, derived, softDeleted, versions, minDecryptionVersion }: TransitKey): object {
  const aead = /gcm96|poly1305/.test(type)
  return {
    name, type, derived, soft_deleted: softDeleted, deletion_allowed: false, exportable: false, allow_plaintext_backup: false,
    imported_key: false, auto_rotate_period: 0,
    latest_version: versions.length, min_available_version: 0, min_decryption_version: minDecryptionVersion, min_encryption_version: 0,
    keys: Object.fromEntries(versions.map((_key, index) => [String(index + 1), 1_700_000_000])),
    supports_encryption: aead, supports_decryption: aead, supports_derivation: aead, supports_signing: false,
  }
}

function requireUsable ({ softDeleted, derived, type }: TransitKey, aad: Buffer): void {
  if (softDeleted) throw new TransitError(400, 'key is soft-deleted')
  if (derived) throw new TransitError(500, 'missing \'context\' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key')
  if (/gcm96|poly1305/.test(type)) return
  const what = aad.length > 0 ? '\'[0].associated_data\' provided for non-AEAD cipher suite' : 'encryption not supported for key type'
  throw new TransitError(400, `${what} ${type}`)
}

function encrypt (input: Input, key: TransitKey): object {
  if (input.plaintext === undefined) throw new TransitError(400, 'missing plaintext to encrypt')
  const aad = Buffer.from(input.associated_data ?? '', 'base64')
  requireUsable(key, aad)
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key.versions.at(-1) ?? '', iv)
  cipher.setAAD(aad)
  const sealed = Buffer.concat([iv, cipher.update(Buffer.from(input.plaintext, 'base64')), cipher.final(), cipher.getAuthTag()])
  return { ciphertext: `vault:v${key.versions.length}:${sealed.toString('base64')}`, key_version: key.versions.length }
}

function decrypt (input: Input, key: TransitKey | undefined): object {
  const { ciphertext = '' } = input
  if (ciphertext === '') throw new TransitError(400, 'missing ciphertext to decrypt')
  if (key === undefined) throw new TransitError(400, 'encryption key not found')
  const aad = Buffer.from(input.associated_data ?? '', 'base64')
  requireUsable(key, aad)
  if (!ciphertext.startsWith('vault:v')) throw new TransitError(400, 'invalid ciphertext: no prefix')
  const [version = '', bytes] = ciphertext.slice('vault:v'.length).split(/:(.*)/s)
  if (bytes === undefined) throw new TransitError(400, 'invalid ciphertext: wrong number of fields')
  if (!/^\d+$/.test(version)) throw new TransitError(400, 'invalid ciphertext: version number could not be decoded')
  if (Number(version) > key.versions.length) throw new TransitError(400, 'invalid ciphertext: version is too new')
  if (Number(version) < key.minDecryptionVersion) throw new TransitError(400, 'ciphertext or signature version is disallowed by policy (too old)')
  const sealed = Buffer.from(bytes, 'base64')
  if (sealed.length < 12) throw new TransitError(400, 'invalid ciphertext length')
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.versions[Number(version) - 1] ?? '', sealed.subarray(0, 12))
    decipher.setAAD(aad)
    decipher.setAuthTag(sealed.subarray(-16))
    return { plaintext: Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString('base64') }
  } catch {
    throw new TransitError(400, 'cipher: message authentication failed')
  }
}
