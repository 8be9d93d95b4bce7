import { inspect } from 'node:util'
import { values } from './secret-values.ts'

const MASK = '[secret]'

/**
 * A secret in memory. It has no method that shows it: whoever needs the plaintext imports
 * `reveal`, and who may do so is one list in `test/architecture.test.ts`. Printing, inspecting,
 * serialising or concatenating one gives `[secret]`.
 */
export class Secret {
  readonly #value: string

  /** Use `wrapSecret` at an entry point; `open` makes the others. */
  constructor (value: string) {
    this.#value = value
    Object.freeze(this)
  }

  // A weak map of all plaintexts would be gone through at every collection of garbage.
  static { values.read = (secret) => #value in secret ? secret.#value : undefined }

  toString (): string { return MASK }
  toJSON (): string { return MASK }
  valueOf (): string { return MASK }
  [Symbol.toPrimitive] (): string { return MASK }
  [inspect.custom] (): string { return MASK }
}

/** The secret fields of one credential version, by field name. */
export type SecretFields = Readonly<Record<string, Secret>>
