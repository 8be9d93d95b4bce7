import { isObject, type Json, type JsonObject } from './read-document.ts'
import type { Refs } from './refs.ts'
import { ImportError } from './import-error.ts'

/** OpenAPI 3.1, Path Item Object. */
const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const
export type Method = Uppercase<typeof METHODS[number]>

export interface FoundOperation {
  /** `GET /pets/{id}`, as it stands in the document. */
  readonly key: string
  readonly method: Method
  readonly path: string
  readonly pointer: string
  readonly operationId: string | undefined
  readonly tags: readonly string[]
  readonly item: JsonObject
  readonly value: JsonObject
}

/** A path or an operation that the document only points at, and that is not there. */
export interface MissingOperation {
  readonly pointer: string
  readonly reason: string
}

const OPERATIONS_MAX = 20_000

/** All operations of a document, in its order, and what stands in place of some. Throws an ImportError where there are too many. */
export function readOperations (document: JsonObject, refs: Refs): { found: FoundOperation[], missing: MissingOperation[] } {
  const found: FoundOperation[] = []
  const missing: MissingOperation[] = []
  const note = (pointer: string, value: Json | undefined): void => {
    const dangling = refs.findDangling(value)
    if (dangling !== undefined) missing.push({ pointer, reason: `it refers to ${dangling}, which leads nowhere` })
  }
  const paths = isObject(document['paths']) ? document['paths'] : {}
  for (const [path, raw] of Object.entries(paths)) {
    if (path.startsWith('x-')) continue
    const pointer = `/paths/${path.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const item = refs.follow(raw)
    note(pointer, raw)
    if (!isObject(item)) continue
    for (const method of METHODS) {
      if (!Object.hasOwn(item, method)) continue
      const value = refs.follow(item[method])
      note(`${pointer}/${method}`, item[method])
      if (!isObject(value)) continue
      if (found.length === OPERATIONS_MAX) throw new ImportError('/paths', `has more than ${OPERATIONS_MAX} operations`)
      found.push({
        key: `${method.toUpperCase()} ${path}`, method: method.toUpperCase() as Method, path, pointer: `${pointer}/${method}`,
        operationId: typeof value['operationId'] === 'string' ? value['operationId'] : undefined,
        tags: Array.isArray(value['tags']) ? value['tags'].filter((tag): tag is string => typeof tag === 'string') : [],
        item, value,
      })
    }
  }
  return { found, missing }
}
