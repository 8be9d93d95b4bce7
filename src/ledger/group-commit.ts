import type { Clock } from '../clock.ts'
import type { Macs } from '../crypto/index.ts'
import { isVaultError, VaultError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { untilQuiet } from '../quiet.ts'
import { appendBatch, appendBatchOn, ensureAuditPartitions, isMissingPartition, isUnstorable, type AuditBatch, type AuditRow, type Database } from '../store/index.ts'
import { toBatch } from './record.ts'

export interface GroupCommit {
  /**
   * Resolves when the record is on disk; rejects when it is not, and then nothing may leave. False
   * when the premise that it rests on does not hold: then nothing is on record.
   */
  commit (row: AuditRow): Promise<boolean>
  /** Resolves when everything handed in before is on disk or has failed. */
  drain (): Promise<void>
}

interface Waiting {
  readonly row: AuditRow
  readonly sinceMs: number
  readonly resolve: (held: boolean) => void
  readonly reject: (error: unknown) => void
}

interface Options {
  readonly database: Pick<Database, 'writes' | 'db'>
  readonly macs: Macs
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Pick<Metrics, 'auditFlushes' | 'auditQueue'>
}

/** While the database stores so many, the process gets as many ready: half of what waits, so that each of two lanes has a share, within these bounds. */
const BATCH = { least: 200, most: 1_000 }
/** One statement is under way at a time; with so many waiting for their turn, two are. */
const SECOND_WORTH = 100
const LANES_MAX = 2
/** At 10,000 records a second this is a database that has not committed for a second. */
const QUEUE_MAX = 10_000
/** Who has waited for so long when a commit fails because the database is away does not wait for the next one to fail, too. */
const PATIENCE_MS = 1_000

/** Writes what was handed in together. Answers the records whose premise failed: nothing was written then. */
function createAppender ({ database, macs, log }: Options): (entries: readonly Waiting[]) => Promise<readonly string[]> {
  const append = async (batch: AuditBatch, entries: readonly Waiting[]): Promise<readonly string[]> => {
    if (entries.some((entry) => entry.row.stamp !== undefined)) return await appendBatchOn(database.writes, batch)
    await appendBatch(database.writes, batch)
    return []
  }
  // Two statements that miss it wait for one making.
  let making: Promise<void> | undefined
  return async (entries) => {
    const batch = toBatch(entries.map((entry) => entry.row), await macs.key('audit-batch'))
    try {
      return await append(batch, entries)
    } catch (error) {
      if (!isMissingPartition(error)) throw error
      log.warn('an audit partition was missing and is made now')
      await (making ??= ensureAuditPartitions(database.db).finally(() => { making = undefined }))
      return await append(batch, entries)
    }
  }
}

/** Works on what is queued, a batch at a time; where much waits, on a second batch beside the first. `work` never throws. */
function createLanes<T> (queue: T[], work: (batch: readonly T[]) => Promise<void>) {
  const lanes = new Set<Promise<void>>()
  let open = 0
  const share = (): number => Math.min(BATCH.most, Math.max(BATCH.least, Math.ceil(queue.length / LANES_MAX)))
  const run = async (): Promise<void> => {
    open++
    while (queue.length >= (open > 1 ? SECOND_WORTH : 1)) {
      await untilQuiet(() => Math.min(queue.length, BATCH.most))
      const batch = queue.splice(0, share())
      // The other lane may have taken all.
      if (batch.length > 0) await work(batch)
    }
    // At once, not when the promise is settled: two that end together would each leave the rest to the other.
    open--
  }
  return {
    wake: () => {
      if (open >= (queue.length >= SECOND_WORTH ? LANES_MAX : 1)) return
      const lane = run().finally(() => { lanes.delete(lane) })
      lanes.add(lane)
    },
    /** Until all that was queued before has been worked on. The last lane ends with an empty queue; what is queued meanwhile opens another. */
    drain: async () => { while (lanes.size > 0) await Promise.all(lanes) },
  }
}

/**
 * Commits records of many callers together: one multi-row INSERT and one fsync for all that
 * arrived while the commit before was under way. Of single uses that is all there is; where many
 * are asked for at once, a second commit is sent while the first is under way.
 */
export function createGroupCommit (options: Options): GroupCommit {
  const { clock, log, metrics } = options
  const write = createAppender(options)
  const queue: Waiting[] = []

  const giveUp = (error: unknown): void => {
    const patient = queue.findIndex((entry) => clock.monotonicMs() - entry.sinceMs < PATIENCE_MS)
    for (const entry of queue.splice(0, patient === -1 ? queue.length : patient)) entry.reject(error)
  }

  /** The others try again at once: their callers have done nothing wrong. */
  const leaveOut = async (entries: readonly Waiting[], failed: ReadonlySet<string>): Promise<void> => {
    for (const entry of entries) if (failed.has(entry.row.id)) entry.resolve(false)
    const others = entries.filter((entry) => !failed.has(entry.row.id))
    if (others.length > 0) await flush(others)
  }

  const flush = async (entries: readonly Waiting[]): Promise<void> => {
    const startedMs = clock.monotonicMs()
    try {
      const failed = new Set(await write(entries))
      if (failed.size === 0) for (const entry of entries) entry.resolve(true)
      else await leaveOut(entries, failed)
    } catch (error) {
      // One record that Postgres can't store must not take the others with it.
      if (isUnstorable(error) && entries.length > 1) {
        const middle = Math.ceil(entries.length / 2)
        for (const half of [entries.slice(0, middle), entries.slice(middle)]) await flush(half)
        return
      }
      log.error({ err: error, count: entries.length }, 'audit records could not be committed')
      for (const entry of entries) entry.reject(error)
      if (isVaultError(error, 'database_unavailable')) giveUp(error)
    } finally {
      metrics.auditFlushes.observe((clock.monotonicMs() - startedMs) / 1_000)
    }
  }

  const lanes = createLanes(queue, async (entries) => {
    await flush(entries)
    metrics.auditQueue.set(queue.length)
  })
  return Object.freeze({
    commit: async (row: AuditRow) => {
      if (queue.length >= QUEUE_MAX) throw new VaultError('overloaded', { detail: 'Audit records wait for the database.', retryAfterSeconds: 1 })
      return await new Promise<boolean>((resolve, reject) => {
        queue.push({ row, sinceMs: clock.monotonicMs(), resolve, reject })
        lanes.wake()
      })
    },
    drain: lanes.drain,
  })
}
