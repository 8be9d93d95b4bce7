import type { Clock } from '../clock.ts'
import type { Macs } from '../crypto/index.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { guard, listAuditEvents, type AuditFilter, type Database, type StoredEvent } from '../store/index.ts'
import type { AuditRecord } from './record.ts'
import { createRetention, type ExportedEvent, type ExportRange } from './retention.ts'
import { createChainSealer, type ChainSealer } from './seal-chain.ts'
import { verifyChain, type Verification } from './verify.ts'
import { createLedgerWriter, type LedgerWriter } from './write.ts'

export type Ledger = LedgerWriter & {
  readonly sealer: ChainSealer
  /** A workspace's records, newest first. */
  list (filter: AuditFilter): Promise<StoredEvent[]>
  /** Recomputes the whole record; `checkpoint` is one that was kept elsewhere. */
  verify (checkpoint?: string): Promise<Verification>
  /** Signs where the record is to begin when what ended before an instant is let go; undefined where nothing can be. */
  anchor (keptFrom: Date, caller: Pick<AuditRecord, 'principal'>): Promise<{ seq: number, keptFrom: Date } | undefined>
  /** Records in the order of the chain, each with a cursor to go on after it. */
  exportEvents (range: ExportRange): AsyncGenerator<ExportedEvent>
}

export function createLedger (options: { database: Database, macs: Macs, clock: Clock, log: Log, metrics: Metrics, owner: string }): Ledger {
  const writer = createLedgerWriter(options)
  return Object.freeze({
    ...writer,
    sealer: createChainSealer(options),
    list: async (filter: AuditFilter) => await guard(() => listAuditEvents(options.database.db, filter)),
    verify: async (checkpoint?: string) => await verifyChain(options.database, options.macs, checkpoint),
    ...createRetention({ ...options, writer }),
  })
}
