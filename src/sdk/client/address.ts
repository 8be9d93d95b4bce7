import type { OperationName } from './calls.ts'
import { OPERATIONS } from './operations.ts'

/** Where an operation is, ready to be filled in. */
export interface Address {
  readonly method: string
  /** Members of which its answer has one. */
  readonly has: readonly string[]
  /** Sorts what a caller has given into path, query and body. Throws a TypeError for what does not belong. */
  fill (input: Readonly<Record<string, unknown>>): { path: string, body: string | undefined }
}

interface Row {
  readonly method: string
  readonly path: string
  readonly query?: readonly string[]
  readonly body?: true
  readonly has?: readonly string[]
}

export function createAddress (name: OperationName): Address {
  const { method, path: template, query = [], body: hasBody, has = [] }: Row = OPERATIONS[name]
  // Texts and names in turn.
  const [start = '', ...parts] = template.split(/[{}]/)
  const names = parts.filter((_, index) => index % 2 === 0)
  const texts = parts.filter((_, index) => index % 2 === 1)
  const inPath = new Set(names)
  const inQuery = new Set(query)

  const fill: Address['fill'] = (input) => {
    let path = start
    for (let index = 0; index < names.length; index++) path += encodeSegment(name, names[index] ?? '', input) + (texts[index] ?? '')
    const pairs: string[] = []
    const body: Record<string, unknown> = {}
    for (const key of Object.keys(input)) {
      const value = input[key]
      if (inPath.has(key) || value === undefined) continue
      if (inQuery.has(key)) pairs.push(`${key}=${encodeURIComponent(value as string | number | boolean)}`)
      else if (hasBody === true) body[key] = value
      else throw new TypeError(`${name} takes no ${key}`)
    }
    return { path: pairs.length === 0 ? path : `${path}?${pairs.join('&')}`, body: hasBody === true ? JSON.stringify(body) : undefined }
  }
  return { method, has, fill }
}

/** Dots alone would lead to another route: URLs are normalised before they are sent. */
function encodeSegment (operation: string, name: string, input: Readonly<Record<string, unknown>>): string {
  const value = input[name]
  if (typeof value !== 'string' || value === '' || value === '.' || value === '..') throw new TypeError(`${operation}: ${name} is missing, or none`)
  return encodeURIComponent(value)
}
