/** What one caller has of the places. */
export interface Share {
  /** Of its requests: at work, waiting for somebody outside, and waiting for a place. */
  inside: number
  outside: number
  readonly queue: Waiter[]
  /** When its queue began that has not been gone for long since. */
  queueSinceMs: number
  /** When one of its requests had to wait the last time. */
  lastWaitMs: number
  /** It is in the round of those with a queue. */
  queued: boolean
}

export interface Waiter {
  readonly sinceMs: number
  /** Nobody waits for its answer any more. */
  gone: boolean
  enter (): void
  turnAway (): void
}

/** A bounded number of requests at work, a bounded number waiting for a place, and no caller with more than half of either. */
export interface Places {
  /** Takes a place if there is one for this caller, and none of its requests waits for one. */
  take (share: Share): boolean
  /** Whether one more of this caller's may wait: of a burst four times as many as of a queue that stands. */
  hasRoom (share: Share, nowMs: number): boolean
  wait (share: Share, waiter: Waiter): void
  /** Gives a place back: the next in line enters. */
  leave (share: Share): void
  /** Its caller is gone: it is passed over. */
  abandon (waiter: Waiter): void
  /** Turns away who has waited too long. */
  expire (nowMs: number): void
  /** How many there are from now on. */
  resize (limit: number): void
  count (): { readonly inside: number, readonly waiting: number, readonly limit: number }
}

/** How long a place may be waited for. */
export interface Patience {
  /** In a queue that has just begun: a burst is served, if a little late. */
  readonly burstMs: number
  /** In one that has been there for longer than that: waiting is of no use where more keeps coming than is done. */
  readonly standingMs: number
  /** One that was gone for so long begins anew. */
  readonly calmMs: number
}

export function createShare (): Share {
  return { inside: 0, outside: 0, queue: [], queueSinceMs: 0, lastWaitMs: -Infinity, queued: false }
}

interface State {
  readonly most: number
  readonly patience: Patience
  limit: number
  inside: number
  waiting: number
  /** Callers who wait take turns, however many requests each has in line. */
  readonly round: Share[]
  entering: boolean
}

/** A burst may be so much larger than what is let wait while an overload lasts, which would only be turned away later. */
const BURST_TIMES = 4

/** As many may wait as there are places at most, and more for a moment. */
export function createPlaces (most: number, patience: Patience): Places {
  const state: State = { most, patience, limit: most, inside: 0, waiting: 0, round: [], entering: false }
  return Object.freeze({
    take: (share: Share) => findFirst(share) === undefined && take(state, share),
    hasRoom: (share: Share, nowMs: number) => {
      const times = isStanding(share, { nowMs, patience }) ? 1 : BURST_TIMES
      return state.waiting < most * times && share.queue.length < halfOf(most) * times
    },
    wait: (share: Share, waiter: Waiter) => {
      state.waiting++
      if (waiter.sinceMs - share.lastWaitMs > patience.calmMs) share.queueSinceMs = waiter.sinceMs
      share.lastWaitMs = waiter.sinceMs
      share.queue.push(waiter)
      if (!share.queued) state.round.push(share)
      share.queued = true
    },
    leave: (share: Share) => {
      state.inside--
      share.inside--
      letIn(state)
    },
    abandon: (waiter: Waiter) => {
      if (waiter.gone) return
      waiter.gone = true
      state.waiting--
    },
    expire: (nowMs: number) => {
      for (const share of state.round) {
        const beforeMs = nowMs - (isStanding(share, { nowMs, patience }) ? patience.standingMs : patience.burstMs)
        for (let first = findFirst(share); first !== undefined && first.sinceMs < beforeMs; first = findFirst(share)) {
          shift(state, share)
          first.turnAway()
        }
      }
    },
    resize: (limit: number) => {
      if (limit === state.limit) return
      state.limit = limit
      letIn(state)
    },
    count: () => state,
  })
}

function halfOf (places: number): number {
  return Math.max(1, Math.ceil(places / 2))
}

function isStanding ({ queueSinceMs, lastWaitMs }: Share, { nowMs, patience }: { nowMs: number, patience: Patience }): boolean {
  return nowMs - queueSinceMs > patience.burstMs && nowMs - lastWaitMs <= patience.calmMs
}

function take (state: State, share: Share): boolean {
  if (state.inside >= state.limit || share.inside >= halfOf(state.limit)) return false
  state.inside++
  share.inside++
  return true
}

function findFirst (share: Share): Waiter | undefined {
  // They were counted off when they left.
  while (share.queue[0]?.gone === true) share.queue.shift()
  return share.queue[0]
}

function shift (state: State, share: Share): void {
  share.queue.shift()
  state.waiting--
}

/** One round at most: who has its half of the places is passed over and keeps its turn. */
function findNext (state: State): Waiter | undefined {
  const { round } = state
  for (let left = round.length; left > 0 && state.inside < state.limit; left--) {
    const share = round.shift() as Share
    const waiter = findFirst(share)
    share.queued = waiter !== undefined
    if (waiter === undefined) continue
    round.push(share)
    if (!take(state, share)) continue
    shift(state, share)
    return waiter
  }
  return undefined
}

function letIn (state: State): void {
  // A request that ends as soon as it enters comes back here: one after the other, not one inside the other.
  if (state.entering || state.waiting === 0) return
  state.entering = true
  for (let next = findNext(state); next !== undefined; next = findNext(state)) next.enter()
  state.entering = false
}
