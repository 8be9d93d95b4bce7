import type { Ledger } from '../ledger/index.ts'
import { takeEnded, takeReminders, type Database, type EndedRow } from '../store/index.ts'

/** Says ahead of time that a credential ends, and when it has. */
export interface Reminder {
  /** Takes connections out of use whose token has ended with nothing to renew it by; answers how many. */
  end (): Promise<number>
  /** Writes the events that are due; answers how many. */
  run (): Promise<number>
}

/** Days ahead; each is said once for each end. */
const MARKS = [30, 14, 7, 1] as const
const BATCH = 500

export function createReminder ({ database, ledger }: { database: Pick<Database, 'transaction'>, ledger: Pick<Ledger, 'recordIn'> }): Reminder {
  return Object.freeze({
    end: async () => await database.transaction(async (tx) => {
      const ended = await takeEnded(tx, BATCH)
      if (ended.length > 0) await ledger.recordIn(tx, ...ended.map((row) => ({ ...recordOf(row), event: 'connection.needs_reauth' as const, reason: 'token_ended' })))
      return ended.length
    }),
    run: async () => await database.transaction(async (tx) => {
      const due = await takeReminders(tx, { marks: MARKS, limit: BATCH })
      if (due.length > 0) {
        await ledger.recordIn(tx, ...due.map((row) => ({
          ...recordOf(row), event: 'connection.expiring' as const, details: { expires_at: row.deadline.toISOString(), days_left: row.days_left },
        })))
      }
      return due.length
    }),
  })
}

function recordOf (row: EndedRow) {
  return {
    outcome: 'ok' as const, principal: { kind: 'system' as const, id: null, actor: null },
    workspaceId: row.workspace_id, environment: row.environment, connectionId: row.id, versionId: row.current_version,
  }
}
