import type { FastifyInstance } from 'fastify'
import { VaultError } from '../errors.ts'
import { stepAside } from './admission/book.ts'

/** Bodies up to this size are bounded by the number of connections. */
const SMALL_BYTES = 1_048_576
const BUDGET_BYTES = 268_435_456

/**
 * Bounds what large request bodies take of memory together: beyond it they are refused before a
 * byte is read. A body without a length counts as the most its route reads.
 */
export function boundLargeBodies (app: FastifyInstance): void {
  let held = 0
  app.addHook('onRequest', async (request, reply) => {
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers
    const limit = request.routeOptions.bodyLimit ?? SMALL_BYTES
    const bytes = coding === undefined ? Math.min(Number(length ?? 0), limit) : limit
    if (!(bytes > SMALL_BYTES)) return
    if (held + bytes > BUDGET_BYTES) throw new VaultError('overloaded', { detail: 'Too many large requests are under way.', retryAfterSeconds: 1 })
    // Until it is all there, nothing is done for it.
    stepAside(request)
    held += bytes
    reply.raw.once('close', () => { held -= bytes })
  })
}
