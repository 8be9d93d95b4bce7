import type { Clock } from '../clock.ts'
import type { Environment } from '../ids.ts'

/** Connections of one integration and environment share a token endpoint, or near enough. */
export function laneName ({ integration, environment }: { readonly integration: string, readonly environment: Environment }): string {
  return `${integration}/${environment}`
}

/** Which token endpoints are not worth a request now. */
export interface TokenEndpoints {
  /** Whether a request may go there; after a pause, one goes ahead of the others. */
  allow (name: string): boolean
  /** The same, without going ahead. */
  isOpen (name: string): boolean
  /** Whether it has failed so often that one request is to go ahead of the others. */
  isPaused (name: string): boolean
  note (name: string, answered: boolean): void
  /** Seconds until it may be tried again. */
  retryAfter (name: string): number
}

interface Endpoint {
  failures: number
  pausedUntilMs: number
  probing: boolean
}

const FAILURES_MAX = 5
const PAUSE_MS = 1_000
const PAUSE_MS_MAX = 60_000

/**
 * A circuit for each token endpoint, of this process alone: one that fails five times in a row is
 * left alone for a second, doubling to a minute, so that a dead provider takes nobody's turn.
 */
export function createTokenEndpoints (clock: Pick<Clock, 'monotonicMs'>): TokenEndpoints {
  const endpoints = new Map<string, Endpoint>()
  const find = (name: string) => endpoints.get(name) ?? { failures: 0, pausedUntilMs: 0, probing: false }
  const isOpen = (name: string) => {
    const { failures, pausedUntilMs, probing } = find(name)
    return failures >= FAILURES_MAX && (probing || clock.monotonicMs() < pausedUntilMs)
  }
  return Object.freeze({
    isOpen,
    isPaused: (name: string) => find(name).failures >= FAILURES_MAX,
    allow: (name: string) => {
      if (isOpen(name)) return false
      const endpoint = endpoints.get(name)
      if (endpoint !== undefined && endpoint.failures >= FAILURES_MAX) endpoint.probing = true
      return true
    },
    note: (name: string, answered: boolean) => {
      if (answered) { endpoints.delete(name); return }
      const failures = find(name).failures + 1
      const pause = Math.min(PAUSE_MS * 2 ** Math.min(failures - FAILURES_MAX, 10), PAUSE_MS_MAX)
      endpoints.set(name, { failures, probing: false, pausedUntilMs: failures >= FAILURES_MAX ? clock.monotonicMs() + pause : 0 })
    },
    retryAfter: (name: string) => Math.max(1, Math.ceil((find(name).pausedUntilMs - clock.monotonicMs()) / 1_000)),
  })
}
