import { upgrade } from '@scalar/openapi-upgrader'
import { parseDocument } from 'yaml'
import { countMembers, measureJson } from '../../json.ts'
import { ImportError } from './import-error.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
export type JsonObject = { readonly [name: string]: Json }

export interface ReadDocument {
  /** OpenAPI 3.1, whatever it was. */
  readonly document: JsonObject
  /** As the document said. */
  readonly version: string
}

const BYTES_MAX = 25 * 1_024 * 1_024
/** What aliases unfold to counts: a few lines of YAML can be billions of nodes. */
const NODES_MAX = 3_000_000
const DEPTH_MAX = 200
const ALIASES_MAX = 10_000
const NO_LIMITS = { depth: Infinity, keys: Infinity, items: Infinity, containers: Infinity }

/** Parses a document of OpenAPI 3.2, 3.1, 3.0 or Swagger 2.0, in JSON or YAML 1.2. Throws an ImportError. */
export function readDocument (bytes: Uint8Array): ReadDocument {
  if (bytes.length > BYTES_MAX) throw new ImportError('', `is larger than ${BYTES_MAX / 1_048_576} MB`)
  const { value, json } = parseText(decode(bytes))
  measure(value)
  // Two readers of such an object need not agree on what it says.
  if (json && measureJson(bytes, NO_LIMITS).keys !== countMembers(value)) throw new ImportError('', 'has the same name twice in one object')
  if (!isObject(value)) throw new ImportError('', 'is no OpenAPI document: it is not an object')
  const version = readVersion(value)
  return { document: version.startsWith('3.1') || version.startsWith('3.2') ? value : upgradeDocument(value, version), version }
}

export function isObject (value: unknown): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function decode (bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new ImportError('', 'is not UTF-8')
  }
}

/** YAML itself refuses a name twice. */
function parseText (text: string): { value: unknown, json: boolean } {
  if (/^\s*[{[]/.test(text)) {
    try {
      return { value: JSON.parse(text), json: true }
    } catch {
      // YAML can begin with a brace, too.
    }
  }
  try {
    const parsed = parseDocument(text, { maxAliasCount: ALIASES_MAX, logLevel: 'error', version: '1.2' } as object)
    const [error] = parsed.errors
    if (error !== undefined) throw error
    return { value: parsed.toJS({ maxAliasCount: ALIASES_MAX }), json: false }
  } catch (error) {
    const [line = 'it can’t be parsed'] = (error instanceof Error ? error.message : '').split('\n')
    throw new ImportError('', `is neither JSON nor YAML: ${line.slice(0, 200).replace(/[:.]+$/, '')}`)
  }
}

/** Counts what walking the document would visit, and refuses what has no end. */
function measure (root: unknown): void {
  let nodes = 0
  const path = new Set<object>()
  const visit = (value: unknown, depth: number): void => {
    if (++nodes > NODES_MAX) throw new ImportError('', `has more than ${NODES_MAX} nodes once its aliases are unfolded`)
    if (value === null || typeof value !== 'object') return
    if (depth > DEPTH_MAX) throw new ImportError('', `is nested more than ${DEPTH_MAX} levels deep`)
    if (path.has(value)) throw new ImportError('', 'holds itself, by a YAML alias')
    path.add(value)
    for (const member of Object.values(value)) visit(member, depth + 1)
    path.delete(value)
  }
  visit(root, 0)
}

function readVersion (value: JsonObject): string {
  const version = value['openapi'] ?? value['swagger']
  const text = typeof version === 'number' ? version.toFixed(1) : version
  if (typeof text !== 'string') throw new ImportError('', 'is no OpenAPI document: it has neither `openapi` nor `swagger`')
  if (!/^(2\.0|3\.[012])(\.|$|-)/.test(text)) throw new ImportError('/openapi', `is version ${text.slice(0, 20)}: Swagger 2.0 and OpenAPI 3.0, 3.1 and 3.2 are read`)
  return text
}

/** The library expects documents that are right in places where they often are not. */
function upgradeDocument (value: JsonObject, version: string): JsonObject {
  const openapi = value['swagger'] === undefined ? { ...value, openapi: version } : { ...value, swagger: '2.0' }
  try {
    return upgrade(openapi, '3.1')
  } catch (error) {
    throw new ImportError('', `can’t be read as the version it says it is: ${error instanceof Error ? error.message.slice(0, 200) : ''}`)
  }
}
