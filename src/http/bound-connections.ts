import { readFileSync } from 'node:fs'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { App, ListenerName } from './app.ts'

interface Bound {
  readonly listener: ListenerName
  readonly most: number
  readonly log: Log
  readonly metrics: Metrics
}

/** Of the files that the process may open, what one listener may take: the rest is for the other two, the database and the way out. */
const SHARE = 2
const WARN_EVERY_MS = 60_000

/** Holds a listener to so many connections, or to half of the process's open files; closes at once what comes beyond. */
export function boundConnections ({ server }: App, { listener, most, log, metrics }: Bound): void {
  const limit = Math.max(1, Math.min(most, Math.floor(openFilesMax() / SHARE)))
  server.maxConnections = limit
  let warnedMs = -Infinity
  server.on('drop', () => {
    metrics.droppedConnections.inc({ listener })
    if (performance.now() - warnedMs < WARN_EVERY_MS) return
    warnedMs = performance.now()
    log.warn({ listener, reason: `${limit} are open` }, 'connections dropped')
  })
}

/** Infinity where the system does not say. */
function openFilesMax (): number {
  try {
    return Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity)
  } catch {
    return Infinity
  }
}
