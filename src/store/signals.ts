import pg from 'pg'
import type { Log } from '../log.ts'
import type { Pipeline, Statement } from './pipeline.ts'

/**
 * Words from process to process, through the database. They only shorten waiting: whoever listens
 * looks for itself as well, so that a word may be lost, or come twice.
 */
export interface Signals {
  /** Tells this process at once, and the others soon if nobody here was waiting for it. */
  send (word: string): void
  /** Tells the others. */
  spread (word: string): void
  /** Connects on the first call. `heard` answers whether somebody here was waiting for it; `near`: it was said in this process. */
  listen (heard: (word: string, near: boolean) => boolean): void
  close (): Promise<void>
}

interface Options {
  readonly connection: pg.ClientConfig
  readonly reads: Pick<Pipeline, 'run'>
  readonly log: Log
  /** Without it, only this process is told: behind a pooler that hands connections from one to another, `listen` hears nothing. */
  readonly enabled: boolean
}

const CHANNEL = 'connection_vault'
const NOTIFY: Statement = { name: 'notify', text: `select pg_notify('${CHANNEL}', $1)` }
const RECONNECT_MS = { first: 100, most: 10_000 }

export function createSignals ({ connection, reads, log, enabled }: Options): Signals {
  const listeners: ((word: string, near: boolean) => boolean)[] = []
  const closing = new AbortController()
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined

  const tell = (word: string, near: boolean): boolean => listeners.map((heard) => heard(word, near)).includes(true)
  const spread = (word: string): void => {
    if (enabled) reads.run(NOTIFY, [word]).catch((error: unknown) => { log.debug({ err: error }, 'other processes could not be told') })
  }

  const connect = (waitMs: number): void => {
    const made = new pg.Client(connection)
    client = made
    let lost = false
    const again = () => {
      if (lost || closing.signal.aborted) return
      lost = true
      timer = setTimeout(() => { connect(Math.min(waitMs * 2, RECONNECT_MS.most)) }, waitMs * (0.5 + Math.random()))
      timer.unref()
    }
    made.on('error', (error) => {
      if (!lost && !closing.signal.aborted) log.warn({ err: error }, 'the connection that hears other processes broke')
      again()
    }).on('end', again).on('notification', ({ payload }) => { if (payload !== undefined) tell(payload, false) })
    made.connect().then(async () => {
      await made.query(`listen ${CHANNEL}`)
      waitMs = RECONNECT_MS.first
    }).catch(again)
  }

  return Object.freeze({
    send: (word: string) => { if (!tell(word, true)) spread(word) },
    spread,
    listen: (heard: (word: string, near: boolean) => boolean) => {
      listeners.push(heard)
      if (enabled && client === undefined) connect(RECONNECT_MS.first)
    },
    close: async () => {
      closing.abort()
      clearTimeout(timer)
      await client?.end().catch(() => undefined)
    },
  })
}
