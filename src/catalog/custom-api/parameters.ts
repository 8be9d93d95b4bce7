import { isReservedHeader } from '../judge-manifest.ts'
import type { Parameter, Style } from '../binding.ts'
import { isObject, type Json, type JsonObject } from './read-document.ts'
import type { Refs } from './refs.ts'
import type { SchemaWriter } from './schemas.ts'

type Place = Parameter['in']
const PLACES: readonly Place[] = ['path', 'query', 'header', 'cookie']

/** Styles that each place can have; the first is the default (OpenAPI 3.1, Parameter Object). */
const STYLES: Readonly<Record<Place, readonly [Style, ...Style[]]>> = {
  path: ['simple', 'label', 'matrix'], query: ['form', 'spaceDelimited', 'pipeDelimited', 'deepObject'], header: ['simple'], cookie: ['form'],
}

export interface ReadParameters {
  readonly parameters: Parameter[]
  /** A schema for each place that has any. */
  readonly schemas: Partial<Record<Place, JsonObject>>
}

/** What the credential takes care of: no input of a caller's. */
export interface Owned {
  readonly query: ReadonlySet<string>
  readonly header: ReadonlySet<string>
  readonly cookie: ReadonlySet<string>
}

interface Reading {
  readonly refs: Refs
  readonly schemas: SchemaWriter
  readonly owned: Owned
}

/** The parameters of a path and an operation, which wins by name and place. Answers a reason where the operation can't be called. */
export function readParameters (of: { path: string, lists: readonly (Json | undefined)[] }, by: Reading): ReadParameters | string {
  const dangling = of.lists.flatMap((list) => Array.isArray(list) ? (list as readonly Json[]).flatMap((one) => by.refs.findDangling(one) ?? []) : [])
  if (dangling[0] !== undefined) return `one of its parameters refers to ${dangling[0]}, which leads nowhere`
  const declared = collect(of.lists, by.refs)
  const inPath = [...new Set([...of.path.matchAll(/\{([^{}]*)\}/g)].map(([, name]) => name ?? ''))]
  const bad = inPath.find((name) => !/^[^{}+/?#][^{}/?#]*$/.test(name))
  if (bad !== undefined) return 'its path can’t be read'
  const found: { parameter: Parameter, schema: JsonObject, required: boolean }[] = []
  for (const one of declared.values()) {
    if (one.place === 'path' && !inPath.includes(one.name)) continue
    if (isOwned(one, by.owned)) continue
    found.push({ parameter: writeStyle(one, by.refs), schema: describe(one, by.schemas), required: one.place === 'path' || one.value['required'] === true })
  }
  // Documents forget them: what stands in the path has to be given all the same.
  for (const name of inPath) {
    if (found.some(({ parameter }) => parameter.in === 'path' && parameter.name === name)) continue
    found.push({ parameter: { in: 'path', name, style: 'simple', explode: false }, schema: { type: ['string', 'number', 'boolean'] }, required: true })
  }
  return { parameters: found.map(({ parameter }) => parameter), schemas: schemasOf(found) }
}

function schemasOf (found: readonly { parameter: Parameter, schema: JsonObject, required: boolean }[]): ReadParameters['schemas'] {
  return Object.fromEntries(PLACES.flatMap((place) => {
    const here = found.filter(({ parameter }) => parameter.in === place)
    if (here.length === 0) return []
    const required = here.filter((one) => one.required).map(({ parameter }) => parameter.name)
    return [[place, { properties: Object.fromEntries(here.map(({ parameter, schema }) => [parameter.name, schema])), ...required.length > 0 && { required } }]]
  }))
}

interface Declared {
  readonly place: Place
  readonly name: string
  readonly value: JsonObject
}

function collect (lists: readonly (Json | undefined)[], refs: Refs): Map<string, Declared> {
  const declared = new Map<string, Declared>()
  for (const list of lists) {
    if (!Array.isArray(list)) continue
    for (const one of list as readonly Json[]) {
      const value = refs.follow(one)
      if (!isObject(value) || typeof value['name'] !== 'string' || value['name'] === '') continue
      const place = PLACES.find((known) => known === value['in'])
      if (place === undefined) continue
      const name = value['name']
      declared.set(`${place} ${place === 'header' ? name.toLowerCase() : name}`, { place, name, value })
    }
  }
  return declared
}

/** Headers that the vault or HTTP itself sets, and whatever the credential fills. */
function isOwned ({ place, name }: Declared, owned: Owned): boolean {
  if (place === 'path') return false
  if (place !== 'header') return owned[place].has(name)
  const lower = name.toLowerCase()
  return isReservedHeader(lower) || lower === 'accept' || owned.header.has(lower) || !/^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$/.test(lower)
}

function writeStyle ({ place, name, value }: Declared, refs: Refs): Parameter {
  const [normal] = STYLES[place]
  const style = STYLES[place].find((known) => known === value['style']) ?? normal
  const explode = typeof value['explode'] === 'boolean' ? value['explode'] : style === 'form'
  const [mediaType] = isObject(value['content']) ? Object.keys(value['content']) : []
  // Swagger 2.0’s `multi` and friends have become styles by now; a list of objects has no style at all.
  const json = mediaType ?? (style !== 'deepObject' && hasNoStyle(value['schema'], refs) ? 'application/json' : undefined)
  return {
    in: place, name, style, explode: style === 'deepObject' ? true : explode,
    ...value['allowReserved'] === true && place === 'query' && { allow_reserved: true as const },
    ...json !== undefined && { media_type: json },
  }
}

function hasNoStyle (schema: Json | undefined, refs: Refs): boolean {
  const list = refs.follow(schema)
  if (!isObject(list) || list['type'] !== 'array') return false
  const items = refs.follow(list['items'])
  return isObject(items) && items['type'] === 'object'
}

function describe ({ value }: Declared, schemas: SchemaWriter): JsonObject {
  const [media] = isObject(value['content']) ? Object.values(value['content']) : []
  const schema = schemas.write(value['schema'] ?? (isObject(media) ? media['schema'] : undefined))
  const description = typeof value['description'] === 'string' ? value['description'].slice(0, 500) : undefined
  return description === undefined || '$ref' in schema ? schema : { ...schema, description }
}
