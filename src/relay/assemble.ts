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
