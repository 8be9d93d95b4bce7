import { sql } from 'kysely'
import type { Fingerprint, SealedPayload } from '../crypto/index.ts'
import type { ConnectionId, Environment, InvocationId, KeyId, WorkspaceId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import { IDEMPOTENCY_HOURS } from './idempotency.ts'

/** An idempotency key as an invocation holds it. */
export interface InvocationClaim {
  readonly workspaceId: WorkspaceId
  readonly keyHash: Buffer
  readonly fingerprint: Fingerprint
  readonly invocationId: InvocationId
  /** How long the claim counts as alive without being renewed. */
  readonly leaseMs: number
}

/** What became of the invocation that has the key. */
export interface EarlierInvocation {
  readonly fingerprint: Buffer
  /** Another kind of request may have the key: then this is no invocation's id. */
  readonly resourceId: string
  /** `ended` without a result: its process died, or could not write it down. */
  readonly state: 'running' | 'ended'
  readonly claimedAt: Date
  readonly result: { readonly sealed: SealedPayload, readonly connectionId: ConnectionId, readonly environment: Environment } | undefined
}

/**
 * Takes the key, or answers who has it. With `fromTheDead`, a claim that is no longer renewed
 * and left no result is taken over, if it was for the same request.
 */
export async function claimInvocation (on: Executor, claim: InvocationClaim, options: { fromTheDead: boolean }): Promise<EarlierInvocation | undefined> {
  const { rows: [taken] } = await sql`
    insert into idempotency_keys as k (workspace_id, key_hash, fingerprint, resource_id, held_until)
    values (${claim.workspaceId}, ${claim.keyHash}, ${claim.fingerprint.bytes}, ${claim.invocationId}, ${leaseEnd(claim)})
    on conflict (workspace_id, key_hash) do update
      set fingerprint = excluded.fingerprint, resource_id = excluded.resource_id, created_at = vault_now(), held_until = excluded.held_until
      where k.created_at < vault_now() - make_interval(hours => ${IDEMPOTENCY_HOURS})
         or (${options.fromTheDead} and k.held_until < vault_now() and k.fingerprint = any(${claim.fingerprint.forms})
             and not exists (select from invocation_results r where r.workspace_id = k.workspace_id and r.invocation_id = k.resource_id))
    returning resource_id`.execute(on)
  if (taken !== undefined) return undefined
  const earlier = await on.selectFrom('idempotency_keys as k')
    .leftJoin('invocation_results as r', (join) => join.onRef('r.workspace_id', '=', 'k.workspace_id').onRef('r.invocation_id', '=', sql<InvocationId>`k.resource_id`))
    .select(['k.fingerprint', 'k.resource_id', 'k.created_at', 'r.sealed', 'r.connection_id', 'r.environment', sql<boolean>`k.held_until >= vault_now()`.as('held')])
    .where('k.workspace_id', '=', claim.workspaceId).where('k.key_hash', '=', claim.keyHash).executeTakeFirst()
  // Let go of between the two statements: the key is free.
  if (earlier === undefined) return await claimInvocation(on, claim, options)
  const { sealed, connection_id: connectionId, environment } = earlier
  return {
    fingerprint: earlier.fingerprint, resourceId: earlier.resource_id, state: earlier.held ? 'running' : 'ended', claimedAt: earlier.created_at,
    result: sealed === null || connectionId === null || environment === null ? undefined : { sealed, connectionId, environment },
  }
}

/** Shows that the invocation is still under way. */
export async function renewInvocation (on: Executor, claim: InvocationClaim): Promise<void> {
  await on.updateTable('idempotency_keys').set({ held_until: leaseEnd(claim) })
    .where('workspace_id', '=', claim.workspaceId).where('key_hash', '=', claim.keyHash).where('resource_id', '=', claim.invocationId).execute()
}

/** Gives the key up: nothing was done that a repeat could do twice. */
export async function releaseInvocation (on: Executor, claim: InvocationClaim): Promise<void> {
  await on.deleteFrom('idempotency_keys')
    .where('workspace_id', '=', claim.workspaceId).where('key_hash', '=', claim.keyHash).where('resource_id', '=', claim.invocationId).execute()
}

export interface InvocationResult {
  readonly connectionId: ConnectionId
  readonly environment: Environment
  readonly sealed: SealedPayload
  readonly keyId: KeyId
}

/** Keeps the result with its key; nothing, when somebody else has taken the key meanwhile. */
export async function finishInvocation (tx: Tx, claim: InvocationClaim, result: InvocationResult): Promise<void> {
  const mine = await tx.updateTable('idempotency_keys').set({ held_until: null })
    .where('workspace_id', '=', claim.workspaceId).where('key_hash', '=', claim.keyHash).where('resource_id', '=', claim.invocationId)
    .returning('resource_id').executeTakeFirst()
  if (mine === undefined) return
  await tx.insertInto('invocation_results').values({
    workspace_id: claim.workspaceId, invocation_id: claim.invocationId, connection_id: result.connectionId, environment: result.environment,
    sealed: result.sealed, key_id: result.keyId,
  }).execute()
}

export interface StartedOf {
  readonly workspaceId: WorkspaceId
  readonly connectionId: ConnectionId
  readonly invocationId: string
  readonly since: Date
}

/**
 * Whether a call was allowed to start under this id: without that record no byte has left. The
 * time only bounds the search, and by far more than the clocks of a process and its database differ.
 */
export async function wasStarted (on: Executor, of: StartedOf): Promise<boolean> {
  const found = await on.selectFrom('audit_events').select('id')
    .where('workspace_id', '=', of.workspaceId).where('connection_id', '=', of.connectionId).where('invocation_id', '=', of.invocationId)
    .where('event', '=', 'invoke.started').where('occurred_at', '>=', sql<Date>`${of.since}::timestamptz - interval '2 days'`).limit(1).executeTakeFirst()
  return found !== undefined
}

function leaseEnd ({ leaseMs }: InvocationClaim) {
  return sql<Date>`vault_now() + make_interval(secs => ${leaseMs / 1_000})`
}
