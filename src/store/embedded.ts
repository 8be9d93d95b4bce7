import { spawn, spawnSync } from 'node:child_process'
import { chownSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { ConfigError } from '../config.ts'
import { locatePostgres, type PostgresHome } from './embedded-home.ts'

/** A Postgres of this machine that listens on a unix socket in a private folder and nowhere else. */
export interface EmbeddedPostgres {
  /** Connection URL for a role and a database of this cluster. */
  url (role: string, database: string): string
  /** Folder of the cluster's files: not always the one asked for, see `locatePostgres`. */
  readonly clusterDir: string
  readonly pid: number
  /** True when a cluster that outlived its vault was taken over instead of started. */
  readonly adopted: boolean
  /** Ends it in an orderly way: sessions are cut, everything committed is on disk. */
  stop (): Promise<void>
}

interface Options {
  readonly dataDir: string
  /** Throw where there is no cluster yet, instead of making one. */
  readonly existing?: boolean
  /** Server settings beside the defaults, for tests. */
  readonly settings?: Readonly<Record<string, string>>
}

export const EMBEDDED_SUPERUSER = 'postgres'
const START_TIMEOUT_MS = 20_000
const POLL_MS = 15

const SETTINGS = {
  listen_addresses: '',
  max_connections: '200',
  shared_buffers: '64MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // The server's log must not quote data: no statements, no DETAIL lines.
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
}

/** Starts, or takes over, the cluster in `dataDir`; makes it on first use. */
export async function startEmbeddedPostgres (options: Options): Promise<EmbeddedPostgres> {
  const home = await locatePostgres(resolve(options.dataDir))
  const running = readPidFile(home.clusterDir)
  if (running !== undefined) {
    if (await answers(running.socketDir, home.clusterDir, 3_000)) return handle(home, running, true)
    await killStale(running.pid, home.clusterDir)
  }
  if (!existsSync(join(home.clusterDir, 'PG_VERSION'))) {
    if (options.existing === true) throw new ConfigError(`there is no database in ${home.clusterDir}: restore it, or name the right folder with DATA_DIR`)
    initialise(home)
  }
  return handle(home, await launch(home, options.settings ?? {}), false)
}

interface Running {
  readonly pid: number
  readonly socketDir: string
}

function initialise (home: PostgresHome): void {
  // The folders above stay open for passing through: the server runs as another user than root.
  mkdirSync(dirname(home.clusterDir), { recursive: true, mode: 0o755 })
  mkdirSync(home.clusterDir, { recursive: true, mode: 0o700 })
  if (home.owner !== undefined) chownSync(home.clusterDir, home.owner.uid, home.owner.gid)
  const args = ['-D', home.clusterDir, '-U', EMBEDDED_SUPERUSER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-instructions']
  const made = spawnSync(home.initdb, args, { encoding: 'utf8', ...home.owner })
  if (made.status !== 0) throw new ConfigError(`initdb failed: ${made.error?.message ?? made.stderr}`)
}

async function launch (home: PostgresHome, extra: Readonly<Record<string, string>>): Promise<Running> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (performance.now() < deadline) {
    const socketDir = mkdtempSync(join(tmpdir(), 'connection-vault-pg-'))
    if (home.owner !== undefined) chownSync(socketDir, home.owner.uid, home.owner.gid)
    const settings = Object.entries({ ...SETTINGS, ...extra, unix_socket_directories: socketDir })
    const output = openSync(join(home.clusterDir, 'server.log'), 'a', 0o600)
    // Detached: Ctrl-C in a terminal must reach the vault first, which stops the cluster when it has finished.
    const child = spawn(home.postgres, ['-D', home.clusterDir, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      { detached: true, stdio: ['ignore', output, output], ...home.owner })
    closeSync(output)
    child.unref()
    const state = { ended: false }
    child.once('error', () => { state.ended = true }).once('exit', () => { state.ended = true })
    while (!state.ended && performance.now() < deadline) {
      if (child.pid !== undefined && await answers(socketDir, home.clusterDir, 0)) return { pid: child.pid, socketDir }
      await delay(POLL_MS)
    }
    rmSync(socketDir, { recursive: true, force: true })
    // Children of a killed postmaster hold its shared memory until they notice: try again.
    await delay(200)
  }
  throw new ConfigError(`the embedded Postgres did not start; see ${join(home.clusterDir, 'server.log')}`)
}

function handle (home: PostgresHome, running: Running, adopted: boolean): EmbeddedPostgres {
  return Object.freeze({
    clusterDir: home.clusterDir,
    pid: running.pid,
    adopted,
    url: (role: string, database: string) => socketUrl(running.socketDir, role, database),
    stop: async () => {
      signal(running.pid, 'SIGINT')
      const deadline = performance.now() + START_TIMEOUT_MS
      // The server removes its pid file last; an orphan's process entry may outlive it.
      const stopped = () => !isAlive(running.pid) || !existsSync(join(home.clusterDir, 'postmaster.pid'))
      while (!stopped() && performance.now() < deadline) await delay(POLL_MS)
      if (!stopped()) signal(running.pid, 'SIGQUIT')
      rmSync(running.socketDir, { recursive: true, force: true })
    },
  })
}

function socketUrl (socketDir: string, role: string, database: string): string {
  return `postgresql://${role}@localhost/${database}?host=${encodeURIComponent(socketDir)}`
}

/** postmaster.pid: process id, data directory, start time, port, socket folder, … a line each. */
function readPidFile (clusterDir: string): Running | undefined {
  const file = join(clusterDir, 'postmaster.pid')
  if (!existsSync(file)) return undefined
  const lines = readFileSync(file, 'utf8').split('\n')
  const pid = Number(lines[0])
  return Number.isInteger(pid) && pid > 1 ? { pid, socketDir: lines[4] ?? '' } : undefined
}

/** Whether a server of this very data directory answers on that socket, within so many milliseconds. */
async function answers (socketDir: string, clusterDir: string, patienceMs: number): Promise<boolean> {
  const deadline = performance.now() + patienceMs
  do {
    const client = new pg.Client({ connectionString: socketUrl(socketDir, EMBEDDED_SUPERUSER, 'postgres'), connectionTimeoutMillis: 2_000 })
    try {
      await client.connect()
      const { rows } = await client.query<{ data_directory: string }>('show data_directory')
      return rows[0]?.data_directory === clusterDir
    } catch {
      await delay(POLL_MS)
    } finally {
      await client.end().catch(() => undefined)
    }
  } while (performance.now() < deadline)
  return false
}

/** Ends a server of this data directory that no longer answers. A process id taken by another program is left alone. */
async function killStale (pid: number, clusterDir: string): Promise<void> {
  const command = existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : ''
  if (!command.includes(clusterDir)) return
  signal(pid, 'SIGQUIT')
  const deadline = performance.now() + START_TIMEOUT_MS
  while (isAlive(pid) && performance.now() < deadline) await delay(POLL_MS)
}

/** Whether there is such a process; one of another user counts. */
export function isAlive (pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function signal (pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It ended by itself.
  }
}
