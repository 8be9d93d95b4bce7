import type { BodyChoice, Style } from '../binding.ts'
import { isObject, type Json, type JsonObject } from './read-document.ts'
import type { Refs } from './refs.ts'
import type { SchemaWriter } from './schemas.ts'

export interface ReadBody {
  readonly bodies: [BodyChoice, ...BodyChoice[]]
  /** Of the first: what most callers send. */
  readonly schema: JsonObject
  readonly required: boolean
  /** Names of the properties that the schema declares. */
  readonly properties: ReadonlySet<string>
}

const FORM = 'application/x-www-form-urlencoded'
const STYLES: readonly Style[] = ['form', 'spaceDelimited', 'pipeDelimited', 'deepObject']
/** What a caller most likely has, first. */
const ORDER: readonly BodyChoice['as'][] = ['json', 'form', 'multipart', 'text', 'binary']

/** A Request Body Object; undefined where there is none. Answers a reason where the operation can't be called. */
export function readBody (value: Json | undefined, refs: Refs, schemas: SchemaWriter): ReadBody | string | undefined {
  const dangling = refs.findDangling(value)
  if (dangling !== undefined) return `its body refers to ${dangling}, which leads nowhere`
  const body = refs.follow(value)
  if (!isObject(body) || !isObject(body['content'])) return undefined
  const choices = Object.entries(body['content']).flatMap(([type, media]) => {
    const mediaType = cleanType(type)
    return mediaType === undefined || !isObject(media) ? [] : [{ media, choice: describe(mediaType, media, refs) }]
  }).sort((a, b) => ORDER.indexOf(a.choice.as) - ORDER.indexOf(b.choice.as))
  const unique = choices.filter(({ choice }, index) => choices.findIndex((other) => other.choice.media_type === choice.media_type) === index)
  const [first, ...others] = unique
  if (first === undefined) return undefined
  return {
    bodies: [first.choice, ...others.map(({ choice }) => choice)],
    schema: schemaOf(first.choice, first.media, { refs, schemas }),
    required: body['required'] === true,
    properties: propertiesOf(first.media['schema'], refs),
  }
}

/** Names that a body's schema declares, itself or by what it is made of. */
function propertiesOf (schema: Json | undefined, refs: Refs): ReadonlySet<string> {
  const own = refs.follow(schema)
  const parts = isObject(own) && Array.isArray(own['allOf']) ? (own['allOf'] as Json[]).map((part) => refs.follow(part)) : []
  return new Set([own, ...parts].flatMap((part) => isObject(part) && isObject(part['properties']) ? Object.keys(part['properties']) : []))
}

/** A range has no type of its own: the first that it most likely means. */
function cleanType (type: string): string | undefined {
  const bare = type.trim().toLowerCase()
  if (bare === '*/*' || bare === 'application/*' || bare === '') return 'application/json'
  if (bare === 'text/*') return 'text/plain'
  if (bare.endsWith('/*')) return 'application/octet-stream'
  // What a media type may be made of (RFC 6838, 4.2), with parameters: it goes into a header.
  return /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*( *; *[a-z0-9_.-]+=("[ !#-[\]-~]*"|[a-z0-9_.+-]+))*$/.test(bare) ? bare : undefined
}

function describe (mediaType: string, media: JsonObject, refs: Refs): BodyChoice {
  const [bare = ''] = mediaType.split(';')
  const schema = refs.follow(media['schema'])
  if (/[/+]json$/.test(bare.trim()) || bare.trim() === 'application/json') return { media_type: mediaType, as: 'json' }
  if (bare.trim() === FORM) return { media_type: FORM, as: 'form', ...stylesOf(media) }
  if (bare.startsWith('multipart/')) return { media_type: 'multipart/form-data', as: 'multipart', ...filesOf(schema, refs) }
  const text = bare.startsWith('text/') || /[/+](xml|yaml|x-yaml|javascript|graphql|csv|x-ndjson)$/.test(bare.trim())
  return { media_type: mediaType, as: text ? 'text' : 'binary' }
}

/** Encoding Objects of a form. */
function stylesOf (media: JsonObject): Pick<BodyChoice, 'styles'> {
  if (!isObject(media['encoding'])) return {}
  const styles = Object.entries(media['encoding']).flatMap(([name, encoding]) => {
    if (!isObject(encoding)) return []
    const style = STYLES.find((known) => known === encoding['style'])
    const type = typeof encoding['contentType'] === 'string' && /json/.test(encoding['contentType']) ? encoding['contentType'] : undefined
    // With a style, a content type counts for nothing (OpenAPI 3.1, Encoding Object).
    return [[name, {
      ...style !== undefined && { style }, ...typeof encoding['explode'] === 'boolean' && { explode: encoding['explode'] },
      ...style === undefined && typeof encoding['explode'] !== 'boolean' && type !== undefined && { media_type: type },
    }]]
  })
  return styles.length === 0 ? {} : { styles: Object.fromEntries(styles) as NonNullable<BodyChoice['styles']> }
}

/** Properties that are binary, themselves or as the members of a list. */
function filesOf (schema: Json | undefined, refs: Refs): Pick<BodyChoice, 'files'> {
  if (!isObject(schema) || !isObject(schema['properties'])) return {}
  const files = Object.entries(schema['properties']).filter(([, property]) => isBinary(refs.follow(property))).map(([name]) => name)
  return files.length === 0 ? {} : { files }
}

function isBinary (schema: Json | undefined): boolean {
  return isObject(schema) && (schema['format'] === 'binary' || schema['contentMediaType'] === 'application/octet-stream' ||
    (schema['type'] === undefined && schema['contentEncoding'] === undefined && typeof schema['contentMediaType'] === 'string'))
}

const FILE: JsonObject = {
  type: 'object', required: ['base64'],
  properties: { base64: { type: 'string', contentEncoding: 'base64' }, filename: { type: 'string' }, content_type: { type: 'string' } },
}

function schemaOf (choice: BodyChoice, media: JsonObject, { refs, schemas }: { refs: Refs, schemas: SchemaWriter }): JsonObject {
  if (choice.as === 'binary') return FILE
  if (choice.as === 'text') return { type: 'string' }
  if (choice.files === undefined) return schemas.write(media['schema'])
  // Written out: a file looks otherwise in the input than in the document.
  const found = refs.follow(media['schema'])
  const schema = schemas.write(isObject(found) ? found : undefined)
  const properties = isObject(schema['properties']) ? schema['properties'] : {}
  const inInput = Object.entries(properties).map(([name, one]) => [name, choice.files?.includes(name) === true ? FILE : one] as const)
  return { ...schema, properties: Object.fromEntries(inInput) }
}
