import type { Clock } from '../clock.ts'
import type { Macs } from '../crypto/index.ts'
import type { InvocationId } from '../ids.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { appendBatchIn, deriveOpenInvocations, insertEvents, takeLostInvocations, type AuditBatch, type Database, type Premise, type Tx } from '../store/index.ts'
import { projectEvents } from './event.ts'
import { createGroupCommit } from './group-commit.ts'
import { toBatch, toRow, type AuditPrincipal, type AuditRecord } from './record.ts'

export interface LedgerWriter {
  /** Resolves when all these records are on disk. They share their commit with other callers' records. */
  record (...records: readonly AuditRecord[]): Promise<void>
  /** The same for one record that rests on a premise. False when that no longer holds: then nothing is on record. */
  recordIf (record: AuditRecord, premise: Premise): Promise<boolean>
  /** Records made ready for a statement that stores them together with the change they are about. Only for those that no event tells of. */
  prepare (...records: readonly AuditRecord[]): Promise<AuditBatch>
  /** Writes without anybody waiting: for refusals, where nothing leaves. A loss is logged. */
  recordSoon (record: AuditRecord): void
  /** Writes as a part of the transaction that makes the change, together with the events that tell of it. */
  recordIn (tx: Tx, ...records: readonly AuditRecord[]): Promise<void>
  /** Closes invocations whose process died, as of unknown outcome; answers how many. */
  recoverInvocations (): Promise<number>
  /** Resolves when everything handed in is on disk or has failed. */
  drain (): Promise<void>
}

const RECOVERED_MAX = 500
const LINKS_MAX = 5_000
const SYSTEM: AuditPrincipal = Object.freeze({ kind: 'system', id: null, actor: null })

export function createLedgerWriter (options: { database: Database, macs: Macs, clock: Clock, log: Log, metrics: Metrics }): LedgerWriter {
  const { database, macs, clock, log } = options
  const group = createGroupCommit(options)

  const prepare = async (...records: readonly AuditRecord[]): Promise<AuditBatch> => {
    const now = clock.now()
    return toBatch(records.map((record) => toRow(record, now)), await macs.key('audit-batch'))
  }

  const recordIn = async (tx: Tx, ...records: readonly AuditRecord[]): Promise<void> => {
    await appendBatchIn(tx, await prepare(...records))
    const events = projectEvents(records)
    if (events.length > 0) await insertEvents(tx, events)
  }

  const closeLost = async (tx: Tx): Promise<number> => {
    const lost = await takeLostInvocations(tx, RECOVERED_MAX)
    if (lost.length > 0) {
      await recordIn(tx, ...lost.map((one): AuditRecord => ({
        event: 'invoke.finished', outcome: 'unknown', reason: 'outcome_unknown', principal: SYSTEM, workspaceId: one.workspace_id, environment: one.environment,
        connectionId: one.connection_id, versionId: one.version_id, invocationId: one.id as InvocationId, context: (one.context ?? {}),
        details: { ...one.details as Record<string, string | number> },
      })))
    }
    return lost.length
  }

  return Object.freeze({
    record: async (...records: readonly AuditRecord[]) => {
      const now = clock.now()
      if (records.length === 1 && records[0] !== undefined) await group.commit(toRow(records[0], now))
      else await Promise.all(records.map((record) => group.commit(toRow(record, now))))
    },
    recordIf: async (record: AuditRecord, premise: Premise) => await group.commit(toRow(record, clock.now(), premise)),
    recordSoon: (record: AuditRecord) => {
      group.commit(toRow(record, clock.now())).catch((error: unknown) => { log.error({ err: error }, 'a refusal could not be put on record') })
    },
    prepare,
    recordIn,
    recoverInvocations: async () => {
      while (await database.transaction((tx) => deriveOpenInvocations(tx, LINKS_MAX)) >= LINKS_MAX);
      return await database.transaction(closeLost)
    },
    drain: group.drain,
  })
}
