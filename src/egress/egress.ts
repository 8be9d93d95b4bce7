import type { Metrics } from '../metrics.ts'
import { createGuardedAgents, type GuardedAgents } from './agent.ts'
import type { Exceptions } from './guard.ts'
import { createPools, resolveBySystem, type Resolve } from './pools.ts'
import { send, type OutgoingRequest, type SendResult } from './send.ts'

/** What a request is for; each has its own exceptions and its own connections. */
export type EgressPurpose = 'provider' | 'issuer' | 'webhook' | 'document'

export interface Egress {
  send (purpose: EgressPurpose, request: OutgoingRequest): Promise<SendResult>
  agents (purpose: EgressPurpose): GuardedAgents
  close (): Promise<void>
}

export function createEgress (options: { exceptions: Readonly<Record<EgressPurpose, Exceptions>>, metrics: Pick<Metrics, 'egress'>, resolve?: Resolve }): Egress {
  const { exceptions, metrics, resolve = resolveBySystem } = options
  const made = Object.entries(exceptions).map(([purpose, its]) => [purpose, createPools(its, resolve)])
  const pools = Object.fromEntries(made) as Record<EgressPurpose, ReturnType<typeof createPools>>
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
