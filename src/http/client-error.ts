import type { FastifyServerOptions } from 'fastify'
import { ERRORS, VaultError, type ErrorCode } from '../errors.ts'
import { newId } from '../ids.ts'
import { toProblem } from './problem.ts'

const CODES: Readonly<Record<string, ErrorCode>> = { HPE_HEADER_OVERFLOW: 'headers_too_large', ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout' }
const UNREADABLE = new VaultError('request_invalid', { detail: 'What came is no HTTP request that can be read.' })

/**
 * Answers what is no request: a line or a header that can’t be read, headers beyond the limit, or
 * bytes that come too slowly. Where it ends nobody knows, so that the connection ends with it.
 */
export const answerClientError: NonNullable<FastifyServerOptions['clientErrorHandler']> = (error, socket) => {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const code = CODES[error.code]
  const problem = code === undefined ? UNREADABLE : new VaultError(code)
  const { status, title } = ERRORS[problem.code]
  const body = JSON.stringify(toProblem(problem, newId('request')))
  const head = [
    `HTTP/1.1 ${status} ${title}`, 'Content-Type: application/problem+json', `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store', 'X-Content-Type-Options: nosniff', 'Connection: close',
  ]
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  socket.destroySoon()
}
