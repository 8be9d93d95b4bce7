import { isObject, type JsonObject } from './read-document.ts'
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

const OPERATIONS_MAX = 20_000

/** All operations of a document, in its order. Throws an ImportError where there are too many. */
export function readOperations (document: JsonObject, refs: Refs): FoundOperation[] {
  const found: FoundOperation[] = []
  const paths = isObject(document['paths']) ? document['paths'] : {}
  for (const [path, raw] of Object.entries(paths)) {
    const item = refs.follow(raw)
    if (path.startsWith('x-') || !isObject(item)) continue
    for (const method of METHODS) {
      const value = Object.hasOwn(item, method) ? refs.follow(item[method]) : undefined
      if (!isObject(value)) continue
      if (found.length === OPERATIONS_MAX) throw new ImportError('/paths', `has more than ${OPERATIONS_MAX} operations`)
      found.push({
        key: `${method.toUpperCase()} ${path}`, method: method.toUpperCase() as Method, path, pointer: `/paths/${path.replaceAll('~', '~0').replaceAll('/', '~1')}/${method}`,
        operationId: typeof value['operationId'] === 'string' ? value['operationId'] : undefined,
        tags: Array.isArray(value['tags']) ? value['tags'].filter((tag): tag is string => typeof tag === 'string') : [],
        item, value,
      })
    }
  }
  return found
}
