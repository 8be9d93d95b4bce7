import { createSecretKey, hash, hkdfSync, randomBytes, timingSafeEqual, type KeyObject } from 'node:crypto'
import { formatId, idBytes, type KeyId } from '../ids.ts'
import { aeadOpen, aeadSeal, IV_BYTES, KEY_BYTES, TAG_BYTES } from './aead.ts'

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
  // Together: asking the system for randomness costs more than the randomness.
  const random = randomBytes(SALT_BYTES + IV_BYTES)
  const [salt, iv] = [random.subarray(0, SALT_BYTES), random.subarray(SALT_BYTES)]
  const derived = derive(key.key, salt, binding)
  const head = Buffer.concat([Buffer.from([FORMAT]), idBytes('key', key.id), salt, iv, derived.commitment])
  const body = aeadSeal({ key: derived.dataKey, iv, aad: Buffer.concat([head, binding]) }, plaintext)
  return Buffer.concat([head, body]) as Buffer as Sealed
}

/** The id of the key an envelope was sealed under; undefined if it is no envelope of a known format. */
export function envelopeKeyId (sealed: Uint8Array): KeyId | undefined {
  if (sealed.length < BODY_AT + TAG_BYTES || sealed[0] !== FORMAT) return undefined
  return formatId('key', sealed.subarray(1, SALT_AT))
}

/** What opens one envelope, in one place. */
export interface EnvelopeOpener {
  readonly dataKey: KeyObject
  readonly commitment: Uint8Array
  readonly aad: Uint8Array
}

/** Derives what opens an envelope; undefined when it was sealed under another key. */
export function deriveOpener (key: EnvelopeKey, binding: Buffer, sealed: Uint8Array): EnvelopeOpener | undefined {
  if (envelopeKeyId(sealed) !== key.id) return undefined
  return { ...derive(key.key, sealed.subarray(SALT_AT, IV_AT), binding), aad: Buffer.concat([sealed.subarray(0, BODY_AT), binding]) }
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

function derive (key: KeyObject, salt: Uint8Array, binding: Buffer): { dataKey: KeyObject, commitment: Uint8Array } {
  // OpenSSL bounds the info at 1,024 bytes and a list of hosts may be longer: its digest stands for it.
  const info = Buffer.concat([INFO_PREFIX, hash('sha256', binding, 'buffer')])
  const okm = new Uint8Array(hkdfSync('sha256', key, salt, info, KEY_BYTES + COMMITMENT_BYTES))
  // A KeyObject: OpenSSL wipes it when it goes, and Node takes a third of the time to accept it.
  const dataKey = createSecretKey(okm.subarray(0, KEY_BYTES))
  okm.fill(0, 0, KEY_BYTES)
  return { dataKey, commitment: okm.subarray(KEY_BYTES) }
}
