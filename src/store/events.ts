import { sql, type Selectable } from 'kysely'
import type { Environment, EventId, WorkspaceId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { Events } from './schema.ts'

export interface NewEvent {
  readonly id: EventId
  readonly type: string
  readonly workspace_id: string | undefined
  readonly environment: Environment | undefined
  readonly subject_id: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Writes events in the order given. One about a connection that does not name its integration gets it from there. */
export async function insertEvents (tx: Tx, events: readonly NewEvent[]): Promise<void> {
  await sql`
    insert into events (id, type, workspace_id, environment, subject_id, data)
    select r.id, r.type, r.workspace_id, r.environment, r.subject_id,
           case when c.id is null then r.data else jsonb_build_object('integration', c.integration) || r.data end
      from json_to_recordset(${JSON.stringify(events.map((event, place) => ({ ...event, place })))}::json)
           as r (place integer, id text, type text, workspace_id text, environment text, subject_id text, data jsonb)
      left join connections c on c.workspace_id = r.workspace_id and c.id = r.subject_id
     order by r.place`.execute(tx)
}

export async function hasUnpublished (on: Executor): Promise<boolean> {
  return await on.selectFrom('events').select('id').where('seq', 'is', null).limit(1).executeTakeFirst() !== undefined
}

/**
 * Gives committed events their places in the feed and queues them for the webhooks that want them.
 * Answers how many; 0 also while another process is at it.
 */
export async function publishEvents (tx: Tx, limit: number): Promise<number> {
  const feed = await tx.selectFrom('event_feed').select('last_seq').forUpdate().skipLocked().executeTakeFirst()
  if (feed === undefined) return 0
  const { numUpdatedRows } = await tx.with('batch', (cte) => cte
    .selectFrom((rows) => rows.selectFrom('events').select(['id', 'ordinal']).where('seq', 'is', null).orderBy('ordinal').limit(limit).as('first'))
    .select(['first.id', sql<number>`row_number() over (order by first.ordinal)`.as('place')]))
    .updateTable('events as e').from('batch').set({ seq: sql<number>`${feed.last_seq}::bigint + batch.place` }).whereRef('e.id', '=', 'batch.id').executeTakeFirst()
  const published = Number(numUpdatedRows)
  if (published === 0) return 0
  await sql`
    insert into webhook_deliveries (webhook_id, event_id)
    select w.id, e.id from events e join webhooks w on ${WANTED} and w.disabled_at is null
     where e.seq > ${feed.last_seq}`.execute(tx)
  await tx.updateTable('event_feed').set({ last_seq: sql`last_seq + ${published}` }).execute()
  return published
}

/** Whether webhook `w` wants event `e`. */
export const WANTED = sql<boolean>`(w.event_types is null or e.type = any (w.event_types)) and (e.environment is null or e.environment = any (w.environments))`

export type EventRow = Selectable<Events>

export interface FeedFilter {
  readonly after: number
  readonly limit: number
  readonly workspaceId?: WorkspaceId | undefined
  readonly type?: string | undefined
}

/** Published events after a place, in the order of the feed. */
export async function listFeed (on: Executor, { after, limit, workspaceId, type }: FeedFilter): Promise<EventRow[]> {
  let query = on.selectFrom('events').selectAll().where('seq', '>', after).orderBy('seq').limit(limit)
  if (workspaceId !== undefined) query = query.where('workspace_id', '=', workspaceId)
  if (type !== undefined) query = query.where('type', '=', type)
  return await query.execute()
}

/** The last place given, and the one up to which events have been cleared. */
export async function getFeed (on: Executor): Promise<{ last_seq: number, cleared_seq: number }> {
  return await on.selectFrom('event_feed').select(['last_seq', 'cleared_seq']).executeTakeFirstOrThrow()
}

/** Clears published events, and with them what is known of their deliveries, after so many days; answers how many. */
export async function clearEvents (tx: Tx, { days, limit }: { days: number, limit: number }): Promise<number> {
  const cleared = await tx.deleteFrom('events')
    // An array, which is looked up; the planner would rather read all events to find this many of them.
    .where('id', '=', (of) => sql`any(array(${of.selectFrom('events').select('id')
      .where('occurred_at', '<', sql<Date>`vault_now() - make_interval(hours => ${days * 24})`).where('seq', 'is not', null).orderBy('occurred_at').limit(limit)}))`)
    .returning('seq').execute()
  const last = Math.max(0, ...cleared.map(({ seq }) => seq ?? 0))
  if (last > 0) await tx.updateTable('event_feed').set({ cleared_seq: sql`greatest(cleared_seq, ${last}::bigint)` }).execute()
  return cleared.length
}
