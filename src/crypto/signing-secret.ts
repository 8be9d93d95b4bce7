import { randomBytes } from 'node:crypto'
import type { Secret } from './secret.ts'
import { wrapSecret } from './wrap.ts'

const PREFIX = 'whsec_'
const RANDOM_BYTES = 32

export interface NewSigningSecret {
  readonly secret: Secret
  /** Shown once, to whoever is to check the signatures. */
  readonly shown: string
}

/** A symmetric secret as Standard Webhooks writes it: `whsec_` and the base64 of 32 random bytes. */
export function createSigningSecret (): NewSigningSecret {
  const shown = `${PREFIX}${randomBytes(RANDOM_BYTES).toString('base64')}`
  return { shown, secret: wrapSecret(shown) }
}

/** The key in such a secret. Throws a TypeError for anything else. */
export function signingKeyOf (secret: string): Buffer {
  if (!secret.startsWith(PREFIX)) throw new TypeError('not a signing secret')
  return Buffer.from(secret.slice(PREFIX.length), 'base64')
}
