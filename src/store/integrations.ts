import { sql, type Selectable } from 'kysely'
import type { Environment, ConnectionId, IntegrationId, WorkspaceId } from '../ids.ts'
import { isForeignKeyViolation, type Executor, type Tx } from './database.ts'
import type { IntegrationRevisions, Integrations } from './schema.ts'

/** A workspace's own integration. */
export interface IntegrationPlace {
  readonly workspaceId: WorkspaceId
  readonly id: IntegrationId
}

/** One revision of it. */
export interface RevisionPlace extends IntegrationPlace {
  readonly revision: number
}

/** An integration with one of its revisions, the newest unless another was asked for. */
export type IntegrationRow = Selectable<Integrations> & Pick<Selectable<IntegrationRevisions>, 'head' | 'source_url' | 'sha256' | 'title' | 'version' | 'actions'> & {
  /** The revision that `head` and the rest are of. */
  readonly shown: number
}
export type RevisionRow = Pick<Selectable<IntegrationRevisions>, 'revision' | 'sha256' | 'version' | 'actions' | 'diff' | 'created_by' | 'created_at'>

/** JSON in UTF-8: taken apart by the database, so that this process need not. */
export interface NewRevision {
  readonly summary: Pick<Selectable<IntegrationRevisions>, 'sha256' | 'title' | 'version' | 'actions' | 'source_url'>
  readonly head: Uint8Array
  readonly options: Uint8Array
  readonly report: Uint8Array
  readonly diff: Uint8Array | undefined
  readonly actions: Uint8Array
  readonly schemas: Uint8Array
  /** Of all that. */
  readonly bytes: number
  readonly by: string
}

export async function insertIntegration (tx: Tx, { workspaceId, id }: IntegrationPlace, by: string): Promise<void> {
  await tx.insertInto('integrations').values({ workspace_id: workspaceId, id, revision: 0, bytes: 0, created_by: by, updated_by: by }).execute()
}

/** How many integrations a workspace has, and bytes of JSON in all of their revisions. */
export async function measureIntegrations (on: Executor, workspaceId: WorkspaceId): Promise<{ count: number, bytes: number }> {
  return await on.selectFrom('integrations').select((of) => [of.fn.countAll<number>().as('count'), sql<number>`coalesce(sum(bytes), 0)::bigint`.as('bytes')])
    .where('workspace_id', '=', workspaceId).executeTakeFirstOrThrow()
}

/** Locks it until the transaction ends. */
export async function lockIntegration (tx: Tx, { workspaceId, id }: IntegrationPlace): Promise<Selectable<Integrations> | undefined> {
  return await tx.selectFrom('integrations').selectAll().where('workspace_id', '=', workspaceId).where('id', '=', id).forUpdate().executeTakeFirst()
}

/** Makes a revision the newest. */
export async function insertRevision (tx: Tx, { workspaceId, id, revision }: RevisionPlace, made: NewRevision): Promise<void> {
  const json = (bytes: Uint8Array | undefined) => bytes === undefined ? sql`null` : sql`convert_from(${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)}, 'UTF8')::json`
  const { sha256, title, version, actions, source_url: url } = made.summary
  await sql`insert into integration_revisions (workspace_id, integration_id, revision, head, options, source_url, sha256, title, version, actions, report, diff, created_by)
    values (${workspaceId}, ${id}, ${revision}, ${json(made.head)}, ${json(made.options)}, ${url}, ${sha256}, ${title}, ${version}, ${actions}, ${json(made.report)}, ${json(made.diff)}, ${made.by})`.execute(tx)
  await sql`insert into integration_actions (workspace_id, integration_id, revision, name, ordinal, definition, parameter_refs, body_refs)
    select ${workspaceId}, ${id}, ${revision}, of->>'name', place, of->'definition',
      array(select json_array_elements_text(of->'parameter_refs')), array(select json_array_elements_text(of->'body_refs'))
    from json_array_elements(${json(made.actions)}) with ordinality as made (of, place)`.execute(tx)
  await sql`insert into integration_schemas (workspace_id, integration_id, revision, name, schema, refs)
    select ${workspaceId}, ${id}, ${revision}, of->>'name', of->'schema', array(select json_array_elements_text(of->'refs'))
    from json_array_elements(${json(made.schemas)}) as made (of)`.execute(tx)
  await tx.updateTable('integrations').set({ revision, bytes: sql`bytes + ${made.bytes}`, updated_by: made.by, updated_at: sql`vault_now()` }).where('workspace_id', '=', workspaceId).where('id', '=', id).execute()
}

