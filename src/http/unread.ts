import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Log } from '../log.ts'

type Socket = FastifyRequest['raw']['socket']

interface Options {
  readonly listener: string
  readonly log: Log
  /** An answer of which nothing was taken for this long is given up. */
  readonly stillMs?: number
  /** What one listener holds of answers that are not taken yet; beyond it those that have waited the longest are given up. */
  readonly bytesMax?: number
}

const LOOK_MS = 500
const STILL_MS = 30_000
const BYTES_MAX = 128 * 2 ** 20

/**
 * Closes connections whose callers ask and do not read: an answer is held in memory until it is taken, and one that waits for its
 * caller has no place among the requests at work. Slow is no fault, as long as it goes on.
 */
export function dropUnread (app: Pick<FastifyInstance, 'addHook'>, { listener, log, stillMs = STILL_MS, bytesMax = BYTES_MAX }: Options): void {
  const open = new Set<Socket>()
  /** Those with something to be taken, the one that has waited the longest first. */
  const unread = new Set<Socket>()
  app.addHook('onRequest', (request, _reply, done) => {
    const { socket } = request.raw
    if (!open.has(socket)) {
      open.add(socket)
      socket.once('close', () => {
        open.delete(socket)
        unread.delete(socket)
      })
    }
    done()
  })

  const look = (): void => {
    let bytes = 0
    for (const socket of open) {
      bytes += socket.writableLength
      if (socket.writableLength > 0 && !unread.has(socket)) {
        unread.add(socket)
        // Node's own clock of a socket: it starts anew as long as what is being written goes on to be taken.
        socket.setTimeout(stillMs)
      } else if (socket.writableLength === 0 && unread.delete(socket) && socket.timeout === stillMs) socket.setTimeout(0)
    }
    for (const socket of unread) {
      if (bytes <= bytesMax) return
      bytes -= socket.writableLength
      log.warn({ listener }, 'an answer is not taken: its connection is closed, for others need the memory')
      socket.destroy()
    }
  }
  const timer = setInterval(look, LOOK_MS)
  app.addHook('onClose', (_app, done) => {
    clearInterval(timer)
    done()
  })
}
