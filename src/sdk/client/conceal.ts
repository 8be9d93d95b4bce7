import type { Answer } from './calls.ts'

/** What is shown in place of a secret. */
const MASK = '[secret]'

function show (this: object): unknown {
  return Object.fromEntries(Object.keys(this).map((name) => [name, MASK]))
}

/**
 * What maps of secrets inherit from: all that any object inherits, and another way to be shown. Nothing is
 * added to the map itself, because `fetch` reads even what is hidden of a map of headers. No prototype
 * of its own, because many an HTTP client takes only what looks like a plain object.
 */
const MASKED: object = Object.create(null, {
  ...Object.getOwnPropertyDescriptors(Object.prototype),
  toJSON: { value: show },
  [Symbol.for('nodejs.util.inspect.custom')]: { value: show },
}) as object

const HIDDEN = { enumerable: false }

/**
 * Hides what is secret from whatever prints, logs or writes objects as JSON. `credentials` and `request` are not
 * enumerable, which holds in any runtime; the maps of secrets in them show their names only. Reading them is as ever.
 */
export function conceal (credential: Answer<'resolveConnection'>): Answer<'resolveConnection'> {
  const { credentials, request } = credential
  for (const secrets of [credentials, request?.headers, request?.query]) if (typeof secrets === 'object') Object.setPrototypeOf(secrets, MASKED)
  Object.defineProperty(credential, 'credentials', HIDDEN)
  return Object.defineProperty(credential, 'request', HIDDEN)
}
