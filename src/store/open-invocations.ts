import { sql, type Selectable } from 'kysely'
import type { Tx } from './database.ts'
import type { OpenInvocations } from './schema.ts'

export type OpenInvocation = Omit<Selectable<OpenInvocations>, 'deadline_at'>

/** After its deadline an invocation still has this long to write its end before it counts as lost. */
const CLOSING_MARGIN_MS = 30_000
/** The longest there is, for records that don't say. */
const TIMEOUT_MAX_MS = 120_000

/**
 * Notes the invocations that started in the next links of the audit chain and have not ended in
 * them, strikes those that have, and remembers how far it got. Answers the links covered.
 * The deadline counts from when the start was sealed, which is after it was committed.
 */
export async function deriveOpenInvocations (tx: Tx, limit: number): Promise<number> {
  const { seq: from } = await tx.selectFrom('open_invocations_cursor').select('seq').forUpdate().executeTakeFirstOrThrow()
  const { rows: [next] } = await sql<{ to: number | null }>`
    select max(seq) as to from (select seq from audit_chain where seq > ${from} order by seq limit ${limit}) as links`.execute(tx)
  if (next?.to == null) return 0
  // `offset 0`: see deriveUses. An end is never sealed before its start, as it is committed after it.
  // Pairs are found by sorting: a join of the records with themselves is planned for a handful of them.
  await sql`
    with halves as materialized (
      select * from (
        select e.*, l.sealed_at,
               bool_and(event = 'invoke.started') over pair or bool_and(event = 'invoke.finished') over pair as lone
          from audit_chain l
         cross join lateral (
               select event, workspace_id, environment, connection_id, version_id, invocation_id, context, details from audit_events
                where batch_id = l.batch_id and occurred_at between l.first_at and l.last_at and event in ('invoke.started', 'invoke.finished')
               offset 0) as e
         where l.seq > ${from} and l.seq <= ${next.to}
        window pair as (partition by e.workspace_id, e.invocation_id)) as seen
       where lone
    ), struck as (
      delete from open_invocations i using halves h
       where h.event = 'invoke.finished' and i.workspace_id = h.workspace_id and i.id = h.invocation_id
    )
    insert into open_invocations (workspace_id, id, connection_id, version_id, environment, details, context, deadline_at)
    select workspace_id, invocation_id, connection_id, version_id, environment, details - 'timeout_ms', context,
           sealed_at + (coalesce((details ->> 'timeout_ms')::float8, ${TIMEOUT_MAX_MS}) + ${CLOSING_MARGIN_MS}) * interval '1 millisecond'
      from halves
     where event = 'invoke.started'
    on conflict do nothing`.execute(tx)
  await tx.updateTable('open_invocations_cursor').set({ seq: next.to }).execute()
  return next.to - from
}

/** Invocations past their deadline: their process died. Removes and answers them. */
export async function takeLostInvocations (tx: Tx, limit: number): Promise<OpenInvocation[]> {
  return await tx.deleteFrom('open_invocations')
    .where(({ eb, refTuple }) => eb(refTuple('workspace_id', 'id'), 'in', eb.selectFrom('open_invocations as o')
      .select(['o.workspace_id', 'o.id']).where('o.deadline_at', '<', sql<Date>`vault_now()`)
      // An end that is committed and not sealed yet: the chain may be behind.
      .where(({ not, exists, selectFrom }) => not(exists(selectFrom('audit_events as e').select('e.id')
        .whereRef('e.workspace_id', '=', 'o.workspace_id').whereRef('e.connection_id', '=', 'o.connection_id')
        .where('e.occurred_at', '>', sql<Date>`o.deadline_at - interval '1 day'`)
        .whereRef('e.invocation_id', '=', 'o.id').where('e.event', '=', 'invoke.finished'))))
      .orderBy('o.deadline_at').limit(limit).forUpdate().skipLocked().$asTuple('workspace_id', 'id')))
    .returning(['workspace_id', 'id', 'connection_id', 'version_id', 'environment', 'details', 'context']).execute()
}
