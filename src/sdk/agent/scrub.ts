const SCRUBBED = '[credential]'
/** Shorter ones stand in too many words. */
const LENGTH_MIN = 4

/** Takes credentials, as they are and in their usual disguises, out of texts. */
export type Scrub = (text: string) => string

export function createScrub (credentials: Readonly<Record<string, string>>): Scrub {
  const forms = new Set(Object.values(credentials).filter((value) => value.length >= LENGTH_MIN).flatMap((value) => {
    const base64 = Buffer.from(value).toString('base64')
    return [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1), base64, base64.replace(/=+$/, ''), Buffer.from(value).toString('base64url')]
  }))
  // The longest first: one may be a part of another.
  const sorted = [...forms].sort((a, b) => b.length - a.length)
  return (text) => sorted.reduce((left, form) => left.replaceAll(form, SCRUBBED), text)
}

/** What an action answered, as JSON without its credentials; bytes as `{content_type, base64}`. Throws what JSON.stringify throws. */
export function toJson (output: unknown, scrub: Scrub): string {
  return JSON.stringify(clean(output, scrub, new Set()))
}

/** A copy, since a Buffer's own toJSON comes before any replacer and keys pass by it. */
function clean (value: unknown, scrub: Scrub, within: Set<object>): unknown {
  if (typeof value === 'string') return scrub(value)
  if (value === undefined) return null
  if (value === null || typeof value !== 'object') return value
  if (value instanceof Uint8Array) return { content_type: 'application/octet-stream', base64: scrub(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')) }
  if (within.has(value)) throw new TypeError('it is circular')
  if ('toJSON' in value && typeof value.toJSON === 'function') return clean((value.toJSON as () => unknown)(), scrub, within)
  within.add(value)
  const copy = Array.isArray(value)
    ? value.map((member) => clean(member, scrub, within))
    : Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined && typeof member !== 'function').map(([key, member]) => [scrub(key), clean(member, scrub, within)]))
  within.delete(value)
  return copy
}
