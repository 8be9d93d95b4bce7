import { sql } from 'kysely'
import type { Fingerprint } from '../crypto/index.ts'
import type { AppOwner } from '../ids.ts'
import type { Executor, Tx } from './database.ts'

export interface IdempotencyClaim {
  /** The tenant's; the empty text for what belongs to none. */
  readonly workspaceId: AppOwner
  readonly keyHash: Buffer
  readonly fingerprint: Fingerprint
  readonly resourceId: string
}

export interface EarlierRequest {
  readonly fingerprint: Buffer
  readonly resourceId: string
}

export const IDEMPOTENCY_HOURS = 24

/**
 * Takes the key for this request, or answers what an earlier request with it made. A concurrent
 * request with the same key waits here until the first one's transaction ends.
 */
export async function claimIdempotencyKey (tx: Tx, claim: IdempotencyClaim): Promise<EarlierRequest | undefined> {
  const { rows: [taken] } = await sql<{ resource_id: string }>`
    insert into idempotency_keys as k (workspace_id, key_hash, fingerprint, resource_id)
    values (${claim.workspaceId}, ${claim.keyHash}, ${claim.fingerprint.bytes}, ${claim.resourceId})
    on conflict (workspace_id, key_hash) do update
      set fingerprint = excluded.fingerprint, resource_id = excluded.resource_id, created_at = vault_now()
      where k.created_at < vault_now() - make_interval(hours => ${IDEMPOTENCY_HOURS})
    returning resource_id`.execute(tx)
  if (taken !== undefined) return undefined
  const earlier = await tx.selectFrom('idempotency_keys').select(['fingerprint', 'resource_id'])
    .where('workspace_id', '=', claim.workspaceId).where('key_hash', '=', claim.keyHash).executeTakeFirstOrThrow()
  return { fingerprint: earlier.fingerprint, resourceId: earlier.resource_id }
}

/** Gives a key up that still stands for this resource: nothing was done that a repeat could do twice. */
export async function releaseIdempotencyKey (on: Executor, of: { workspaceId: AppOwner, keyHash: Buffer, resourceId: string }): Promise<void> {
  await on.deleteFrom('idempotency_keys').where('workspace_id', '=', of.workspaceId).where('key_hash', '=', of.keyHash).where('resource_id', '=', of.resourceId).execute()
}

/**
 * Forgets keys past their 24 hours, with the results of their invocations, and those of service
 * tokens; up to a number of each. Answers the larger number.
 */
export async function purgeIdempotencyKeys (tx: Tx, limit: number): Promise<number> {
  const old = sql<Date>`vault_now() - make_interval(hours => ${IDEMPOTENCY_HOURS})`
  const { numDeletedRows: keys } = await tx.deleteFrom('idempotency_keys').where(({ eb, refTuple }) => eb(refTuple('workspace_id', 'key_hash'), 'in', eb.selectFrom('idempotency_keys as k')
    .select(['k.workspace_id', 'k.key_hash']).where('k.created_at', '<', old).orderBy('k.created_at').limit(limit).$asTuple('workspace_id', 'key_hash'))).executeTakeFirst()
  const { numDeletedRows: results } = await tx.deleteFrom('invocation_results').where(({ eb, refTuple }) => eb(refTuple('workspace_id', 'invocation_id'), 'in', eb.selectFrom('invocation_results as r')
    .select(['r.workspace_id', 'r.invocation_id']).where('r.created_at', '<', old).orderBy('r.created_at').limit(limit).$asTuple('workspace_id', 'invocation_id'))).executeTakeFirst()
  await tx.updateTable('service_tokens').set({ idempotency_hash: null, idempotency_fingerprint: null })
    .where('idempotency_hash', 'is not', null).where('created_at', '<', old).execute()
  return Math.max(Number(keys), Number(results))
}
