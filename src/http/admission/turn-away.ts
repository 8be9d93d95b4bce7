import type { FastifyReply, FastifyRequest } from 'fastify'
import { VaultError } from '../../errors.ts'
import { newId } from '../../ids.ts'
import { toProblem } from '../problem.ts'

/** Bodies beyond this are not read to their end only to be thrown away: the connection is closed. */
const READ_BYTES = 65_536
/** Callers who are turned away together are not to come back together. */
const RETRY_AFTER_SECONDS = ['1', '2', '3'] as const
let turn = 0

const { instance: _, ...problem } = toProblem(new VaultError('overloaded', { detail: 'As many requests are at work and waiting as there may be. Nothing of this one was looked at.' }), '')
/** ASCII, so that its length is that of its bytes. */
const BODY = `${JSON.stringify(problem).slice(0, -1)},"instance":"`

/**
 * Answers `overloaded` with next to nothing done for it: under load there are more of these than
 * of anything else, and what they cost is taken from those who are served.
 */
export function turnAway (request: FastifyRequest['raw'], response: FastifyReply['raw']): void {
  if (response.destroyed || response.headersSent) return
  const id = newId('request')
  turn = (turn + 1) % RETRY_AFTER_SECONDS.length
  const body = `${BODY}${id}"}`
  const headers = [
    'content-type', 'application/problem+json', 'content-length', String(body.length), 'retry-after', RETRY_AFTER_SECONDS[turn] ?? '1',
    'cache-control', 'no-store', 'x-content-type-options', 'nosniff', 'x-request-id', id,
  ]
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (coding !== undefined || Number(length ?? 0) > READ_BYTES) headers.push('connection', 'close')
  response.writeHead(503, headers)
  response.end(body, 'latin1')
}
