/**
 * Persistence: the only room with Kysely and pg.
 *
 * Invariants
 * - A store function takes its executor first: a transaction where the change must commit together with another.
 * - What is secret comes in and goes out sealed; this room can't open it.
 * - Time is the database's (`vault_now()`), so that replicas need not agree about theirs.
 */
export * from './agents.ts'
export * from './audit.ts'
export * from './chain.ts'
export * from './connections.ts'
export * from './connect-sessions.ts'
export * from './database.ts'
export { EMBEDDED_SUPERUSER, isAlive, startEmbeddedPostgres, type EmbeddedPostgres } from './embedded.ts'
export { claimIdempotencyKey, isRepeated, purgeIdempotencyKeys, releaseIdempotencyKey, type Idempotency } from './idempotency.ts'
export * from './integrations.ts'
export * from './invocations.ts'
export * from './key-care.ts'
export * from './key-sweep.ts'
export { createKekCheckTable, createKeyTable, holdCurrentKey, whileKeyChanges } from './keys.ts'
export * from './leases.ts'
export { migrate, MigrationError, SERVICE_ROLE } from './migrate.ts'
export { prepareEmbedded, type DatabaseUrls } from './prepare-embedded.ts'
export * from './oauth-apps.ts'
export { deriveOpenInvocations, takeLostInvocations } from './open-invocations.ts'
export * from './relay.ts'
export * from './relay-chunks.ts'
export * from './revocations.ts'
export * from './sealed-rows.ts'
export type { DeliveryState, Health, LinkChoice, RelayOutcome, RelayState, SessionState, VersionState } from './states.ts'
export { findTokenByIdempotency, findUsableToken, insertToken, listTokens, revokeToken, type TokenRow } from './tokens.ts'
export type { Recalled, UsableRow, UsableTable } from './usable.ts'
export * from './events.ts'
export * from './reminders.ts'
export * from './usage.ts'
export * from './versions.ts'
export * from './webhook-deliveries.ts'
export * from './webhooks.ts'
export * from './workspaces.ts'
