import type { Metrics } from '../metrics.ts'
import { createGuardedAgents, type GuardedAgents } from './agent.ts'
import type { Exceptions } from './guard.ts'
import { createPools, resolveBySystem, type Resolve } from './pools.ts'
import { send, type OutgoingRequest, type SendResult } from './send.ts'

/** What a request is for; each has its own exceptions and its own connections. */
const PURPOSES = ['provider', 'issuer', 'webhook', 'document', 'kek'] as const
export type EgressPurpose = typeof PURPOSES[number]

const NONE: Exceptions = new Set()

export interface Egress {
  send (purpose: EgressPurpose, request: OutgoingRequest): Promise<SendResult>
  agents (purpose: EgressPurpose): GuardedAgents
  close (): Promise<void>
}

/** A purpose without exceptions reaches public addresses only. */
export function createEgress (options: {
  readonly exceptions: Readonly<Partial<Record<EgressPurpose, Exceptions>>>
  readonly metrics: Pick<Metrics, 'egress'>
  readonly resolve?: Resolve
}): Egress {
  const { metrics, resolve = resolveBySystem } = options
  const exceptionsOf = (purpose: EgressPurpose): Exceptions => options.exceptions[purpose] ?? NONE
  const made = PURPOSES.map((purpose) => [purpose, createPools(exceptionsOf(purpose), resolve)])
  const pools = Object.fromEntries(made) as Record<EgressPurpose, ReturnType<typeof createPools>>
  return Object.freeze({
    send: async (purpose: EgressPurpose, request: OutgoingRequest) => {
      const result = await send(pools[purpose], exceptionsOf(purpose), request)
      metrics.egress.inc({ purpose, result: result.kind })
      return result
    },
    agents: (purpose: EgressPurpose) => createGuardedAgents(exceptionsOf(purpose), resolve, (result) => { metrics.egress.inc({ purpose, result }) }),
    close: async () => { await Promise.all(Object.values(pools).map((agent) => agent.close())) },
  })
}
