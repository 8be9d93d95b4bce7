import type { SealedPayload } from '../crypto/index.ts'
import { TURNED_AWAY } from '../errors.ts'
import type { KeyId } from '../ids.ts'
import type { AuditPrincipal, AuditRecord, Ledger, UseContext } from '../ledger/index.ts'
import type { Metrics } from '../metrics.ts'
import {
  endRelayInvocation, guard, releaseIdempotencyKey, succeedRelayInvocation,
  type Database, type FoundRelay, type RelayEnding, type RelayOutcome, type RelayRow, type Tx,
} from '../store/index.ts'

/** For whom a call is made: its end goes on record for them, whoever learns of it. */
export interface Asker {
  readonly principal: AuditPrincipal
  readonly requestId: string | undefined
  readonly context: UseContext | undefined
}

export interface Endings {
  /** Ends an invocation, or says what came of one that had been given up, as a part of the transaction that has it locked. */
  end (tx: Tx, row: RelayRow, ending: RelayEnding): Promise<void>
  /** Ends a claimed one well, in one statement; false when it is not as it was seen, or the key is no longer current. */
  succeed (row: FoundRelay, result: { sealed: SealedPayload, keyId: KeyId }): Promise<boolean>
  /** Puts something else about it on record. */
  note (tx: Tx, row: RelayRow, about: Pick<AuditRecord, 'event' | 'outcome' | 'reason'>): Promise<void>
}

interface Options {
  readonly database: Pick<Database, 'reads'>
  readonly ledger: Pick<Ledger, 'prepare' | 'recordIn'>
  readonly metrics: Pick<Metrics, 'invocations'>
}

export function createEndings ({ database, ledger, metrics }: Options): Endings {
  return Object.freeze({
    end: async (tx: Tx, row: RelayRow, ending: RelayEnding) => {
      const late = row.state === 'ended'
      const endedAt = await endRelayInvocation(tx, { workspaceId: row.workspace_id, id: row.id }, ending)
      const durationMs = endedAt.getTime() - row.created_at.getTime()
      const { outcome, error } = ending
      await ledger.recordIn(tx, {
        ...recordOf(row), event: late ? 'invoke.result_late' : 'invoke.finished', outcome: AUDITED[outcome],
        ...outcome !== 'succeeded' && { reason: error?.class ?? outcome },
        details: { ...detailsOf(row), duration_ms: durationMs, attempts: row.claims },
      })
      if (leavesKeyFree(row, ending) && row.key_hash !== null) {
        await releaseIdempotencyKey(tx, { workspaceId: row.workspace_id, keyHash: row.key_hash, resourceId: row.id })
      }
      if (!late) metrics.invocations.observe({ integration: 'private', outcome: ending.answered ? error?.class ?? outcome : outcome }, durationMs / 1_000)
    },
    succeed: async (row: FoundRelay, result: { sealed: SealedPayload, keyId: KeyId }) => {
      const details = { ...detailsOf(row), duration_ms: Math.round(row.age_ms), attempts: row.claims }
      const batch = await ledger.prepare({ ...recordOf(row), event: 'invoke.finished', outcome: 'ok', details })
      const done = await guard(() => succeedRelayInvocation(database.reads, row, { batch, ...result }))
      if (done) metrics.invocations.observe({ integration: 'private', outcome: 'succeeded' }, row.age_ms / 1_000)
      return done
    },
    note: async (tx: Tx, row: RelayRow, about: Pick<AuditRecord, 'event' | 'outcome' | 'reason'>) => {
      await ledger.recordIn(tx, { ...recordOf(row), ...about, details: detailsOf(row) })
    },
  })
}

const AUDITED: Readonly<Record<RelayOutcome, AuditRecord['outcome']>> = {
  succeeded: 'ok', failed: 'failed', unknown: 'unknown', timeout: 'failed', expired: 'failed', cancelled: 'failed',
}

/** What every record about a relayed call says. */
export function recordOf (row: Pick<RelayRow, 'workspace_id' | 'environment' | 'connection_id' | 'version_id' | 'id' | 'asked_by'>) {
  const { principal, requestId, context } = row.asked_by as Asker
  return {
    principal, requestId, context, workspaceId: row.workspace_id, environment: row.environment, connectionId: row.connection_id, versionId: row.version_id,
    invocationId: row.id,
  }
}

export function detailsOf (row: Pick<RelayRow, 'action' | 'effect' | 'group_id' | 'agent_id'>) {
  return { integration: 'private', action: row.action, effect: row.effect, group_id: row.group_id, agent_id: row.agent_id }
}

/** Whether a repeat with the same key makes the call anew: nothing was done, or doing it again is the same. */
function leavesKeyFree ({ effect }: RelayRow, { outcome, error }: RelayEnding): boolean {
  switch (outcome) {
    case 'expired': case 'cancelled': case 'timeout': return true
    case 'failed': return TURNED_AWAY.includes(error?.class ?? '') || (effect !== 'unsafe' && error?.class === 'provider_unavailable')
    case 'succeeded': case 'unknown': return false
  }
}
