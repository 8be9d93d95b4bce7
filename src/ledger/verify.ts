import type { Macs } from '../crypto/index.ts'
import { isId } from '../ids.ts'
import {
  findAnchor, findLastCheckpoint, getHead, isSealerHeld, listBatchEvents, listCheckpoints, listForeignEvents, listLinks, listUnsealed,
  type AuditRow, type ChainLink, type Database, type EventPlace, type StoredEvent,
} from '../store/index.ts'
import { anchorMacInput, batchMacInput, checkpointMacInput, digestRows, groupBatches, linkMacInput, parseCheckpoint } from './record.ts'

/** Something in the record that is not as it was written. */
export interface Finding {
  readonly kind: 'anchor_changed' | 'link_missing' | 'link_changed' | 'events_changed' | 'event_inserted' | 'checkpoint_unmatched' | 'checkpoint_unsigned' | 'tail_cut' | 'batch_changed' | 'batch_unsealed'
  /** Where: a link's number, a batch's or a record's id. */
  readonly at: string
}

export interface Verification {
  readonly ok: boolean
  readonly links: number
  readonly events: number
  readonly findings: readonly Finding[]
  /** Whether a vault runs: while none does, nothing keeps batches from their links, and yet they wait. */
  readonly sealing: boolean
}

type Reads = Pick<Database, 'db'>

interface Evidence {
  readonly database: Reads
  readonly macs: Macs
}

const PAGE = 500
const EVENTS_PAGE = 5_000
const FINDINGS_MAX = 100
/** Sealing takes about a second; what has waited a minute was kept from it. */
const UNSEALED_MAX_SECONDS = 60

interface Walk {
  /** Links whose records went with months that were let go; they themselves still have to fit. */
  readonly lost: ReadonlySet<number>
  readonly findings: Finding[]
  seq: number
  mac: Buffer
  events: number
  /** The latest time of any record so far. */
  lastAt: number
}

/**
 * Reads the chain and every record in it and recomputes each MAC. `known` is a checkpoint that
 * was kept elsewhere (a log line): it also reveals a tail cut together with its checkpoints. One
 * that no key here has signed says nothing of the record, and is a finding itself.
 */
export async function verifyChain (database: Reads, macs: Macs, known?: string): Promise<Verification> {
  // In this order: whoever seals meanwhile moves the head, and a checkpoint is never ahead of it.
  const lastCheckpoint = await findLastCheckpoint(database.db)
  const head = await getHead(database.db)
  const word = known === undefined ? undefined : parseCheckpoint(known)
  const wanted = word && await macs.verifyByAny('audit-checkpoint', checkpointMacInput(word), word.signature) ? word : undefined
  const sealing = await isSealerHeld(database.db)
  const walk = await beginWalk(database, macs)
  if (word !== wanted) walk.findings.push({ kind: 'checkpoint_unsigned', at: String(word?.head_seq) })
  // What is sealed while this runs lies beyond the head and waits for the next time.
  for (;;) {
    const links = (await listLinks(database.db, walk.seq + 1, PAGE)).filter((link) => link.seq <= head.head_seq)
    if (links.length === 0 || walk.findings.length >= FINDINGS_MAX) break
    for (const link of links) await walkLink(walk, link, macs)
    await judgeEvents(database, walk, links.filter((link) => !walk.lost.has(link.seq)).map((link) => ({ ...link, changed: { kind: 'link_changed', at: String(link.seq) } })))
    await judgeCheckpoints({ database, macs }, walk, links)
    const kept = links.find((link) => link.seq === wanted?.head_seq)
    if (kept !== undefined && !kept.mac.equals(wanted?.head_mac ?? Buffer.alloc(0))) walk.findings.push({ kind: 'checkpoint_unmatched', at: String(kept.seq) })
  }
  const wantedSeq = Math.max(head.head_seq, lastCheckpoint?.seq ?? 0, wanted?.head_seq ?? 0)
  const cut = walk.seq < wantedSeq || !walk.mac.equals(head.head_mac)
  if (cut && walk.findings.length < FINDINGS_MAX) walk.findings.push({ kind: 'tail_cut', at: String(walk.seq) })
  await judgeQueue(database, walk, macs)
  await judgeForeign(database, walk)
  return { ok: walk.findings.length === 0, links: walk.seq, events: walk.events, findings: walk.findings.slice(0, FINDINGS_MAX), sealing }
}

