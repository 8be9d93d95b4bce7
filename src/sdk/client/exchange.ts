import type { ConnectionFailure, FieldError, Problem } from './errors.ts'

/** As much of `fetch` as the client needs: that of the runtime, of undici, or a stand-in for tests. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchAnswer>

export interface FetchInit {
  method: string
  headers: Record<string, string>
  body?: string
  redirect: 'manual'
  signal: AbortSignal
}

export interface FetchAnswer {
  readonly status: number
  readonly headers: { get (name: string): string | null }
  readonly body: { getReader (): { read (): Promise<{ done: boolean, value?: unknown }>, cancel (): Promise<void> } } | null
  text (): Promise<string>
}

export interface Request {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** Members of which an answer has one; none for an answer without a body. */
  readonly has: readonly string[]
  /** Taken out of what answers say, should something on the way send it back. */
  readonly token: string
}

export interface Bounds {
  readonly fetch: Fetch
  readonly timeoutMs: number
  readonly maxAnswerBytes: number
  readonly signal: AbortSignal | undefined
}

/** What came of one request. */
export type Outcome =
  | { readonly kind: 'answer', readonly status: number, readonly body: unknown, readonly requestId: string | undefined }
  | { readonly kind: 'problem', readonly status: number, readonly problem: Problem, readonly retryAfterMs: number | undefined }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'failure', readonly reason: ConnectionFailure, readonly code?: string | undefined, readonly status?: number | undefined, readonly retryAfterMs?: number | undefined }

