import { sql, type Insertable, type Selectable } from 'kysely'
import type { SealedPayload } from '../crypto/index.ts'
import type { AgentId, Environment, GroupId, InvocationId, KeyId, WorkspaceId } from '../ids.ts'
import type { GroupPlace } from './agents.ts'
import { appendIf, batchValues, type AuditBatch } from './audit.ts'
import type { Executor, Tx } from './database.ts'
import type { Pipeline, Statement } from './pipeline.ts'
import type { RelayInvocations } from './schema.ts'
import type { RelayOutcome } from './states.ts'

export type RelayRow = Selectable<RelayInvocations>

export interface RelayPlace {
  readonly workspaceId: WorkspaceId
  readonly id: InvocationId
}

export interface NewRelayInvocation extends Omit<Insertable<RelayInvocations>, 'queue_until' | 'deadline_at'> {
  /** How long it may wait to be claimed. */
  readonly queueMs: number
  /** From now to its end, whatever happens. */
  readonly deadlineMs: number
}

const NOW = sql<Date>`vault_now()`
const inMs = (ms: number) => sql<Date>`vault_now() + make_interval(secs => ${ms / 1_000})`

/** Queues a call. */
export async function insertRelayInvocation (tx: Tx, { queueMs, deadlineMs, ...row }: NewRelayInvocation): Promise<void> {
  await tx.insertInto('relay_invocations').values({ ...row, queue_until: inMs(queueMs), deadline_at: inMs(deadlineMs) }).execute()
}

/** How many of a group's calls wait, counted up to a limit. */
export async function countWaiting (reads: Pipeline, { workspaceId, id }: GroupPlace, limit: number): Promise<number> {
  const [counted] = await reads.run<{ waiting: number }>(COUNT, [workspaceId, id, limit])
  return counted?.waiting ?? 0
}

const WAITING = (workspace: string, group: string, limit: string) =>
  `(select count(*) from (select from relay_invocations where workspace_id = ${workspace} and group_id = ${group} and state = 'queued' limit ${limit}) as some_of_them)`

const COUNT: Statement = { name: 'relay_count', text: `select ${WAITING('$1', '$2', '$3')} as waiting` }

const COLUMNS = ['workspace_id', 'id', 'environment', 'group_id', 'connection_id', 'version_id', 'action', 'effect', 'encrypted', 'run_ms', 'asked_by', 'input', 'input_key_id'] as const
const TYPES: Readonly<Record<string, string>> = { encrypted: 'boolean', input: 'bytea', run_ms: 'integer', asked_by: 'json' }
/** After the batch's values and the two spans. */
const FIRST_COLUMN = 12

const ENQUEUE: Statement = {
  name: 'relay_enqueue',
  text: `with held as materialized (
    select id from workspace_keys where workspace_id = $${FIRST_COLUMN} and id = $${FIRST_COLUMN + COLUMNS.indexOf('input_key_id')} and state = 'current' for share
  ), added as (
    insert into relay_invocations (${COLUMNS.join(', ')}, queue_until, deadline_at)
    select ${COLUMNS.map((name, index) => `$${FIRST_COLUMN + index}::${TYPES[name] ?? 'text'}`).join(', ')},
           vault_now() + make_interval(secs => $9::float8), vault_now() + make_interval(secs => $10::float8)
      from held where ${WAITING(`$${FIRST_COLUMN}`, `$${FIRST_COLUMN + COLUMNS.indexOf('group_id')}`, '$11::integer')} < $11::integer
    returning id
  ), ${appendIf('added')}
  select exists (select from held) as held, exists (select from added) as added`,
}

/**
 * The same with its record, in one statement; it is not queued when the key is no longer current
 * or when the group has as many waiting as it may have.
 */
export async function enqueueRelayInvocation (
  reads: Pipeline, { queueMs, deadlineMs, ...row }: NewRelayInvocation, { batch, waitingMax }: { batch: AuditBatch, waitingMax: number },
): Promise<{ held: boolean, added: boolean }> {
  const values = [...batchValues(batch), queueMs / 1_000, deadlineMs / 1_000, waitingMax, ...COLUMNS.map((name) => row[name])]
  const [done] = await reads.run<{ held: boolean, added: boolean }>(ENQUEUE, values)
  return done ?? { held: false, added: false }
}

