import type pg from 'pg'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'

/** Notices that a connection has gone silent: the server keeps its own time-out, which is of no use when the server or the way to it is what hangs. */
export interface SilenceWatch {
  /** Something was asked over it. What comes back is called once with the answer, or the failure, of that. */
  ask (): () => void
}

interface Options {
  /** With something asked and nothing answered for so long, the connection is cut. */
  readonly silentMs: number
  readonly log: Log
  readonly metrics?: Pick<Metrics, 'databaseSilences'> | undefined
}

/** Looks a silent span have, so that the cut is at most a quarter late. */
const LOOKS = 4

/**
 * Cuts a connection over which nothing comes back, so that all that waits on it fails at once as
 * for any lost connection. An answer to anything counts: a long queue that moves is no silence.
 */
export function watchSilence (client: pg.Client, { silentMs, log, metrics }: Options): SilenceWatch {
  const state = { pending: 0, sinceMs: 0 }
  const isSilent = () => state.pending > 0 && performance.now() - state.sinceMs > silentMs
  const cut = (): void => {
    // A process that was paused itself finds its timers due before it has read what came meanwhile.
    if (!isSilent()) return
    log.warn({ count: state.pending, duration_ms: Math.round(performance.now() - state.sinceMs) }, 'the database does not answer: its connection is cut')
    metrics?.databaseSilences.inc()
    destroy(client)
  }
  const timer = setInterval(() => { if (isSilent()) setImmediate(cut) }, silentMs / LOOKS).unref()
  client.once('end', () => { clearInterval(timer) })
  return {
    ask: () => {
      if (state.pending++ === 0) state.sinceMs = performance.now()
      return () => {
        state.pending--
        state.sinceMs = performance.now()
      }
    },
  }
}

/** `end()` would say goodbye and wait for what is under way; the driver’s own pool cuts its connections like this as well. */
function destroy (client: pg.Client): void {
  (client as unknown as { connection: { stream: { destroy (): void } } }).connection.stream.destroy()
}
