import { Type, type Static } from 'typebox'
import type { FieldError } from '../../errors.ts'
import { countMembers, measureJson } from '../../json.ts'
import { compileSchema } from '../../schema.ts'
import { isReservedHeader } from '../judge-manifest.ts'
import { ImportError } from './import-error.ts'

const closed = { additionalProperties: false } as const
const Texts = Type.Array(Type.String({ minLength: 1, maxLength: 300 }), { minItems: 1, maxItems: 20_000 })
const Server = Type.String({ pattern: '^https?://', maxLength: 500, description: 'Where the API is, instead of what the document says.' })

const PlainAuth = Type.Object({ type: Type.Enum(['none', 'bearer', 'basic']) }, closed)
const ApiKeyAuth = Type.Object({ type: Type.Literal('api_key'), in: Type.Enum(['header', 'query', 'cookie']), name: Type.String({ pattern: '^[A-Za-z0-9!#$%&\'*+.^_`|~-]{1,100}$' }) }, closed)

/** What may be said of an import, besides its document. */
export const ImportChoices = Type.Object({
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 100, pattern: '\\S', description: 'How people see it. The document’s title unless told.' })),
  servers: Type.Optional(Type.Object({ live: Type.Optional(Server), sandbox: Type.Optional(Server) }, { ...closed, minProperties: 1 })),
  auth: Type.Optional(Type.Union([PlainAuth, ApiKeyAuth], { description: 'How calls are authorised, instead of what the document says.' })),
  select: Type.Optional(Type.Object({ tags: Type.Optional(Texts), paths: Type.Optional(Texts), names: Type.Optional(Texts) }, {
    ...closed, minProperties: 1, description: 'Only operations with one of these tags, whose path begins so, or whose action is called so.',
  })),
  effects: Type.Optional(Type.Record(Type.String(), Type.Enum(['read', 'idempotent', 'unsafe']), { description: 'Other effects than the methods have, by the actions’ names.' })),
  strict: Type.Optional(Type.Boolean({ description: 'Check bodies against their schemas, too: documents are often wrong about them.' })),
}, closed)

/** A document in a JSON request: it, or where it is, and the choices. */
export const ImportEnvelope = Type.Intersect([ImportChoices, Type.Object({
  url: Type.Optional(Type.String({ pattern: '^https?://', maxLength: 2_000, description: 'Where the document is: public, without redirects.' })),
  document: Type.Optional(Type.Union([Type.String(), Type.Unsafe<object>({ type: 'object' })], { description: 'The document itself, as JSON or as a text.' })),
})], { unevaluatedProperties: false })

export type ImportChoices = Static<typeof ImportChoices>

/** What came with a request: a document, or where it is. */
export interface ImportRequest {
  readonly source: { readonly document: Uint8Array } | { readonly url: string }
  readonly choices: ImportChoices
}

/** Choices that do not fit; each place is named. */
export class ChoicesError extends Error {
  readonly errors: readonly FieldError[]

  constructor (errors: readonly FieldError[]) {
    super('the choices do not fit')
    this.errors = errors
  }
}

const checkChoices = compileSchema(ImportChoices)
const AUTH_TYPES = [...PlainAuth.properties.type.enum, ApiKeyAuth.properties.type.const]
const checkPlainAuth = compileSchema(PlainAuth, '/auth')
const checkApiKeyAuth = compileSchema(ApiKeyAuth, '/auth')
const ENVELOPE: ReadonlySet<string> = new Set(['url', 'document', ...Object.keys(ImportChoices.properties)])
const LIMITS = { depth: 300, keys: Infinity, items: Infinity, containers: Infinity }

/** By the type that is stated: of a union, the errors of all its members would be said. */
function judgeAuth (auth: unknown): readonly FieldError[] {
  if (auth === null || typeof auth !== 'object' || Array.isArray(auth)) return [{ pointer: '/auth', message: 'must be object' }]
  const { type } = auth as { type?: unknown }
  if (AUTH_TYPES.every((known) => known !== type)) return [{ pointer: '/auth/type', message: `must be one of ${JSON.stringify(AUTH_TYPES)}` }]
  return type === 'api_key' ? checkApiKeyAuth(auth) : checkPlainAuth(auth)
}

