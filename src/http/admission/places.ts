/** What one caller has of the places. */
export interface Share {
  /** Of its requests: at work, waiting for somebody outside, and waiting for a place. */
  inside: number
  outside: number
  readonly queue: Waiter[]
  /** How long its queue was when it was last seen to become shorter, at most before that; and when that was, or when it began. */
  length: number
  lengthMs: number
  /** It has become shorter since it began. */
  shrank: boolean
  /** It does not become shorter: more keeps coming than is done. */
  standing: boolean
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
  /** In a queue that has just begun, or becomes shorter by a quarter in every such time: a burst is served, if a little late. */
  readonly burstMs: number
  /** In one that stands: waiting is of no use where more keeps coming than is done. */
  readonly standingMs: number
  /** One that was gone for so long begins anew. */
  readonly calmMs: number
}

export function createShare (): Share {
  return { inside: 0, outside: 0, queue: [], length: 0, lengthMs: 0, shrank: false, standing: false, lastWaitMs: -Infinity, queued: false }
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

/** A queue has become shorter when no more than this is left of what it was. */
const SHORTER = 0.75
/** A burst may be so much larger than what is let wait while an overload lasts, which would only be turned away later. */
const BURST_TIMES = 4

/** As many may wait as there are places at most, and more for a moment. */
export function createPlaces (most: number, patience: Patience): Places {
  const state: State = { most, patience, limit: most, inside: 0, waiting: 0, round: [], entering: false }
  return Object.freeze({
    take: (share: Share) => findFirst(share) === undefined && take(state, share),
    hasRoom: (share: Share, nowMs: number) => {
      const times = judge(share, { nowMs, patience }) ? 1 : BURST_TIMES
      return state.waiting < most * times && share.queue.length < halfOf(most) * times
    },
    wait: (share: Share, waiter: Waiter) => {
      state.waiting++
      const emptied = !share.standing && findFirst(share) === undefined
      if (emptied || isCalm(share, waiter.sinceMs, patience)) begin(share, waiter.sinceMs)
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
        const beforeMs = nowMs - (judge(share, { nowMs, patience }) ? patience.standingMs : patience.burstMs)
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

function isCalm ({ lastWaitMs }: Share, nowMs: number, { calmMs }: Patience): boolean {
  return nowMs - lastWaitMs > calmMs
}

function begin (share: Share, nowMs: number): void {
  share.length = 0
  share.lengthMs = nowMs
  share.shrank = false
  share.standing = false
}

/**
 * Looks at a queue and answers whether it stands. One behind a moment in which nothing could be done
 * is worked off as fast as what is done exceeds what comes: at 70 % of the capacity that takes more
 * than twice as long as the moment took. Its length counts only downwards once it has become shorter,
 * so that one that goes up and down stands in the end. One that stands does so until it has been gone for a while.
 */
function judge (share: Share, { nowMs, patience }: { nowMs: number, patience: Patience }): boolean {
  if (isCalm(share, nowMs, patience)) return false
  if (share.standing) return true
  const { length } = share.queue
  if (length <= share.length * SHORTER) {
    share.length = length
    share.lengthMs = nowMs
    share.shrank = true
  } else if (!share.shrank) {
    share.length = Math.max(share.length, length)
  }
  share.standing = nowMs - share.lengthMs > patience.burstMs
  return share.standing
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
