import type { PostgresPool, PostgresPoolClient } from 'kysely'
import pg from 'pg'
import { VaultError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { named } from './pipeline.ts'
import { watchSilence, type SilenceWatch } from './silence.ts'
import { nameOf } from './statements.ts'

interface Options {
  readonly connection: pg.PoolConfig
  readonly size: number
  readonly silentMs: number
  /** Whether statements that have a name stay prepared under it. */
  readonly prepared: boolean
  readonly log: Log
  readonly metrics?: Pick<Metrics, 'poolWaits' | 'pool' | 'databaseSilences' | 'onScrape'> | undefined
  /** While the vault closes, connections that end are none that broke. */
  readonly isClosing: () => boolean
}

/** More would only wait for as long as a connection may be waited for, and then fail. */
const WAITING_MAX = 2_000

/**
 * The connections for transactions, as Kysely wants them: a wait for one is bounded and measured,
 * and one that has gone silent is cut and not handed to the next. Both throw
 * `database_unavailable` when the database is away.
 */
export function createPool ({ connection, size, silentMs, prepared, log, metrics, isClosing }: Options): PostgresPool {
  const pool = new pg.Pool({ ...connection, max: size })
  const watches = new WeakMap<pg.Client, SilenceWatch>()
  const noteBreak = (error: Error) => { if (!isClosing()) log.warn({ err: error }, 'a database connection broke') }
  pool.on('error', noteBreak)
  // The pool listens only to idle connections: one that breaks between two statements of a
  // transaction would otherwise be an uncaught error and end the process.
  pool.on('connect', (client) => {
    client.on('error', noteBreak)
    watches.set(client, watchSilence(client, { silentMs, log, metrics }))
  })
  metrics?.onScrape(() => {
    metrics.pool.set({ state: 'busy' }, pool.totalCount - pool.idleCount)
    metrics.pool.set({ state: 'idle' }, pool.idleCount)
    metrics.pool.set({ state: 'waiting' }, pool.waitingCount)
  })
  return {
    connect: async () => {
      if (pool.waitingCount >= WAITING_MAX) throw new VaultError('overloaded', { detail: 'Too many wait for a database connection.', retryAfterSeconds: 1 })
      const startedMs = performance.now()
      try {
        const client = await pool.connect()
        return watched(client, { watch: watches.get(client), prepared })
      } catch (error) {
        throw named(error)
      } finally {
        metrics?.poolWaits.observe((performance.now() - startedMs) / 1_000)
      }
    },
    end: async () => { await pool.end() },
    options: pool.options,
  }
}

/** A connection as it is lent: each statement is watched. */
function watched (client: pg.PoolClient, { watch, prepared }: { watch: SilenceWatch | undefined, prepared: boolean }): PostgresPoolClient {
  const query = async (text: string, values: readonly unknown[]) => {
    const name = prepared ? nameOf(text) : undefined
    const answered = watch?.ask()
    try {
      return await client.query({ ...name !== undefined && { name }, text, values: [...values] })
    } catch (error) {
      throw named(error)
    } finally {
      answered?.()
    }
  }
  return {
    // Cursors go past this: the vault uses none.
    query: query as unknown as PostgresPoolClient['query'],
    release: (discard?: boolean) => { client.release(discard) },
    ...'processID' in client && { processID: client.processID as number },
  }
}