function judgeChoices (value: unknown): readonly FieldError[] {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return checkChoices(value)
  const { auth: stated, ...rest } = value as Record<string, unknown>
  const errors = [...checkChoices(rest), ...stated === undefined ? [] : judgeAuth(stated)]
  const { auth } = value as ImportChoices
  if (errors.length > 0 || auth?.type !== 'api_key' || auth.in !== 'header' || auth.name.toLowerCase() === 'authorization' || !isReservedHeader(auth.name)) return errors
  return [{ pointer: '/auth/name', message: 'is a header that no credential can be in' }]
}

/** What JSON may not be although it can be parsed: two readers of an object with a name twice need not agree on what it says. */
function judgeJson (text: Uint8Array, parsed: unknown): FieldError[] {
  const { problem, keys } = measureJson(text, LIMITS)
  if (problem !== undefined) return [{ pointer: '', message: `is nested more than ${LIMITS.depth} levels deep` }]
  return countMembers(parsed) === keys ? [] : [{ pointer: '', message: 'has the same name twice in one object' }]
}

/**
 * Reads a request's body: a JSON envelope, a multipart form with a `document` and perhaps
 * `choices`, or else the bare document. Throws an ImportError or a ChoicesError.
 */
export async function readImportRequest (body: Uint8Array, contentType: string): Promise<ImportRequest> {
  if (/^multipart\/form-data\b/i.test(contentType)) return await readForm(body, contentType)
  if (body.length === 0) throw new ImportError('', 'is missing')
  const envelope = /^application\/json\b/i.test(contentType) ? readEnvelope(body) : undefined
  return envelope ?? { source: { document: body }, choices: {} }
}

/** Undefined for a document that comes without an envelope. */
function readEnvelope (body: Uint8Array): ImportRequest | undefined {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return undefined
  }
  if (value === null || typeof value !== 'object' || 'openapi' in value || 'swagger' in value) return undefined
  if (!Object.keys(value).some((name) => name === 'url' || name === 'document')) return undefined
  const { url, document, ...rest } = value as Record<string, unknown>
  const unknown = Object.keys(rest).filter((name) => !ENVELOPE.has(name))
  const errors = [...unknown.map((name) => ({ pointer: `/${name.slice(0, 100)}`, message: 'is not known here' })), ...unknown.length === 0 ? judgeChoices(rest) : [], ...judgeJson(body, value)]
  if (errors.length > 0) throw new ChoicesError(errors)
  const choices = rest as ImportChoices
  if (url === undefined) return { source: { document: toBytes(document) }, choices }
  if (document !== undefined || typeof url !== 'string' || url.length > 2_000 || !/^https?:\/\//.test(url)) throw new ChoicesError([{ pointer: '/url', message: 'must be an https URL, without a document beside it' }])
  return { source: { url }, choices }
}

function toBytes (document: unknown): Uint8Array {
  if (typeof document === 'string') return Buffer.from(document)
  if (document === null || typeof document !== 'object') throw new ChoicesError([{ pointer: '/document', message: 'must be an object or a text' }])
  return Buffer.from(JSON.stringify(document))
}

async function readForm (body: Uint8Array, contentType: string): Promise<ImportRequest> {
  let form: FormData
  try {
    form = await new Response(body as Uint8Array<ArrayBuffer>, { headers: { 'content-type': contentType } }).formData()
  } catch {
    throw new ImportError('', 'is no multipart form that can be read')
  }
  const [document, choices, url] = [form.get('document'), form.get('choices'), form.get('url')]
  const unknown = [...form.keys()].filter((name) => !['document', 'choices', 'url'].includes(name))
  if (unknown.length > 0) throw new ChoicesError(unknown.map((name) => ({ pointer: `/${name.slice(0, 100)}`, message: 'is not known here' })))
  const read = choices === null ? {} : readChoices(typeof choices === 'string' ? choices : await choices.text())
  if (typeof url === 'string' && document === null) return { source: { url }, choices: read }
  if (document === null) throw new ChoicesError([{ pointer: '/document', message: 'is required' }])
  return { source: { document: typeof document === 'string' ? Buffer.from(document) : new Uint8Array(await document.arrayBuffer()) }, choices: read }
}

function readChoices (text: string): ImportChoices {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new ChoicesError([{ pointer: '/choices', message: 'is not JSON' }])
  }
  const wrong = judgeJson(Buffer.from(text), value)
  const errors = wrong.length === 0 ? judgeChoices(value) : wrong
  if (errors.length > 0) throw new ChoicesError(errors.map(({ pointer, message }) => ({ pointer: `/choices${pointer}`, message })))
  return value as ImportChoices
}
