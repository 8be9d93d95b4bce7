/** How lists and objects are written in a query or form. */
export type QueryStyle = 'repeat' | 'brackets'

/**
 * Name-value pairs as a query or a form, percent-encoded as RFC 3986 has it (a space is `%20`,
 * which every form parser reads as well). `undefined` members are left out, null is empty.
 */
export function encodePairs (values: Readonly<Record<string, unknown>>, style: QueryStyle): string {
  return flatten(values, style).map(([name, value]) => `${encodeName(name)}=${encodeURIComponent(value)}`).join('&')
}

function flatten (values: Readonly<Record<string, unknown>>, style: QueryStyle): [string, string][] {
  const pairs: [string, string][] = []
  const add = (name: string, value: unknown): void => {
    if (value === undefined) return
    if (value === null) pairs.push([name, ''])
    else if (typeof value === 'string') pairs.push([name, value])
    else if (typeof value === 'object' && style === 'brackets') for (const [key, member] of Object.entries(value)) add(`${name}[${key}]`, member)
    else if (Array.isArray(value)) for (const member of value) add(name, member)
    else pairs.push([name, JSON.stringify(value)])
  }
  for (const [name, value] of Object.entries(values)) add(name, value)
  return pairs
}

/** Brackets stay readable: providers that use them accept both, and their documents show them so. */
function encodeName (name: string): string {
  return encodeURIComponent(name).replaceAll('%5B', '[').replaceAll('%5D', ']')
}

export interface EncodedBody {
  readonly contentType: string
  readonly bytes: Buffer
}

export function encodeBody (value: unknown, encoding: 'json' | 'form'): EncodedBody {
  return encoding === 'json'
    ? { contentType: 'application/json', bytes: Buffer.from(JSON.stringify(value)) }
    : { contentType: 'application/x-www-form-urlencoded', bytes: Buffer.from(encodePairs(value as Record<string, unknown>, 'brackets')) }
}
