import { createFinder, LENGTH_MIN, type Span } from './disguises.ts'

const SCRUBBED = '[credential]'

/** Takes credentials, as they are and in their usual disguises, out of what leaves. */
export interface Scrub {
  text (value: string): string
  /** Kept in length: a file's structure survives. */
  bytes (value: Uint8Array): Buffer
  /** Whether whoever takes a credential for a number would write this one. */
  isCredential (value: number): boolean
}

export function createScrub (credentials: Readonly<Record<string, string>>): Scrub {
  const values = Object.values(credentials).flatMap(asSent)
  const find = createFinder(values)
  const numbers = new Set(values.filter((value) => /^-?\d+$/.test(value)).map(Number).filter((value) => String(value).length >= LENGTH_MIN))
  return Object.freeze({
    text: (value: string) => {
      const bytes = Buffer.from(value)
      const spans = find(bytes.toString('latin1'))
      return spans.length === 0 ? value : replace(bytes, spans)
    },
    bytes: (value: Uint8Array) => {
      const bytes = Buffer.from(value)
      for (const { from, to } of find(bytes.toString('latin1'))) bytes.fill('*', from, to)
      return bytes
    },
    isCredential: (value: number) => numbers.has(value),
  })
}

/** Headers go out without white space around them, and who reads one may take its scheme off. */
function asSent (value: string): string[] {
  const trimmed = value.trim()
  return [value, trimmed, trimmed.replace(/^(?:basic|bearer|token) +/i, '')]
}

function replace (bytes: Buffer, spans: readonly Span[]): string {
  let clean = ''
  let done = 0
  for (const { from, to } of spans) {
    clean += bytes.toString('utf8', done, from) + SCRUBBED
    done = to
  }
  return clean + bytes.toString('utf8', done)
}

/** What an action answered, as JSON without its credentials; bytes as `{content_type, base64}`. Throws what JSON.stringify throws. */
export function toJson (output: unknown, scrub: Scrub): string {
  return JSON.stringify(clean(output, scrub, new Set()))
}

/** A copy, since a Buffer's own toJSON comes before any replacer and keys pass by it. */
function clean (value: unknown, scrub: Scrub, within: Set<object>): unknown {
  if (typeof value === 'string') return scrub.text(value)
  if (value === undefined) return null
  if (typeof value === 'number' && scrub.isCredential(value)) return SCRUBBED
  if (value === null || typeof value !== 'object') return value
  if (value instanceof Uint8Array) return { content_type: 'application/octet-stream', base64: scrub.bytes(value).toString('base64') }
  if (within.has(value)) throw new TypeError('it is circular')
  if ('toJSON' in value && typeof value.toJSON === 'function') return clean((value.toJSON as () => unknown)(), scrub, within)
  within.add(value)
  const copy = Array.isArray(value)
    ? value.map((member) => clean(member, scrub, within))
    : Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined && typeof member !== 'function').map(([key, member]) => [scrub.text(key), clean(member, scrub, within)]))
  within.delete(value)
  return copy
}
