import { spawn } from 'node:child_process'
import { chownSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { makeFolder } from './folder.ts'
import { eventually } from './vault.ts'

const PROGRAM = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'].find((path) => existsSync(path))

export interface PgBouncer {
  /** The same database by way of the pooler. */
  url (of: string): string
  stop (): Promise<void>
}

/**
 * A pooler in transaction mode in front of the cluster that a URL names, with few sessions of its
 * own, so that statements of one client do go to different ones. Undefined where none is installed.
 */
export async function startPgBouncer (databaseUrl: string): Promise<PgBouncer | undefined> {
  if (PROGRAM === undefined) return undefined
  const socketDir = new URL(databaseUrl).searchParams.get('host') ?? ''
  const { uid, gid } = statSync(socketDir)
  const folder = makeFolder('pgbouncer')
  const file = (name: string) => join(folder, name)
  const port = await findPort()
  writeFileSync(file('users.txt'), '"connection_vault_service" ""\n"postgres" ""\n')
  writeFileSync(file('pgbouncer.ini'), [
    '[databases]', `* = host=${socketDir}`, '[pgbouncer]', 'listen_addr = 127.0.0.1', `listen_port = ${port}`, 'unix_socket_dir =', 'auth_type = trust', `auth_file = ${file('users.txt')}`,
    'pool_mode = transaction', 'default_pool_size = 10', 'max_client_conn = 200', `logfile = ${file('log')}`, `pidfile = ${file('pid')}`,
    'ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout', '',
  ].join('\n'))
  for (const path of [folder, file('users.txt'), file('pgbouncer.ini')]) chownSync(path, uid, gid)
  const child = spawn(PROGRAM, [file('pgbouncer.ini')], { uid, gid, stdio: 'ignore' })
  const url = (of: string) => {
    const { username, pathname } = new URL(of)
    return `postgresql://${username}@127.0.0.1:${port}${pathname}`
  }
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended: ${existsSync(file('log')) ? readFileSync(file('log'), 'utf8') : ''}`)
    const client = new pg.Client({ connectionString: url(databaseUrl), connectionTimeoutMillis: 1_000 })
    try {
      await client.connect()
      return true
    } catch {
      return false
    } finally {
      await client.end().catch(() => undefined)
    }
  })
  return {
    url,
    stop: async () => {
      const ended = new Promise<void>((resolve) => { child.once('exit', () => { resolve() }) })
      child.kill('SIGINT')
      await ended
    },
  }
}

/** It can't be told to let the system choose one. */
async function findPort (): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => { server.close(resolve) })
  return port
}