const SUCCEED: Statement = {
  name: 'relay_succeed',
  text: `with held as materialized (
    select id from workspace_keys where workspace_id = $9 and id = $10 and state = 'current' for share
  ), ended as (
    update relay_invocations set state = 'ended', outcome = 'succeeded', result = $11, result_key_id = $10, answered = true, ended_at = vault_now(),
           input = null, input_key_id = null, offer_hash = null, offer_until = null, lease_until = null
     where workspace_id = $9 and id = $12 and state = 'claimed' and claim_hash = $13 and agent_id = $14 and claims = $15 and exists (select from held)
    returning id
  ), ${appendIf('ended')}
  select id from ended`,
}

/** Ends a claimed call well, with its record, in one statement; false when it is not as it was seen, or the key is no longer current. */
export async function succeedRelayInvocation (
  reads: Pipeline, row: RelayRow, of: { batch: AuditBatch, sealed: SealedPayload, keyId: KeyId },
): Promise<boolean> {
  const values = [...batchValues(of.batch), row.workspace_id, of.keyId, of.sealed, row.id, row.claim_hash, row.agent_id, row.claims]
  return (await reads.run<{ id: InvocationId }>(SUCCEED, values)).length > 0
}

const FIND: Statement = {
  name: 'relay_find',
  text: 'select *, extract(epoch from vault_now() - created_at)::float8 * 1000 as age_ms from relay_invocations where workspace_id = $1 and id = $2',
}

export type FoundRelay = RelayRow & { readonly age_ms: number }

export async function findRelayInvocation (reads: Pipeline, { workspaceId, id }: RelayPlace): Promise<FoundRelay | undefined> {
  const [row] = await reads.run<FoundRelay>(FIND, [workspaceId, id])
  return row
}

/** Locks it until the transaction ends. */
export async function lockRelayInvocation (tx: Tx, { workspaceId, id }: RelayPlace): Promise<RelayRow | undefined> {
  return await tx.selectFrom('relay_invocations').selectAll().where('workspace_id', '=', workspaceId).where('id', '=', id).forUpdate().executeTakeFirst()
}

/** An agent that asks for work: what it may be given. */
export interface Asking {
  readonly group: GroupPlace
  readonly agentId: AgentId
  readonly actions: readonly string[]
  readonly limit: number
  readonly tokenHash: Buffer
  readonly offerMs: number
}

export type OfferRow = Pick<RelayRow, 'id' | 'action' | 'effect'>

// Sorted by an expression and found by an array: the planner would else walk the primary key, past all that have ended.
// Not waited for until it is on disk: an offer that a crash of the database takes back is made again, and
// who had it can no longer claim it.
const OFFER: Statement = {
  name: 'relay_offer',
  text: `with quick as materialized (select set_config('synchronous_commit', 'off', true) as done)
  update relay_invocations set offer_hash = $4, offered_to = $5, offer_until = vault_now() + make_interval(secs => $6::float8)
   where workspace_id = $1 and id = any(array(
     select i.id from relay_invocations i, quick
      where i.workspace_id = $1 and i.group_id = $2 and i.state = 'queued' and i.action = any($3::text[]) and i.queue_until > vault_now()
        and (i.offer_until is null or i.offer_until < vault_now()) and quick.done = 'off'
        and exists (select from agents a where a.workspace_id = $1 and a.id = $5 and a.revoked_at is null)
      order by i.id || '' limit $7 for update of i skip locked))
  returning id, action, effect`,
}

/** Puts what has waited longest on offer to one agent; nobody else is offered it meanwhile. */
export async function offerInvocations (reads: Pipeline, { group, agentId, actions, limit, tokenHash, offerMs }: Asking): Promise<OfferRow[]> {
  return await reads.run<OfferRow>(OFFER, [group.workspaceId, group.id, [...actions], tokenHash, agentId, offerMs / 1_000, limit])
}

/** Takes back what was offered to somebody who is no longer there. */
export async function withdrawOffers (on: Executor, { workspaceId }: Pick<GroupPlace, 'workspaceId'>, offers: { ids: readonly InvocationId[], tokenHash: Buffer }): Promise<void> {
  await on.updateTable('relay_invocations').set({ offer_until: null }).where('workspace_id', '=', workspaceId).where('id', 'in', [...offers.ids])
    .where('state', '=', 'queued').where('offer_hash', '=', offers.tokenHash).execute()
}

/** Who holds, or is offered, an invocation, and by what it shows that. */
export interface Holding extends RelayPlace {
  readonly group: GroupId
  readonly agentId: AgentId
  readonly tokenHash: Buffer
}

