/** Of one request to an OAuth endpoint, its answer included. Shorter than the lease under which a refresh is made. */
export const TIMEOUT_MS = 10_000

export const RESPONSE_BYTES_MAX = 262_144

export const USER_AGENT = 'connection-vault'
