/** Tells a provider's answer by its status, a header, or a value in its JSON body; what is given must all hold. */
export interface Predicate {
  readonly status?: number | readonly number[]
  readonly header?: string
  /** JSON pointer (RFC 6901) into the body. */
  readonly pointer?: string
  /** What the header or the pointed-at value is; any value when left out. */
  readonly is?: readonly (string | number | boolean)[]
  /** The pointed-at value is not there. */
  readonly absent?: true
}

/** A provider's answer as predicates look at it. */
export interface JudgedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** The parsed body; undefined when it is not JSON. */
  readonly json: unknown
}

export function matches (predicate: Predicate, answer: JudgedAnswer): boolean {
  const { status, header, pointer, is, absent } = predicate
  if (status !== undefined && ![status].flat().includes(answer.status)) return false
  const fits = (value: unknown) => value !== undefined && (is === undefined || is.some((wanted) => wanted === value))
  if (header !== undefined && !fits(answer.headers[header])) return false
  if (pointer === undefined) return true
  const value = readPointer(answer.json, pointer)
  return absent === true ? value === undefined : fits(value)
}

/** What the first pointer that leads to something leads to. */
export function readFirst (value: unknown, pointers: string | readonly string[]): unknown {
  return [pointers].flat().map((pointer) => readPointer(value, pointer)).find((found) => found !== undefined && found !== null)
}

/** JSON pointer (RFC 6901). */
export function readPointer (value: unknown, pointer: string): unknown {
  let at = value
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~')
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, name)) return undefined
    at = (at as Record<string, unknown>)[name]
  }
  return at
}
