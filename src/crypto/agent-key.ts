import { createPublicKey, verify, type KeyObject } from 'node:crypto'

const BYTES = 32

/** Whether 32 bytes can be an Ed25519 public key (RFC 8032, 5.1.3). */
export function isAgentKey (bytes: Uint8Array): boolean {
  return toKey(bytes) !== undefined
}

/** Whether the holder of the key has signed this. */
export function isSignedBy (publicKey: Uint8Array, data: string, signature: Uint8Array): boolean {
  const key = toKey(publicKey)
  return key !== undefined && signature.length === BYTES * 2 && verify(null, Buffer.from(data), key, signature)
}

function toKey (bytes: Uint8Array): KeyObject | undefined {
  if (bytes.length !== BYTES) return undefined
  try {
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(bytes).toString('base64url') }, format: 'jwk' })
  } catch {
    return undefined
  }
}
