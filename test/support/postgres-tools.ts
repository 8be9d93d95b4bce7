import { spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { migrate } from '../../src/store/index.ts'
import { query, type TestDatabase } from './cluster.ts'
import { makeFolder } from './folder.ts'
import { eventually } from './vault.ts'

/** A Postgres with the tools of operators, as a distribution installs it. The embedded one brings neither pg_dump nor pg_restore, and those of an older version refuse it. */
export interface PostgresTools {
  readonly version: string
  /** A database of its own, with the vault's roles and schema. */
  readonly database: TestDatabase
  /** Connection URL for a role and a database. */
  url (role: string, database: string): string
  /** Runs a tool. Throws with what it said. */
  run (tool: string, args: readonly string[]): string
  stop (): Promise<void>
}

const ROLES = ['connection_vault_owner', 'connection_vault_service', 'connection_vault_retention']

/** Starts it; undefined where there is none. */
export async function startPostgresWithTools (): Promise<PostgresTools | undefined> {
  const bin = findTools()
  if (bin === undefined) return undefined
  const owner = process.getuid?.() === 0 ? findUser('postgres') ?? findUser('nobody') : undefined
  const dir = makeFolder('tools')
  const data = join(dir, 'data')
  mkdirSync(data, { mode: 0o700 })
  if (owner !== undefined) for (const path of [dir, data]) chownSync(path, owner.uid, owner.gid)
  const run = (tool: string, args: readonly string[]) => {
    const done = spawnSync(join(bin, tool), args, { encoding: 'utf8', maxBuffer: 2 ** 28, ...tool === 'initdb' && owner })
    if (done.status !== 0) throw new Error(`${tool}: ${done.error?.message ?? done.stderr}`)
    return done.stdout
  }
  run('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-instructions'])
  const server = spawn(join(bin, 'postgres'), ['-D', data, '-c', 'listen_addresses=', '-c', `unix_socket_directories=${dir}`, '-c', 'fsync=off', '-c', 'timezone=UTC'], { stdio: 'ignore', ...owner })
  const url = (role: string, database: string) => `postgresql://${role}@localhost/${database}?host=${encodeURIComponent(dir)}`
  const superUrl = url('postgres', 'vault')
  await eventually(async () => await query(url('postgres', 'postgres'), 'select 1').then(() => true, () => false))
  for (const role of ROLES) await query(url('postgres', 'postgres'), `create role ${role} login`)
  await query(url('postgres', 'postgres'), 'create database vault owner connection_vault_owner')
  await migrate(url('connection_vault_owner', 'vault'))
  const unsupported = async () => { throw new Error('not here') }
  return {
    version: run('postgres', ['--version']).trim(),
    url, run,
    database: {
      superUrl, ownerUrl: url('connection_vault_owner', 'vault'), serviceUrl: url('connection_vault_service', 'vault'),
      query: async (text, values) => await query(superUrl, text, values), advance: unsupported, setReachable: unsupported, drop: async () => {},
    },
    stop: async () => {
      const ended = new Promise((resolve) => { server.once('exit', resolve) })
      server.kill('SIGINT')
      await ended
    },
  }
}

/** The newest folder that has all of it. */
function findTools (): string | undefined {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  return versions.map((version) => join(root, version, 'bin')).find((bin) => ['initdb', 'postgres', 'pg_dump', 'pg_restore'].every((tool) => existsSync(join(bin, tool))))
}

function findUser (wanted: string): { uid: number, gid: number } | undefined {
  const [, , uid, gid] = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':')).find(([name]) => name === wanted) ?? []
  return Number(uid) > 0 ? { uid: Number(uid), gid: Number(gid) } : undefined
}
