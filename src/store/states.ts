/** What is known about a connection's credential; being disabled is kept beside it. */
export type Health = 'pending' | 'active' | 'needs_reauth' | 'error'

/** `current` is in use, `previous` can be rolled back to until its grace ends, `destroyed` holds nothing. */
export type VersionState = 'current' | 'previous' | 'destroyed'
