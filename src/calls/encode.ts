/** How lists and objects are written in a query or form: `a=1&a=2` with objects as JSON, or `a[0]=1`, `a[b]=c`. */
export type PairStyle = 'repeat' | 'brackets'

/**
 * Name-value pairs as a query or a form, percent-encoded as RFC 3986 has it (a space is `%20`,
 * which every form parser reads as well). `undefined` members are left out, null is empty.
 */
export function encodePairs (values: Readonly<Record<string, unknown>>, style: PairStyle): string {
  return flatten(values, style).map(([name, value]) => `${encodeName(name)}=${encodeURIComponent(value)}`).join('&')
}

function flatten (values: Readonly<Record<string, unknown>>, style: PairStyle): [string, string][] {
  const pairs: [string, string][] = []
  const add = (name: string, value: unknown): void => {
    if (value === undefined) return
    if (value !== null && typeof value === 'object' && style === 'brackets') for (const [key, member] of Object.entries(value)) add(`${name}[${key}]`, member)
    else if (Array.isArray(value)) for (const member of value) add(name, member)
    else pairs.push([name, writeValue(value)])
  }
  for (const [name, value] of Object.entries(values)) add(name, value)
  return pairs
}

function writeValue (value: unknown): string {
  if (value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Brackets stay readable: providers that use them accept both, and their documents show them so. */
function encodeName (name: string): string {
  return encodeURIComponent(name).replaceAll('%5B', '[').replaceAll('%5D', ']')
}

/** A body before it is bytes. */
export interface RequestBody {
  readonly value: unknown
  /** `text` is sent as it is, `binary` is a file. */
  readonly encoding: 'json' | 'form' | 'form_plain' | 'multipart' | 'text' | 'binary'
  /** Another than the encoding's own. */
  readonly contentType?: string
  /** Members of a multipart body that are files. */
  readonly files?: readonly string[]
  /** What is put around the value: an envelope's property, or a GraphQL document whose variables it is. */
  readonly envelope?: string
  readonly graphql?: string
}

export interface EncodedBody {
  readonly contentType: string
  readonly bytes: Uint8Array
}

/** A file as inputs and outputs have it. */
export interface FileValue {
  readonly base64: string
  readonly filename?: string
  readonly content_type?: string
}

export async function encodeBody (body: RequestBody): Promise<EncodedBody> {
  const value = wrapValue(body)
  switch (body.encoding) {
    case 'json': return { contentType: body.contentType ?? 'application/json', bytes: Buffer.from(JSON.stringify(value)) }
    case 'text': return { contentType: body.contentType ?? 'text/plain', bytes: Buffer.from(value as string) }
    case 'binary': return { contentType: body.contentType ?? 'application/octet-stream', bytes: Buffer.from((value as FileValue).base64, 'base64') }
    case 'multipart': return await encodeMultipart(value as Record<string, unknown>, body.files ?? [])
    case 'form': case 'form_plain': return { contentType: 'application/x-www-form-urlencoded', bytes: Buffer.from(encodeForm(value, body.encoding)) }
  }
}

/** A body as a person reads it in a dry run: a form as its text, files without their content. */
export function describeBody (body: RequestBody): { contentType: string, shown: unknown } {
  const value = wrapValue(body)
  switch (body.encoding) {
    case 'json': return { contentType: body.contentType ?? 'application/json', shown: value }
    case 'text': return { contentType: body.contentType ?? 'text/plain', shown: value }
    case 'binary': return { contentType: body.contentType ?? 'application/octet-stream', shown: { bytes: Buffer.byteLength((value as FileValue).base64, 'base64') } }
    case 'form': case 'form_plain': return { contentType: 'application/x-www-form-urlencoded', shown: encodeForm(value, body.encoding) }
    case 'multipart': return { contentType: 'multipart/form-data', shown: describeFiles(value as Record<string, unknown>, body.files ?? []) }
  }
}

/** The value with its envelope, or as the variables of its GraphQL document. */
function wrapValue ({ value, envelope, graphql }: RequestBody): unknown {
  if (graphql !== undefined) return { query: graphql, variables: value }
  if (envelope === undefined) return value
  return envelope.endsWith('[]') ? { [envelope.slice(0, -2)]: [value] } : { [envelope]: value }
}

function encodeForm (value: unknown, encoding: 'form' | 'form_plain'): string {
  return encodePairs(value as Record<string, unknown>, encoding === 'form' ? 'brackets' : 'repeat')
}

/** RFC 7578; the boundary is the platform's, random, and so not part of any file. */
async function encodeMultipart (values: Readonly<Record<string, unknown>>, files: readonly string[]): Promise<EncodedBody> {
  const form = new FormData()
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue
    if (files.includes(name)) form.append(name, toFile(value as FileValue, name))
    else for (const member of Array.isArray(value) ? value : [value]) form.append(name, writeValue(member))
  }
  const encoded = new Response(form)
  return { contentType: encoded.headers.get('content-type') ?? '', bytes: await encoded.bytes() }
}

function toFile (file: FileValue, name: string): File {
  return new File([Buffer.from(file.base64, 'base64')], file.filename ?? name, { type: file.content_type ?? 'application/octet-stream' })
}

function describeFiles (values: Readonly<Record<string, unknown>>, files: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => {
    if (!files.includes(name)) return [name, value]
    const { base64, filename = name, content_type: contentType = 'application/octet-stream' } = value as FileValue
    return [name, { filename, content_type: contentType, bytes: Buffer.byteLength(base64, 'base64') }]
  }))
}
