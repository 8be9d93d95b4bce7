import { LRUCache } from 'lru-cache'
import { sha256 } from '../crypto/index.ts'

const CALLERS_MAX = 20_000

interface Window {
  readonly sinceMs: number
  count: number
}

/**
 * Counts requests for `@fastify/rate-limit` in windows of a fixed length, one of them a caller.
 * The plugin's own store answers requests that arrive together with one and the same object, and
 * each of them then reads the count of the last: of a burst around the limit it turns all away.
 */
export class RateWindows {
  readonly #windows = new LRUCache<string, Window>({ max: CALLERS_MAX })

  incr (key: string, callback: (error: Error | null, result?: { current: number, ttl: number }) => void, lengthMs: number): void {
    const nowMs = performance.now()
    const known = this.#windows.get(key)
    const window = known === undefined || nowMs - known.sinceMs >= lengthMs ? { sinceMs: nowMs, count: 0 } : known
    if (window !== known) this.#windows.set(key, window)
    callback(null, { current: ++window.count, ttl: Math.ceil(window.sinceMs + lengthMs - nowMs) })
  }

  /** Routes with a limit of their own count for themselves. */
  child (): RateWindows {
    return new RateWindows()
  }
}

/** What is counted under, of what strangers send: keys are kept for a window, and this one is as short as any, whatever it is made of. */
export function keyOf (...parts: unknown[]): string {
  return sha256(JSON.stringify(parts)).toString('base64url')
}
