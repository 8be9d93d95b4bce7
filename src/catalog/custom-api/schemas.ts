import { withHash } from './names.ts'
import { isObject, type Json, type JsonObject } from './read-document.ts'
import type { Refs } from './refs.ts'

/** JSON Schemas of inputs, out of a document's: what callers can't send is left out, references stay references. */
export interface SchemaWriter {
  /** A schema for input. */
  write (schema: Json | undefined): JsonObject
  /** All that schemas written so far point at, by name. */
  definitions (): Record<string, JsonObject>
  /** References, of what was written so far, that lead nowhere: anything is taken in their place. */
  dangling (): readonly string[]
}

const TYPES: ReadonlySet<string> = new Set(['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'])
const NUMBERS = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties'] as const
const LISTS = ['allOf', 'anyOf', 'oneOf', 'prefixItems'] as const
const SINGLES = ['items', 'additionalProperties', 'not', 'contains', 'propertyNames', 'if', 'then', 'else'] as const
const TEXTS = ['title', 'description', 'format', 'pattern', 'contentEncoding', 'contentMediaType'] as const
const TEXT_MAX = 1_000

export function createSchemaWriter (refs: Refs): SchemaWriter {
  const written = new Map<string, JsonObject>()
  const waiting: { name: string, ref: string }[] = []
  const names = new Map<string, string>()
  const dangling = new Set<string>()

  const point = (ref: string): JsonObject => {
    if (refs.find(ref) === undefined) {
      dangling.add(ref.slice(0, 200))
      return {}
    }
    let name = names.get(ref)
    if (name === undefined) {
      name = definitionName(ref)
      names.set(ref, name)
      waiting.push({ name, ref })
    }
    return { $ref: `#/$defs/${name}` }
  }

  const members = (schema: JsonObject): [string, Json][] => {
    const entries: [string, Json][] = []
    const { properties, required } = schema
    if (isObject(properties)) {
      const kept = Object.entries(properties).filter(([, one]) => !isReadOnly(one, refs))
      entries.push(['properties', Object.fromEntries(kept.map(([name, one]) => [name, write(one)]))])
      const gone = new Set(Object.keys(properties).filter((name) => !kept.some(([other]) => other === name)))
      if (Array.isArray(required)) entries.push(['required', [...new Set(required.filter((name): name is string => typeof name === 'string' && !gone.has(name)))]])
    } else if (Array.isArray(required)) entries.push(['required', [...new Set(required.filter((name): name is string => typeof name === 'string'))]])
    return entries
  }

  const write = (schema: Json | undefined): JsonObject => {
    if (!isObject(schema)) return schema === false ? { not: {} } : {}
    if (typeof schema['$ref'] === 'string') return point(schema['$ref'])
    const entries: [string, Json][] = [...readType(schema), ...members(schema)]
    for (const key of SINGLES) {
      const member = schema[key]
      if (typeof member === 'boolean') entries.push([key, member])
      else if (isObject(member)) entries.push([key, write(member)])
    }
    for (const key of LISTS) {
      const member = schema[key]
      if (Array.isArray(member) && member.length > 0) entries.push([key, (member as readonly Json[]).map(write)])
    }
    for (const key of NUMBERS) if (typeof schema[key] === 'number' && Number.isFinite(schema[key])) entries.push([key, schema[key]])
    for (const key of TEXTS) if (typeof schema[key] === 'string') entries.push([key, schema[key].slice(0, TEXT_MAX)])
    if (Array.isArray(schema['enum']) && schema['enum'].length > 0) entries.push(['enum', schema['enum']])
    if (schema['const'] !== undefined) entries.push(['const', schema['const']])
    if (schema['default'] !== undefined) entries.push(['default', schema['default']])
    if (schema['uniqueItems'] === true) entries.push(['uniqueItems', true])
    if (schema['deprecated'] === true) entries.push(['deprecated', true])
    return Object.fromEntries(entries)
  }

  return {
    write,
    definitions: () => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) written.set(next.name, write(refs.find(next.ref)))
      return Object.fromEntries(written)
    },
    dangling: () => [...dangling],
  }
}

function readType (schema: JsonObject): [string, Json][] {
  const { type } = schema
  const known = [type].flat().filter((one): one is string => typeof one === 'string' && TYPES.has(one))
  if (known.length === 0) return []
  return [['type', known.length === 1 ? known[0] ?? '' : [...new Set(known)]]]
}

/** A property that only answers have, also where another schema says so. */
function isReadOnly (schema: Json, refs: Refs): boolean {
  const found = refs.follow(schema)
  return (isObject(schema) && schema['readOnly'] === true) || (isObject(found) && found['readOnly'] === true)
}

/** A component keeps its name where that can stand in a reference. */
function definitionName (ref: string): string {
  const component = /^#\/components\/schemas\/([A-Za-z0-9._-]+)$/.exec(ref)?.[1]
  return component !== undefined && component !== '__proto__' ? component : withHash(ref.replace(/^#\//, '').replace(/[^A-Za-z0-9]+/g, '_').slice(-40), ref, 12)
}