export type ClaimedRow = RelayRow & { readonly remaining_ms: number }

const REMAINING = '(extract(epoch from deadline_at - vault_now()) * 1000)::float8 as remaining_ms'

const CLAIM: Statement = {
  name: 'relay_claim',
  text: `update relay_invocations set state = 'claimed', claim_hash = $4, agent_id = $5, lease_until = vault_now() + make_interval(secs => $6::float8), claims = claims + 1,
         claimed_at = vault_now(), deadline_at = least(deadline_at, vault_now() + make_interval(secs => run_ms / 1000.0))
   where workspace_id = $1 and id = $2 and group_id = $3 and state = 'queued' and offer_hash = $4 and offered_to = $5
  returning *, ${REMAINING}`,
}
const CLAIM_AGAIN: Statement = {
  name: 'relay_claim_again',
  text: `update relay_invocations set lease_until = vault_now() + make_interval(secs => $6::float8)
   where workspace_id = $1 and id = $2 and group_id = $3 and state = 'claimed' and claim_hash = $4 and agent_id = $5
  returning *, ${REMAINING}`,
}

/** Turns an offer into a lease; the one who has it already gets it again. Undefined when it is somebody else's by now. */
export async function claimOffer (reads: Pipeline, { workspaceId, id, group, agentId, tokenHash }: Holding, leaseMs: number): Promise<ClaimedRow | undefined> {
  const values = [workspaceId, id, group, tokenHash, agentId, leaseMs / 1_000]
  const [claimed] = await reads.run<ClaimedRow>(CLAIM, values)
  return claimed ?? (await reads.run<ClaimedRow>(CLAIM_AGAIN, values))[0]
}

/** Lengthens a lease; undefined when it is lost. */
export async function extendLease (on: Executor, { workspaceId, id, group, agentId, tokenHash }: Holding, leaseMs: number) {
  return await on.updateTable('relay_invocations').set({ lease_until: inMs(leaseMs) })
    .where('workspace_id', '=', workspaceId).where('id', '=', id).where('group_id', '=', group)
    .where('state', '=', 'claimed').where('claim_hash', '=', tokenHash).where('agent_id', '=', agentId)
    .returning('cancel_requested_at').returning(sql<number>`(extract(epoch from deadline_at - vault_now()) * 1000)::float8`.as('remaining_ms')).executeTakeFirst()
}

export interface RelayEnding {
  readonly outcome: RelayOutcome
  readonly error: { readonly class: string, readonly message: string } | null
  readonly result: { readonly sealed: SealedPayload, readonly keyId: KeyId } | null
  readonly chunks: number
  /** It is an agent’s word, not the vault’s conclusion from its silence. */
  readonly answered: boolean
}

/** The input goes with the end: nobody is to run it any more. Answers when that was. */
export async function endRelayInvocation (tx: Tx, { workspaceId, id }: RelayPlace, ending: RelayEnding): Promise<Date> {
  const { outcome, error, result, chunks, answered } = ending
  const { ended_at: endedAt } = await tx.updateTable('relay_invocations').set({
    state: 'ended', outcome, error: error === null ? null : JSON.stringify(error), result: result?.sealed ?? null, result_key_id: result?.keyId ?? null, chunks, answered,
    ended_at: NOW, input: null, input_key_id: null, offer_hash: null, offer_until: null, lease_until: null,
  }).where('workspace_id', '=', workspaceId).where('id', '=', id).returning('ended_at').executeTakeFirstOrThrow()
  if (endedAt === null) throw new TypeError('it has not ended')
  return endedAt
}

/** Puts a claimed one whose lease is lost back into the queue. Its last holder's result still counts until somebody claims it. */
export async function requeueRelayInvocation (tx: Tx, { workspaceId, id }: RelayPlace): Promise<void> {
  await tx.updateTable('relay_invocations').set({ state: 'queued', lease_until: null, offer_hash: null, offer_until: null, queue_until: sql<Date>`deadline_at` })
    .where('workspace_id', '=', workspaceId).where('id', '=', id).execute()
}

export type OverdueRow = RelayRow & { readonly past_deadline: boolean, readonly past_queue: boolean }