/** Sends one request, and reads its answer within its bounds. Throws the caller’s own reason when its signal ends it. */
export async function exchange (request: Request, bounds: Bounds): Promise<Outcome> {
  const { signal, timeoutMs } = bounds
  signal?.throwIfAborted()
  const controller = new AbortController()
  // Not AbortSignal.any and .timeout: a signal that lasts as long as the process would keep a trace of every call.
  let late = false
  const timer = setTimeout(() => { late = true; controller.abort() }, timeoutMs)
  const stop = () => { controller.abort() }
  signal?.addEventListener('abort', stop, { once: true })
  try {
    const { url, method, headers, body } = request
    const answer = await bounds.fetch(url, { method, headers, redirect: 'manual', signal: controller.signal, ...body !== undefined && { body } })
    return await read(answer, request, bounds.maxAnswerBytes)
  } catch (error) {
    signal?.throwIfAborted()
    return late ? { kind: 'timeout' } : judgeFailure(error)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

async function read (answer: FetchAnswer, { has, token }: Request, maxBytes: number): Promise<Outcome> {
  const { status, headers } = answer
  // A browser shows a redirect that is not followed as status 0.
  if (status === 0 || (status >= 300 && status < 400)) return await discard(answer, { kind: 'failure', reason: 'redirected', status })
  const fine = status >= 200 && status < 300
  const retryAfterMs = fine ? undefined : readRetryAfter(headers.get('retry-after'))
  const foreign: Outcome = { kind: 'failure', reason: 'not_the_vault', status, retryAfterMs }
  if (status === 204) return has.length > 0 ? foreign : { kind: 'answer', status, body: undefined, requestId: headers.get('x-request-id') ?? undefined }
  // An answer that went well is known by a member it has: each look at a header takes its time, and proxies change them.
  if (!fine && headers.get('content-type')?.startsWith('application/problem+json') !== true) return await discard(answer, foreign)
  const text = await readText(answer, maxBytes)
  if (text === undefined) return { kind: 'failure', reason: 'too_large', status }
  const body = parse(fine ? text : text.replaceAll(token, '[token]'))
  if (fine) return !hasOne(body, has) ? foreign : { kind: 'answer', status, body, requestId: headers.get('x-request-id') ?? undefined }
  const problem = readProblem(body, status)
  return problem === undefined ? foreign : { kind: 'problem', status, problem, retryAfterMs }
}

/** Lets go of a connection whose answer nobody reads. */
async function discard (answer: FetchAnswer, outcome: Outcome): Promise<Outcome> {
  await answer.body?.getReader().cancel().catch(() => undefined)
  return outcome
}

/** Undefined when it is larger than it may be. */
async function readText (answer: FetchAnswer, maxBytes: number): Promise<string | undefined> {
  const length = answer.headers.get('content-length')
  // HTTP holds an answer to the length it states, unless it is packed.
  if (length !== null && answer.headers.get('content-encoding') === null && Number(length) <= maxBytes) return await answer.text()
  const reader = answer.body?.getReader()
  if (reader === undefined) return await answer.text()
  const decoder = new TextDecoder()
  let bytes = 0
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    const piece = value as Uint8Array
    bytes += piece.byteLength
    if (bytes > maxBytes) {
      await reader.cancel().catch(() => undefined)
      return undefined
    }
    text += decoder.decode(piece, { stream: true })
  }
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function hasOne (body: unknown, names: readonly string[]): boolean {
  return typeof body === 'object' && body !== null && names.some((name) => name in body)
}

/** RFC 9110, 10.2.3: seconds, or a date. */
function readRetryAfter (text: string | null): number | undefined {
  if (text === null) return undefined
  const waitMs = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now()
  return Number.isNaN(waitMs) ? undefined : Math.max(0, waitMs)
}

/** Undefined for what is none of the vault’s. */
export function readProblem (body: unknown, status: number): Problem | undefined {
  if (typeof body !== 'object' || body === null || !('code' in body) || typeof body.code !== 'string') return undefined
  const { type: _, code, status: _status, title, detail, retryable, instance, errors, ...extensions } = body as Record<string, unknown>
  return {
    code: code as string,
    status,
    title: typeof title === 'string' ? title : '',
    detail: typeof detail === 'string' ? detail : undefined,
    retryable: retryable === true,
    instance: typeof instance === 'string' ? instance : undefined,
    errors: Array.isArray(errors) ? errors as FieldError[] : [],
    extensions,
  }
}

/** The port is one of those that the Fetch standard forbids: no attempt comes further. */
export const BAD_PORT = 'BAD_PORT'
/** Nothing has been sent when these are said. */
const UNSENT: ReadonlySet<string> = new Set([BAD_PORT, 'ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT', 'ConnectionRefused'])
const UNTRUSTED = /^(CERT_|ERR_TLS_CERT_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/
/** Ends a handshake, on either side. What OpenSSL says of records may come later, when the request is under way. */
const NO_HANDSHAKE = /^ERR_SSL_(?!.*(RECORD_MAC|DECRYPTION_FAILED)).*(WRONG_VERSION|PACKET_LENGTH|PROTOCOL|HANDSHAKE_FAILURE|CIPHER|CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|DECRYPT_ERROR|UNRECOGNIZED_NAME|INSUFFICIENT_SECURITY|TOO_SMALL|TOO_WEAK)/

/** Of what was thrown only its code is kept: errors of HTTP clients may hold the request. A runtime that tells none may have sent it. */
function judgeFailure (error: unknown): Outcome {
  const { code, syscall } = findCause(error)
  if (code !== undefined && (UNTRUSTED.test(code) || NO_HANDSHAKE.test(code))) return { kind: 'failure', reason: 'untrusted', code }
  const unsent = (code !== undefined && UNSENT.has(code)) || syscall === 'connect' || syscall === 'getaddrinfo'
  return { kind: 'failure', reason: unsent ? 'unreachable' : 'broken', code }
}

function findCause (error: unknown, depth = 0): { code?: string | undefined, syscall?: string | undefined } {
  if (typeof error !== 'object' || error === null || depth > 3) return {}
  const { code, syscall, cause, message } = error as { code?: unknown, syscall?: unknown, cause?: unknown, message?: unknown }
  // The name of an error, nothing that anybody has put in there.
  if (typeof code === 'string' && /^[A-Za-z0-9_]{2,60}$/.test(code)) return { code, syscall: typeof syscall === 'string' ? syscall : undefined }
  return message === 'bad port' ? { code: BAD_PORT } : findCause(cause, depth + 1)
}
