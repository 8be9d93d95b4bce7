import type { Request } from './book.ts'

type Socket = Request['socket']

/** Connections that are not read for a moment. */
export interface Rests {
  /** A request over it was turned away: the next is looked at a little later. */
  rest (socket: Socket): void
}

const REST_MS = 40
const LOOK_MS = 5

/**
 * A caller that repeats at once what was refused would otherwise be refused as often as the
 * network allows, and that would be all there is time for. What it sends meanwhile waits in the
 * system's buffers.
 */
export function createRests (): Rests {
  // In the order of their ends, which all are as far away.
  const resting: { readonly socket: Socket, readonly untilMs: number }[] = []
  let timer: NodeJS.Timeout | undefined
  const wake = (): void => {
    const nowMs = performance.now()
    const awake = resting.findIndex(({ untilMs }) => untilMs > nowMs)
    for (const { socket } of resting.splice(0, awake === -1 ? resting.length : awake)) if (!socket.destroyed) socket.resume()
    timer = resting.length === 0 ? undefined : setTimeout(wake, LOOK_MS).unref()
  }
  const begin = (socket: Socket): void => {
    socket.pause()
    resting.push({ socket, untilMs: performance.now() + REST_MS })
    timer ??= setTimeout(wake, LOOK_MS).unref()
  }
  return {
    // Once its answer has been written Node reads on, for the rest of a body that nobody wanted: a pause before that does not last.
    rest: (socket) => { setImmediate(begin, socket) },
  }
}
