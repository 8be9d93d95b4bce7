import { createSecretKey, hash, hkdfSync, randomFillSync, timingSafeEqual, type KeyObject } from 'node:crypto'
import { formatId, idBytes, type KeyId } from '../ids.ts'
import { aeadOpen, aeadSealInto, IV_BYTES, KEY_BYTES, TAG_BYTES } from './aead.ts'

/**
 * Envelope, format 1:
 *
 *     1 byte   format (0x01)
 *     16 bytes id of the key it was sealed under
 *     32 bytes salt
 *     12 bytes iv
 *     32 bytes key commitment
 *     n bytes  ciphertext
 *     16 bytes tag
 *
 * HKDF-SHA-256 (RFC 5869) of the key, the salt and the binding gives 64 bytes: the data key and
 * the commitment. GCM alone does not commit to its key (two keys can open one ciphertext), so
 * the commitment is compared before anything is decrypted.
 */
const FORMAT = 1
const KEY_ID_BYTES = 16
const SALT_BYTES = 32
const COMMITMENT_BYTES = 32
const SALT_AT = 1 + KEY_ID_BYTES
const IV_AT = SALT_AT + SALT_BYTES
const COMMITMENT_AT = IV_AT + IV_BYTES
const BODY_AT = COMMITMENT_AT + COMMITMENT_BYTES
const INFO_PREFIX = Buffer.from('connection-vault envelope 1\0')

/** Ciphertext of secret fields as it is stored. Only `seal` makes one. */
export type Sealed = Buffer & { readonly __sealed: true }

/** Ciphertext of anything else that is nobody's but a tenant's: a stored result, a queued payload. */
export type SealedPayload = Buffer & { readonly __sealedPayload: true }

export interface EnvelopeKey {
  readonly id: KeyId
  readonly key: KeyObject
}

/** Seals bytes under a key for one place. */
export function sealEnvelope (key: EnvelopeKey, binding: Buffer, plaintext: Uint8Array): Sealed {
  return sealAt(key, { binding, info: infoOf(binding) }, plaintext)
}

/** Opens an envelope and seals what is in it for the same place; undefined when it does not open. */
export function resealEnvelope ({ from, to }: { from: EnvelopeKey, to: EnvelopeKey }, binding: Buffer, sealed: Uint8Array): Sealed | undefined {
  const place = { binding, info: infoOf(binding) }
  const opener = openerAt(from, place, sealed)
  const plaintext = opener && openWith(opener, sealed)
  if (plaintext === undefined) return undefined
  const again = sealAt(to, place, plaintext)
  plaintext.fill(0)
  return again
}

function sealAt (key: EnvelopeKey, { binding, info }: Place, plaintext: Uint8Array): Sealed {
  const sealed = Buffer.allocUnsafe(BODY_AT + plaintext.length + TAG_BYTES)
  sealed[0] = FORMAT
  sealed.set(idBytes('key', key.id), 1)
  const [salt, iv] = [sealed.subarray(SALT_AT, IV_AT), sealed.subarray(IV_AT, COMMITMENT_AT)]
  fillSaltAndIv(sealed.subarray(SALT_AT, COMMITMENT_AT))
  const { dataKey, commitment } = derive(key.key, salt, info)
  sealed.set(commitment, COMMITMENT_AT)
  aeadSealInto(sealed.subarray(BODY_AT), { key: dataKey, iv, aad: Buffer.concat([sealed.subarray(0, BODY_AT), binding]) }, plaintext)
  return sealed as Buffer as Sealed
}

/**
 * Salts and IVs, from the system's generator, a page of them at a time: asking it costs more than deriving a key. Each is handed
 * out once. They stand in the open in what they seal: to know the next ones beforehand is of no use without the key.
 */
const random = Buffer.alloc((SALT_BYTES + IV_BYTES) * 100)
let randomAt = random.length

function fillSaltAndIv (into: Uint8Array): void {
  if (randomAt === random.length) {
    randomFillSync(random)
    randomAt = 0
  }
  into.set(random.subarray(randomAt, randomAt += SALT_BYTES + IV_BYTES))
}

/** The id of the key an envelope was sealed under; undefined if it is no envelope of a known format. */
export function envelopeKeyId (sealed: Uint8Array): KeyId | undefined {
  if (sealed.length < BODY_AT + TAG_BYTES || sealed[0] !== FORMAT) return undefined
  return formatId('key', sealed.subarray(1, SALT_AT))
}

/** Where an envelope belongs, and what goes into the derivation of its keys. */
interface Place {
  readonly binding: Buffer
  readonly info: Buffer
}

/** What opens one envelope, in one place. */
export interface EnvelopeOpener {
  readonly dataKey: KeyObject
  readonly commitment: Uint8Array
  readonly aad: Uint8Array
}

/** Derives what opens an envelope; undefined when it was sealed under another key. */
export function deriveOpener (key: EnvelopeKey, binding: Buffer, sealed: Uint8Array): EnvelopeOpener | undefined {
  return openerAt(key, { binding, info: infoOf(binding) }, sealed)
}

function openerAt (key: EnvelopeKey, { binding, info }: Place, sealed: Uint8Array): EnvelopeOpener | undefined {
  if (envelopeKeyId(sealed) !== key.id) return undefined
  return { ...derive(key.key, sealed.subarray(SALT_AT, IV_AT), info), aad: Buffer.concat([sealed.subarray(0, BODY_AT), binding]) }
}

/** Opens the envelope the opener was derived for; undefined when it was changed or moved. */
export function openWith ({ dataKey, commitment, aad }: EnvelopeOpener, sealed: Uint8Array): Buffer | undefined {
  if (!timingSafeEqual(commitment, sealed.subarray(COMMITMENT_AT, BODY_AT))) return undefined
  return aeadOpen({ key: dataKey, iv: sealed.subarray(IV_AT, COMMITMENT_AT), aad }, sealed.subarray(BODY_AT))
}

/** Opens an envelope; undefined when it was changed, moved, or sealed under another key. */
export function openEnvelope (key: EnvelopeKey, binding: Buffer, sealed: Uint8Array): Buffer | undefined {
  const opener = deriveOpener(key, binding, sealed)
  return opener && openWith(opener, sealed)
}

/** OpenSSL bounds the info at 1,024 bytes and a list of hosts may be longer: its digest stands for it. */
function infoOf (binding: Buffer): Buffer {
  return Buffer.concat([INFO_PREFIX, hash('sha256', binding, 'buffer')])
}

function derive (key: KeyObject, salt: Uint8Array, info: Buffer): { dataKey: KeyObject, commitment: Uint8Array } {
  const okm = new Uint8Array(hkdfSync('sha256', key, salt, info, KEY_BYTES + COMMITMENT_BYTES))
  // A KeyObject: OpenSSL wipes it when it goes, and Node takes a third of the time to accept it.
  const dataKey = createSecretKey(okm.subarray(0, KEY_BYTES))
  okm.fill(0, 0, KEY_BYTES)
  return { dataKey, commitment: okm.subarray(KEY_BYTES) }
}
