import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'

interface Options {
  readonly listener: string
  readonly log: Log
  readonly metrics: Pick<Metrics, 'admissions' | 'admissionWaits' | 'work' | 'refusals' | 'onScrape'>
}

export type Result = 'at_once' | 'waited' | 'queue_full' | 'too_late' | 'outside_full'

/** Counts what became of requests, and says that some were turned away. */
export interface Meter {
  count (result: Result): void
  waited (ms: number): void
  /** Once for all that were turned away since the last time: a line for each of them would be a load of its own. */
  report (): void
}

const STATES = ['inside', 'waiting', 'limit', 'outside'] as const
type Count = Readonly<Record<typeof STATES[number], number>>

/** Plain numbers, made into metrics when somebody looks. */
export function createMeter ({ listener, log, metrics }: Options, look: () => Count): Meter {
  const since = { at_once: 0, waited: 0, queue_full: 0, too_late: 0, outside_full: 0 }
  const waits = metrics.admissionWaits.labels(listener)
  let unsaid = 0
  metrics.onScrape(() => {
    const now = look()
    for (const state of STATES) metrics.work.set({ listener, state }, now[state])
    // Those that found no room outside had come as far as their route, where they are counted.
    metrics.refusals.inc({ code: 'overloaded' }, since.queue_full + since.too_late)
    for (const [result, value] of Object.entries(since)) metrics.admissions.inc({ listener, result }, value)
    for (const result of Object.keys(since) as Result[]) since[result] = 0
  })
  return {
    count: (result) => {
      since[result]++
      if (result !== 'at_once' && result !== 'waited') unsaid++
    },
    waited: (ms) => { waits.observe(ms / 1_000) },
    report: () => {
      if (unsaid > 0) log.warn({ listener, count: unsaid }, 'overloaded: requests were turned away')
      unsaid = 0
    },
  }
}
