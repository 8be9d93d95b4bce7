import { sql, type Insertable, type Selectable, type Updateable } from 'kysely'
import type { WebhookId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { Webhooks, WebhookSecrets } from './schema.ts'

/** An endpoint with until when its secret before is valid beside the current one. */
export type WebhookRow = Selectable<Webhooks> & { readonly previous_until: Date | null }
export type WebhookSecretRow = Pick<Selectable<WebhookSecrets>, 'id' | 'sealed'>

const NOW = sql<Date>`vault_now()`

export async function insertWebhook (tx: Tx, row: Insertable<Webhooks>, secret: Insertable<WebhookSecrets>): Promise<void> {
  await tx.insertInto('webhooks').values(row).execute()
  await tx.insertInto('webhook_secrets').values(secret).execute()
}

/** Makes sure that no two transactions count at the same time. */
export async function countWebhooks (tx: Tx): Promise<number> {
  await tx.selectFrom('event_feed').select('singleton').forUpdate().execute()
  const { count } = await tx.selectFrom('webhooks').select((of) => of.fn.countAll<number>().as('count')).executeTakeFirstOrThrow()
  return count
}

/** Newest first. */
export async function listWebhooks (on: Executor): Promise<WebhookRow[]> {
  return await selectWebhooks(on).orderBy('w.id', 'desc').execute()
}

export async function findWebhook (on: Executor, id: WebhookId): Promise<WebhookRow | undefined> {
  return await selectWebhooks(on).where('w.id', '=', id).executeTakeFirst()
}

/** Locks the row until the transaction ends. */
export async function lockWebhook (tx: Tx, id: WebhookId): Promise<Selectable<Webhooks> | undefined> {
  return await tx.selectFrom('webhooks').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
}

type Changes = Pick<Updateable<Webhooks>, 'url' | 'description' | 'event_types' | 'environments' | 'updated_by' | 'last_secret_number'>

export async function updateWebhook (tx: Tx, id: WebhookId, changes: Changes): Promise<void> {
  await tx.updateTable('webhooks').set({ ...changes, revision: sql`revision + 1`, updated_at: NOW }).where('id', '=', id).execute()
}

/** Stops deliveries. Answers whether that is news. */
export async function disableWebhook (tx: Tx, id: WebhookId, by: { reason: string, by: string }): Promise<boolean> {
  const disabled = await tx.updateTable('webhooks').set({ disabled_at: NOW, disabled_reason: by.reason, revision: sql`revision + 1`, updated_by: by.by, updated_at: NOW })
    .where('id', '=', id).where('disabled_at', 'is', null).returning('id').executeTakeFirst()
  return disabled !== undefined
}

/** Goes on with what is still pending. Answers whether that is news. */
export async function enableWebhook (tx: Tx, id: WebhookId, by: string): Promise<boolean> {
  const enabled = await tx.updateTable('webhooks')
    .set({ disabled_at: null, disabled_reason: null, failing_since: null, revision: sql`revision + 1`, updated_by: by, updated_at: NOW })
    .where('id', '=', id).where('disabled_at', 'is not', null).returning('id').executeTakeFirst()
  return enabled !== undefined
}

/** Removes it with its secrets and deliveries. */
export async function deleteWebhook (tx: Tx, id: WebhookId): Promise<boolean> {
  const { numDeletedRows } = await tx.deleteFrom('webhooks').where('id', '=', id).executeTakeFirst()
  return numDeletedRows > 0n
}

/** Puts a new secret in the place of the current one, which stays valid for the grace; one before that is gone at once. */
export async function replaceWebhookSecret (tx: Tx, row: Insertable<WebhookSecrets>, graceSeconds: number): Promise<void> {
  const of = row.webhook_id
  await tx.deleteFrom('webhook_secrets').where('webhook_id', '=', of).where('state', '=', 'previous').execute()
  if (graceSeconds === 0) await tx.deleteFrom('webhook_secrets').where('webhook_id', '=', of).execute()
  else {
    await tx.updateTable('webhook_secrets').set({ state: 'previous', grace_until: sql`vault_now() + make_interval(secs => ${graceSeconds})` })
      .where('webhook_id', '=', of).execute()
  }
  await tx.insertInto('webhook_secrets').values(row).execute()
}

/** The secrets that are valid now, the current one first. */
export async function listWebhookSecrets (on: Executor, id: WebhookId): Promise<WebhookSecretRow[]> {
  return await on.selectFrom('webhook_secrets').select(['id', 'sealed']).where('webhook_id', '=', id)
    .where((where) => where.or([where('state', '=', 'current'), where('grace_until', '>', NOW)])).orderBy('number', 'desc').execute()
}

/** Deletes signing secrets whose grace has ended. */
export async function deleteExpiredWebhookSecrets (tx: Tx): Promise<void> {
  await tx.deleteFrom('webhook_secrets').where('state', '=', 'previous').where('grace_until', '<=', NOW).execute()
}

function selectWebhooks (on: Executor) {
  return on.selectFrom('webhooks as w')
    .leftJoin('webhook_secrets as p', (join) => join.onRef('p.webhook_id', '=', 'w.id').on('p.state', '=', 'previous').on('p.grace_until', '>', NOW))
    .selectAll('w').select('p.grace_until as previous_until')
}
