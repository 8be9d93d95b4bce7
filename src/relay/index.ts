/**
 * Private connections: agents inside customers' networks, and what passes between them and the vault.
 *
 * Invariants
 * - The vault never calls an agent: agents ask, over HTTPS, from where they are.
 * - An agent shows who it is by signing; what it gets is good for minutes, for nothing once it is revoked.
 * - A call is handed to one agent at a time. One that is not harmless is handed out once; what nobody knows of it is said to be unknown.
 * - All state is in the database: any replica may answer any agent.
 */
import type { Clock } from '../clock.ts'
import type { Crypto } from '../crypto/index.ts'
import type { Ledger } from '../ledger/index.ts'
import type { Metrics } from '../metrics.ts'
import type { Database } from '../store/index.ts'
import { createAgentTokens } from './agent-tokens.ts'
import { createAnnouncer } from './announce.ts'
import { createBroker } from './broker.ts'
import { createEndings } from './endings.ts'
import { createAgentGroups } from './groups.ts'
import { createLeases } from './leases.ts'
import { createPayloads } from './payloads.ts'
import { createPresence } from './presence.ts'
import { createRelayQueue } from './queue.ts'
import { createSweeper } from './sweep.ts'

export { LEASE_SECONDS, OFFER_SECONDS } from './spans.ts'
export type { AgentPrincipal } from './agent-tokens.ts'
export type { GroupAction, Presence } from './presence.ts'
export type Relay = ReturnType<typeof createRelay>

export function createRelay (options: { database: Database, crypto: Crypto, ledger: Ledger, clock: Clock, metrics: Metrics }) {
  const presence = createPresence(options)
  const shared = { ...options, presence, macs: options.crypto.macs, payloads: createPayloads(options.crypto), endings: createEndings(options) }
  const [queue, broker] = [createRelayQueue(shared), createBroker(shared)]
  return Object.freeze({
    groups: createAgentGroups(shared), tokens: createAgentTokens(shared), announcer: createAnnouncer(shared), leases: createLeases(shared),
    sweeper: createSweeper(shared),
    presence, queue, broker, look: async () => { await Promise.all([queue.look(), broker.look()]) },
  })
}
