/**
 * The process's clock. Leases, expiry and due times are not decided by it but in the database
 * (`vault_now()`): two replicas never have to agree about this one.
 */
export interface Clock {
  now (): Date
  /** Milliseconds that never run backwards, for durations and deadlines within this process. */
  monotonicMs (): number
}

export const systemClock: Clock = Object.freeze({
  now: () => new Date(),
  monotonicMs: () => performance.now(),
})