export async function findIntegration (on: Executor, { workspaceId, id }: IntegrationPlace, revision?: number): Promise<IntegrationRow | undefined> {
  return await selectIntegrations(on, revision).where('i.workspace_id', '=', workspaceId).where('i.id', '=', id).executeTakeFirst()
}

export interface IntegrationPage {
  readonly before: IntegrationId | undefined
  readonly limit: number
}

/** Newest first. */
export async function listIntegrations (on: Executor, workspaceId: WorkspaceId, { before, limit }: IntegrationPage): Promise<IntegrationRow[]> {
  const all = selectIntegrations(on).where('i.workspace_id', '=', workspaceId).orderBy('i.id', 'desc').limit(limit)
  return await (before === undefined ? all : all.where('i.id', '<', before)).execute()
}

function selectIntegrations (on: Executor, revision?: number) {
  return on.selectFrom('integrations as i')
    .innerJoin('integration_revisions as r', (join) => join.onRef('r.workspace_id', '=', 'i.workspace_id').onRef('r.integration_id', '=', 'i.id')
      .on('r.revision', '=', revision === undefined ? sql.ref<number>('i.revision') : sql.val(revision)))
    .selectAll('i').select(['r.head', 'r.source_url', 'r.sha256', 'r.title', 'r.version', 'r.actions', 'r.revision as shown'])
}

/** Undefined where there is no such integration. */
export async function findNewestRevision (on: Executor, { workspaceId, id }: IntegrationPlace): Promise<number | undefined> {
  const row = await on.selectFrom('integrations').select('revision').where('workspace_id', '=', workspaceId).where('id', '=', id).executeTakeFirst()
  return row?.revision
}

/** The revisions that a caller may name, newest first. */
export async function listRevisions (on: Executor, { workspaceId, id }: IntegrationPlace): Promise<RevisionRow[]> {
  return await on.selectFrom('integration_revisions').select(['revision', 'sha256', 'version', 'actions', 'diff', 'created_by', 'created_at'])
    .where('workspace_id', '=', workspaceId).where('integration_id', '=', id).orderBy('revision', 'desc').execute()
}

/** What an import had to say, and what was asked of it. */
export async function getImport (on: Executor, { workspaceId, id, revision }: RevisionPlace): Promise<Pick<Selectable<IntegrationRevisions>, 'report' | 'options' | 'diff'>> {
  return await on.selectFrom('integration_revisions').select(['report', 'options', 'diff'])
    .where('workspace_id', '=', workspaceId).where('integration_id', '=', id).where('revision', '=', revision).executeTakeFirstOrThrow()
}

export interface ActionSummaryRow {
  readonly name: string
  readonly title: string
  readonly effect: 'read' | 'idempotent' | 'unsafe'
  readonly method: string
  readonly path: string
}

/** In the order of the document. */
export async function listActionSummaries (on: Executor, { workspaceId, id, revision }: RevisionPlace): Promise<ActionSummaryRow[]> {
  const { rows } = await sql<ActionSummaryRow>`
    select name, definition->>'title' as title, definition->>'effect' as effect, definition->>'method' as method, definition->>'path' as path
    from integration_actions where workspace_id = ${workspaceId} and integration_id = ${id} and revision = ${revision} order by ordinal`.execute(on)
  return rows
}

export interface ActionRow {
  readonly definition: object
  /** Those that it points at, by name. */
  readonly schemas: Readonly<Record<string, unknown>>
  /** Characters of all that, as JSON. */
  readonly size: number
}

