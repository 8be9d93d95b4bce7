import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import { promisify } from 'node:util'
import type { Agent, Dispatcher } from 'undici'
import { BlockedAddress } from './pools.ts'
import { judgeUrl, type Exceptions } from './guard.ts'

export interface OutgoingRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** For the whole exchange, the last byte of the answer included. */
  readonly timeoutMs: number
  readonly maxResponseBytes: number
  /** Asked before a large answer is read or unfolded. */
  readonly room?: { take (timeoutMs: number): Promise<boolean> } | undefined
  /** Ends the exchange early. */
  readonly signal?: AbortSignal
}

export interface Answer {
  readonly kind: 'answer'
  readonly status: number
  /** Names in lower case; several values joined by a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** What kept the answer away. Carries no error object: those of HTTP clients hold request headers. */
export interface SendFailure {
  readonly kind: 'blocked' | 'unreachable' | 'interrupted' | 'timeout' | 'cancelled' | 'too_large'
  /** Whether any byte of the request may have left. False means it certainly has not been carried out. */
  readonly maybeSent: boolean
  /** For the caller: names no value. */
  readonly detail: string
  /** Set when the provider had begun to answer. */
  readonly status?: number
}

export type SendResult = Answer | SendFailure

const INFLATE: Record<string, (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>> = {
  gzip: promisify(gunzip), 'x-gzip': promisify(gunzip), deflate: promisify(inflate), br: promisify(brotliDecompress),
}

/** Answers up to this size are bounded by the number of calls. */
const SMALL_BYTES = 65_536

/** One exchange, never repeated, redirects not followed. Never throws: a failure is a result. */
export async function send (agent: Agent, exceptions: Exceptions, request: OutgoingRequest): Promise<SendResult> {
  const refused = judgeUrl(request.url, exceptions)
  if (refused !== undefined) return { kind: 'blocked', maybeSent: false, detail: `${request.url.hostname} is not called: ${refused}.` }
  const result = await exchange(agent, request)
  return result.kind === 'answer' ? await decode(result, request) : result
}

function exchange (agent: Agent, request: OutgoingRequest): Promise<SendResult> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    let started = false
    let large = false
    let head: { status: number, headers: Record<string, string> } | undefined
    let settled = false
    let abort: (() => void) | undefined

    const settle = (result: SendResult): void => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      request.signal?.removeEventListener('abort', cancel)
      // Not yet on the wire: `settled` keeps it from ever getting there.
      if (result.kind !== 'answer') abort?.()
      resolve(result)
    }
    const fail = (kind: SendFailure['kind'], detail: string): void => {
      settle({ kind, maybeSent: started, detail, ...(head !== undefined && { status: head.status }) })
    }
    const cancel = (): void => { fail('cancelled', 'The caller went away.') }
    const timer = setTimeout(() => { fail('timeout', `No complete answer within ${request.timeoutMs} ms.`) }, request.timeoutMs)
    if (request.signal?.aborted === true) { cancel(); return }
    request.signal?.addEventListener('abort', cancel, { once: true })

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (controller) => {
        abort = () => { controller.abort(new Error('given up')) }
        if (settled) abort()
        else started = true
      },
      onResponseStart: (_controller, status, headers) => {
        if (status >= 200) head = { status, headers: flattenHeaders(headers) }
      },
      onResponseData: (controller, chunk) => {
        size += chunk.length
        if (size > request.maxResponseBytes) fail('too_large', `The answer exceeds ${request.maxResponseBytes} bytes.`)
        else chunks.push(chunk)
        if (large || request.room === undefined || size <= SMALL_BYTES) return
        large = true
        // The rest stays with the provider until there is room; the exchange's own time runs on.
        controller.pause()
        void request.room.take(request.timeoutMs).then(() => { controller.resume() })
      },
      onResponseEnd: () => {
        settle(head === undefined
          ? { kind: 'interrupted', maybeSent: started, detail: 'The provider ended without an answer.' }
          : { kind: 'answer', ...head, body: Buffer.concat(chunks, size) })
      },
      onResponseError: (_controller, error) => { settle(describeFailure(error, started)) },
    }
    try {
      agent.dispatch(dispatchOptions(request), handler)
    } catch {
      fail('blocked', NOT_HTTP)
    }
  })
}

function dispatchOptions (request: OutgoingRequest): Agent.DispatchOptions {
  return {
    origin: request.url.origin,
    path: `${request.url.pathname}${request.url.search}`,
    method: request.method,
    headers: { 'accept-encoding': 'identity', ...request.headers },
    body: request.body === undefined ? null : Buffer.from(request.body.buffer, request.body.byteOffset, request.body.byteLength),
  }
}

/** Only the class of the error is looked at; the error itself goes no further. */
export function describeFailure (error: Error, started: boolean): SendFailure {
  if (error instanceof BlockedAddress) return { kind: 'blocked', maybeSent: false, detail: `The destination is not called: ${error.message}.` }
  if (started) return { kind: 'interrupted', maybeSent: true, detail: 'The connection broke before the answer was complete.' }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (code === 'UND_ERR_INVALID_ARG') return { kind: 'blocked', maybeSent: false, detail: NOT_HTTP }
  return { kind: 'unreachable', maybeSent: false, detail: REASONS.find(([pattern]) => pattern.test(code))?.[1] ?? 'The provider can’t be reached.' }
}

/** A method or a header that the client will not write. */
const NOT_HTTP = 'The request can’t be written as HTTP.'

const REASONS: readonly (readonly [RegExp, string])[] = [
  [/^(ENOTFOUND|EAI_)/, 'The provider’s name can’t be resolved.'],
  [/^ECONNREFUSED/, 'The provider refuses connections.'],
  [/^(UND_ERR_CONNECT_TIMEOUT|ETIMEDOUT)/, 'The provider does not accept the connection in time.'],
  [/(CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_|EPROTO)/, 'No TLS connection to the provider: its certificate or protocol is not accepted.'],
]

export function flattenHeaders (headers: Record<string, string | string[] | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), Array.isArray(value) ? value.join(', ') : value ?? '']))
}

/** Providers that compress although they were asked not to. Bounded: a small body may unfold into gigabytes. */
async function decode (answer: Answer, { maxResponseBytes: maxBytes, timeoutMs, room }: OutgoingRequest): Promise<SendResult> {
  const coding = (answer.headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (coding === 'identity' || coding === '' || answer.body.length === 0) return answer
  const inflateBody = INFLATE[coding]
  const failed = (kind: 'interrupted' | 'too_large', detail: string): SendFailure => ({ kind, maybeSent: true, status: answer.status, detail })
  if (inflateBody === undefined) return failed('interrupted', 'The answer is compressed in a way that can’t be read.')
  if (await room?.take(timeoutMs) === false) return { kind: 'timeout', maybeSent: true, status: answer.status, detail: 'There was no room in time for what the compressed answer unfolds to.' }
  try {
    const body = await inflateBody(answer.body, { maxOutputLength: maxBytes })
    const { 'content-encoding': _coding, 'content-length': _length, ...headers } = answer.headers
    return { ...answer, headers, body }
  } catch (error) {
    const large = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
    return large ? failed('too_large', `The answer exceeds ${maxBytes} bytes.`) : failed('interrupted', 'The compressed answer is damaged.')
  }
}
