import type { FastifyInstance, FastifyRequest } from 'fastify'
import { VaultError } from '../errors.ts'
import { stepAside } from './admission/book.ts'

/** Bodies up to this size are bounded by the number of connections. */
const SMALL_BYTES = 1_048_576
const BUDGET_BYTES = 268_435_456
/** As of places at work, no caller has more than half. */
const SHARE_BYTES = BUDGET_BYTES / 2

/**
 * Bounds what large request bodies take of memory together, and those of one caller: beyond it they
 * are refused before a byte is read, but not before it is known whose they are. A body without a
 * length counts as the most its route reads.
 */
export function boundLargeBodies (app: FastifyInstance): void {
  let held = 0
  const shares = new Map<string, number>()
  const hold = (caller: string, bytes: number): void => {
    held += bytes
    const share = (shares.get(caller) ?? 0) + bytes
    if (share > 0) shares.set(caller, share)
    else shares.delete(caller)
  }
  app.addHook('preParsing', async (request, reply, payload) => {
    const bytes = sizeOf(request)
    // Whoever has left meanwhile would never give anything back.
    if (!(bytes > SMALL_BYTES) || reply.raw.closed) return payload
    const caller = callerOf(request)
    if (held + bytes > BUDGET_BYTES || (shares.get(caller) ?? 0) + bytes > SHARE_BYTES) {
      throw new VaultError('overloaded', { detail: 'Too many large requests are under way.', retryAfterSeconds: 1 })
    }
    // Until it is all there, nothing is done for it.
    stepAside(request)
    hold(caller, bytes)
    reply.raw.once('close', () => { hold(caller, -bytes) })
    return payload
  })
}

function sizeOf (request: FastifyRequest): number {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  const limit = request.routeOptions.bodyLimit ?? SMALL_BYTES
  return coding === undefined ? Math.min(Number(length ?? 0), limit) : limit
}

/** A group's agents are one caller, and so is everybody who is not known. */
function callerOf ({ principal, agent }: FastifyRequest): string {
  return principal?.id ?? agent?.groupId ?? ''
}
