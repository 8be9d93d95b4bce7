/**
 * Egress: the only way out of the vault.
 *
 * Invariants
 * - Every destination is judged, in every mode: https, public addresses, names resolved once and pinned.
 * - Exceptions are the operator's, one list for each purpose, never the caller's.
 * - Redirects are never followed, nothing is sent twice, and no error object of the HTTP client gets out.
 */
import type { Metrics } from '../metrics.ts'
import { createGuardedAgents, type GuardedAgents } from './agent.ts'
import type { Exceptions } from './guard.ts'
import { createPools, resolveBySystem, type Resolve } from './pools.ts'
import { send, type OutgoingRequest, type SendResult } from './send.ts'

export type { GuardedAgent, GuardedAgents, WatchedExchange } from './agent.ts'
export { endpointOf, judgeAddress, judgeUrl, type Exceptions, type GuardVerdict } from './guard.ts'
export type { Answer, OutgoingRequest, SendFailure, SendResult } from './send.ts'

/** What a request is for; each has its own exceptions and its own connections. */
export type EgressPurpose = 'provider' | 'issuer' | 'webhook'

export interface Egress {
  send (purpose: EgressPurpose, request: OutgoingRequest): Promise<SendResult>
  agents (purpose: EgressPurpose): GuardedAgents
  close (): Promise<void>
}

export function createEgress (options: { exceptions: Readonly<Record<EgressPurpose, Exceptions>>, metrics: Pick<Metrics, 'egress'>, resolve?: Resolve }): Egress {
  const { exceptions: { provider, issuer, webhook }, exceptions, metrics, resolve = resolveBySystem } = options
  const pools = { provider: createPools(provider, resolve), issuer: createPools(issuer, resolve), webhook: createPools(webhook, resolve) }
  return Object.freeze({
    send: async (purpose: EgressPurpose, request: OutgoingRequest) => {
      const result = await send(pools[purpose], exceptions[purpose], request)
      metrics.egress.inc({ purpose, result: result.kind })
      return result
    },
    agents: (purpose: EgressPurpose) => createGuardedAgents(exceptions[purpose], resolve, (result) => { metrics.egress.inc({ purpose, result }) }),
    close: async () => { await Promise.all(Object.values(pools).map((agent) => agent.close())) },
  })
}
