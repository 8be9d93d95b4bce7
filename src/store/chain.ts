import { sql, type Insertable, type Selectable } from 'kysely'
import type { Executor, Tx } from './database.ts'
import type { AuditAnchors, AuditChain, AuditCheckpoints, AuditSealer, AuditUnsealed } from './schema.ts'
import type { StoredEvent } from './audit.ts'

export type ChainLink = Selectable<AuditChain>
export type UnsealedBatch = Selectable<AuditUnsealed>
export type Checkpoint = Selectable<AuditCheckpoints>
export type ChainHead = Pick<Selectable<AuditSealer>, 'head_seq' | 'head_mac' | 'events'>

/** Takes or renews the lease on sealing and answers its fence; undefined while another process holds it. */
export async function claimSealer (on: Executor, owner: string, leaseMs: number): Promise<number | undefined> {
  const claimed = await on.updateTable('audit_sealer')
    .set({
      fence: sql`case when lease_owner = ${owner} then fence else fence + 1 end`,
      lease_owner: owner,
      lease_until: sql`vault_now() + ${leaseMs} * interval '1 millisecond'`,
    })
    .where((where) => where.or([where('lease_owner', '=', owner), where('lease_until', 'is', null), where('lease_until', '<', sql<Date>`vault_now()`)]))
    .returning('fence').executeTakeFirst()
  return claimed?.fence
}

/** The head, held until the transaction ends; undefined when another process has taken the lease over since. */
export async function holdHead (tx: Tx, fence: number): Promise<ChainHead | undefined> {
  return await tx.selectFrom('audit_sealer').select(['head_seq', 'head_mac', 'events']).where('fence', '=', fence).forUpdate().executeTakeFirst()
}

export async function releaseSealer (on: Executor, owner: string): Promise<void> {
  await on.updateTable('audit_sealer').set({ lease_until: null, lease_owner: null }).where('lease_owner', '=', owner).execute()
}

/** Takes linked batches out of the queue. */
export async function removeUnsealed (tx: Tx, batchIds: readonly string[]): Promise<void> {
  await tx.deleteFrom('audit_unsealed').where((where) => where('batch_id', '=', where.fn.any(where.val(batchIds)))).execute()
}

export async function insertLinks (tx: Tx, links: readonly Insertable<AuditChain>[]): Promise<void> {
  await tx.insertInto('audit_chain').values(links).execute()
}

export async function moveHead (tx: Tx, head: ChainHead): Promise<void> {
  await tx.updateTable('audit_sealer').set(head).execute()
}

export async function getHead (on: Executor): Promise<ChainHead> {
  return await on.selectFrom('audit_sealer').select(['head_seq', 'head_mac', 'events']).executeTakeFirstOrThrow()
}

export async function insertCheckpoint (tx: Tx, checkpoint: Insertable<AuditCheckpoints>): Promise<void> {
  await tx.insertInto('audit_checkpoints').values(checkpoint).execute()
}

export async function findLastCheckpoint (on: Executor): Promise<{ seq: number, age_ms: number } | undefined> {
  return await on.selectFrom('audit_checkpoints')
    .select(['seq', sql<number>`extract(epoch from vault_now() - created_at)::float8 * 1000`.as('age_ms')])
    .orderBy('seq', 'desc').limit(1).executeTakeFirst()
}

/** Checkpoints of the links from `from` to `to`. */
export async function listCheckpoints (on: Executor, from: number, to: number): Promise<Checkpoint[]> {
  return await on.selectFrom('audit_checkpoints').selectAll().where('seq', '>=', from).where('seq', '<=', to).orderBy('seq').execute()
}

/** Links in the order of the chain, from `seq` on. */
export async function listLinks (on: Executor, from: number, limit: number): Promise<ChainLink[]> {
  return await on.selectFrom('audit_chain').selectAll().where('seq', '>=', from).orderBy('seq').limit(limit).execute()
}

