import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { Agent as TlsAgent, request as httpsRequest } from 'node:https'

/** One POST of JSON. */
export interface Posting {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly signal: AbortSignal
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Shorter than the vault keeps an unused connection. */
const UNUSED_MS = 60_000
/** A connection that had been closed before it was used says so at once; one that breaks later may have carried the request. */
const STALE_MS = 1_000

/** Connections to one vault, kept between requests. Redirects are not followed. */
export function createExchange (base: string): (path: string, posting: Posting) => Promise<Answer> {
  const tls = base.startsWith('https:')
  const agent = tls ? new TlsAgent({ keepAlive: true, timeout: UNUSED_MS }) : new Agent({ keepAlive: true, timeout: UNUSED_MS })
  const send = tls ? httpsRequest : httpRequest

  const post = async (path: string, { headers, body, signal }: Posting, again: boolean): Promise<Answer> => await new Promise((resolve, reject) => {
    const length = Buffer.byteLength(body)
    const startedMs = performance.now()
    const request = send(`${base}${path}`, { method: 'POST', agent, signal, headers: { ...headers, 'content-type': 'application/json', 'content-length': length } })
    request.on('error', (error: NodeJS.ErrnoException) => {
      // A kept connection that was closed at the other end meanwhile: the request has not arrived.
      const stale = request.reusedSocket && error.code === 'ECONNRESET' && performance.now() - startedMs < STALE_MS
      if (again && stale) post(path, { headers, body, signal }, false).then(resolve, reject)
      else reject(signal.aborted && signal.reason instanceof Error ? signal.reason : error)
    })
    request.on('response', (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => { pieces.push(piece) })
      response.on('error', reject)
      response.on('end', () => { resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(pieces).toString('utf8') }) })
    })
    request.end(body)
  })
  return async (path, posting) => await post(path, posting, true)
}
