import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { wrapSecret } from '../src/crypto/wrap.ts'
import { readConfig } from '../src/config.ts'
import { createLocalKeyring } from '../src/crypto/index.ts'
import { GLOBAL_OWNER, type WorkspaceId } from '../src/ids.ts'
import { createLog } from '../src/log.ts'
import { openRooms } from '../src/rooms.ts'
import { claimDueRefreshes, migrate, openDatabase, prepareEmbedded, startEmbeddedPostgres, type AppPlace, type EmbeddedPostgres } from '../src/store/index.ts'
import { query } from '../test/support/cluster.ts'
import { seedLinked } from '../test/support/seed.ts'
import { startVaultProcess } from '../test/support/process.ts'
import { median, startServer, type Compared } from './harness.ts'

const WORKSPACE = 'bench' as WorkspaceId
const INTEGRATION = 'bench_tokens'

interface Options {
  readonly rounds: number
  readonly seconds: number
}

async function withCluster<T> (work: (cluster: EmbeddedPostgres, dir: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'connection-vault-bench-'))
  const cluster = await startEmbeddedPostgres({ dataDir: dir, settings: { shared_buffers: '512MB', max_wal_size: '4GB' } })
  try {
    return await work(cluster, dir)
  } finally {
    await cluster.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

/** In a folder of its own: everything in it is taken for a manifest. */
function makeCatalog (dir: string, url: string): string {
  const catalog = join(dir, 'catalog')
  mkdirSync(catalog)
  writeManifest(catalog, url)
  return catalog
}

/** An integration whose tokens come from that address. */
export function writeManifest (catalog: string, url: string): void {
  writeFileSync(join(catalog, `${INTEGRATION}.yaml`), JSON.stringify({
    id: INTEGRATION, name: 'Tokens', category: 'bench', docs: 'https://example.com/docs', environments: ['sandbox'], separation: 'none',
    auth: [{
      id: 'oauth', label: 'OAuth',
      fields: [{ name: 'access_token', label: 'Access token', secret: true }, { name: 'refresh_token', label: 'Refresh token', secret: true, vault_only: true }],
      inject: [{ header: 'authorization', value: 'Bearer {access_token}' }],
      oauth: {
        authorize_url: `${url}/authorize`, token_url: `${url}/token`, scopes: { default: [] }, pkce: 'use', client_auth: 'basic', token_request: 'form', token_answer: {},
        access_token_seconds: null, refresh: { issued: 'always', rotates: true, concurrency: 64 },
      },
    }],
    servers: { sandbox: url }, hosts: [new URL(url).host], conventions: { body: 'json' }, errors: [],
    test: { method: 'GET', path: '/me', auth_failed: [{ status: 401 }] }, actions: [{ name: 'me', title: 'Me', method: 'GET', path: '/me', effect: 'read' }],
  }))
}

/** How many a second are renewed when all are due: by two processes against by one. */
export async function compareReplicas ({ rounds }: Options): Promise<Compared> {
  const endpoint = await startServer('./token-endpoint.ts', {})
  try {
    return await withCluster(async (cluster, dir) => {
      const { owner, service } = await prepareEmbedded(cluster)
      await migrate(owner)
      const keyring = join(dir, 'keyring.json')
      createLocalKeyring(keyring, new Date())
      const env = { DATABASE_URL: service, KEYRING_FILE: keyring, CATALOG_DIR: makeCatalog(dir, endpoint.url), EGRESS_ALLOW_PROVIDER: new URL(endpoint.url).host, LOG_LEVEL: 'info' }
      await seedTokens(env, endpoint.url, 2_500)
      await query(owner, 'vacuum analyze')
      const measured: { one: number, two: number }[] = []
      for (let round = 0; round < rounds; round++) {
        const one = await measureReplicas(1, { env, owner })
        measured.push({ one, two: await measureReplicas(2, { env, owner }) })
      }
      const ratios = measured.map(({ one, two }) => two / one)
      return { ours: median(measured.map(({ two }) => two)), reference: median(measured.map(({ one }) => one)), ratio: median(ratios), rounds: ratios, p99: 0 }
    })
  } finally {
    endpoint.stop()
  }
}

/** Connections of it in the workspace `bench`, whose tokens end one after the other within the minute, as of accounts that were not linked in one instant; answers their ids. */
export async function seedTokens (env: Readonly<Record<string, string>>, url: string, count: number): Promise<string[]> {
  const config = readConfig('serve', { NODE_ENV: 'test', ...env })
  const rooms = await openRooms({ ...config, databaseUrl: env['DATABASE_URL'] ?? '', keyringFile: env['KEYRING_FILE'] ?? '' }, createLog('error', process.stderr))
  try {
    const { host } = new URL(url)
    const place: AppPlace = { owner: GLOBAL_OWNER, integration: INTEGRATION, environment: 'sandbox' }
    const settings = { clientId: 'bench', clientSecret: wrapSecret('a-secret-of-the-bench'), preview: '', scopes: {}, overlapSeconds: 0, hosts: [host] }
    const { app } = await rooms.oauth.apps.put(place, settings, { principal: { kind: 'operator', id: 'bench', actor: null }, by: 'bench', requestId: undefined })
    const grants = Array.from({ length: count }, (_, index) => ({ accessToken: `access-${index}`, refreshToken: `refresh-${index}`, expiresAt: new Date(Date.now() + 30_000 + 30_000 * index / count), nextRefreshAt: null }))
    return await seedLinked(rooms, { workspaceId: WORKSPACE, environment: 'sandbox', integration: INTEGRATION, auth: 'oauth', hosts: [host], app: { owner: GLOBAL_OWNER, id: app.id } }, grants)
  } finally {
    await rooms.close()
  }
}

/** Renewals a second, from the tenth to the ninth tenth of all that is due. */
async function measureReplicas (replicas: number, { env, owner }: { env: Record<string, string>, owner: string }): Promise<number> {
  await query(owner, 'update connections set last_refreshed_at = null, next_refresh_at = null, lease_until = null, refresh_started_at = null')
  const vaults = await Promise.all(Array.from({ length: replicas }, async () => await startVaultProcess(env)))
  try {
    const done = async () => (await query<{ count: number }>(owner, 'select count(*)::int as count from connections where last_refreshed_at is not null'))[0]?.count ?? 0
    const [total] = await query<{ count: number }>(owner, 'with due as (update connections set next_refresh_at = now() - random() * interval \'1 minute\' returning 1) select count(*)::int as count from due')
    const all = total?.count ?? 0
    const until = async (count: number) => {
      for (;;) {
        const now = await done()
        if (now >= count) return { now, at: performance.now() }
        await new Promise((resolve) => { setTimeout(resolve, 250) })
      }
    }
    const from = await until(all / 10)
    const to = await until(all * 0.9)
    return (to.now - from.now) / (to.at - from.at) * 1_000
  } finally {
    await Promise.all(vaults.map(async (vault) => await vault.kill('SIGTERM')))
  }
}

const DUE = 6_000
const BATCH = 100
/** Of a round, on either side. */
const PASSES = 4

interface Claims {
  readonly owner: string
  readonly database: ReturnType<typeof openDatabase>
}

/** p99 of claiming a hundred due renewals among a million connections, against among ten thousand: two databases of one cluster, in turn. */
export async function compareClaims ({ rounds }: Options): Promise<Compared> {
  return await withCluster(async (cluster) => {
    const sides: Claims[] = []
    try {
      for (const [name, count] of [['few', 10_000], ['many', 1_000_000]] as const) sides.push(await openClaims(cluster, name, count))
      const [few, many] = sides as [Claims, Claims]
      const measured: { many: number[], few: number[] }[] = []
      // The first round finds nothing in memory.
      for (let round = -1; round < rounds; round++) {
        for (const { owner } of sides) await query(owner, 'vacuum connections')
        const times = { few: [] as number[], many: [] as number[] }
        for (let pass = 0; pass < PASSES; pass++) {
          times.few.push(...await claimAll(few))
          times.many.push(...await claimAll(many))
        }
        if (round >= 0) measured.push(times)
      }
      // Of all rounds together: in one of them it is the few claims that the machine held up.
      const ours = percentile(measured.flatMap(({ many: times }) => times), 0.99)
      const reference = percentile(measured.flatMap(({ few: times }) => times), 0.99)
      const ratios = measured.map((round) => percentile(round.many, 0.99) / percentile(round.few, 0.99))
      return { ours, reference, ratio: ours / reference, rounds: ratios, p99: Math.round(ours) }
    } finally {
      for (const { database } of sides) await database.close()
    }
  })
}

async function openClaims (cluster: EmbeddedPostgres, name: string, count: number): Promise<Claims> {
  const { owner, service } = await prepareEmbedded(cluster, `claims_${name}`)
  await migrate(owner)
  await fill(owner, count)
  return { owner, database: openDatabase({ url: service, poolSize: 2, log: createLog('error', process.stderr) }) }
}

/** Rows as they lie in production, but for their credentials: a claim opens none. */
async function fill (owner: string, count: number): Promise<void> {
  await query(owner, `insert into connections (workspace_id, id, environment, integration, auth, name, name_key, health, config, labels, current_version, last_version_number, created_by, updated_by, next_refresh_at)
    select 'ws_' || n % 5000, 'conn_' || lpad(n::text, 26, '0'), 'live', case when n % 5 = 0 then 'xero' else 'slack' end, 'oauth', 'c' || n, 'c' || n, 'active', '{}', '{}',
      'ver_' || lpad(n::text, 26, '0'), 1, 'bench', 'bench', now() + interval '1 hour' + random() * interval '30 days' from generate_series(1, $1::int) n`, [count])
  await query(owner, `create table due as select workspace_id, id from connections where integration = 'slack' and environment = 'live' order by md5(id) limit ${DUE}`)
  await query(owner, 'vacuum analyze')
}

/** Makes as many due, from all over, as are then claimed; milliseconds of each claim. */
async function claimAll ({ owner, database }: Claims): Promise<number[]> {
  await query(owner, `update connections set next_refresh_at = now() - random() * interval '1 hour', lease_until = null where (workspace_id, id) in (
    select workspace_id, id from due)`)
  const times: number[] = []
  for (;;) {
    const began = performance.now()
    const claimed = await claimDueRefreshes(database.db, { integration: 'slack', environment: 'live' }, { owner: 'bench', ttlSeconds: 3_600, limit: BATCH })
    if (claimed.length < BATCH) return times
    times.push(performance.now() - began)
  }
}

function percentile (values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}
