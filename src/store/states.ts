/** What is known about a connection's credential; being disabled is kept beside it. */
export type Health = 'pending' | 'active' | 'needs_reauth' | 'error'

/** `current` is in use, `previous` can be rolled back to until its grace ends, `destroyed` holds nothing. */
export type VersionState = 'current' | 'previous' | 'destroyed'

/**
 * `open`: nobody has come yet. `bound`: to the browser that came first. `confirming`: an account is
 * linked, and the host has yet to say for whom. `completed` and `ended` are final.
 */
export type SessionState = 'open' | 'bound' | 'confirming' | 'completed' | 'ended'

/** One of several accounts that a grant reaches. */
export interface LinkChoice {
  readonly label: string
  readonly detail: string | null
  /** Config that choosing it fills in. */
  readonly config: Readonly<Record<string, string>>
}

/** `pending` is tried again, `delivered` and `failed` only when somebody asks for a replay. */
export type DeliveryState = 'pending' | 'delivered' | 'failed'

/** `queued`: nobody has its input, although it may be on offer. `claimed`: an agent has. */
export type RelayState = 'queued' | 'claimed' | 'ended'

/**
 * How a relayed call ended. `expired`: never claimed, so that nothing ran. `timeout`: claimed, without a
 * result, and harmless to repeat; `unknown`: the same, and not harmless. `cancelled`: before it was claimed.
 */
export type RelayOutcome = 'succeeded' | 'failed' | 'unknown' | 'timeout' | 'expired' | 'cancelled'
