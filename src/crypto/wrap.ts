import { Secret } from './secret.ts'

/**
 * Turns a plaintext that has just arrived into a Secret. Importing this file marks an entry
 * point; the entry points are listed in `test/architecture.test.ts`.
 */
export function wrapSecret (plaintext: string): Secret {
  return new Secret(plaintext)
}