/** Those whose lease, wait or time is over, locked. */
export async function takeOverdueRelays (tx: Tx, limit: number, graceMs: number): Promise<OverdueRow[]> {
  return await tx.selectFrom('relay_invocations').selectAll()
    .select([sql<boolean>`deadline_at < vault_now()`.as('past_deadline'), sql<boolean>`queue_until < vault_now()`.as('past_queue')])
    .where((where) => where.or([
      where.and([where('state', '=', 'queued'), where('queue_until', '<', NOW)]),
      where.and([where('state', '=', 'claimed'), where('lease_until', '<', NOW)]),
      where.and([where('state', '=', 'claimed'), where('deadline_at', '<', inMs(-graceMs))]),
    ])).limit(limit).forUpdate().skipLocked().execute()
}

/** Answers whether it is still under way. */
export async function requestCancel (on: Executor, { workspaceId, id }: RelayPlace): Promise<boolean> {
  const asked = await on.updateTable('relay_invocations').set({ cancel_requested_at: sql<Date>`coalesce(cancel_requested_at, vault_now())` })
    .where('workspace_id', '=', workspaceId).where('id', '=', id).where('state', '<>', 'ended').returning('id').executeTakeFirst()
  return asked !== undefined
}

/** Ends the leases of an agent that is no longer trusted. */
export async function endLeasesOf (tx: Tx, { workspaceId, agentId }: { workspaceId: WorkspaceId, agentId: AgentId }): Promise<void> {
  await tx.updateTable('relay_invocations').set({ lease_until: sql<Date>`vault_now() - interval '1 second'` })
    .where('workspace_id', '=', workspaceId).where('agent_id', '=', agentId).where('state', '=', 'claimed').execute()
}

/** Of these groups, those that have something to offer. */
export async function listGroupsWithWork (on: Executor, groups: readonly GroupPlace[]): Promise<GroupPlace[]> {
  const { rows } = await sql<{ workspace_id: WorkspaceId, group_id: GroupId }>`
    select workspace_id, group_id from unnest(${groups.map((group) => group.workspaceId)}::text[], ${groups.map((group) => group.id)}::text[]) as g (workspace_id, group_id)
     where exists (select from relay_invocations i where i.workspace_id = g.workspace_id and i.group_id = g.group_id and i.state = 'queued'
                      and i.queue_until > vault_now() and (i.offer_until is null or i.offer_until < vault_now()))`.execute(on)
  return rows.map((row) => ({ workspaceId: row.workspace_id, id: row.group_id }))
}

/** Of these invocations, those that have ended. */
export async function listEndedRelays (on: Executor, places: readonly RelayPlace[]): Promise<InvocationId[]> {
  const { rows } = await sql<{ id: InvocationId }>`
    select i.id from unnest(${places.map((place) => place.workspaceId)}::text[], ${places.map((place) => place.id)}::text[]) as w (workspace_id, id)
      join relay_invocations i on i.workspace_id = w.workspace_id and i.id = w.id
     where i.state = 'ended'`.execute(on)
  return rows.map((row) => row.id)
}

const KEPT_HOURS = 24

/** Forgets what ended a day ago, with its result. */
export async function purgeRelayInvocations (tx: Tx, limit: number): Promise<number> {
  const { numDeletedRows } = await tx.deleteFrom('relay_invocations').where(({ eb, refTuple }) => eb(refTuple('workspace_id', 'id'), 'in', eb.selectFrom('relay_invocations as old')
    .select(['old.workspace_id', 'old.id']).where('old.state', '=', 'ended').where('old.ended_at', '<', sql<Date>`vault_now() - make_interval(hours => ${KEPT_HOURS})`)
    .limit(limit).$asTuple('workspace_id', 'id'))).executeTakeFirst()
  return Number(numDeletedRows)
}

export interface NotedGroup {
  readonly workspace_id: WorkspaceId
  readonly id: GroupId
  readonly environment: Environment
  readonly online: boolean
}

/** Groups whose agents have all fallen silent, or of whom one speaks again: notes it and answers which. */
export async function noteGroupsOnline (tx: Tx, silentSeconds: number): Promise<NotedGroup[]> {
  const { rows } = await sql<NotedGroup>`
    with changed as (
      select g.workspace_id, g.id from agent_groups g
       where g.online <> exists (
               select from agents a where a.workspace_id = g.workspace_id and a.group_id = g.id and a.revoked_at is null
                  and a.last_seen_at > vault_now() - make_interval(secs => ${silentSeconds}))
       order by g.workspace_id, g.id limit 500 for update of g skip locked
    )
    update agent_groups g set online = not g.online from changed c where g.workspace_id = c.workspace_id and g.id = c.id
    returning g.workspace_id, g.id, g.environment, g.online`.execute(tx)
  return rows
}
