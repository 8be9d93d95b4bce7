/** What is shown in place of a secret. */
const MASK = '[secret]'

/**
 * Hides secret members from whatever prints, logs or writes objects as JSON: the members themselves are not
 * enumerable, which holds in any runtime, and what they hold shows its names only. Reading them is as ever.
 */
export function conceal<T extends object> (value: T, members: readonly (keyof T)[]): T {
  for (const member of members) {
    const held = value[member]
    if (typeof held === 'object' && held !== null) mask(held)
    Object.defineProperty(value, member, { enumerable: false })
  }
  return value
}

function mask (held: object): void {
  const show = { value: () => maskValues(held) }
  Object.defineProperties(held, { toJSON: show, [Symbol.for('nodejs.util.inspect.custom')]: show, [Symbol.for('Deno.customInspect')]: show })
}

function maskValues (held: object): unknown {
  return Object.fromEntries(Object.entries(held).map(([name, value]) => [name, typeof value === 'object' && value !== null ? maskValues(value as object) : MASK]))
}
