import DataLoader from 'dataloader'
import { LRUCache } from 'lru-cache'
import { sql, type Selectable } from 'kysely'
import type { ConnectionId, WorkspaceId } from '../ids.ts'
import { untilQuiet } from '../quiet.ts'
import type { Pipeline } from './pipeline.ts'
import type { Connections, CredentialVersions } from './schema.ts'
import { builder, prepare } from './statements.ts'

/** All that guards and decryption need of a connection and its current version. */
export type UsableRow =
  Pick<Selectable<Connections>, 'id' | 'environment' | 'integration' | 'auth' | 'health' | 'health_reason' | 'disabled_at' | 'config' | 'allowed_actions' | 'allowed_hosts' | 'expires_on' | 'refusals' | 'workspace_id' | 'integration_revision'> &
  Pick<Selectable<CredentialVersions>, 'field_set' | 'hosts' | 'host_config' | 'sealed' | 'app_owner' | 'app_id' | 'token_expires_at'> &
  {
    readonly version_id: Selectable<CredentialVersions>['id']
    /** Seconds until the access token ends, by the database's clock; negative when it has, null when it does not or nobody knows. */
    readonly token_ttl: number | null
    /** Seconds from when this version was stored to then; null as `token_ttl`. */
    readonly token_life: number | null
  }

/** A row as it was when this process last read it, which may be long over. */
export interface Recalled {
  readonly row: UsableRow
  /** Names that state of it: another one has another stamp. */
  readonly stamp: string
}

/** Connections as they are to be used now. */
export interface UsableTable {
  /** Undefined when the workspace has none of this id. */
  find (workspaceId: WorkspaceId, id: ConnectionId): Promise<UsableRow | undefined>
  /** The same for many, in the order of the ids. */
  findMany (workspaceId: WorkspaceId, ids: readonly ConnectionId[]): Promise<(UsableRow | undefined)[]>
  /** What was last read, if that was lately. Whatever is done on its word takes effect only in a statement that finds its stamp unchanged. */
  recall (workspaceId: WorkspaceId, id: ConnectionId): Recalled | undefined
}

interface Place {
  readonly workspaceId: WorkspaceId
  readonly id: ConnectionId
}

const places = sql<{ workspace_id: WorkspaceId, id: ConnectionId }>`unnest(${[]}::text[], ${[]}::text[])`.as<'place'>(sql`place (workspace_id, id)`)

/**
 * The state of a connection `c` with its version `v`: each change of a row gives it another xmin (PostgreSQL manual, 5.6 System
 * Columns). The numbers come again only after 2^32 transactions, or on a standby that was promoted, which started at another time.
 */
export const STAMP = "c.xmin::text || ' ' || v.xmin::text || ' ' || (select extract(epoch from pg_postmaster_start_time())::text)"

// `offset 0` keeps the planner from turning the look-ups by primary key into a join of whole tables.
const FIND = prepare('usable', builder.selectFrom(places).innerJoinLateral((lateral) => lateral
  .selectFrom('connections as c')
  .innerJoin('credential_versions as v', (join) => join
    .onRef('v.workspace_id', '=', 'c.workspace_id').onRef('v.connection_id', '=', 'c.id').onRef('v.id', '=', 'c.current_version'))
  .select(['c.workspace_id', 'c.id', 'c.environment', 'c.integration', 'c.integration_revision', 'c.auth', 'c.health', 'c.health_reason', 'c.disabled_at', 'c.config',
    'c.allowed_actions', 'c.allowed_hosts', 'c.expires_on', 'c.refusals', 'v.id as version_id', 'v.field_set', 'v.hosts', 'v.host_config', 'v.sealed', 'v.app_owner', 'v.app_id', 'v.token_expires_at'])
  .select(sql<number | null>`extract(epoch from v.token_expires_at - vault_now())::float8`.as('token_ttl'))
  .select(sql<number | null>`extract(epoch from v.token_expires_at - v.created_at)::float8`.as('token_life'))
  .select(sql.raw<string>(STAMP).as('stamp'))
  .whereRef('c.workspace_id', '=', 'place.workspace_id').whereRef('c.id', '=', 'place.id').modifyEnd(sql`offset 0`).as('found'),
(join) => join.onTrue()).selectAll('found'))

