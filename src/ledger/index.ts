/**
 * The ledger: what happened, by whom, to what, and who is told.
 *
 * Invariants
 * - A use is on disk before its secret leaves; a change of state commits together with its record.
 * - Records are written once; links of HMACs over them show any later change, removal or insertion.
 * - A record holds ids, codes and measures, never a value.
 * - Events are read off the records of changes and commit with them: one for each change, none without.
 */
import type { Clock } from '../clock.ts'
import type { Macs } from '../crypto/index.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { guard, listAuditEvents, type AuditFilter, type Database, type StoredEvent } from '../store/index.ts'
import { createLedgerWriter, type LedgerWriter } from './write.ts'
import { createChainSealer, type ChainSealer } from './seal-chain.ts'
import { verifyChain, type Verification } from './verify.ts'

export { EVENT_TYPES, presentEvent, type EventType } from './event.ts'
export { createEvents, type Events } from './events.ts'
export type { AuditEventName, AuditOutcome, AuditPrincipal, AuditRecord, UseContext } from './record.ts'
export type { Finding, Verification } from './verify.ts'
export type { WithSecret } from './webhooks.ts'

export type Ledger = LedgerWriter & {
  readonly sealer: ChainSealer
  /** A workspace's records, newest first. */
  list (filter: AuditFilter): Promise<StoredEvent[]>
  /** Recomputes the whole record; `checkpoint` is one that was kept elsewhere. */
  verify (checkpoint?: string): Promise<Verification>
}

export function createLedger (options: { database: Database, macs: Macs, clock: Clock, log: Log, metrics: Metrics, owner: string }): Ledger {
  return Object.freeze({
    ...createLedgerWriter(options),
    sealer: createChainSealer(options),
    list: async (filter: AuditFilter) => await guard(() => listAuditEvents(options.database.db, filter)),
    verify: async (checkpoint?: string) => await verifyChain(options.database, options.macs, checkpoint),
  })
}
