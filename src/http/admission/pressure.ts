import { monitorEventLoopDelay } from 'node:perf_hooks'

/** How the event loop has been doing lately. */
export interface Loop {
  /** How late its turns were on average: one pause, such as the garbage collector’s, hardly counts. */
  readonly lateMs: number
  /** Processor time this process has had, as a share of one processor’s. */
  readonly cpu: number
}

const LOOK_MS = 200
const RESOLUTION_MS = 10
/** Turns that take longer keep refusals from going out in time. */
const LATE_MS = 30
const EARLY_MS = 15
/** With less, turns are late because others have the processor: fewer places would only have less done in each. */
const BUSY_CPU = 0.7

/**
 * How many requests may be at work from now on. A turn of the event loop is as long as the work
 * let into it: a quarter less where it makes turns late, a step more where they are early (AIMD).
 */
export function judgeLimit (limit: number, { lateMs, cpu, most, least }: Loop & { readonly most: number, readonly least: number }): number {
  if (lateMs > LATE_MS && cpu > BUSY_CPU) return Math.max(least, Math.floor(limit * 0.75))
  if (lateMs < EARLY_MS || cpu < BUSY_CPU) return Math.min(most, limit + Math.ceil(most / 32))
  return limit
}

/** Says a few times a second how the event loop is doing, until what comes back is called. */
export function watchLoop (tell: (loop: Loop) => void): () => void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  let before = { atMs: performance.now(), cpu: process.cpuUsage() }
  const timer = setInterval(() => {
    const now = { atMs: performance.now(), cpu: process.cpuUsage() }
    const usedMs = (now.cpu.user + now.cpu.system - before.cpu.user - before.cpu.system) / 1_000
    const lateMs = delay.mean / 1e6 - RESOLUTION_MS
    delay.reset()
    tell({ lateMs: Number.isFinite(lateMs) ? lateMs : 0, cpu: usedMs / (now.atMs - before.atMs) })
    before = now
  }, LOOK_MS).unref()
  return () => {
    clearInterval(timer)
    delay.disable()
  }
}