/** The records of some batches, in the order their digests cover. */
export async function listBatchEvents (on: Executor, batches: readonly Pick<ChainLink, 'batch_id' | 'first_at' | 'last_at'>[]): Promise<StoredEvent[]> {
  if (batches.length === 0) return []
  const from = new Date(Math.min(...batches.map((batch) => batch.first_at.getTime())))
  const to = new Date(Math.max(...batches.map((batch) => batch.last_at.getTime())))
  return await on.selectFrom('audit_events').selectAll()
    .where('occurred_at', '>=', from).where('occurred_at', '<=', to)
    .where((where) => where('batch_id', '=', where.fn.any(where.val(batches.map((batch) => batch.batch_id)))))
    .orderBy('batch_id').orderBy('id').execute()
}

/** Batches that wait for their link, oldest first. */
export async function listUnsealed (on: Executor, limit: number): Promise<(UnsealedBatch & { readonly age_seconds: number })[]> {
  return await on.selectFrom('audit_unsealed').selectAll()
    .select(sql<number>`extract(epoch from vault_now() - committed_at)::float8`.as('age_seconds'))
    .orderBy('batch_id').limit(limit).execute()
}

/** Records that belong to no batch of the chain or the queue: somebody put them there. */
export async function listForeignEvents (on: Executor, limit: number): Promise<Pick<StoredEvent, 'id' | 'batch_id' | 'occurred_at'>[]> {
  return await on.selectFrom('audit_events as e').select(['e.id', 'e.batch_id', 'e.occurred_at'])
    .where((where) => where.not(where.exists(where.selectFrom('audit_chain as c').select('c.seq').whereRef('c.batch_id', '=', 'e.batch_id'))))
    .where((where) => where.not(where.exists(where.selectFrom('audit_unsealed as q').select('q.batch_id').whereRef('q.batch_id', '=', 'e.batch_id'))))
    .orderBy('e.occurred_at').limit(limit).execute()
}

/** How long the oldest batch has been waiting for its link, in seconds; 0 when none waits. */
export async function measureSealingLag (on: Executor): Promise<number> {
  const { lag } = await on.selectFrom('audit_unsealed')
    .select(sql<number | null>`extract(epoch from vault_now() - min(committed_at))::float8`.as('lag')).executeTakeFirstOrThrow()
  return lag ?? 0
}

/** Where the record begins since months of it were let go. */
export type AuditAnchor = Omit<Selectable<AuditAnchors>, 'created_at'>

export async function findAnchor (on: Executor): Promise<AuditAnchor | undefined> {
  const found = await on.selectFrom('audit_anchors').select(['seq', 'head_mac', 'events', 'kept_from', 'lost_links', 'key_id', 'signature'])
    .orderBy('seq', 'desc').orderBy('kept_from', 'desc').limit(1).executeTakeFirst()
  return found && { ...found, lost_links: found.lost_links.map(Number) }
}

/** Links beyond one whose records, some or all, are from before an instant. */
export async function listLinksReaching (on: Executor, before: Date, beyond: number): Promise<number[]> {
  const links = await on.selectFrom('audit_chain').select('seq').where('seq', '>', beyond).where('first_at', '<', before).orderBy('seq').execute()
  return links.map(({ seq }) => seq)
}

/** The last checkpoint all of whose links are over before an instant. */
export async function findCheckpointBefore (on: Executor, instant: Date): Promise<Pick<Checkpoint, 'seq' | 'head_mac' | 'events'> | undefined> {
  const { first } = await on.selectFrom('audit_chain').select(({ fn }) => fn.min('seq').as('first')).where('last_at', '>=', instant).executeTakeFirstOrThrow()
  return await on.selectFrom('audit_checkpoints').select(['seq', 'head_mac', 'events'])
    .$if(first !== null, (query) => query.where('seq', '<', first)).orderBy('seq', 'desc').limit(1).executeTakeFirst()
}

export async function insertAnchor (tx: Tx, anchor: Insertable<AuditAnchors>): Promise<void> {
  await tx.insertInto('audit_anchors').values(anchor).execute()
}

/** The first link that may hold records from an instant on; one past the head if there is none. */
export async function findFirstLink (on: Executor, from: Date): Promise<number> {
  const { first } = await on.selectFrom('audit_chain').select(({ fn }) => fn.min<number | null>('seq').as('first')).where('last_at', '>=', from).executeTakeFirstOrThrow()
  return first ?? (await getHead(on)).head_seq + 1
}
