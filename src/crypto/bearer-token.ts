import { randomBytes, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { encodeBase32, encodeBase32Word } from '../ids.ts'
import { sha256 } from './mac.ts'

const RANDOM_BYTES = 32
const PATTERN = /^cvt_([0-9a-z]{52})([0-9a-z]{7})$/

export interface NewBearerToken {
  /** Shown once, then forgotten. */
  readonly token: string
  readonly hash: Buffer
}

/**
 * A service token: `cvt_`, 256 random bits and a CRC-32 of them. The checksum lets a scanner, and
 * the vault itself, tell a mistyped token from an unknown one without a look-up.
 */
export function createBearerToken (): NewBearerToken {
  const body = encodeBase32(randomBytes(RANDOM_BYTES))
  const token = `cvt_${body}${checksum(body)}`
  return { token, hash: sha256(token) }
}

/** What a service token is stored and found by; undefined when it is not one or is mistyped. */
export function hashBearerToken (token: string): Buffer | undefined {
  const [, body, sum] = PATTERN.exec(token) ?? []
  return body !== undefined && sum === checksum(body) ? sha256(token) : undefined
}

/** 256 random bits for a link, a state or a code that is used once, and the hash it is found by. */
export function createOneTimeToken (): NewBearerToken {
  const token = randomBytes(RANDOM_BYTES).toString('base64url')
  return { token, hash: sha256(token) }
}

/** 128 random bits that tell one challenge from all others. */
export function randomNonce (): Buffer {
  return randomBytes(16)
}

/** Equality of two digests, in constant time. */
export function sameDigest (a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

function checksum (body: string): string {
  return encodeBase32Word(crc32(body))
}
