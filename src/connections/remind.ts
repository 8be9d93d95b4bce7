import type { Ledger } from '../ledger/index.ts'
import { takeReminders, type Database } from '../store/index.ts'

/** Says ahead of time that a credential ends. */
export interface Reminder {
  /** Writes the events that are due; answers how many. */
  run (): Promise<number>
}

/** Days ahead; each is said once for each end. */
const MARKS = [30, 14, 7, 1] as const
const BATCH = 500

export function createReminder ({ database, ledger }: { database: Pick<Database, 'transaction'>, ledger: Pick<Ledger, 'recordIn'> }): Reminder {
  return Object.freeze({
    run: async () => await database.transaction(async (tx) => {
      const due = await takeReminders(tx, { marks: MARKS, limit: BATCH })
      if (due.length > 0) {
        await ledger.recordIn(tx, ...due.map((row) => ({
          event: 'connection.expiring' as const, outcome: 'ok' as const, principal: { kind: 'system' as const, id: null, actor: null },
          workspaceId: row.workspace_id, environment: row.environment, connectionId: row.id, versionId: row.current_version,
          details: { expires_at: row.deadline.toISOString(), days_left: row.days_left },
        })))
      }
      return due.length
    }),
  })
}
