import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'

interface Options {
  readonly listener: string
  readonly log: Log
  readonly metrics: Pick<Metrics, 'admissions' | 'admissionWaits' | 'work' | 'refusals'>
}

const LOG_EVERY_MS = 1_000

/** Counts what became of requests, and says that some were turned away. */
export interface Meter {
  admitted (): void
  waited (ms: number): void
  turnedAway (why: 'queue_full' | 'too_late' | 'outside_full'): void
  measure (count: { inside: number, waiting: number, limit: number, outside: number }): void
}

export function createMeter ({ listener, log, metrics }: Options): Meter {
  const of = (result: string) => metrics.admissions.labels(listener, result)
  const refused = metrics.refusals.labels('overloaded')
  const counters = { at_once: of('at_once'), waited: of('waited'), queue_full: of('queue_full'), too_late: of('too_late'), outside_full: of('outside_full') }
  const waits = metrics.admissionWaits.labels(listener)
  const unsaid = { count: 0, saidMs: -Infinity }
  return {
    admitted: () => { counters.at_once.inc() },
    waited: (ms) => {
      counters.waited.inc()
      waits.observe(ms / 1_000)
    },
    turnedAway: (why) => {
      counters[why].inc()
      // Those that came as far as their route are counted there.
      if (why !== 'outside_full') refused.inc()
      unsaid.count++
      // A line for each of them would be the load.
      if (performance.now() - unsaid.saidMs < LOG_EVERY_MS) return
      log.warn({ listener, count: unsaid.count, reason: why }, 'overloaded: requests are turned away')
      unsaid.saidMs = performance.now()
      unsaid.count = 0
    },
    measure: ({ inside, waiting, limit, outside }) => {
      for (const [state, value] of Object.entries({ inside, waiting, limit, outside })) metrics.work.set({ listener, state }, value)
    },
  }
}
