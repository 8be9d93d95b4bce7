import { ImportError } from './import-error.ts'
import { isObject, type Json, type JsonObject } from './read-document.ts'

const HOPS_MAX = 20
const LISTED_MAX = 20

/** References within one document. Nothing is ever fetched. */
export interface Refs {
  /** What a value stands for: itself, or what its `$ref` leads to in the end; undefined when that is nowhere. */
  follow (value: Json | undefined): Json | undefined
  /** The reference that leads nowhere, of a value that is one, or is one in the end. */
  findDangling (value: Json | undefined): string | undefined
  /** The value at a local reference. */
  find (ref: string): Json | undefined
}

/** Throws an ImportError that lists the references which lead out of the document. */
export function createRefs (document: JsonObject): Refs {
  refuseOutside(document)
  const find = (ref: string): Json | undefined => ref.startsWith('#') ? walk(document, ref.slice(1)) : undefined
  const chase = (value: Json | undefined): { found: Json | undefined, last: string | undefined } => {
    let [found, last] = [value, undefined as string | undefined]
    for (let hops = 0; isObject(found) && typeof found['$ref'] === 'string'; hops++) {
      last = found['$ref']
      if (hops === HOPS_MAX) return { found: undefined, last }
      found = find(last)
    }
    return { found, last }
  }
  return {
    find,
    follow: (value) => chase(value).found,
    findDangling: (value) => {
      const { found, last } = chase(value)
      return found === undefined ? last?.slice(0, 200) : undefined
    },
  }
}

function walk (document: JsonObject, pointer: string): Json | undefined {
  let value: Json | undefined = document
  for (const part of pointer.split('/').slice(1)) {
    const key = decode(part).replaceAll('~1', '/').replaceAll('~0', '~')
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, Json>)[key]
  }
  return pointer === '' || pointer.startsWith('/') ? value : undefined
}

function decode (part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** In `example`, `default` and `enum` a `$ref` is a value; and a schema may have a property of that name. */
const VALUES: ReadonlySet<string> = new Set(['example', 'examples', 'default', 'enum', 'const', 'value'])

function refuseOutside (document: JsonObject): void {
  const outside = new Set<string>()
  const visit = (value: Json): void => {
    if (value === null || typeof value !== 'object') return
    for (const [key, member] of Object.entries(value)) {
      if (key === '$ref' && typeof member === 'string') {
        if (!member.startsWith('#')) outside.add(member.slice(0, 200))
      } else if (!VALUES.has(key) && !key.startsWith('x-')) visit(member)
    }
  }
  visit(document)
  if (outside.size > 0) {
    const listed = [...outside].slice(0, LISTED_MAX).join(', ')
    throw new ImportError('', `refers to ${outside.size} places outside of it, which are never fetched; bundle it into one document first: ${listed}`)
  }
}
