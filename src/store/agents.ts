import { sql, type Insertable, type Selectable } from 'kysely'
import type { AgentId, ConnectionId, Environment, GroupId, WorkspaceId } from '../ids.ts'
import { isForeignKeyViolation, type Executor, type Tx } from './database.ts'
import type { Pipeline, Statement } from './pipeline.ts'
import type { AgentGroups, Agents, EnrolmentCodes } from './schema.ts'

export type AgentGroupRow = Selectable<AgentGroups>
export type AgentRow = Selectable<Agents>
/** An agent with the group it works for. */
export type AgentWithGroup = Pick<AgentRow, 'workspace_id' | 'id' | 'group_id' | 'public_key' | 'announced_at' | 'revoked_at'> & Pick<AgentGroupRow, 'environment'> & {
  /** Seconds since 1970, by the clock that all replicas share. */
  readonly now: number
  /** Its last sign of life is worth noting anew. */
  readonly seen_long_ago: boolean
}

export interface GroupPlace {
  readonly workspaceId: WorkspaceId
  readonly id: GroupId
}

export interface AgentPlace {
  readonly workspaceId: WorkspaceId
  readonly id: AgentId
}

const NOW = sql<Date>`vault_now()`
/** An agent that polls is seen often; the time is not worth a write each. */
const SEEN_SECONDS = 15

export async function insertAgentGroup (tx: Tx, row: Insertable<AgentGroups>): Promise<void> {
  await tx.insertInto('agent_groups').values(row).execute()
}

export async function findAgentGroup (on: Executor, { workspaceId, id }: GroupPlace): Promise<AgentGroupRow | undefined> {
  return await on.selectFrom('agent_groups').selectAll().where('workspace_id', '=', workspaceId).where('id', '=', id).executeTakeFirst()
}

/** Locks it until the transaction ends. */
export async function lockAgentGroup (tx: Tx, { workspaceId, id }: GroupPlace): Promise<AgentGroupRow | undefined> {
  return await tx.selectFrom('agent_groups').selectAll().where('workspace_id', '=', workspaceId).where('id', '=', id).forUpdate().executeTakeFirst()
}

export interface GroupPage {
  readonly environments: readonly Environment[]
  readonly before: GroupId | undefined
  readonly limit: number
}

/** Newest first. */
export async function listAgentGroups (on: Executor, workspaceId: WorkspaceId, { environments, before, limit }: GroupPage): Promise<AgentGroupRow[]> {
  if (environments.length === 0) return []
  const all = on.selectFrom('agent_groups').selectAll().where('workspace_id', '=', workspaceId).where('environment', 'in', environments).orderBy('id', 'desc').limit(limit)
  return await (before === undefined ? all : all.where('id', '<', before)).execute()
}

export async function deleteAgentGroup (tx: Tx, { workspaceId, id }: GroupPlace): Promise<void> {
  await tx.deleteFrom('agent_groups').where('workspace_id', '=', workspaceId).where('id', '=', id).execute()
}

/** Answers when it ends. */
export async function insertEnrolmentCode (tx: Tx, row: Omit<Insertable<EnrolmentCodes>, 'expires_at'>, ttlSeconds: number): Promise<Date> {
  const { expires_at: expiresAt } = await tx.insertInto('enrolment_codes').values({ ...row, expires_at: sql`vault_now() + make_interval(secs => ${ttlSeconds})` })
    .returning('expires_at').executeTakeFirstOrThrow()
  return expiresAt
}

/** When a code of a group ends that is not spent; undefined when there is none, or none any more. */
export async function findEnrolmentCode (tx: Tx, { workspaceId, id }: GroupPlace, codeHash: Buffer): Promise<Date | undefined> {
  const row = await tx.selectFrom('enrolment_codes').select('expires_at')
    .where('workspace_id', '=', workspaceId).where('group_id', '=', id).where('code_hash', '=', codeHash).where('expires_at', '>', NOW).executeTakeFirst()
  return row?.expires_at
}

