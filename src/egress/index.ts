/**
 * Egress: the only way out of the vault.
 *
 * Invariants
 * - Every destination is judged, in every mode: https, public addresses, names resolved once and pinned.
 * - Exceptions are the operator's, one list for each purpose, never the caller's.
 * - Redirects are never followed, nothing is sent twice, and no error object of the HTTP client gets out.
 */
export type { GuardedAgent, GuardedAgents, WatchedExchange } from './agent.ts'
export { endpointOf, exceptionFor, judgeAddress, judgeUrl, type Exceptions, type GuardVerdict } from './guard.ts'
export type { Answer, OutgoingRequest, SendFailure, SendResult } from './send.ts'
export { createEgress, type Egress, type EgressPurpose } from './egress.ts'
