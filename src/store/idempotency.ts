import { sql } from 'kysely'
import type { Fingerprint } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { AppOwner } from '../ids.ts'
import type { Executor, Tx } from './database.ts'

/** What makes a request the repeat of another: the hash of its Idempotency-Key, and the MAC of what it means. */
export interface Idempotency {
  readonly keyHash: Buffer
  readonly fingerprint: Fingerprint
}

interface IdempotencyClaim extends Idempotency {
  /** The tenant's; the empty text for what belongs to none. */
  readonly workspaceId: AppOwner
  /** What this request makes, if it is the first. */
  readonly resourceId: string
  /** What is said of the key where the earlier request was another one. */
  readonly conflict?: string
}

export const IDEMPOTENCY_HOURS = 24

/**
 * Takes the key for this request, or answers the resource that the same request has made before. A
 * concurrent request with the same key waits here until the first one's transaction ends. Throws
 * `idempotency_conflict` where the earlier request with it was another one.
 */
export async function claimIdempotencyKey (tx: Tx, claim: IdempotencyClaim): Promise<string | undefined> {
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
  if (!claim.fingerprint.matches(earlier.fingerprint)) throw new VaultError('idempotency_conflict', { detail: claim.conflict ?? 'This key was used with another body.' })
  return earlier.resource_id
}

/** Whether the same request has been made under its key, which is good for an hour more: whoever acts on the answer still finds it so. */
export async function isRepeated (on: Executor, { workspaceId, keyHash, fingerprint }: Idempotency & { readonly workspaceId: AppOwner }): Promise<boolean> {
  const earlier = await on.selectFrom('idempotency_keys').select('fingerprint').where('workspace_id', '=', workspaceId).where('key_hash', '=', keyHash)
    .where('created_at', '>', sql<Date>`vault_now() - make_interval(hours => ${IDEMPOTENCY_HOURS - 1})`).executeTakeFirst()
  return earlier !== undefined && fingerprint.matches(earlier.fingerprint)
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
