import { ActionError, type Action, type ActionContext, type Effect, type ErrorClass, type JsonSchema } from './action.ts'

/** An action that is one HTTP request to something in this network. */
export interface HttpActionOptions {
  readonly effect: Effect
  readonly title?: string
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** `http://erp.local:8080/ledgers/{year}`: names in braces, in the path alone, come from `input.path`. */
  readonly url: string
  /** Sent with each request; names in braces are credentials: `Bearer {erp_token}`. */
  readonly headers?: Readonly<Record<string, string>>
  /** JSON Schemas of the parts of the input. A part without one is not taken. */
  readonly input?: { readonly path?: JsonSchema, readonly query?: JsonSchema, readonly header?: JsonSchema, readonly body?: JsonSchema }
  /** Parts that may be left out although they have a schema. */
  readonly optional?: readonly ('query' | 'header' | 'body')[]
  /** Schemas that the parts point at: `#/$defs/{name}`. */
  readonly defs?: Readonly<Record<string, unknown>>
  readonly bodyEncoding?: 'json' | 'form'
  readonly output?: JsonSchema
  readonly timeoutMs?: number
}

interface HttpInput {
  readonly path?: Readonly<Record<string, unknown>>
  readonly query?: Readonly<Record<string, unknown>>
  readonly header?: Readonly<Record<string, unknown>>
  readonly body?: unknown
}

const FIELD = /\{([A-Za-z0-9_.-]+)\}/g
const ANSWER_MAX = 32 * 1_048_576
/** They say where a request goes and where it ends, not what it is. */
const OF_THE_CONNECTION = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'keep-alive', 'te', 'trailer', 'upgrade', 'expect', 'proxy-authorization', 'proxy-connection'])
/** Errors of a socket that never had a connection: nothing was sent. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT', 'CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT'])

/**
 * An action without code. Its output is the answer's body: parsed JSON, a text, or bytes. A status
 * from 400 on is a failure of the kind it tells; redirects are not followed, so that headers stay
 * with the host they are for.
 */
export function defineHttpAction (options: HttpActionOptions): Action<HttpInput> {
  const { effect, title, output, timeoutMs, input = {}, optional = [], defs } = options
  requirePlain(options)
  const parts = Object.keys(input)
  const schema: JsonSchema = {
    type: 'object', additionalProperties: false, properties: { ...input }, required: parts.filter((part) => !(optional as readonly string[]).includes(part)), ...defs && { $defs: defs },
  }
  return {
    effect, input: schema, ...title !== undefined && { title }, ...output && { output }, ...timeoutMs !== undefined && { timeoutMs },
    run: async (given: HttpInput, context: ActionContext) => await send(options, given, context),
  }
}

async function send (options: HttpActionOptions, input: HttpInput, { signal, credentials }: ActionContext): Promise<unknown> {
  const { method, effect } = options
  const url = buildUrl(options.url, input)
  const body = input.body === undefined ? undefined : encodeBody(input.body, options.bodyEncoding ?? 'json')
  const headers = buildHeaders(input.header, body?.type, fillHeaders(options.headers ?? {}, credentials))
  try {
    const response = await fetch(url, { method, redirect: 'manual', signal, headers, ...body && { body: body.text } })
    const answer = await read(response)
    if (response.status >= 300) throw new ActionError(classOf(response.status), describe(response.status, answer))
    return answer
  } catch (error) {
    if (error instanceof ActionError || signal.aborted) throw error
    const code = (error as { cause?: { code?: string } }).cause?.code ?? ''
    const unknown = effect === 'unsafe' && !NEVER_SENT.has(code)
    throw new ActionError('provider_unavailable', `${url.host} could not be reached, or broke off${code === '' ? '' : ` (${code})`}`, { unknown, cause: error })
  }
}

/** A value can't climb out of its segment, and never reaches the host. */
function buildUrl (template: string, { path = {}, query = {} }: HttpInput): URL {
  const url = new URL(template.replace(FIELD, (_whole, name: string) => {
    const value = text(path[name])
    if (value === '' || climbs(value)) throw new ActionError('input', `path/${name} can’t be that`)
    return encodeURIComponent(value)
  }))
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue
    for (const one of Array.isArray(value) ? value as unknown[] : [value]) url.searchParams.append(name, text(one))
  }
  return url
}

