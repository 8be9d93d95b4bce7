import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { EMBEDDED_SUPERUSER, isAlive, migrate, prepareEmbedded, startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/store/index.ts'
import { query, TEST_CLOCK } from '../support/cluster.ts'
import { startDatabaseProxy, type DatabaseProxy } from '../support/database-proxy.ts'
import { eventually } from '../support/vault.ts'

/** A database that bad things happen to, at one address whatever happens. */
export interface FaultyDatabase {
  readonly url: string
  readonly line: DatabaseProxy
  /** Statements as superuser, past the line. */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow> (text: string): Promise<Row[]>
  /** Ends it as a crash does, and starts it again. */
  crash (): Promise<void>
  /** Adds a standby that has everything an acknowledged commit has, kills the primary, promotes the standby. Answers how long it was without a primary. */
  failOver (): Promise<number>
  /** Takes what is left of its disk, or gives it back; undefined where this machine mounts nothing. */
  readonly disk: { fill (): void, free (): Promise<void> } | undefined
  stop (): Promise<void>
}

const DISK_MB = 900

export async function startFaultyDatabase (): Promise<FaultyDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'connection-vault-faults-'))
  chmodSync(folder, 0o711)
  const place = (name: string) => {
    const dir = join(folder, name)
    mkdirSync(dir, { mode: 0o711 })
    return dir
  }
  const first = place('a')
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m,mode=0711`, 'tmpfs', first]).status === 0
  // fsync stays on; what a commit acknowledges is on the standby as well, once there is one.
  const settings = { shared_buffers: '128MB', max_connections: '100', wal_keep_size: '256MB' }
  let current: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir: first, settings })
  let currentDir = first
  const { owner, service } = await prepareEmbedded(current)
  await migrate(owner)
  await query(owner, TEST_CLOCK)
  const serviceUrl = new URL(service)
  const { pathname, username } = serviceUrl
  const urlOf = (cluster: EmbeddedPostgres, role: string) => cluster.url(role, pathname.slice(1))
  const line = await startDatabaseProxy(service)

  const start = async (dataDir: string, more: Record<string, string> = {}): Promise<EmbeddedPostgres> =>
    await startEmbeddedPostgres({ dataDir, settings: { ...settings, ...more } })
  const kill = async (cluster: EmbeddedPostgres): Promise<void> => {
    process.kill(cluster.pid, 'SIGKILL')
    await eventually(async () => !isAlive(cluster.pid))
  }
  const use = (cluster: EmbeddedPostgres, dataDir: string): void => {
    current = cluster
    currentDir = dataDir
    line.retarget(urlOf(cluster, username))
  }

  return {
    url: line.url,
    line,
    query: async (text) => await query(urlOf(current, EMBEDDED_SUPERUSER), text),
    crash: async () => {
      await kill(current)
      line.retarget(urlOf(current, username))
      await wait(1_000)
      use(await start(currentDir), currentDir)
    },
    failOver: async () => {
      const standbyDir = place('b')
      await copyCluster(current, standbyDir)
      const primary = new URL(current.url(EMBEDDED_SUPERUSER, 'postgres')).searchParams.get('host') ?? ''
      const standby = await start(standbyDir, { primary_conninfo: `host=${primary} user=${EMBEDDED_SUPERUSER} application_name=standby`, hot_standby: 'on' })
      const ask = async (cluster: EmbeddedPostgres, text: string) => await query<{ ok: boolean }>(cluster.url(EMBEDDED_SUPERUSER, 'postgres'), text)
      await ask(current, "alter system set synchronous_standby_names = 'standby'")
      await ask(current, 'select pg_reload_conf()')
      await eventually(async () => (await ask(current, "select true as ok from pg_stat_replication where sync_state = 'sync'")).length > 0, 30_000)
      await wait(2_000)
      const killedMs = performance.now()
      await kill(current)
      await ask(standby, 'select pg_promote(true, 30)')
      await ask(standby, 'alter system reset synchronous_standby_names')
      await ask(standby, 'select pg_reload_conf()')
      use(standby, standbyDir)
      return performance.now() - killedMs
    },
    disk: mounted
      ? {
          fill: () => { spawnSync('dd', ['if=/dev/zero', `of=${join(first, 'ballast')}`, 'bs=1M'], { stdio: 'ignore' }) },
          free: async () => {
            rmSync(join(first, 'ballast'), { force: true })
            // A server that can't write its log ends; an orchestrator starts it again.
            if (!isAlive(current.pid)) use(await start(currentDir), currentDir)
          },
        }
      : undefined,
    stop: async () => {
      await line.close()
      await current.stop().catch(() => undefined)
      if (mounted) spawnSync('umount', ['-l', first])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A base backup as the documentation has it made by hand (“Making a Base Backup Using the Low Level API”). */
async function copyCluster (from: EmbeddedPostgres, to: string): Promise<void> {
  const target = join(to, 'postgres')
  const client = new pg.Client({ connectionString: from.url(EMBEDDED_SUPERUSER, 'postgres') })
  await client.connect()
  try {
    await client.query("select pg_backup_start('standby', true)")
    cpSync(from.clusterDir, target, { recursive: true, verbatimSymlinks: true, filter: (path) => !/postmaster\.(pid|opts)$/.test(path) })
    const { rows: [stopped] } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)')
    writeFileSync(join(target, 'backup_label'), stopped?.labelfile ?? '')
    writeFileSync(join(target, 'standby.signal'), '')
    const { uid, gid } = statSync(from.clusterDir)
    chmodSync(target, 0o700)
    for (const path of ['', ...readdirSync(target, { recursive: true, encoding: 'utf8' })]) chownSync(join(target, path), uid, gid)
  } finally {
    await client.end()
  }
}
