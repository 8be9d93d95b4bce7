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

/** Whether some process holds the lease on sealing: each that runs takes it where nobody has it. */
export async function isSealerHeld (on: Executor): Promise<boolean> {
  const held = await on.selectFrom('audit_sealer').select('fence').where('lease_until', '>', sql<Date>`vault_now()`).executeTakeFirst()
  return held !== undefined
}

/** Also notes the latest time of any record up to here. */
export async function insertCheckpoint (tx: Tx, checkpoint: Omit<Insertable<AuditCheckpoints>, 'created_at' | 'last_at'>): Promise<void> {
  const { seq, head_mac: headMac, events, key_id: keyId, signature } = checkpoint
  await sql`
    insert into audit_checkpoints (seq, head_mac, events, key_id, signature, last_at)
    select ${seq}, ${headMac}, ${events}, ${keyId}, ${signature},
           greatest(before.last_at, (select max(last_at) from audit_chain where seq > coalesce(before.seq, 0) and seq <= ${seq}))
      from (select) as always left join lateral (select seq, last_at from audit_checkpoints order by seq desc limit 1) as before on true`.execute(tx)
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

/** Where a walk through all records stands. */
export type EventPlace = Pick<StoredEvent, 'batch_id' | 'id'>

/**
 * Of the records after a place, in the order of their batches and up to a number, those that belong
 * to no batch of the chain or the queue: somebody put them there. `after` is where to go on; undefined at the end.
 */
export async function listForeignEvents (
  on: Executor, { after, limit }: { after: EventPlace | undefined, limit: number },
): Promise<{ foreign: EventPlace[], after: EventPlace | undefined }> {
  const page = await on.selectFrom('audit_events').select(['batch_id', 'id'])
    .$if(after !== undefined, (query) => query.where(({ eb, refTuple, tuple }) => eb(refTuple('batch_id', 'id'), '>', tuple(after?.batch_id ?? '', after?.id ?? ''))))
    .orderBy('batch_id').orderBy('id').limit(limit).execute()
  const { rows } = await sql<{ batch_id: string }>`
    select batch_id from unnest(${[...new Set(page.map((event) => event.batch_id))]}::text[]) as p (batch_id)
     where not exists (select from audit_chain c where c.batch_id = p.batch_id) and not exists (select from audit_unsealed q where q.batch_id = p.batch_id)`.execute(on)
  const unknown = new Set(rows.map((row) => row.batch_id))
  return { foreign: page.filter((event) => unknown.has(event.batch_id)), after: page.length < limit ? undefined : page.at(-1) }
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

/** Nothing that was committed waits longer for its link, but where none is made; and then the oldest go first. */
const LATE_MS = 3_600_000

/** Links beyond one whose records, some or all, are from before an instant. */
export async function listLinksReaching (on: Executor, before: Date, beyond: number): Promise<number[]> {
  const until = await on.selectFrom('audit_checkpoints').select('seq').where('last_at', '>=', new Date(before.getTime() + LATE_MS))
    .orderBy('last_at').orderBy('seq').limit(1).executeTakeFirst()
  const links = await on.selectFrom('audit_chain').select('seq').where('seq', '>', beyond).where('first_at', '<', before)
    .$if(until !== undefined, (query) => query.where('seq', '<=', until?.seq ?? 0)).orderBy('seq').execute()
  return links.map(({ seq }) => seq)
}

/** The last checkpoint all of whose links are over before an instant. */
export async function findCheckpointBefore (on: Executor, instant: Date): Promise<Pick<Checkpoint, 'seq' | 'head_mac' | 'events'> | undefined> {
  return await on.selectFrom('audit_checkpoints').select(['seq', 'head_mac', 'events'])
    .where('last_at', '<', instant).orderBy('last_at', 'desc').orderBy('seq', 'desc').limit(1).executeTakeFirst()
}

export async function insertAnchor (tx: Tx, anchor: Insertable<AuditAnchors>): Promise<void> {
  await tx.insertInto('audit_anchors').values(anchor).execute()
}

/** The first link that may hold records from an instant on; one past the head if there is none. */
export async function findFirstLink (on: Executor, from: Date): Promise<number> {
  const before = await findCheckpointBefore(on, from)
  const { first } = await on.selectFrom('audit_chain').select(({ fn }) => fn.min<number | null>('seq').as('first'))
    .where('seq', '>', before?.seq ?? 0).where('last_at', '>=', from).executeTakeFirstOrThrow()
  return first ?? (await getHead(on)).head_seq + 1
}
