import { createHmac, randomBytes } from 'node:crypto'
import { CompactEncrypt, compactDecrypt, exportJWK, GeneralEncrypt, generalDecrypt, generateKeyPair, importJWK, type GeneralJWE, type JWK } from 'jose'

/**
 * Inputs and outputs that the vault can't read: JWE (RFC 7516) with ECDH-ES+A256KW over X25519
 * (RFC 8037) and A256GCM, one recipient for each agent that may run the call.
 */
const ALG = 'ECDH-ES+A256KW'
const ENC = 'A256GCM'
const CURVE = 'X25519'
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** An agent's key, as its log says it when it starts. The vault lists it too; who does not trust the vault does not take it from there. */
export interface Recipient {
  readonly agentId: string
  /** X25519, 32 bytes in base64url. */
  readonly publicKey: string
}

/** As a type of its own, it is a JSON object to the client: an interface could still get other members. */
type Encrypted = { readonly [Member in keyof GeneralJWE]: GeneralJWE[Member] }

export interface EncryptedCall {
  /** For the body of invoke, in place of `input`. Send the same again to repeat a call under its idempotency key. */
  readonly encrypted_input: { readonly jwe: Encrypted, readonly digest: string }
  /** Opens the `output` of the answer. Throws when it is not the agent's answer to this call. */
  open (output: unknown): Promise<EncryptedAnswer>
}

/** What an agent answers: the output, or what went wrong in its words. */
export interface EncryptedAnswer {
  readonly output?: unknown
  readonly error?: { readonly class: string, readonly message: string }
}

/** What lies in an encrypted input. The action, an id and an end are in it, so that nobody makes another call of it, nor a second one. */
interface Letter {
  readonly v: 2
  readonly id: string
  /** Of the clock of whoever writes it. */
  readonly expires_at: string
  readonly action: string
  readonly input: unknown
  readonly reply_to: JWK
}

export interface CallToEncrypt {
  readonly action: string
  readonly input: unknown
  readonly recipients: readonly Recipient[]
  readonly digestKey?: Uint8Array
  /** How long agents take it: as long as it may wait and run, `queue_seconds` and `timeout_ms` together. An hour when left out, 25 at most. */
  readonly validForSeconds?: number
}

const VALID_SECONDS = { usual: 3_600, most: 90_000 }

/**
 * Encrypts an input to the agents that may run it. Each of them runs it as one call only. With `digestKey`, 32 secret bytes of the
 * caller's, the same action and input have the same digest, and so are one call under one key
 * though they were encrypted twice; without it, repeat the very same body.
 */
export async function encryptCall (call: CallToEncrypt): Promise<EncryptedCall> {
  const { validForSeconds = VALID_SECONDS.usual } = call
  if (!(validForSeconds > 0 && validForSeconds <= VALID_SECONDS.most)) throw new TypeError(`validForSeconds is ${VALID_SECONDS.most} at most`)
  if (call.recipients.length === 0) throw new TypeError('nobody could read it: name at least one agent')
  const { publicKey, privateKey } = await generateKeyPair(ALG, { crv: CURVE, extractable: true })
  const letter: Letter = {
    v: 2, id: randomBytes(16).toString('base64url'), expires_at: new Date(Date.now() + validForSeconds * 1_000).toISOString(),
    action: call.action, input: call.input, reply_to: await exportJWK(publicKey),
  }
  const jwe = new GeneralEncrypt(encoder.encode(JSON.stringify(letter))).setProtectedHeader({ enc: ENC })
  for (const { agentId, publicKey: x } of call.recipients) {
    jwe.addRecipient(await importJWK({ kty: 'OKP', crv: CURVE, x }, ALG)).setUnprotectedHeader({ alg: ALG, kid: agentId })
  }
  const digest = createHmac('sha256', call.digestKey ?? randomBytes(32)).update(canonical([call.action, call.input])).digest('base64url')
  return {
    encrypted_input: { jwe: await jwe.encrypt(), digest },
    open: async (output: unknown) => {
      const sealed = (output as { jwe?: unknown } | null)?.jwe
      if (typeof sealed !== 'string') throw new TypeError('the output is not encrypted')
      const { plaintext } = await compactDecrypt(sealed, privateKey, { keyManagementAlgorithms: [ALG], contentEncryptionAlgorithms: [ENC] })
      return JSON.parse(decoder.decode(plaintext)) as EncryptedAnswer
    },
  }
}

/** An input that was encrypted to this agent, and the way to answer it. */
export interface OpenedCall {
  /** Of what was encrypted once. */
  readonly id: string
  readonly expiresAtMs: number
  readonly action: string
  readonly input: unknown
  /** Encrypts an answer, written as JSON, to the caller. */
  answer (json: string): Promise<string>
}

/** Throws when it was not encrypted to this key, or is none of ours. */
export async function openCall (jwe: unknown, key: JWK): Promise<OpenedCall> {
  const options = { keyManagementAlgorithms: [ALG], contentEncryptionAlgorithms: [ENC] }
  const { plaintext } = await generalDecrypt(jwe as GeneralJWE, await importJWK(key, ALG), options)
  const letter = JSON.parse(decoder.decode(plaintext)) as Partial<Letter>
  const expiresAtMs = Date.parse(String(letter.expires_at))
  if (letter.v !== 2 || typeof letter.action !== 'string' || letter.reply_to === undefined || !isId(letter.id) || Number.isNaN(expiresAtMs)) throw new TypeError('the encrypted input is of another kind')
  const replyTo = await importJWK(letter.reply_to, ALG)
  return {
    id: letter.id,
    expiresAtMs,
    action: letter.action,
    input: letter.input,
    answer: async (json: string) => {
      const jwe = await new CompactEncrypt(encoder.encode(json)).setProtectedHeader({ alg: ALG, enc: ENC }).encrypt(replyTo)
      return JSON.stringify({ jwe })
    },
  }
}

function isId (id: unknown): id is string {
  return typeof id === 'string' && /^[\w-]{22}$/.test(id)
}

/** Keys in order, so that equal values are equal texts. */
function canonical (value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => member !== null && typeof member === 'object' && !Array.isArray(member)
    ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => a < b ? -1 : 1))
    : member)
}
