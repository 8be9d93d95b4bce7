import type { Secret } from './secret.ts'
import { values } from './secret-values.ts'

/**
 * The plaintext of a secret. Not part of the room's index on purpose: importing this file is the
 * permission to see plaintext, and the files that may are listed, each with its reason, in
 * `test/architecture.test.ts`.
 */
export function reveal (secret: Secret): string {
  const value = values.read(secret)
  if (value === undefined) throw new TypeError('not a secret of this process')
  return value
}
