import { sql, type Selectable } from 'kysely'
import type { EventId, WebhookId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import { WANTED, type EventRow } from './events.ts'
import type { DeliveryState } from './states.ts'
import type { WebhookDeliveries } from './schema.ts'

const NOW = sql<Date>`vault_now()`

/** Webhooks that have something to be sent now, each with how much, counted up to a bound. */
export async function listDueWebhooks (on: Executor, bound: number): Promise<{ id: WebhookId, due: number }[]> {
  const { rows } = await sql<{ id: WebhookId, due: number }>`
    select w.id, d.due from webhooks w
      cross join lateral (
        select count(*)::integer as due from (
          select 1 from webhook_deliveries d where d.webhook_id = w.id and d.state = 'pending' and d.due_at <= vault_now() limit ${bound}
        ) bounded) d
     where w.disabled_at is null and d.due > 0`.execute(on)
  return rows
}

/** An attempt that has begun. */
export interface DeliveryAttempt {
  readonly webhookId: WebhookId
  readonly url: string
  readonly event: EventRow
  /** 1 for the first. */
  readonly number: number
}

/** Begins the attempt that has been due for longest; it comes back after the lease, unless it is ended by then. */
export async function claimDelivery (on: Executor, webhookId: WebhookId, leaseSeconds: number): Promise<DeliveryAttempt | undefined> {
  const { rows: [row] } = await sql<EventRow & { attempts: number, url: string }>`
    update webhook_deliveries d
       set attempts = d.attempts + 1, last_attempt_at = vault_now(), due_at = vault_now() + make_interval(secs => ${leaseSeconds})
      from (
        select webhook_id, event_id from webhook_deliveries
         where webhook_id = ${webhookId} and state = 'pending' and due_at <= vault_now()
         order by due_at limit 1 for update skip locked) due, webhooks w, events e
     where d.webhook_id = due.webhook_id and d.event_id = due.event_id and w.id = d.webhook_id and e.id = d.event_id and w.disabled_at is null
    returning e.*, d.attempts, w.url`.execute(on)
  if (row === undefined) return undefined
  const { attempts, url, ...event } = row
  return { webhookId, url, event, number: attempts }
}

/**
 * Notes that an attempt has been taken; the delivery stays as it is if a later one has begun. The
 * webhook's row first, as everywhere: who deletes or replays it has that and goes on to its deliveries.
 */
export async function markDelivered (tx: Tx, attempt: DeliveryAttempt, status: number): Promise<void> {
  // Not with each of many at a time: they would wait for each other.
  await tx.updateTable('webhooks').set({ failing_since: null, last_delivered_at: NOW }).where('id', '=', attempt.webhookId)
    .where((where) => where.or([
      where('failing_since', 'is not', null), where('last_delivered_at', 'is', null), where('last_delivered_at', '<', sql<Date>`vault_now() - interval '10 seconds'`),
    ])).execute()
  await ended(tx, attempt).set({ state: 'delivered', last_status: status, last_error: null }).execute()
}

export interface FailedAttempt {
  readonly status: number | null
  readonly error: string
  readonly retrySeconds: number
  /** After so long since it was queued there is no other attempt. */
  readonly giveUpSeconds: number
}

/**
 * Notes that an attempt has failed, with the webhook's row first. Answers for how long the webhook
 * has taken nothing, and whether this was the last attempt.
 */
export async function markUndelivered (tx: Tx, attempt: DeliveryAttempt, end: FailedAttempt): Promise<{ failingSeconds: number, gaveUp: boolean }> {
  const { failing } = await tx.updateTable('webhooks').set({ failing_since: sql<Date>`coalesce(failing_since, vault_now())` }).where('id', '=', attempt.webhookId)
    .returning(sql<number>`extract(epoch from vault_now() - failing_since)::double precision`.as('failing')).executeTakeFirst() ?? { failing: 0 }
  const giveUpAt = sql<Date>`queued_at + make_interval(secs => ${end.giveUpSeconds})`
  const row = await ended(tx, attempt).set({
    last_status: end.status, last_error: end.error,
    state: sql<DeliveryState>`case when vault_now() >= ${giveUpAt} then 'failed' else 'pending' end`,
    due_at: sql<Date>`least(vault_now() + make_interval(secs => ${end.retrySeconds}), ${giveUpAt})`,
  }).returning('state').executeTakeFirst()
  return { failingSeconds: failing, gaveUp: row?.state === 'failed' }
}

function ended (tx: Tx, { webhookId, event, number }: DeliveryAttempt) {
  return tx.updateTable('webhook_deliveries').where('webhook_id', '=', webhookId).where('event_id', '=', event.id).where('attempts', '=', number).where('state', '=', 'pending')
}

export type DeliveryRow = Selectable<WebhookDeliveries> & Pick<EventRow, 'type' | 'occurred_at'>

export interface DeliveryFilter {
  readonly webhookId: WebhookId
  readonly state?: DeliveryState | undefined
  readonly before?: EventId | undefined
  readonly limit: number
}

/** Newest event first. */
export async function listDeliveries (on: Executor, { webhookId, state, before, limit }: DeliveryFilter): Promise<DeliveryRow[]> {
  let query = on.selectFrom('webhook_deliveries as d').innerJoin('events as e', 'e.id', 'd.event_id').selectAll('d').select(['e.type', 'e.occurred_at'])
    .where('d.webhook_id', '=', webhookId).orderBy('d.event_id', 'desc').limit(limit)
  if (state !== undefined) query = query.where('d.state', '=', state)
  if (before !== undefined) query = query.where('d.event_id', '<', before)
  return await query.execute()
}

export interface ReplayRequest {
  readonly webhookId: WebhookId
  readonly from?: Date | undefined
  readonly to?: Date | undefined
  readonly eventIds?: readonly string[] | undefined
  /** Also what the endpoint has taken already. */
  readonly delivered: boolean
}

/** Queues events again, as if they had just happened; what is pending stays as it is. Answers how many. */
export async function queueReplay (tx: Tx, { webhookId, from, to, eventIds, delivered }: ReplayRequest): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    insert into webhook_deliveries (webhook_id, event_id)
    select w.id, e.id from events e join webhooks w on ${WANTED}
     where w.id = ${webhookId} and e.seq is not null
       and (${from ?? null}::timestamptz is null or e.occurred_at >= ${from ?? null}::timestamptz)
       and (${to ?? null}::timestamptz is null or e.occurred_at < ${to ?? null}::timestamptz)
       and (${eventIds === undefined ? null : [...eventIds]}::text[] is null or e.id = any (${eventIds === undefined ? null : [...eventIds]}::text[]))
        on conflict (webhook_id, event_id) do update
       set state = 'pending', attempts = 0, queued_at = vault_now(), due_at = vault_now(), last_attempt_at = null, last_status = null, last_error = null
     where webhook_deliveries.state = 'failed' or (webhook_deliveries.state = 'delivered' and ${delivered})`.execute(tx)
  return Number(numAffectedRows)
}

/** How many deliveries are due, up to a bound, and for how long the first of them has been. */
export async function measureDeliveries (on: Executor, bound: number): Promise<{ due: number, oldestSeconds: number }> {
  const { rows: [row] } = await sql<{ due: number, oldest: number | null }>`
    select count(*)::integer as due, extract(epoch from vault_now() - min(due_at))::double precision as oldest from (
      select d.due_at from webhooks w cross join lateral (
        select due_at from webhook_deliveries where webhook_id = w.id and state = 'pending' and due_at <= vault_now() order by due_at limit ${bound}) d
       where w.disabled_at is null limit ${bound}) due`.execute(on)
  return { due: row?.due ?? 0, oldestSeconds: row?.oldest ?? 0 }
}
