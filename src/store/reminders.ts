import { sql } from 'kysely'
import type { ConnectionId, Environment, VersionId, WorkspaceId } from '../ids.ts'
import type { Tx } from './database.ts'

/** A credential that ends soon, unless somebody does something. */
export interface ReminderRow {
  readonly workspace_id: WorkspaceId
  readonly id: ConnectionId
  readonly environment: Environment
  readonly current_version: VersionId
  readonly deadline: Date
  /** The whole days that are left, rounded up. */
  readonly days_left: number
}

/**
 * Takes the reminders that are due: each deadline once for each of the marks (days ahead), and of
 * marks that were passed together only the nearest. Days are 24 hours, in any zone.
 */
export async function takeReminders (tx: Tx, { marks, limit }: { marks: readonly number[], limit: number }): Promise<ReminderRow[]> {
  const { rows } = await sql<ReminderRow>`
    update connections c set reminded_of = c.deadline, reminded_days = due.mark
      from (
        select workspace_id, id, mark from connections
          cross join lateral (
            select min(days) as mark from unnest(${[...marks]}::integer[]) as days where deadline <= vault_now() + make_interval(hours => days * 24)) marks
         where deadline > vault_now() and deadline <= vault_now() + make_interval(hours => ${Math.max(...marks) * 24})
           and health = 'active' and disabled_at is null and (reminded_of is distinct from deadline or reminded_days > mark)
         order by deadline limit ${limit} for update of connections skip locked) due
     where c.workspace_id = due.workspace_id and c.id = due.id
    returning c.workspace_id, c.id, c.environment, c.current_version, c.deadline,
              ceil(extract(epoch from c.deadline - vault_now()) / 86400)::integer as days_left`.execute(tx)
  return rows
}
