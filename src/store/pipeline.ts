import pg from 'pg'
import { VaultError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { watchSilence, type SilenceWatch } from './silence.ts'

/** A prepared statement. The name stands for exactly this text in every process. */
export interface Statement {
  readonly name: string
  readonly text: string
}

/** Dedicated connections that send statements without waiting for each other's answers. No transactions. */
export interface Pipeline {
  /** Runs one statement. Throws `database_unavailable` when the connection is down, breaks or goes silent, `overloaded` when too many wait on it. */
  run<Row extends pg.QueryResultRow> (statement: Statement, values: readonly unknown[]): Promise<Row[]>
  close (): Promise<void>
}

interface Options {
  /** Under which its queue is measured. */
  readonly name: 'reads' | 'writes'
  readonly connection: pg.ClientConfig
  readonly clients: number
  /** A connection is cut when it owes answers and gives none for so long. */
  readonly silentMs: number
  /** Every statement looks something up by a key: a plan that was made while a table was small must not scan it once it is large. */
  readonly byKey?: boolean
  /** Statements stay prepared under their names. Not behind a pooler that gives each statement another session: it is then planned anew, as `byKey` would have it. */
  readonly prepared: boolean
  readonly log: Log
  readonly metrics?: Pick<Metrics, 'statements' | 'databaseSilences' | 'onScrape'> | undefined
}

interface Line {
  readonly client: pg.Client
  readonly watch: SilenceWatch
}

/** Look-ups share statements, so that these are many more callers. More only wait for a database that does not keep up. */
const PENDING_MAX = 5_000

/** Connections are made on first use and again after they break; a broken one fails only what was on it. */
export function createPipeline (options: Options): Pipeline {
  const slots: (Promise<Line> | undefined)[] = Array.from({ length: options.clients }, () => undefined)
  let turn = 0
  let pending = 0
  let closed = false
  options.metrics?.onScrape(() => { options.metrics?.statements.set({ pipeline: options.name }, pending) })

  const connect = (slot: number): Promise<Line> => {
    const client = new pg.Client({ ...options.connection, pipeline: true })
    const drop = (error?: Error) => {
      if (slots[slot] !== made) return
      slots[slot] = undefined
      if (error !== undefined) options.log.warn({ err: error }, 'a database connection broke')
    }
    client.on('error', drop).on('end', () => { drop() })
    const made = client.connect().then(async () => {
      const line = { client, watch: watchSilence(client, options) }
      if (options.byKey === true && options.prepared) await ask(line, { text: 'set enable_seqscan = off' })
      return line
    }).catch((error: unknown) => {
      drop()
      throw error
    })
    return made
  }

  return Object.freeze({
    run: async <Row extends pg.QueryResultRow> (statement: Statement, values: readonly unknown[]) => {
      if (closed) throw unavailable(undefined)
      if (pending >= PENDING_MAX) throw new VaultError('overloaded', { detail: 'Too many statements wait for the database.', retryAfterSeconds: 1 })
      turn = (turn + 1) % slots.length
      pending++
      try {
        const line = await (slots[turn] ??= connect(turn))
        const { rows } = await ask<Row>(line, { ...options.prepared && { name: statement.name }, text: statement.text, values: [...values] })
        return rows
      } catch (error) {
        throw named(error)
      } finally {
        pending--
      }
    },
    close: async () => {
      closed = true
      const open = slots.filter((slot) => slot !== undefined)
      await Promise.all(open.map((slot) => slot.then(({ client }) => client.end(), () => undefined)))
    },
  })
}

async function ask<Row extends pg.QueryResultRow> ({ client, watch }: Line, query: pg.QueryConfig): Promise<pg.QueryResult<Row>> {
  const answered = watch.ask()
  try {
    return await client.query<Row>(query)
  } finally {
    answered()
  }
}

/** What the driver says of lost connections, without any code. */
const LOST = /^(Connection terminated|Connection ended|timeout e|Query read timeout|Client (has encountered a connection error|was closed)|Cannot use a pool after)/i

/**
 * Whether an error says that the database is away, not that the statement or the program is wrong:
 * a session that ended (FATAL), an SQLSTATE of the classes for connections, resources and shutdown,
 * an error of the socket, or the driver's own word.
 */
export function isAway (error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return error.severity === 'FATAL' || /^(08|53|57|58)/.test(error.code ?? '')
  if (!(error instanceof Error)) return false
  return ('code' in error && typeof error.code === 'string' && /^E[A-Z_]+$/.test(error.code) && !error.code.startsWith('ERR_')) || LOST.test(error.message)
}

/** Why a database is away, in the words of an operator. */
export function describeAway (error: unknown): string {
  if (error instanceof Error && error.cause instanceof Error) return describeAway(error.cause)
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  switch (code) {
    case '28P01': case '28000': return 'it refuses this role, or its password'
    case '3D000': return 'it has no database of that name'
    default: return code
  }
}

function unavailable (cause: unknown): VaultError {
  return new VaultError('database_unavailable', { detail: 'The database does not answer.', retryAfterSeconds: 1, cause })
}

/** What was thrown, or `database_unavailable` in place of what says that the database is away. */
export function named (error: unknown): unknown {
  return isAway(error) ? unavailable(error) : error
}