/** Whether it would lead elsewhere in a server that decodes a path, once more than it should even, before it takes out dots. Parameters of a segment are taken off first. */
function climbs (value: string): boolean {
  const plain = value.replace(/%(?:25)*(2e|2f|3b|5c)/gi, (_whole, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  return plain.split(/[/\\]/).some((part) => /^\.{1,2}(?:;|$)/.test(part))
}

/** The action's own stand instead of the input's, and not beside them, whatever the case. */
function buildHeaders (input: HttpInput['header'], type: string | undefined, own: Readonly<Record<string, string>>): Headers {
  const headers = new Headers({ accept: 'application/json' })
  for (const [name, value] of Object.entries(input ?? {})) {
    if (value === undefined || value === null) continue
    if (OF_THE_CONNECTION.has(name.toLowerCase()) || !set(headers, name, text(value))) throw new ActionError('input', `header/${name} can’t be that`)
  }
  if (type !== undefined) headers.set('content-type', type)
  for (const [name, value] of Object.entries(own)) {
    if (!set(headers, name, value)) throw new ActionError('config_error', `the header ${name} can’t be sent as it is filled`)
  }
  return headers
}

function set (headers: Headers, name: string, value: string): boolean {
  try {
    headers.set(name, value)
    return true
  } catch {
    return false
  }
}

function fillHeaders (headers: Readonly<Record<string, string>>, credentials: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, template]) => [name, template.replace(FIELD, (_whole, field: string) => {
    const value = Object.hasOwn(credentials, field) ? credentials[field] : undefined
    if (value === undefined) throw new ActionError('config_error', `the header ${name} needs the credential ${field}, which this agent does not have`)
    return value
  })]))
}

/** Names of the credentials that headers are filled with. */
export function listCredentials (headers: Readonly<Record<string, string>>): string[] {
  return Object.values(headers).flatMap((template) => [...template.matchAll(FIELD)].map(([, name]) => name ?? ''))
}

function text (value: unknown): string {
  return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)
}

function encodeBody (body: unknown, encoding: 'json' | 'form'): { type: string, text: string } {
  if (encoding === 'json') return { type: 'application/json', text: JSON.stringify(body) }
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(body as object)) {
    for (const one of Array.isArray(value) ? value as unknown[] : [value]) form.append(name, text(one))
  }
  return { type: 'application/x-www-form-urlencoded', text: form.toString() }
}

async function read (response: Response): Promise<unknown> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += piece.length
    if (length > ANSWER_MAX) throw new ActionError('action_failed', `It was run, but the answer has more than ${ANSWER_MAX} bytes.`)
    pieces.push(piece)
  }
  const bytes = Buffer.concat(pieces)
  const type = response.headers.get('content-type') ?? ''
  if (bytes.length === 0) return null
  if (!/json|^text\/|xml/i.test(type)) return bytes
  const body = bytes.toString('utf8')
  if (!/json/i.test(type)) return body
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}

function classOf (status: number): ErrorClass {
  switch (status) {
    case 400: case 422: return 'input'
    case 401: return 'reauthorise'
    case 403: return 'permission'
    case 404: case 410: return 'not_found'
    case 409: case 412: return 'conflict'
    case 429: return 'rate_limited'
    default: return status >= 500 ? 'provider_unavailable' : 'action_failed'
  }
}

/** Whole: a credential that is cut is not found any more. Whoever takes them out cuts it. */
function describe (status: number, answer: unknown): string {
  const said = answer instanceof Uint8Array || answer === null ? '' : `: ${typeof answer === 'string' ? answer : JSON.stringify(answer)}`
  return `status ${status}${said}`
}

function requirePlain ({ url, input }: HttpActionOptions): void {
  const [scheme = '', , host = '', ...path] = url.split('/')
  if (!/^https?:$/.test(scheme) || !URL.canParse(url.replace(FIELD, 'x'))) throw new TypeError(`${url} is no http URL`)
  const [, query = ''] = path.join('/').split('?')
  if (/[{}]/.test(host + query)) throw new TypeError(`${url}: names in braces belong into the path`)
  const declared = (input?.path as { properties?: object } | undefined)?.properties ?? {}
  const missing = [...url.matchAll(FIELD)].map(([, name]) => name ?? '').find((name) => !Object.hasOwn(declared, name))
  if (missing !== undefined) throw new TypeError(`${url}: input.path does not declare ${missing}`)
}
