import type { Macs } from '../crypto/index.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import {
  claimSealer, findLastCheckpoint, holdHead, insertCheckpoint, insertLinks, listUnsealed, measureSealingLag, moveHead, releaseSealer, removeUnsealed,
  type ChainHead, type Database, type Tx, type UnsealedBatch,
} from '../store/index.ts'
import { batchMacInput, checkpointMacInput, formatCheckpoint, linkMacInput } from './record.ts'

export interface ChainSealer {
  /** Links what waits, if this process holds or gets the lease; answers how many batches it linked. */
  seal (): Promise<number>
  /** Lets another process take over at once. */
  release (): Promise<void>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly macs: Macs
  readonly log: Log
  readonly metrics: Pick<Metrics, 'auditHead' | 'auditLag'>
  /** Tells this process from the others; its lease is under this name. */
  readonly owner: string
}

const LEASE_MS = 10_000
const LINKS_MAX = 2_000
/** A cut tail shows from the last checkpoint on: at most so many links, or so long, are without one. */
const CHECKPOINT_LINKS = 1_000
const CHECKPOINT_MS = 60_000

export function createChainSealer (options: Options): ChainSealer {
  const { database, macs, log, metrics, owner } = options

  /** A batch that nobody with the vault's key wrote stays in the queue, where `audit verify` names it. */
  const listGenuine = async (tx: Tx): Promise<UnsealedBatch[]> => {
    const genuine: UnsealedBatch[] = []
    for (const batch of await listUnsealed(tx, LINKS_MAX)) {
      const valid = await macs.verify('audit-batch', batchMacInput(batch.batch_id, batch.events, batch.digest), { keyId: batch.key_id, mac: batch.mac })
      if (valid) genuine.push(batch)
      else log.error({ reason: 'batch_changed' }, 'a batch of audit records does not carry the vault’s MAC')
    }
    return genuine
  }

  const link = async (tx: Tx, head: ChainHead): Promise<{ head: ChainHead, linked: number }> => {
    const batches = await listGenuine(tx)
    if (batches.length === 0) return { head, linked: 0 }
    const key = await macs.key('audit-link')
    let { head_seq: seq, head_mac: previous, events } = head
    const links = batches.map((batch) => {
      const { mac, keyId } = key.compute(linkMacInput({ ...batch, seq: ++seq }, previous))
      previous = mac
      events += batch.events
      return { seq, batch_id: batch.batch_id, events: batch.events, first_at: batch.first_at, last_at: batch.last_at, digest: batch.digest, key_id: keyId, mac }
    })
    await insertLinks(tx, links)
    await removeUnsealed(tx, batches.map((batch) => batch.batch_id))
    return { head: { ...head, head_seq: seq, head_mac: previous, events }, linked: links.length }
  }

  const sealOnce = async (): Promise<number> => {
    const fence = await claimSealer(database.db, owner, LEASE_MS)
    if (fence === undefined) return 0
    const done = await database.transaction(async (tx) => {
      const held = await holdHead(tx, fence)
      if (held === undefined) return undefined
      const { head, linked } = await link(tx, held)
      const word = await writeCheckpoint(tx, macs, head)
      await moveHead(tx, head)
      return { head, linked, word }
    })
    if (done === undefined) return 0
    metrics.auditHead.set(done.head.head_seq)
    // In the log a checkpoint is out of reach of whoever gets into the database.
    if (done.word !== undefined) log.info({ checkpoint: done.word }, 'audit checkpoint')
    return done.linked
  }

  return Object.freeze({
    seal: async () => {
      let total = 0
      for (let linked = LINKS_MAX; linked === LINKS_MAX;) {
        linked = await sealOnce()
        total += linked
      }
      metrics.auditLag.set(await measureSealingLag(database.db))
      return total
    },
    release: async () => { await releaseSealer(database.db, owner) },
  })
}

/** Signs the head when it is time to; answers the checkpoint as one word. */
async function writeCheckpoint (tx: Tx, macs: Macs, head: ChainHead): Promise<string | undefined> {
  const last = await findLastCheckpoint(tx)
  if (head.head_seq === (last?.seq ?? 0)) return undefined
  if (last !== undefined && head.head_seq - last.seq < CHECKPOINT_LINKS && last.age_ms < CHECKPOINT_MS) return undefined
  const signature = (await macs.key('audit-checkpoint')).compute(checkpointMacInput(head))
  await insertCheckpoint(tx, { seq: head.head_seq, head_mac: head.head_mac, events: head.events, key_id: signature.keyId, signature: signature.mac })
  return formatCheckpoint(head, signature)
}