const BATCH_MAX = 200
/** A statement that takes longer is stuck with its connection: the next goes over another. */
const PATIENCE_MS = 100

/** What is remembered is sealed, and no more than this of it; not for long, for what is deleted is to be gone. */
const REMEMBERED_BYTES_MAX = 16 * 1_048_576
const REMEMBERED_MS = 60_000
/** Of a row besides its sealed bytes, about. */
const ROW_BYTES = 2_048

type FoundRow = UsableRow & { readonly stamp: string }

interface Remembered extends Recalled {
  readonly row: Aging
  readonly atMs: number
  readonly lastedSeconds: number | null
}

/** What is left of its token is what is left when it is recalled. */
type Aging = Omit<UsableRow, 'token_ttl'> & { token_ttl: number | null }

/**
 * Look-ups that arrive in one turn of the event loop, or while another statement is under way,
 * share the next: under load a round trip costs more than the rows it brings. A look-up never
 * shares a statement that was sent before it was asked for.
 */
export function createUsableTable (reads: Pipeline): UsableTable {
  let asked = 0
  let before: Promise<unknown> = Promise.resolve()
  const remembered = new LRUCache<string, Remembered>({
    maxSize: REMEMBERED_BYTES_MAX, ttl: REMEMBERED_MS, ttlResolution: 1_000, sizeCalculation: ({ row }) => ROW_BYTES + (row.sealed?.length ?? 0),
  })
  const load = async (place: Place): Promise<UsableRow | undefined> => {
    asked++
    return await loader.load(place)
  }
  const loader = new DataLoader<Place, UsableRow | undefined>((places) => {
    const found = findAll(reads, remembered, places)
    before = found.catch(() => undefined)
    return found
  }, {
    cache: false,
    maxBatchSize: BATCH_MAX,
    batchScheduleFn: (run) => { void Promise.race([before, patience()]).then(() => untilQuiet(() => asked)).then(run) },
  })
  return Object.freeze({
    find: async (workspaceId: WorkspaceId, id: ConnectionId) => await load({ workspaceId, id }),
    findMany: async (workspaceId: WorkspaceId, ids: readonly ConnectionId[]) => await Promise.all(ids.map((id) => load({ workspaceId, id }))),
    recall: (workspaceId: WorkspaceId, id: ConnectionId) => {
      const known = remembered.get(nameOf(workspaceId, id))
      if (known === undefined || known.lastedSeconds === null) return known
      known.row.token_ttl = known.lastedSeconds - (performance.now() - known.atMs) / 1_000
      return known
    },
  })
}

async function patience (): Promise<void> {
  await new Promise<void>((resolve) => { setTimeout(resolve, PATIENCE_MS).unref() })
}

async function findAll (reads: Pipeline, remembered: LRUCache<string, Remembered>, places: readonly Place[]): Promise<(UsableRow | undefined)[]> {
  const wanted = new Map(places.map((place) => [nameOf(place.workspaceId, place.id), place]))
  const distinct = [...wanted.values()]
  const atMs = performance.now()
  const rows = await reads.run<FoundRow>(FIND, [distinct.map((place) => place.workspaceId), distinct.map((place) => place.id)])
  for (const name of wanted.keys()) remembered.delete(name)
  const found = new Map<string, UsableRow>()
  for (const { stamp, ...row } of rows) {
    const name = nameOf(row.workspace_id, row.id)
    found.set(name, row)
    remembered.set(name, { row, stamp, atMs, lastedSeconds: row.token_ttl })
  }
  return places.map((place) => found.get(nameOf(place.workspaceId, place.id)))
}

/** Neither id can hold a slash, so that no two places share a name. */
function nameOf (workspaceId: string, id: string): string {
  return `${workspaceId}/${id}`
}
