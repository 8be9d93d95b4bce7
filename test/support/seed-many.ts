import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import pg from 'pg'
import { wrapSecret } from '../../src/crypto/wrap.ts'
import { ENVIRONMENTS, GLOBAL_OWNER, newId, type Environment } from '../../src/ids.ts'
import type { AuditRecord } from '../../src/ledger/index.ts'
import type { openRooms } from '../../src/rooms.ts'
import { copyInto, copyRow } from './copy.ts'
import { LINKED, workspaceName } from './population.ts'
import { SEEDER, type SeedPart } from './seed-part.ts'

type Rooms = Pick<Awaited<ReturnType<typeof openRooms>>, 'crypto' | 'oauth' | 'ledger'>

export interface Seeding {
  readonly databaseUrl: string
  readonly keyringFile: string
  /** How many there are to be; those that a seeding before has left count. */
  readonly connections: number
  readonly workspaces: number
  readonly threads?: number
  readonly report?: (stored: number) => void
}

/**
 * A vault full of connections that open, in minutes for a million. They are made up, so a database
 * that holds anybody else's is refused. Answers how many it made.
 */
export async function seedMany (rooms: Rooms, seeding: Seeding): Promise<number> {
  const { databaseUrl, keyringFile, connections, workspaces, threads = availableParallelism(), report = () => {} } = seeding
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { rows: [others] } = await client.query('select from connections where created_by <> $1 limit 1', [SEEDER])
    if (others !== undefined) throw new Error('this database holds connections that are no seed’s: it is left alone')
    const { rows: [made] } = await client.query<{ count: string }>('select count(*) as count from connections')
    const first = Number(made?.count ?? 0)
    if (first >= connections) return 0
    await makeKeys(rooms, client, workspaces)
    const part: SeedPart = { databaseUrl, workspaces, appId: await makeApp(rooms), now: Date.now(), from: first, to: connections }
    const share = Math.ceil((connections - first) / threads)
    await Promise.all(Array.from({ length: threads }, async (_, index) => {
      const [from, to] = [first + index * share, Math.min(connections, first + (index + 1) * share)]
      if (from < to) await runPart({ ...part, from, to }, keyringFile, report)
    }))
    return connections - first
  } finally {
    await client.end()
  }
}

async function runPart (part: SeedPart, keyringFile: string, report: (stored: number) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const worker = new Worker(new URL('./seed-worker.ts', import.meta.url), { workerData: { part, keyringFile } })
    worker.on('message', report).on('error', reject).on('exit', (code) => { if (code === 0) resolve(); else reject(new Error(`a seeding thread ended with ${code}`)) })
  })
}

const KEYS_AT_ONCE = 200

/** The keys of all workspaces at once: made on first use, as else, each would be a commit. */
async function makeKeys ({ crypto }: Pick<Rooms, 'crypto'>, client: pg.Client, workspaces: number): Promise<void> {
  const { rows } = await client.query<{ scope: string }>('select workspace_id || \' \' || environment as scope from workspace_keys where state = \'current\'')
  const there = new Set(rows.map(({ scope }) => scope))
  const missing = Array.from({ length: workspaces }, (_, index) => workspaceName(index))
    .flatMap((workspaceId) => ENVIRONMENTS.map((environment) => ({ kind: 'workspace' as const, workspaceId, environment })))
    .filter(({ workspaceId, environment }) => !there.has(`${workspaceId} ${environment}`))
  for (let at = 0; at < missing.length; at += KEYS_AT_ONCE) {
    const keys = await Promise.all(missing.slice(at, at + KEYS_AT_ONCE).map(async (scope) => ({ scope, stored: await crypto.makeKey(scope) })))
    await copyInto(client, 'workspace_keys', {
      columns: ['workspace_id', 'environment', 'id', 'kek_id', 'wrapped'],
      rows: keys.map(({ scope, stored }) => copyRow([scope.workspaceId, scope.environment, stored.id, stored.kekId, stored.wrapped])),
    })
  }
}

async function makeApp ({ oauth }: Pick<Rooms, 'oauth'>): Promise<string> {
  const settings = { clientId: SEEDER, clientSecret: wrapSecret('a-secret-of-the-seed'), preview: '', scopes: {}, overlapSeconds: 0, hosts: [LINKED.host] }
  const place = { owner: GLOBAL_OWNER, integration: LINKED.integration, environment: 'live' } as const
  const { app } = await oauth.apps.put(place, settings, { principal: { kind: 'operator', id: SEEDER, actor: null }, by: SEEDER, requestId: undefined })
  return app.id
}

const RECORDS_AT_ONCE = 25
const PLACES = 20_000

/** Records of uses, as the ledger writes them: as many to a batch as arrive together under load, for the sealer to link. One in a hundred is of a change. */
export async function seedRecords ({ ledger }: { ledger: Pick<Rooms['ledger'], 'record'> }, databaseUrl: string, records: number): Promise<void> {
  const places = await listPlaces(databaseUrl)
  const principal = { kind: 'service_token', id: newId('token'), actor: null } as const
  const record = (n: number): AuditRecord => {
    const place = places[n % places.length]
    return {
      event: n % 100 === 0 ? 'connection.updated' : 'connection.resolved', outcome: 'ok', principal, workspaceId: place?.workspace_id, environment: place?.environment,
      connectionId: place?.id, versionId: place?.current_version, requestId: newId('request'), context: { procedure_id: 'procedure_1', step_id: 'step_1', run_id: `run_${n}` },
    }
  }
  for (let at = 0; at < records; at += RECORDS_AT_ONCE) {
    await ledger.record(...Array.from({ length: Math.min(RECORDS_AT_ONCE, records - at) }, (_, index) => record(at + index)))
  }
}

interface PlaceRow {
  readonly workspace_id: string
  readonly environment: Environment
  readonly id: string
  readonly current_version: string
}

/** Some of the connections, those of one workspace not next to each other. */
async function listPlaces (databaseUrl: string): Promise<PlaceRow[]> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { rows } = await client.query<PlaceRow>('select workspace_id, environment, id, current_version from connections order by md5(id) limit $1', [PLACES])
    return rows
  } finally {
    await client.end()
  }
}
