import { sql, type Selectable } from 'kysely'
import type { ConnectionId, WorkspaceId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { ConnectionReferences, ConnectionUses } from './schema.ts'

export type ReferenceRow = Pick<Selectable<ConnectionReferences>, 'procedure_id' | 'step_id' | 'label' | 'registered_at'>
export type UseRow = Pick<Selectable<ConnectionUses>, 'procedure_id' | 'step_id' | 'uses' | 'first_used_at' | 'last_used_at'>

interface Of {
  readonly workspace_id: WorkspaceId
  readonly id: ConnectionId
}

const LISTED_MAX = 1000

export async function listReferences (on: Executor, of: Of): Promise<ReferenceRow[]> {
  return await on.selectFrom('connection_references').select(['procedure_id', 'step_id', 'label', 'registered_at'])
    .where('workspace_id', '=', of.workspace_id).where('connection_id', '=', of.id)
    .orderBy('procedure_id').orderBy('step_id').limit(LISTED_MAX).execute()
}

/** Puts these in place of all references of the connection. */
export async function replaceReferences (tx: Tx, of: Of, references: readonly Omit<ReferenceRow, 'registered_at'>[]): Promise<void> {
  await tx.deleteFrom('connection_references').where('workspace_id', '=', of.workspace_id).where('connection_id', '=', of.id).execute()
  if (references.length === 0) return
  await tx.insertInto('connection_references')
    .values(references.map((reference) => ({ ...reference, workspace_id: of.workspace_id, connection_id: of.id }))).execute()
}

/** Uses seen, the most recent first; with `withinDays` only those seen that lately. */
export async function listUses (on: Executor, of: Of, withinDays?: number): Promise<UseRow[]> {
  let query = on.selectFrom('connection_uses').select(['procedure_id', 'step_id', 'uses', 'first_used_at', 'last_used_at'])
    .where('workspace_id', '=', of.workspace_id).where('connection_id', '=', of.id)
    .orderBy('last_used_at', 'desc').limit(LISTED_MAX)
  if (withinDays !== undefined) query = query.where('last_used_at', '>', sql<Date>`vault_now() - make_interval(days => ${withinDays})`)
  return await query.execute()
}

/**
 * Adds up the uses in the next links of the audit chain and remembers how far it got, in one
 * transaction: no use is counted twice or lost, whatever dies when. Answers the links covered.
 */
export async function deriveUses (tx: Tx, limit: number): Promise<number> {
  const { seq: from } = await tx.selectFrom('uses_cursor').select('seq').forUpdate().executeTakeFirstOrThrow()
  const { rows: [next] } = await sql<{ to: number | null }>`
    select max(seq) as to from (select seq from audit_chain where seq > ${from} order by seq limit ${limit}) as links`.execute(tx)
  if (next?.to == null) return 0
  // Records newer than the last statistics look like none to the planner: `offset 0` has it look
  // up each batch by its key all the same. A connection that is being deleted is waited for and,
  // once it is gone, passed over: its key would refuse the whole batch.
  await sql`
    insert into connection_uses as u (workspace_id, connection_id, procedure_id, step_id, uses, first_used_at, last_used_at)
    select seen.*
      from (select e.workspace_id, e.connection_id, coalesce(e.context ->> 'procedure_id', ''), coalesce(e.context ->> 'step_id', ''),
                   count(*), min(e.occurred_at), max(e.occurred_at)
              from audit_chain l
             cross join lateral (
                   select workspace_id, connection_id, occurred_at, context from audit_events
                    where batch_id = l.batch_id and occurred_at between l.first_at and l.last_at
                      and event in ('connection.resolved', 'invoke.started') and outcome = 'ok'
                      and details ->> 'action' is distinct from '(test)'
                   offset 0) as e
             where l.seq > ${from} and l.seq <= ${next.to}
             group by 1, 2, 3, 4) as seen
      join connections c on c.workspace_id = seen.workspace_id and c.id = seen.connection_id
     order by 1, 2, 3, 4
       for key share of c
    on conflict (workspace_id, connection_id, procedure_id, step_id) do update
      set uses = u.uses + excluded.uses,
          first_used_at = least(u.first_used_at, excluded.first_used_at),
          last_used_at = greatest(u.last_used_at, excluded.last_used_at)`.execute(tx)
  await tx.updateTable('uses_cursor').set({ seq: next.to }).execute()
  return next.to - from
}
