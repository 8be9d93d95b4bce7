import type { Clock } from '../clock.ts'
import type { Macs } from '../crypto/index.ts'
import { isVaultError, VaultError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { untilQuiet } from '../quiet.ts'
import { appendBatch, ensureAuditPartitions, isMissingPartition, isUnstorable, type AuditRow, type Database } from '../store/index.ts'
import { toBatch } from './record.ts'

export interface GroupCommit {
  /** Resolves when the record is on disk; rejects when it is not, and then nothing may leave. */
  commit (row: AuditRow): Promise<void>
  /** Resolves when everything handed in before is on disk or has failed. */
  drain (): Promise<void>
}

interface Waiting {
  readonly row: AuditRow
  readonly sinceMs: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

interface Options {
  readonly database: Pick<Database, 'writes' | 'db'>
  readonly macs: Macs
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Pick<Metrics, 'auditFlushes' | 'auditQueue'>
}

/** More would make one statement so large that its commit is late for all in it. */
const BATCH_MAX = 1_000
/** At 10,000 records a second this is a database that has not committed for a second. */
const QUEUE_MAX = 10_000
/** Who has waited for so long when a commit fails because the database is away does not wait for the next one to fail, too. */
const PATIENCE_MS = 1_000

/**
 * Commits records of many callers together: one multi-row INSERT and one fsync for all that
 * arrived while the commit before was under way. One is under way at a time.
 */
export function createGroupCommit (options: Options): GroupCommit {
  const { database, macs, clock, log, metrics } = options
  const queue: Waiting[] = []
  let running: Promise<void> | undefined

  const write = async (entries: readonly Waiting[]): Promise<void> => {
    const batch = toBatch(entries.map((entry) => entry.row), await macs.key('audit-batch'))
    try {
      await appendBatch(database.writes, batch)
    } catch (error) {
      if (!isMissingPartition(error)) throw error
      log.warn('an audit partition was missing and is made now')
      await ensureAuditPartitions(database.db)
      await appendBatch(database.writes, batch)
    }
  }

  const giveUp = (error: unknown): void => {
    const patient = queue.findIndex((entry) => clock.monotonicMs() - entry.sinceMs < PATIENCE_MS)
    for (const entry of queue.splice(0, patient === -1 ? queue.length : patient)) entry.reject(error)
  }

  const flush = async (entries: readonly Waiting[]): Promise<void> => {
    const startedMs = clock.monotonicMs()
    try {
      await write(entries)
      for (const entry of entries) entry.resolve()
    } catch (error) {
      // One record that Postgres can't store must not take the others with it.
      if (isUnstorable(error) && entries.length > 1) {
        for (const entry of entries) await flush([entry])
        return
      }
      log.error({ err: error, count: entries.length }, 'audit records could not be committed')
      for (const entry of entries) entry.reject(error)
      if (isVaultError(error, 'database_unavailable')) giveUp(error)
    } finally {
      metrics.auditFlushes.observe((clock.monotonicMs() - startedMs) / 1_000)
    }
  }

  const run = async (): Promise<void> => {
    while (queue.length > 0) {
      await untilQuiet(() => queue.length)
      await flush(queue.splice(0, BATCH_MAX))
      metrics.auditQueue.set(queue.length)
    }
    running = undefined
  }

  return Object.freeze({
    commit: async (row: AuditRow) => {
      if (queue.length >= QUEUE_MAX) throw new VaultError('overloaded', { detail: 'Audit records wait for the database.', retryAfterSeconds: 1 })
      await new Promise<void>((resolve, reject) => {
        queue.push({ row, sinceMs: clock.monotonicMs(), resolve, reject })
        running ??= run()
      })
    },
    drain: async () => {
      // Each run ends with an empty queue; records handed in meanwhile have started another.
      for (let under = running; under !== undefined; under = running) await under
    },
  })
}
