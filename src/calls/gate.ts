/** A bounded number of holders for each name at a time, and a bounded number waiting. */
export interface Gate {
  /**
   * A place under this name, or undefined when too many wait already, or the time is over or the
   * signal given before there is one. What comes back lets the place go; calling it twice is harmless.
   */
  enter (name: string, limit: number, patience: Patience): Promise<Leave | undefined>
}

export interface Patience {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

export type Leave = () => void

interface Place {
  inside: number
  /** In the order they came. */
  readonly waiting: Set<(leave: Leave | undefined) => void>
}

/** So many may wait for each one inside: a longer queue only makes more callers late. */
const QUEUE_PER_PLACE = 4

export interface Step {
  readonly gate: Gate
  readonly name: string
  readonly limit: number
}

/** Through one gate after the other, all within one patience. What comes back lets all the places go. */
export async function enterAll (steps: readonly Step[], { timeoutMs, signal }: Patience): Promise<Leave | undefined> {
  const untilMs = performance.now() + timeoutMs
  const leaves: Leave[] = []
  const leaveAll = (): void => { for (const leave of leaves) leave() }
  for (const { gate, name, limit } of steps) {
    const leave = await gate.enter(name, limit, { timeoutMs: untilMs - performance.now(), signal })
    if (leave === undefined) {
      leaveAll()
      return undefined
    }
    leaves.push(leave)
  }
  return leaveAll
}

export function createGate (queuePerPlace = QUEUE_PER_PLACE): Gate {
  // Names nobody holds are forgotten: there are as many as connections in use now.
  const places = new Map<string, Place>()

  const leave = (name: string, place: Place): Leave => {
    let left = false
    return () => {
      if (left) return
      left = true
      const [next] = place.waiting
      if (next !== undefined) next(leave(name, place))
      else if (--place.inside === 0) places.delete(name)
    }
  }

  const wait = async (place: Place, { timeoutMs, signal }: Patience): Promise<Leave | undefined> => await new Promise((resolve) => {
    const settle = (found: Leave | undefined): void => {
      place.waiting.delete(settle)
      clearTimeout(timer)
      signal?.removeEventListener('abort', giveUp)
      resolve(found)
    }
    const giveUp = (): void => { settle(undefined) }
    const timer = setTimeout(giveUp, timeoutMs)
    signal?.addEventListener('abort', giveUp, { once: true })
    place.waiting.add(settle)
    if (signal?.aborted === true) giveUp()
  })

  return Object.freeze({
    enter: async (name: string, limit: number, patience: Patience) => {
      const place = places.get(name) ?? { inside: 0, waiting: new Set() }
      places.set(name, place)
      if (place.inside < limit) {
        place.inside++
        return leave(name, place)
      }
      return place.waiting.size >= limit * queuePerPlace ? undefined : await wait(place, patience)
    },
  })
}
