import pg from 'pg'
import { VaultError } from '../errors.ts'
import type { Log } from '../log.ts'

/** A prepared statement. The name stands for exactly this text in every process. */
export interface Statement {
  readonly name: string
  readonly text: string
}

/** Dedicated connections that send statements without waiting for each other's answers. No transactions. */
export interface Pipeline {
  /** Runs one statement. Throws `database_unavailable` when the connection is down or breaks. */
  run<Row extends pg.QueryResultRow> (statement: Statement, values: readonly unknown[]): Promise<Row[]>
  close (): Promise<void>
}

interface Options {
  readonly connection: pg.ClientConfig
  readonly clients: number
  /** Every statement looks something up by a key: a plan that was made while a table was small must not scan it once it is large. */
  readonly byKey?: boolean
  readonly log: Log
}

/** Connections are made on first use and again after they break; a broken one fails only what was on it. */
export function createPipeline (options: Options): Pipeline {
  const slots: (Promise<pg.Client> | undefined)[] = Array.from({ length: options.clients }, () => undefined)
  let turn = 0
  let closed = false

  const connect = (slot: number): Promise<pg.Client> => {
    const client = new pg.Client({ ...options.connection, pipeline: true })
    const drop = (error?: Error) => {
      if (slots[slot] !== made) return
      slots[slot] = undefined
      if (error !== undefined) options.log.warn({ err: error }, 'a database connection broke')
    }
    client.on('error', drop).on('end', () => { drop() })
    const made = client.connect().then(async () => {
      if (options.byKey === true) await client.query('set enable_seqscan = off')
      return client
    }).catch((error: unknown) => {
      drop()
      throw error
    })
    return made
  }

  return Object.freeze({
    run: async <Row extends pg.QueryResultRow> (statement: Statement, values: readonly unknown[]) => {
      if (closed) throw unavailable(undefined)
      turn = (turn + 1) % slots.length
      try {
        const client = await (slots[turn] ??= connect(turn))
        const { rows } = await client.query<Row>({ name: statement.name, text: statement.text, values: [...values] })
        return rows
      } catch (error) {
        throw isAway(error) ? unavailable(error) : error
      }
    },
    close: async () => {
      closed = true
      const open = slots.filter((slot) => slot !== undefined)
      await Promise.all(open.map((slot) => slot.then((client) => client.end(), () => undefined)))
    },
  })
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

function unavailable (cause: unknown): VaultError {
  return new VaultError('database_unavailable', { detail: 'The database does not answer.', retryAfterSeconds: 1, cause })
}
