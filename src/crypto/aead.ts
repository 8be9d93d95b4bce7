import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'

/** AES-256-GCM, NIST SP 800-38D, with the only nonce and tag lengths the vault ever uses. */
export const KEY_BYTES = 32
export const IV_BYTES = 12
export const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'

export interface AeadInput {
  readonly key: KeyObject | Uint8Array
  readonly iv: Uint8Array
  readonly aad: Uint8Array
}

/** Encrypts; answers ciphertext followed by its 128-bit tag. */
export function aeadSeal (input: AeadInput, plaintext: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(plaintext.length + TAG_BYTES)
  aeadSealInto(sealed, input, plaintext)
  return sealed
}

/** As `aeadSeal`, into bytes that are there: as many as the plaintext's and the tag's. */
export function aeadSealInto (into: Uint8Array, input: AeadInput, plaintext: Uint8Array): void {
  const cipher = createCipheriv(CIPHER, input.key, input.iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(input.aad)
  into.set(cipher.update(plaintext))
  // GCM holds nothing back: what `final` gives is empty.
  cipher.final()
  into.set(cipher.getAuthTag(), plaintext.length)
}

/** Decrypts what `aeadSeal` made; undefined when anything of it, the key or the AAD differs. */
export function aeadOpen (input: AeadInput, sealed: Uint8Array): Buffer | undefined {
  const tagAt = sealed.length - TAG_BYTES
  if (tagAt < 0 || input.iv.length !== IV_BYTES) return undefined
  // authTagLength: without it Node accepts a tag cut down to 4 bytes.
  const decipher = createDecipheriv(CIPHER, input.key, input.iv, { authTagLength: TAG_BYTES })
  decipher.setAAD(input.aad)
  decipher.setAuthTag(sealed.subarray(tagAt))
  const plaintext = decipher.update(sealed.subarray(0, tagAt))
  try {
    decipher.final()
    return plaintext
  } catch {
    plaintext.fill(0)
    return undefined
  }
}
