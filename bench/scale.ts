import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalKeyring } from '../src/crypto/index.ts'
import { readConfig } from '../src/config.ts'
import { createLog } from '../src/log.ts'
import { openRooms } from '../src/rooms.ts'
import { migrate, prepareEmbedded, startEmbeddedPostgres, type EmbeddedPostgres } from '../src/store/index.ts'
import { query } from '../test/support/cluster.ts'
import { seedMany } from '../test/support/seed-many.ts'
import { runCli, startVaultProcess } from '../test/support/process.ts'
import { compare, type Compared, type Load } from './harness.ts'
import { listResolvable, requireSeeded, toResolves } from './seeded.ts'

const SIZES = { many: { connections: 1_000_000, workspaces: 10_000 }, few: { connections: 10_000, workspaces: 100 } } as const
/** As many are resolved on either side: of those that were pasted and are well, of the small side nearly all. */
const RESOLVED = 7_000

interface Side {
  readonly load: Load
  stop (): Promise<void>
}

/** Resolves a second among a million connections, against among ten thousand: two databases of one cluster, a vault on each, loaded in turn. */
export async function compareScale (options: { rounds: number, seconds: number }): Promise<Compared> {
  const dir = mkdtempSync(join(tmpdir(), 'connection-vault-bench-'))
  const cluster = await startEmbeddedPostgres({ dataDir: dir, settings: { shared_buffers: '1GB', max_wal_size: '8GB' } })
  const sides: Side[] = []
  try {
    const few = await openSide(cluster, { dir, name: 'few' })
    sides.push(few)
    const many = await openSide(cluster, { dir, name: 'many' })
    sides.push(many)
    return await compare(many.load, few.load, options)
  } finally {
    for (const side of sides) await side.stop()
    await cluster.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

async function openSide (cluster: EmbeddedPostgres, { dir, name }: { dir: string, name: keyof typeof SIZES }): Promise<Side> {
  const { connections, workspaces } = SIZES[name]
  const { owner, service } = await prepareEmbedded(cluster, `vault_${name}`)
  await migrate(owner)
  const keyringFile = join(dir, `${name}.json`)
  createLocalKeyring(keyringFile, new Date())
  const env = { DATABASE_URL: service, KEYRING_FILE: keyringFile, RATE_LIMIT_PER_MINUTE: '1000000000' }
  const rooms = await openRooms({ ...readConfig('serve', { NODE_ENV: 'test', ...env }), databaseUrl: service, keyringFile }, createLog('error', process.stderr))
  const made = await seedMany(rooms, { databaseUrl: service, keyringFile, connections, workspaces }).finally(() => rooms.close())
  if (made !== connections) throw new Error(`${made} connections were made`)
  await query(owner, 'vacuum analyze')
  const places = await listResolvable(owner, RESOLVED)
  const vault = await startVaultProcess(env)
  try {
    const minted = await runCli(['tokens', 'create', '--name', 'bench', '--preset', 'runtime', '--workspaces', '*', '--environments', '*'], env).done
    const requests = toResolves(places, /cvt_\w+/.exec(minted.output)?.[0] ?? '')
    for (const index of [0, RESOLVED - 1]) await requireSeeded(vault.urls.internal, requests[index] ?? {}, places[index])
    return { load: { url: vault.urls.internal, requests, spread: true }, stop: async () => { await vault.kill('SIGTERM') } }
  } catch (error) {
    await vault.kill('SIGTERM')
    throw error
  }
}
