import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'

/** Keeps calls from an origin that can't be reached, so that they fail at once instead of each waiting for it. */
export interface Circuit {
  /** Undefined when the call may be made; else for how many milliseconds none is. */
  pausedMs (origin: string): number | undefined
  /** What a call that was allowed found. Anything but a failure to connect says that the origin is there. */
  note (origin: string, reached: boolean): void
}

interface State {
  failures: number
  /** Calls are let through again from here on; the first of them decides. */
  pausedUntilMs: number
}

/** In a row. Fewer would let one lost packet stop a provider's calls. */
const FAILURES_BEFORE_PAUSE = 5
const PAUSE_MS = { first: 1_000, most: 30_000 }
const ORIGINS_MAX = 5_000

/**
 * Only failures to connect count: they are the same for every caller. A caller's own short
 * deadline or an answer it does not like must not close a provider to others.
 */
export function createCircuit (clock: Pick<Clock, 'monotonicMs'>): Circuit {
  const states = new LRUCache<string, State>({ max: ORIGINS_MAX })
  return Object.freeze({
    pausedMs: (origin: string) => {
      const state = states.get(origin)
      if (state === undefined) return undefined
      const leftMs = state.pausedUntilMs - clock.monotonicMs()
      if (leftMs > 0) return Math.ceil(leftMs)
      // This one is the probe; others go on waiting until it has found something out, or as long again.
      if (state.failures >= FAILURES_BEFORE_PAUSE) state.pausedUntilMs = clock.monotonicMs() + pauseAfter(state.failures)
      return undefined
    },
    note: (origin: string, reached: boolean) => {
      if (reached) {
        states.delete(origin)
        return
      }
      const failures = (states.get(origin)?.failures ?? 0) + 1
      states.set(origin, { failures, pausedUntilMs: failures < FAILURES_BEFORE_PAUSE ? 0 : clock.monotonicMs() + pauseAfter(failures) })
    },
  })
}

function pauseAfter (failures: number): number {
  return Math.min(PAUSE_MS.first * 2 ** (failures - FAILURES_BEFORE_PAUSE), PAUSE_MS.most)
}