const CODE: Statement = { name: 'enrolment_code_known', text: 'select 1 as known from enrolment_codes where code_hash = $1 and expires_at > vault_now()' }

/** Whether a code could be spent now: for strangers, who are to cost no transaction. */
export async function isEnrolmentCode (reads: Pipeline, codeHash: Buffer): Promise<boolean> {
  return (await reads.run(CODE, [codeHash])).length > 0
}

/** Spends a code; undefined when there is none, or none any more. Of two that bring it at once, one gets it. */
export async function takeEnrolmentCode (tx: Tx, codeHash: Buffer): Promise<GroupPlace | undefined> {
  const taken = await tx.deleteFrom('enrolment_codes').where('code_hash', '=', codeHash).returning(['workspace_id', 'group_id', sql<boolean>`expires_at > vault_now()`.as('valid')])
    .executeTakeFirst()
  return taken?.valid === true ? { workspaceId: taken.workspace_id, id: taken.group_id } : undefined
}

export async function insertAgent (tx: Tx, row: Insertable<Agents>): Promise<void> {
  await tx.insertInto('agents').values(row).execute()
}

/** Seconds since 1970, by the clock that all replicas share. */
export async function readClock (on: Executor): Promise<number> {
  const { rows: [row] } = await sql<{ now: number }>`select extract(epoch from vault_now())::float8 as now`.execute(on)
  if (row === undefined) throw new TypeError('the database has no time')
  return row.now
}

const FIND: Statement = {
  name: 'agent_find',
  text: `select a.workspace_id, a.id, a.group_id, a.public_key, a.announced_at, a.revoked_at, g.environment, extract(epoch from vault_now())::float8 as now,
         coalesce(a.last_seen_at < vault_now() - make_interval(secs => ${SEEN_SECONDS}), true) as seen_long_ago
    from agents a join agent_groups g on g.workspace_id = a.workspace_id and g.id = a.group_id where a.id = $1`,
}

/** By its id alone: an agent does not say its workspace. */
export async function findAgent (reads: Pipeline, id: AgentId): Promise<AgentWithGroup | undefined> {
  const [row] = await reads.run<AgentWithGroup & { [column: string]: unknown }>(FIND, [id])
  return row
}

/** Newest first, those that are revoked as well. */
export async function listAgents (on: Executor, { workspaceId, id }: GroupPlace): Promise<AgentRow[]> {
  return await on.selectFrom('agents').selectAll().where('workspace_id', '=', workspaceId).where('group_id', '=', id).orderBy('id', 'desc').execute()
}

/** An agent that may be given work, and whether it has been heard of lately. */
export type PresentAgent = Pick<AgentRow, 'id' | 'announced_at'> & { readonly online: boolean }

const PRESENT: Statement = {
  name: 'agents_present',
  text: `select id, announced_at, coalesce(last_seen_at > vault_now() - make_interval(secs => $3::float8), false) as online
    from agents where workspace_id = $1 and group_id = $2 and revoked_at is null and announced_at is not null order by id desc`,
}

/** Agents that have announced what they run and are not revoked, newest first. */
export async function listPresentAgents (reads: Pipeline, { workspaceId, id }: GroupPlace, silentSeconds: number): Promise<PresentAgent[]> {
  return await reads.run<PresentAgent & { [column: string]: unknown }>(PRESENT, [workspaceId, id, silentSeconds])
}

export async function isAgentRevoked (on: Executor, { workspaceId, id }: AgentPlace): Promise<boolean> {
  return await on.selectFrom('agents').select('id').where('workspace_id', '=', workspaceId).where('id', '=', id).where('revoked_at', 'is', null).executeTakeFirst() === undefined
}

