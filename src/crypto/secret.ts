import { inspect } from 'node:util'
import { values } from './secret-values.ts'

const MASK = '[secret]'

/**
 * A secret in memory. It has no method that shows it: whoever needs the plaintext imports
 * `reveal`, and who may do so is one list in `test/architecture.test.ts`. Printing, inspecting,
 * serialising or concatenating one gives `[secret]`.
 */
export class Secret {
  /** Use `wrapSecret` at an entry point; `open` makes the others. */
  constructor (value: string) {
    values.set(this, value)
    Object.freeze(this)
  }

  toString (): string { return MASK }
  toJSON (): string { return MASK }
  valueOf (): string { return MASK }
  [Symbol.toPrimitive] (): string { return MASK }
  [inspect.custom] (): string { return MASK }
}

/** The secret fields of one credential version, by field name. */
export type SecretFields = Readonly<Record<string, Secret>>