/** At the first link, or where the record begins since months of it were let go. */
async function beginWalk (database: Reads, macs: Macs): Promise<Walk> {
  const anchor = await findAnchor(database.db)
  const start = { findings: [], lost: new Set<number>(), seq: 0, mac: Buffer.alloc(0), events: 0, lastAt: 0 }
  if (anchor === undefined) return start
  const signed = await macs.verify('audit-checkpoint', anchorMacInput(anchor), { keyId: anchor.key_id, mac: anchor.signature })
  return signed
    ? { findings: [], lost: new Set(anchor.lost_links), seq: anchor.seq, mac: anchor.head_mac, events: anchor.events, lastAt: 0 }
    : { ...start, findings: [{ kind: 'anchor_changed', at: String(anchor.seq) }] }
}

async function walkLink (walk: Walk, link: ChainLink, macs: Macs): Promise<void> {
  if (link.seq !== walk.seq + 1) walk.findings.push({ kind: 'link_missing', at: String(walk.seq + 1) })
  // After a gap the link can't be tied to the one before: the gap is the finding.
  else if (!await macs.verify('audit-link', linkMacInput(link, walk.mac), { keyId: link.key_id, mac: link.mac })) walk.findings.push({ kind: 'link_changed', at: String(link.seq) })
  walk.seq = link.seq
  walk.mac = link.mac
  walk.events += link.events
}

/** A batch and what to say when its times, which no MAC covers, are not those of its records. */
type Timed = Pick<ChainLink, 'batch_id' | 'events' | 'first_at' | 'last_at' | 'digest'> & { readonly changed: Finding }

async function judgeEvents (database: Reads, walk: Walk, batches: readonly Timed[]): Promise<void> {
  for (const group of groupBatches(batches)) {
    const events = Map.groupBy(await listBatchEvents(database.db, group), (event) => event.batch_id)
    for (const batch of group) {
      const its = events.get(batch.batch_id) ?? []
      const times = its.map((event) => event.occurred_at.getTime()).sort((a, b) => a - b)
      if (!digestRows(its.map(toRow)).equals(batch.digest)) walk.findings.push({ kind: 'events_changed', at: batch.batch_id })
      // What is let go, and what is exported, is found by them.
      else if (times[0] !== batch.first_at.getTime() || times.at(-1) !== batch.last_at.getTime()) walk.findings.push(batch.changed)
    }
  }
}

async function judgeCheckpoints ({ database, macs }: Evidence, walk: Walk, links: readonly ChainLink[]): Promise<void> {
  const bySeq = new Map(links.map((link) => {
    walk.lastAt = Math.max(walk.lastAt, link.last_at.getTime())
    return [link.seq, { mac: link.mac, lastAt: walk.lastAt }]
  }))
  for (const checkpoint of await listCheckpoints(database.db, links[0]?.seq ?? 0, walk.seq)) {
    const input = checkpointMacInput({ head_seq: checkpoint.seq, head_mac: checkpoint.head_mac, events: checkpoint.events })
    const signed = await macs.verify('audit-checkpoint', input, { keyId: checkpoint.key_id, mac: checkpoint.signature })
    const link = bySeq.get(checkpoint.seq)
    // By its time is decided what may be let go: one that says less would take more along.
    const early = checkpoint.last_at !== null && checkpoint.last_at.getTime() < (link?.lastAt ?? 0)
    if (!signed || early || link?.mac.equals(checkpoint.head_mac) !== true) walk.findings.push({ kind: 'checkpoint_unmatched', at: String(checkpoint.seq) })
  }
}

async function judgeQueue (database: Reads, walk: Walk, macs: Macs): Promise<void> {
  const waiting = await listUnsealed(database.db, PAGE)
  for (const batch of waiting) {
    const genuine = isId('key', batch.key_id) && await macs.verify('audit-batch', batchMacInput(batch.batch_id, batch.events, batch.digest), { keyId: batch.key_id, mac: batch.mac })
    if (!genuine) walk.findings.push({ kind: 'batch_changed', at: batch.batch_id })
    else if (batch.age_seconds > UNSEALED_MAX_SECONDS) walk.findings.push({ kind: 'batch_unsealed', at: batch.batch_id })
  }
  await judgeEvents(database, walk, waiting.map((batch) => ({ ...batch, changed: { kind: 'batch_changed', at: batch.batch_id } })))
}

async function judgeForeign (database: Reads, walk: Walk): Promise<void> {
  let after: EventPlace | undefined
  do {
    const page = await listForeignEvents(database.db, { after, limit: EVENTS_PAGE })
    for (const event of page.foreign) walk.findings.push({ kind: 'event_inserted', at: event.id })
    after = page.after
  } while (after !== undefined && walk.findings.length < FINDINGS_MAX)
}

function toRow (event: StoredEvent): AuditRow {
  const { batch_id: _batch, occurred_at: occurredAt, ...rest } = event
  return { ...rest, occurred_at: occurredAt.toISOString() }
}
