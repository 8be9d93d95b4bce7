/**
 * Private connections: agents inside customers' networks, and what passes between them and the vault.
 *
 * Invariants
 * - The vault never calls an agent: agents ask, over HTTPS, from where they are.
 * - An agent shows who it is by signing; what it gets is good for minutes, for nothing once it is revoked.
 * - A call is handed to one agent at a time. One that is not harmless is handed out once; what nobody knows of it is said to be unknown.
 * - All state is in the database: any replica may answer any agent.
 */
export { createRelay, type Relay } from './assemble.ts'
export { LEASE_SECONDS, OFFER_SECONDS } from './spans.ts'
export type { AgentPrincipal } from './agent-tokens.ts'
export type { GroupAction, Presence } from './presence.ts'
export { PAYLOAD_COLUMNS } from './payloads.ts'
