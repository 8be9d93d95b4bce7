import type { Crypto } from '../crypto/index.ts'
import type { Egress, Exceptions } from '../egress/index.ts'
import { clearEvents, getFeed, guard, hasUnpublished, listFeed, publishEvents, type Database, type EventRow, type FeedFilter } from '../store/index.ts'
import { VaultError } from '../errors.ts'
import { createDeliverer, type Deliverer, type DelivererOptions } from './deliver.ts'
import { createWebhooks, type Webhooks } from './webhooks.ts'

/** `after`: the place read up to; without it, from the oldest that is kept. */
export type Reading = Omit<FeedFilter, 'after'> & { readonly after?: number | undefined }

/** What people and programs are told: a feed to read, and webhooks it is sent to. */
export interface Events {
  readonly webhooks: Webhooks
  readonly deliverer: Deliverer
  /** Events after a place, and the place to go on from. Throws `events_cleared` when some after it are gone. */
  read (reading: Reading): Promise<{ events: EventRow[], next: number }>
  /** Gives what has been committed its place in the feed and queues it for the webhooks; answers how many. */
  publish (): Promise<number>
  /** Clears what is older than 30 days; answers how many. */
  clear (): Promise<number>
}

interface Options extends Omit<DelivererOptions, 'database' | 'crypto' | 'egress'> {
  readonly database: Database
  readonly crypto: Crypto
  readonly egress: Egress
  readonly exceptions: Exceptions
}

const KEPT_DAYS = 30
const PUBLISHED_MAX = 1_000
const CLEARED_MAX = 5_000

export function createEvents (options: Options): Events {
  const { database } = options
  return Object.freeze({
    webhooks: createWebhooks(options),
    deliverer: createDeliverer(options),
    read: async ({ after, ...filter }: Reading) => await guard(async () => {
      const { last_seq: head } = await getFeed(database.db)
      const events = await listFeed(database.db, { ...filter, after: after ?? 0 })
      // Afterwards: what is cleared while the list is read must not go unnoticed.
      if (after !== undefined && after < (await getFeed(database.db)).cleared_seq) throw new VaultError('events_cleared')
      const last = events.at(-1)?.seq ?? 0
      // Up to the head everything was there to be found; it counts as read where the filter left it out.
      return { events, next: events.length === filter.limit ? last : Math.max(last, head, after ?? 0) }
    }),
    publish: async () => {
      let published = 0
      while (await guard(() => hasUnpublished(database.db))) {
        const batch = await database.transaction((tx) => publishEvents(tx, PUBLISHED_MAX))
        published += batch
        // Another process is at it, or there is no more.
        if (batch < PUBLISHED_MAX) break
      }
      return published
    },
    clear: async () => await database.transaction((tx) => clearEvents(tx, { days: KEPT_DAYS, limit: CLEARED_MAX })),
  })
}
