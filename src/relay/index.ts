/**
 * Private connections: agents inside customers' networks, and what passes between them and the vault.
 *
 * Invariants
 * - The vault never calls an agent: agents ask, over HTTPS, from where they are.
 * - An agent shows who it is by signing; what it gets is good for minutes, and nothing once it is revoked.
 * - All state is in the database: any replica may answer any agent.
 */
import type { Clock } from '../clock.ts'
import type { Macs } from '../crypto/index.ts'
import type { Ledger } from '../ledger/index.ts'
import type { Database } from '../store/index.ts'
import { createAgentTokens, type AgentTokens } from './agent-tokens.ts'
import { createAnnouncer, type Announcer } from './announce.ts'
import { createAgentGroups, type AgentGroups } from './groups.ts'

export type { AgentPrincipal } from './agent-tokens.ts'
export type { AnnouncedAction } from './announce.ts'

export interface Relay {
  readonly groups: AgentGroups
  readonly tokens: AgentTokens
  readonly announcer: Announcer
}

export function createRelay (options: { database: Database, macs: Macs, ledger: Ledger, clock: Clock }): Relay {
  return Object.freeze({ groups: createAgentGroups(options), tokens: createAgentTokens(options), announcer: createAnnouncer(options) })
}
