import type { Clock } from '../clock.ts'
import type { Macs } from '../crypto/index.ts'
import type { Environment, InvocationId } from '../ids.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { appendBatchIn, takeLostInvocations, type Database, type Tx } from '../store/index.ts'
import { createGroupCommit } from './group-commit.ts'
import { toBatch, toRow, type AuditPrincipal, type AuditRecord } from './record.ts'

/** A record of an invocation: everything that names it is there. */
export type InvocationRecord = AuditRecord & {
  readonly workspaceId: string
  readonly environment: Environment
  readonly connectionId: string
  readonly versionId: string
  readonly invocationId: InvocationId
}

export interface LedgerWriter {
  /** Resolves when all these records are on disk. They share their commit with other callers' records. */
  record (...records: readonly AuditRecord[]): Promise<void>
  /** Writes without anybody waiting: for refusals, where nothing leaves. A loss is logged. */
  recordSoon (record: AuditRecord): void
  /** Writes as a part of the transaction that makes the change. */
  recordIn (tx: Tx, ...records: readonly AuditRecord[]): Promise<void>
  /** Resolves when `invoke.started` is on disk: only then may the request be sent. */
  openInvocation (record: InvocationRecord, deadlineMs: number): Promise<void>
  /** Resolves when `invoke.finished` is on disk: only then may the answer leave. */
  closeInvocation (record: InvocationRecord): Promise<void>
  /** Closes invocations whose process died, as of unknown outcome; answers how many. */
  recoverInvocations (): Promise<number>
  /** Resolves when everything handed in is on disk or has failed. */
  drain (): Promise<void>
}

const RECOVERED_MAX = 500
const SYSTEM: AuditPrincipal = Object.freeze({ kind: 'system', id: null, actor: null })

export function createLedgerWriter (options: { database: Database, macs: Macs, clock: Clock, log: Log, metrics: Metrics }): LedgerWriter {
  const { database, macs, clock, log } = options
  const group = createGroupCommit(options)

  const recordIn = async (tx: Tx, ...records: readonly AuditRecord[]): Promise<void> => {
    const now = clock.now()
    await appendBatchIn(tx, toBatch(records.map((record) => toRow(record, now)), await macs.key('audit-batch')))
  }

  return Object.freeze({
    record: async (...records: readonly AuditRecord[]) => {
      const now = clock.now()
      if (records.length === 1 && records[0] !== undefined) await group.commit({ row: toRow(records[0], now) })
      else await Promise.all(records.map((record) => group.commit({ row: toRow(record, now) })))
    },
    recordSoon: (record: AuditRecord) => {
      group.commit({ row: toRow(record, clock.now()) }).catch((error: unknown) => { log.error({ err: error }, 'a refusal could not be put on record') })
    },
    recordIn,
    openInvocation: async (record: InvocationRecord, deadlineMs: number) => {
      const row = toRow(record, clock.now())
      const opens = {
        workspace_id: record.workspaceId, id: record.invocationId, connection_id: record.connectionId, version_id: record.versionId,
        environment: record.environment, details: { ...record.details }, context: row.context ?? null, deadline_ms: deadlineMs,
      }
      await group.commit({ row, opens })
    },
    closeInvocation: async (record: InvocationRecord) => {
      await group.commit({ row: toRow(record, clock.now()), closes: { workspace_id: record.workspaceId, id: record.invocationId } })
    },
    recoverInvocations: async () => await database.transaction(async (tx) => {
      const lost = await takeLostInvocations(tx, RECOVERED_MAX)
      if (lost.length > 0) {
        await recordIn(tx, ...lost.map((one): AuditRecord => ({
          event: 'invoke.finished', outcome: 'unknown', reason: 'outcome_unknown', principal: SYSTEM, workspaceId: one.workspace_id, environment: one.environment,
          connectionId: one.connection_id, versionId: one.version_id, invocationId: one.id as InvocationId, context: (one.context ?? {}),
          details: { ...one.details as Record<string, string | number> },
        })))
      }
      return lost.length
    }),
    drain: group.drain,
  })
}
