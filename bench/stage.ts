import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Request } from 'autocannon'
import pg from 'pg'
import { retargetCatalog } from '../test/support/catalog.ts'
import { migrate, prepareEmbedded, startEmbeddedPostgres } from '../src/store/index.ts'
import { runCli, startVaultProcess, type VaultProcess } from '../test/support/process.ts'

/** Settings with which Stripe is at an address of ours. */
export function reachStripe (url: string): { readonly CATALOG_DIR: string, readonly EGRESS_ALLOW_PROVIDER: string } {
  return { CATALOG_DIR: retargetCatalog(url, ['stripe']), EGRESS_ALLOW_PROVIDER: new URL(url).host }
}

/** A database with fsync on, as in production, a vault on it, and connections to resolve. */
export interface Stage {
  readonly vault: VaultProcess
  readonly databaseUrl: string
  readonly ownerUrl: string
  readonly keyringFile: string
  /** What the vault was started with. */
  readonly settings: Readonly<Record<string, string>>
  readonly token: string
  readonly ids: readonly string[]
  post (path: string, body: object): Request
  stop (): Promise<void>
}

export const WORKSPACE = 'bench'
const KEY = ['sk', 'test', 'BenchmarkKey0000000000000000'].join('_')

export async function setStage (connections: number, settings: Record<string, string> = {}): Promise<Stage> {
  const dir = mkdtempSync(join(tmpdir(), 'connection-vault-bench-'))
  const cluster = await startEmbeddedPostgres({ dataDir: dir, settings: { shared_buffers: '256MB' } })
  const { owner, service } = await prepareEmbedded(cluster)
  await migrate(owner)
  const env = { DATABASE_URL: service, DATA_DIR: dir, RATE_LIMIT_PER_MINUTE: '1000000000', ...settings }
  const vault = await startVaultProcess(env)
  const minted = await runCli(['tokens', 'create', '--name', 'bench', '--preset', 'ops', '--scopes', 'credentials:resolve,actions:invoke,agents:write', '--workspaces', '*', '--environments', '*'], env).done
  const token = /cvt_\w+/.exec(minted.output)?.[0] ?? ''
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const post = (path: string, body: object): Request => ({ method: 'POST', path, headers, body: JSON.stringify(body) })

  const ids: string[] = []
  while (ids.length < connections) {
    const made = await Promise.all(Array.from({ length: Math.min(20, connections - ids.length) }, async (_, index) => {
      const body = { integration: 'stripe', environment: 'sandbox', name: `bench ${ids.length + index}`, credentials: { secret_key: KEY } }
      const response = await fetch(`${vault.urls.internal}/v1/workspaces/${WORKSPACE}/connections`, { method: 'POST', headers, body: JSON.stringify(body) })
      return (await response.json() as { id: string }).id
    }))
    ids.push(...made)
  }
  await analyse(owner)
  const stop = async () => {
    await vault.kill('SIGTERM')
    await cluster.stop()
    rmSync(dir, { recursive: true, force: true })
  }
  return { vault, databaseUrl: service, ownerUrl: owner, keyringFile: join(dir, 'keyring.json'), settings: env, token, ids, post, stop }
}

/** What autovacuum does within its first minutes: without statistics the planner guesses for both sides. */
async function analyse (owner: string): Promise<void> {
  const client = new pg.Client({ connectionString: owner })
  await client.connect()
  await client.query('vacuum analyze')
  await client.end()
}

/** What each round may be checked against: an answer that only this vault can give. */
export async function requireOurs (stage: Stage): Promise<void> {
  const response = await fetch(`${stage.vault.urls.internal}/v1/workspaces/${WORKSPACE}/connections/${stage.ids[0]}/resolve`, {
    method: 'POST', headers: { authorization: `Bearer ${stage.token}`, 'content-type': 'application/json' }, body: JSON.stringify({ environment: 'sandbox' }),
  })
  const { credentials } = await response.json() as { credentials?: { secret_key: string } }
  if (credentials?.secret_key !== KEY) throw new Error('the process that answers is not the one that was started')
}
