/** How long an offer is kept for the agent it was made to. With the second that looking for it may take, it is offered again within ten. */
export const OFFER_SECONDS = 8

/** How long a claimed call is its agent's without a heartbeat. */
export const LEASE_SECONDS = 30

/** An agent that has not been heard of for this long is not there: it asks every 50 seconds at least, the rest is the network's. */
export const SILENT_SECONDS = 90
