import { fork, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../src/config.ts'
import { createLocalKeyring } from '../../src/crypto/index.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'
import { GLOBAL_OWNER, type WorkspaceId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { openRooms } from '../../src/rooms.ts'
import { migrate, prepareEmbedded, startEmbeddedPostgres, type AppPlace } from '../../src/store/index.ts'
import { query } from '../support/cluster.ts'
import { startVaultProcess, type VaultProcess } from '../support/process.ts'
import { seedLinked } from '../support/seed.ts'
import type { Behaviour, Said, Sent, Told } from './authority.ts'

export const WORKSPACE = 'ws_chaos' as WorkspaceId
export const INTEGRATION = 'chaos'
const CLIENT_SECRET = 'a-secret-of-the-chaos-run'

/** Everything a run needs, each in a process of its own. */
export interface Stage {
  readonly ids: readonly string[]
  readonly sent: readonly Sent[]
  readonly owner: string
  readonly token: string
  /** What its processes are started with. */
  readonly env: Readonly<Record<string, string>>
  readonly authorityUrl: string
  /** The refresh tokens that the connections began with. */
  readonly seeds: readonly string[]
  behave (behaviour: Behaviour, seed: number): void
  startReplica (): Promise<VaultProcess>
  stop (): Promise<void>
}

interface StageOptions {
  readonly connections: number
  readonly accessSeconds: number
}

export async function setStage ({ connections, accessSeconds }: StageOptions): Promise<Stage> {
  const dir = mkdtempSync(join(tmpdir(), 'connection-vault-chaos-'))
  const sent: Sent[] = []
  const authority = fork(new URL('./authority.ts', import.meta.url).pathname, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  authority.stderr?.on('data', (chunk: Buffer) => { if (!/WARNING|already parsed/.test(chunk.toString())) process.stderr.write(chunk) })
  authority.on('message', (said: Said) => { if (said.say === 'sent') sent.push(said) })
  const { url } = await hear(authority, 'ready')
  const cluster = await startEmbeddedPostgres({ dataDir: dir, settings: { shared_buffers: '256MB' } })
  const stopAll = async () => {
    authority.kill('SIGKILL')
    await cluster.stop()
    rmSync(dir, { recursive: true, force: true })
  }
  try {
    const { owner, service } = await prepareEmbedded(cluster)
    await migrate(owner)
    const keyring = join(dir, 'keyring.json')
    createLocalKeyring(keyring, new Date())
    const catalog = join(dir, 'catalog')
    mkdirSync(catalog)
    writeManifest(catalog, url)
    const env = { DATABASE_URL: service, KEYRING_FILE: keyring, CATALOG_DIR: catalog, EGRESS_ALLOW_PROVIDER: new URL(url).host, RATE_LIMIT_PER_MINUTE: '1000000000', LOG_LEVEL: 'info' }
    const seeded = hear(authority, 'seeded')
    tell(authority, { tell: 'seed', count: connections, accessSeconds, clientSecret: CLIENT_SECRET })
    const { grants } = await seeded
    const { ids, token } = await seedVault(env, { url, grants, accessSeconds })
    return {
      ids, token, owner, env, sent, authorityUrl: url, seeds: grants.map(({ refresh }) => refresh),
      behave: (behaviour, seed) => { tell(authority, { tell: 'behave', behaviour, seed }) },
      startReplica: async () => await startVaultProcess(env),
      stop: stopAll,
    }
  } catch (error) {
    await stopAll()
    throw error
  }
}

function tell (authority: ChildProcess, told: Told): void {
  authority.send(told)
}

async function hear<K extends Said['say']> (authority: ChildProcess, what: K): Promise<Extract<Said, { say: K }>> {
  return await new Promise((resolve, reject) => {
    authority.once('exit', (code) => { reject(new Error(`the authorization server ended with ${code}`)) })
    authority.on('message', (said: Said) => { if (said.say === what) resolve(said as Extract<Said, { say: K }>) })
  })
}

interface Seeding {
  readonly url: string
  readonly grants: readonly { readonly access: string, readonly refresh: string }[]
  readonly accessSeconds: number
}

async function seedVault (env: Record<string, string>, { url, grants, accessSeconds }: Seeding) {
  const config = readConfig('serve', { NODE_ENV: 'test', ...env })
  const rooms = await openRooms({ ...config, databaseUrl: env['DATABASE_URL'] ?? '', keyringFile: env['KEYRING_FILE'] ?? '' }, createLog('error', process.stderr))
  try {
    const { host } = new URL(url)
    const place: AppPlace = { owner: GLOBAL_OWNER, integration: INTEGRATION, environment: 'sandbox' }
    const by = { principal: { kind: 'operator' as const, id: 'chaos', actor: null }, by: 'chaos', requestId: undefined }
    const { app } = await rooms.oauth.apps.put(place, { clientId: 'vault', clientSecret: wrapSecret(CLIENT_SECRET), preview: '', scopes: {}, overlapSeconds: 0, hosts: [host] }, by)
    const now = Date.now()
    const expiresAt = new Date(now + accessSeconds * 1_000)
    // Spread over the first life, as if they had been linked one after another.
    const linked = grants.map(({ access, refresh }) => {
      const nextRefreshAt = new Date(now + Math.random() * accessSeconds * 700)
      return { accessToken: access, refreshToken: refresh, expiresAt, nextRefreshAt }
    })
    const ids = await seedLinked(rooms, {
      workspaceId: WORKSPACE, environment: 'sandbox', integration: INTEGRATION, auth: 'oauth', hosts: [host], app: { owner: GLOBAL_OWNER, id: app.id },
    }, linked)
    const minted = await rooms.access.tokens.create({ name: 'chaos', preset: 'ops', scopes: ['credentials:resolve', 'actions:invoke'], workspaces: ['*'], environments: ['*'] }, { by: 'chaos', record: async () => {} })
    return { ids, token: minted.token ?? '' }
  } finally {
    await rooms.close()
  }
}

function writeManifest (dir: string, url: string): void {
  writeFileSync(join(dir, `${INTEGRATION}.yaml`), JSON.stringify({
    id: INTEGRATION, name: 'Chaos', category: 'test', docs: 'https://example.com/docs', environments: ['sandbox'], separation: 'none',
    auth: [{
      id: 'oauth', label: 'OAuth',
      fields: [{ name: 'access_token', label: 'Access token', secret: true }, { name: 'refresh_token', label: 'Refresh token', secret: true, vault_only: true }],
      inject: [{ header: 'authorization', value: 'Bearer {access_token}' }],
      oauth: {
        authorize_url: `${url}/auth`, token_url: `${url}/token`, scopes: { default: [] }, pkce: 'required', client_auth: 'basic', token_request: 'form', token_answer: {},
        access_token_seconds: null, refresh: { issued: 'always', rotates: true, concurrency: 40 },
      },
    }],
    servers: { sandbox: url }, hosts: [new URL(url).host], conventions: { body: 'json' }, errors: [],
    test: { method: 'GET', path: '/me', auth_failed: [{ status: 401 }] }, actions: [{ name: 'me', title: 'Me', method: 'GET', path: '/me', effect: 'read' }],
  }))
}

export { query }
