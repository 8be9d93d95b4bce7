import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Adapts how many requests are at work to how late the event loop is. */
export interface Pressure {
  close (): void
}

const LOOK_MS = 200
const RESOLUTION_MS = 10
/** A turn of the loop that takes longer keeps refusals from going out in time. */
const LATE_MS = 30
const EARLY_MS = 15

/**
 * How many requests may be at work from now on. A turn of the loop is as long as the work admitted
 * into it: less by a quarter where turns are late, more by a step where they are early (AIMD).
 */
export function judgeLimit (limit: number, { lateMs, most, least }: { lateMs: number, most: number, least: number }): number {
  if (lateMs > LATE_MS) return Math.max(least, Math.floor(limit * 0.75))
  if (lateMs < EARLY_MS) return Math.min(most, limit + Math.max(1, Math.ceil(most / 32)))
  return limit
}

/** Says a few times a second how late turns were on average; one pause, such as the garbage collector’s, is not enough to count. */
export function watchPressure (adapt: (lateMs: number) => void): Pressure {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  const timer = setInterval(() => {
    const lateMs = delay.mean / 1e6 - RESOLUTION_MS
    delay.reset()
    if (Number.isFinite(lateMs)) adapt(lateMs)
  }, LOOK_MS).unref()
  return {
    close: () => {
      clearInterval(timer)
      delay.disable()
    },
  }
}
