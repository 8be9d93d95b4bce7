import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { systemClock } from '../clock.ts'
import { ConfigError, readConfig, type Config } from '../config.ts'
import { createLocalKeyring } from '../crypto/index.ts'
import { createLog } from '../log.ts'
import { openRooms } from '../rooms.ts'
import { isAlive, migrate, prepareEmbedded, startEmbeddedPostgres } from '../store/index.ts'

/** A configuration with everything in it that the rooms need. */
export type ReadyConfig = Config & { readonly databaseUrl: string, readonly keyringFile: string }

export interface Session {
  readonly config: ReadyConfig
  /** Whether the database is the vault's own, embedded one. */
  readonly embedded: boolean
  /** Stops what this session started. */
  end (): Promise<void>
}

/**
 * Makes a configuration complete. With DATABASE_URL set that is all; without it, outside
 * production, an embedded Postgres is started in DATA_DIR, its schema brought up to date, and a
 * keyring made on first use. To `serve` keeps a second vault off the folder; to `operate` joins a
 * vault that runs there; to `look` does, too, and makes and changes nothing.
 */
export async function openSession (config: Config, purpose: 'serve' | 'operate' | 'look'): Promise<Session> {
  const keyringFile = locateKeyring(config)
  if (config.databaseUrl !== undefined) {
    if (purpose !== 'look') ensureKeyring(config, keyringFile)
    return { config: { ...config, databaseUrl: config.databaseUrl, keyringFile }, embedded: false, end: async () => {} }
  }
  const dataDir = resolve(config.dataDir)
  // Passable for the user the database runs as, readable for nobody else.
  mkdirSync(dataDir, { recursive: true })
  chmodSync(dataDir, 0o711)
  const lock = lockDataDir(dataDir, purpose === 'serve')
  const embedded = await startEmbeddedPostgres({ dataDir, existing: purpose === 'look' }).catch((error: unknown) => {
    lock.release()
    throw error
  })
  const end = async () => {
    if (lock.mine) await embedded.stop()
    lock.release()
  }
  try {
    const urls = await prepareEmbedded(embedded)
    if (purpose !== 'look') {
      await migrate(urls.owner)
      ensureKeyring(config, keyringFile)
    }
    return { config: { ...config, databaseUrl: urls.service, keyringFile }, embedded: true, end }
  } catch (error) {
    await end()
    throw error
  }
}

/** Where the local keyring is, or is to be. */
export function locateKeyring (config: Pick<Config, 'keyringFile' | 'dataDir'>): string {
  return resolve(config.keyringFile ?? join(config.dataDir, 'keyring.json'))
}

/** In production a keyring is made on purpose: one that appears by itself hides that the right one is lost. */
function ensureKeyring (config: Config, file: string): void {
  if (existsSync(file) || (config.kekProvider !== 'local' && (config.kekProviderSandbox ?? config.kekProvider) !== 'local')) return
  if (config.nodeEnv === 'production') throw new ConfigError(`KEYRING_FILE ${file} does not exist: restore it from its copy; only a vault that has no data yet gets a new one, with \`connection-vault keys init\``)
  mkdirSync(dirname(file), { recursive: true })
  createLocalKeyring(file, systemClock.now())
}

interface Lock {
  /** False when a running vault holds the folder and this process only visits. */
  readonly mine: boolean
  release (): void
}

/** One vault at a time on a data folder. A lock whose process is gone is taken over. */
function lockDataDir (dataDir: string, serving: boolean): Lock {
  const file = join(dataDir, 'vault.pid')
  const holder = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
  if (holder > 0 && holder !== process.pid && isAlive(holder)) {
    if (serving) throw new ConfigError(`a vault (process ${holder}) already runs on ${dataDir}`)
    return { mine: false, release: () => {} }
  }
  writeFileSync(file, String(process.pid), { mode: 0o600 })
  return { mine: true, release: () => { rmSync(file, { force: true }) } }
}

/** A verb that made itself an empty vault would answer for the wrong one. `traces` are files that a vault leaves. Throws ConfigError. */
export function requireVault (config: Config, traces: readonly string[] = []): void {
  const files = [locateKeyring(config), ...traces.map((name) => join(resolve(config.dataDir), name))]
  if (config.databaseUrl === undefined && !files.some((file) => existsSync(file))) {
    throw new ConfigError(`no vault has run in ${config.dataDir}: name its database and keyring with DATABASE_URL and KEYRING_FILE, or its folder with DATA_DIR`)
  }
}

/** Opens the rooms for one verb of an operator and closes them after it. */
export async function withRooms<T> (work: (rooms: Awaited<ReturnType<typeof openRooms>>) => Promise<T>): Promise<T> {
  const config = readConfig()
  requireVault(config)
  const session = await openSession(config, 'operate')
  try {
    // Verbs print their result themselves; only what goes wrong is logged, to standard error.
    const rooms = await openRooms(session.config, createLog('error', process.stderr))
    try {
      return await work(rooms)
    } finally {
      await rooms.close()
    }
  } finally {
    await session.end()
  }
}
