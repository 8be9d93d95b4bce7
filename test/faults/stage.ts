import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeKeyedManifest } from '../support/catalog.ts'
import { runCli, startVaultProcess, type VaultProcess } from '../support/process.ts'
import { json, startProvider, type Provider } from '../support/provider.ts'
import { startTransit, type Transit } from '../support/transit.ts'
import { startFaultyDatabase, type FaultyDatabase } from './database.ts'

export const WORKSPACE = 'faults'
/** Long enough for a short absence of the key provider, too short for a long one. */
export const KEY_CACHE_SECONDS = 12

/** Two replicas, their database, their key provider and two providers, all of which something can be done to. */
export interface Stage {
  readonly database: FaultyDatabase
  readonly kms: Transit
  readonly good: Provider
  readonly replicas: VaultProcess[]
  readonly token: string
  killReplica (): Promise<void>
  startReplica (): Promise<void>
  stop (): Promise<void>
}

export async function setStage (): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'connection-vault-faults-'))
  const database = await startFaultyDatabase()
  const kms = await startTransit('a-token-of-the-faults')
  for (const key of ['live', 'sandbox']) kms.makeKey(key)
  const good = await startProvider((_received, reply) => { json(reply, 200, { ok: true }) })
  const hung = await startProvider(() => {})
  const catalog = join(folder, 'catalog')
  mkdirSync(catalog)
  writeKeyedManifest(catalog, 'good', good.url)
  writeKeyedManifest(catalog, 'hung', hung.url)
  writeKeyedManifest(catalog, 'lost', 'https://no-such-host.invalid')
  const tokenFile = join(folder, 'token')
  writeFileSync(tokenFile, 'a-token-of-the-faults', { mode: 0o600 })
  const env = {
    NODE_ENV: 'production', DATABASE_URL: database.url, CATALOG_DIR: catalog, EGRESS_ALLOW_PROVIDER: `${good.endpoint},${hung.endpoint}`, RATE_LIMIT_PER_MINUTE: '1000000000', LOG_LEVEL: 'info',
    KEK_PROVIDER: 'vault-transit', VAULT_ADDR: kms.url, VAULT_TOKEN_FILE: tokenFile, VAULT_TRANSIT_KEY_LIVE: 'live', VAULT_TRANSIT_KEY_SANDBOX: 'sandbox', EGRESS_ALLOW_KEK: kms.endpoint,
    KEY_CACHE_SECONDS: String(KEY_CACHE_SECONDS),
  }
  const replicas = [await startVaultProcess(env), await startVaultProcess(env)]
  const minted = await runCli(['tokens', 'create', '--name', 'faults', '--preset', 'ops', '--scopes', 'credentials:resolve,actions:invoke', '--workspaces', '*', '--environments', '*'], env).done
  return {
    database, kms, good, replicas,
    token: /cvt_\w+/.exec(minted.output)?.[0] ?? '',
    killReplica: async () => { await replicas.shift()?.kill('SIGKILL') },
    startReplica: async () => { replicas.push(await startVaultProcess(env)) },
    stop: async () => {
      await Promise.all(replicas.map((replica) => replica.kill('SIGKILL')))
      for (const { close } of [kms, good, hung]) await close()
      await database.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
