/**
 * The ledger: what happened, by whom, to what, and who is told.
 *
 * Invariants
 * - A use is on disk before its secret leaves; a change of state commits together with its record.
 * - Records are written once; links of HMACs over them show any later change, removal or insertion.
 * - A record holds ids, codes and measures, never a value.
 * - Events are read off the records of changes and commit with them: one for each change, none without.
 */
export { createLedger, type Ledger } from './assemble.ts'
export { EVENT_TYPES, presentEvent, type EventType } from './event.ts'
export { createEvents, type Events } from './events.ts'
export type { AuditEventName, AuditOutcome, AuditPrincipal, AuditRecord, UseContext } from './record.ts'
export type { ExportedEvent } from './retention.ts'
export type { Finding, Verification } from './verify.ts'
export { WEBHOOK_SECRET_COLUMN } from './webhook-secrets.ts'
export type { WithSecret } from './webhooks.ts'