/** An action with the schemas it needs to be checked, or `whole`, to be shown. */
export async function findAction (on: Executor, place: RevisionPlace, { name, whole }: { name: string, whole: boolean }): Promise<ActionRow | undefined> {
  const { workspaceId, id, revision } = place
  const { rows: [found] } = await sql<Omit<ActionRow, 'schemas'> & { schemas: Record<string, unknown> | null }>`
    with recursive action as (
      select definition, case when ${whole} or definition->'binding'->>'strict' = 'true' then parameter_refs || body_refs else parameter_refs end as refs
      from integration_actions where workspace_id = ${workspaceId} and integration_id = ${id} and revision = ${revision} and name = ${name}
    ), needed (name) as (
      select unnest(refs) from action
      union
      select unnest(s.refs) from needed n join integration_schemas s on s.workspace_id = ${workspaceId} and s.integration_id = ${id} and s.revision = ${revision} and s.name = n.name
    )
    select a.definition, found.schemas, (length(a.definition::text) + coalesce(found.size, 0))::integer as size
    from action a, lateral (
      select json_object_agg(s.name, s.schema) as schemas, sum(length(s.schema::text)) as size
      from needed n join integration_schemas s on s.workspace_id = ${workspaceId} and s.integration_id = ${id} and s.revision = ${revision} and s.name = n.name
    ) found`.execute(on)
  return found && { ...found, schemas: found.schemas ?? {} }
}

/** The newest revision that has, or had, an action of this name. */
export async function findLastRevisionOf (on: Executor, { workspaceId, id }: IntegrationPlace, name: string): Promise<number | undefined> {
  const { last } = await on.selectFrom('integration_actions').select((of) => of.fn.max('revision').as('last'))
    .where('workspace_id', '=', workspaceId).where('integration_id', '=', id).where('name', '=', name).executeTakeFirstOrThrow()
  return last ?? undefined
}

/** Names of a revision's actions in the order of the document, up to a number. */
export async function listActionNames (on: Executor, { workspaceId, id, revision }: RevisionPlace, limit: number): Promise<string[]> {
  const rows = await on.selectFrom('integration_actions').select('name')
    .where('workspace_id', '=', workspaceId).where('integration_id', '=', id).where('revision', '=', revision).orderBy('ordinal').limit(limit).execute()
  return rows.map(({ name }) => name)
}

/** Those of the names that a revision has. */
export async function listKnownActions (on: Executor, { workspaceId, id, revision }: RevisionPlace, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return []
  const rows = await on.selectFrom('integration_actions').select('name')
    .where('workspace_id', '=', workspaceId).where('integration_id', '=', id).where('revision', '=', revision).where('name', 'in', names).execute()
  return rows.map(({ name }) => name)
}

/** A revision's actions and schemas as the bytes of JSON. */
export async function readPacked (on: Executor, { workspaceId, id, revision }: RevisionPlace): Promise<{ actions: Buffer, schemas: Buffer }> {
  const { rows: [packed] } = await sql<{ actions: Buffer, schemas: Buffer }>`
    select
      (select convert_to(coalesce(json_agg(definition order by ordinal), '[]')::text, 'UTF8') from integration_actions
       where workspace_id = ${workspaceId} and integration_id = ${id} and revision = ${revision}) as actions,
      (select convert_to(coalesce(json_object_agg(name, schema), '{}')::text, 'UTF8') from integration_schemas
       where workspace_id = ${workspaceId} and integration_id = ${id} and revision = ${revision}) as schemas`.execute(on)
  if (packed === undefined) throw new TypeError('a select without a row')
  return packed
}

export interface ConnectionOfIntegration {
  readonly id: ConnectionId
  readonly name: string
  readonly environment: Environment
}

interface Listing {
  readonly environments: readonly Environment[]
  readonly limit: number
}

export async function listConnectionsOf (on: Executor, { workspaceId, id }: IntegrationPlace, listing: Listing): Promise<ConnectionOfIntegration[]> {
  const { environments, limit } = listing
  if (environments.length === 0) return []
  return await on.selectFrom('connections').select(['id', 'name', 'environment'])
    .where('workspace_id', '=', workspaceId).where('integration', '=', id).where('integration_revision', 'is not', null)
    .where('environment', 'in', environments).orderBy('id').limit(limit).execute()
}

/** Removes it with its revisions. Answers false where something was made with it: a connection, or one that is being made. */
export async function deleteIntegration (tx: Tx, { workspaceId, id }: IntegrationPlace): Promise<boolean> {
  try {
    await tx.deleteFrom('integrations').where('workspace_id', '=', workspaceId).where('id', '=', id).execute()
    return true
  } catch (error) {
    if (isForeignKeyViolation(error)) return false
    throw error
  }
}
