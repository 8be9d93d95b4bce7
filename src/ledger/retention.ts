import type { Macs } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import {
  findAnchor, findCheckpointBefore, findFirstLink, getHead, guard, insertAnchor, listBatchEvents, listLinks, listLinksReaching,
  type Database, type StoredEvent,
} from '../store/index.ts'
import { anchorMacInput, groupBatches, type AuditRecord } from './record.ts'
import type { LedgerWriter } from './write.ts'

export interface ExportRange {
  readonly from?: Date
  readonly to?: Date
  /** The cursor of the last record that was exported before. */
  readonly after?: string
}

export type ExportedEvent = { readonly cursor: string } & StoredEvent

const LINKS_PAGE = 200

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly macs: Macs
  readonly writer: Pick<LedgerWriter, 'recordIn'>
}

/** What leaves the record: copies for others, and months that are let go. */
export function createRetention (options: Options) {
  const { database, macs, writer } = options
  return {
    anchor: async (keptFrom: Date, { principal }: Pick<AuditRecord, 'principal'>): Promise<{ seq: number, keptFrom: Date } | undefined> => await guard(async () => {
      const before = await findAnchor(database.db)
      if (before !== undefined && before.kept_from > keptFrom) return undefined
      // Signed already: what it was signed for may have failed.
      if (before?.kept_from.getTime() === keptFrom.getTime()) return { seq: before.seq, keptFrom }
      // Of a time in which nothing happened, the record goes on to begin where it does.
      const checkpoint = await findCheckpointBefore(database.db, keptFrom) ?? before
      if (checkpoint === undefined) return undefined
      const { seq, head_mac, events } = checkpoint
      const anchor = { seq, head_mac, events, kept_from: keptFrom, lost_links: await listLinksReaching(database.db, keptFrom, checkpoint.seq) }
      const { keyId, mac } = (await macs.key('audit-checkpoint')).compute(anchorMacInput(anchor))
      await database.transaction(async (tx) => {
        await insertAnchor(tx, { ...anchor, key_id: keyId, signature: mac })
        await writer.recordIn(tx, { event: 'audit.pruned', outcome: 'ok', principal, details: { up_to_link: anchor.seq, kept_from: keptFrom.toISOString() } })
      })
      return { seq: anchor.seq, keptFrom }
    }),
    exportEvents: async function * (range: ExportRange): AsyncGenerator<ExportedEvent> {
      const start = range.after === undefined ? undefined : parseCursor(range.after)
      const { head_seq: head } = await guard(() => getHead(database.db))
      if (start !== undefined && start.seq > head) throw new VaultError('request_invalid', { detail: 'That cursor is ahead of the record: the database was restored to an earlier time.' })
      for (let seq = start?.seq ?? await guard(() => findFirstLink(database.db, range.from ?? new Date(0))); seq <= head;) {
        const links = await guard(() => listLinks(database.db, seq, LINKS_PAGE))
        for (const group of groupBatches(links)) {
          const events = Map.groupBy(await guard(() => listBatchEvents(database.db, group)), (event) => event.batch_id)
          for (const link of group) {
            for (const [index, event] of (events.get(link.batch_id) ?? []).entries()) {
              if (link.seq === start?.seq && index <= start.index) continue
              if ((range.from !== undefined && event.occurred_at < range.from) || (range.to !== undefined && event.occurred_at >= range.to)) continue
              yield { cursor: `${link.seq}.${index}`, ...event }
            }
          }
        }
        const last = links.at(-1)
        if (last === undefined) return
        seq = last.seq + 1
      }
    },
  }
}

function parseCursor (text: string): { seq: number, index: number } {
  const [, seq, index] = /^(\d{1,15})\.(\d{1,9})$/.exec(text) ?? []
  if (seq === undefined || index === undefined) throw new VaultError('request_invalid', { detail: 'That is not the cursor of an exported record.' })
  return { seq: Number(seq), index: Number(index) }
}