/** What an agent runs, as it said itself. */
export async function findAnnouncedActions (on: Executor, { workspaceId, id }: AgentPlace): Promise<object[]> {
  const row = await on.selectFrom('agents').select('actions').where('workspace_id', '=', workspaceId).where('id', '=', id).executeTakeFirst()
  return row?.actions ?? []
}

/** Keeps a group, of this environment, from being deleted until the transaction ends; false when there is none. */
export async function holdAgentGroup (tx: Tx, { workspaceId, id }: GroupPlace, environment: Environment): Promise<boolean> {
  const row = await tx.selectFrom('agent_groups').select('id').where('workspace_id', '=', workspaceId).where('id', '=', id).where('environment', '=', environment)
    .forShare().executeTakeFirst()
  return row !== undefined
}

/** Connections whose calls go, or by a rollback would go, to this group. */
export async function listConnectionsOfGroup (on: Executor, { workspaceId, id }: GroupPlace): Promise<{ id: ConnectionId, name: string }[]> {
  return await on.selectFrom('connections as c').select(['c.id', 'c.name']).where('c.workspace_id', '=', workspaceId).where('c.integration', '=', 'private')
    .where(({ exists, selectFrom }) => exists(selectFrom('credential_versions as v').select('v.id')
      .whereRef('v.workspace_id', '=', 'c.workspace_id').whereRef('v.connection_id', '=', 'c.id').where('v.state', '<>', 'destroyed')
      .where(sql<string>`v.host_config ->> 'group'`, '=', id)))
    .orderBy('c.id').limit(20).execute()
}

/** What an agent says of itself; its actions as JSON. */
export interface Said {
  readonly sdkVersion: string
  readonly protocolVersion: number
  readonly host: string
  readonly actions: string
}

export async function updateAnnouncement (tx: Tx, { workspaceId, id }: AgentPlace, said: Said): Promise<void> {
  await tx.updateTable('agents')
    .set({ sdk_version: said.sdkVersion, protocol_version: said.protocolVersion, host: said.host, actions: said.actions, announced_at: NOW, last_seen_at: NOW })
    .where('workspace_id', '=', workspaceId).where('id', '=', id).execute()
}

export async function noteAgentSeen (on: Executor, { workspaceId, id }: AgentPlace): Promise<void> {
  await on.updateTable('agents').set({ last_seen_at: NOW }).where('workspace_id', '=', workspaceId).where('id', '=', id).execute()
}

/** Answers whether that is news. */
export async function revokeAgent (tx: Tx, { workspaceId, id }: AgentPlace, by: string): Promise<boolean> {
  const revoked = await tx.updateTable('agents').set({ revoked_at: NOW, revoked_by: by })
    .where('workspace_id', '=', workspaceId).where('id', '=', id).where('revoked_at', 'is', null).returning('id').executeTakeFirst()
  return revoked !== undefined
}

/** False when this challenge was answered before. */
export async function spendChallenge (on: Executor, of: AgentPlace, challenge: { nonce: Buffer, ttlSeconds: number }): Promise<boolean> {
  const spent = await on.insertInto('used_challenges')
    .values({ workspace_id: of.workspaceId, agent_id: of.id, nonce: challenge.nonce, expires_at: sql`vault_now() + make_interval(secs => ${challenge.ttlSeconds})` })
    .onConflict((conflict) => conflict.doNothing()).returning('nonce').executeTakeFirst()
    .catch((error: unknown) => {
      // The agent was deleted in this moment.
      if (isForeignKeyViolation(error)) return undefined
      throw error
    })
  return spent !== undefined
}

/** Forgets codes and challenges that could not be used any more. */
export async function purgeEnrolments (tx: Tx): Promise<number> {
  const { numDeletedRows: codes } = await tx.deleteFrom('enrolment_codes').where('expires_at', '<', NOW).executeTakeFirst()
  const { numDeletedRows: challenges } = await tx.deleteFrom('used_challenges').where('expires_at', '<', NOW).executeTakeFirst()
  return Number(codes + challenges)
}
