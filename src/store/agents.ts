import { sql, type Insertable, type Selectable } from 'kysely'
import type { AgentId, Environment, GroupId, WorkspaceId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { AgentGroups, Agents, EnrolmentCodes } from './schema.ts'

export type AgentGroupRow = Selectable<AgentGroups>
export type AgentRow = Selectable<Agents>
/** An agent with the group it works for. */
export type AgentWithGroup = AgentRow & Pick<AgentGroupRow, 'environment'>

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

/** Spends a code; undefined when there is none, or none any more. Of two that bring it at once, one gets it. */
export async function takeEnrolmentCode (tx: Tx, codeHash: Buffer): Promise<GroupPlace | undefined> {
  const taken = await tx.deleteFrom('enrolment_codes').where('code_hash', '=', codeHash).returning(['workspace_id', 'group_id', sql<boolean>`expires_at > vault_now()`.as('valid')])
    .executeTakeFirst()
  return taken?.valid === true ? { workspaceId: taken.workspace_id, id: taken.group_id } : undefined
}

export async function insertAgent (tx: Tx, row: Insertable<Agents>): Promise<void> {
  await tx.insertInto('agents').values(row).execute()
}

/** By its id alone: an agent does not say its workspace. */
export async function findAgent (on: Executor, id: AgentId): Promise<AgentWithGroup | undefined> {
  return await on.selectFrom('agents as a').innerJoin('agent_groups as g', (join) => join.onRef('g.workspace_id', '=', 'a.workspace_id').onRef('g.id', '=', 'a.group_id'))
    .selectAll('a').select('g.environment').where('a.id', '=', id).executeTakeFirst()
}

/** Newest first, those that are revoked as well. */
export async function listAgents (on: Executor, { workspaceId, id }: GroupPlace): Promise<AgentRow[]> {
  return await on.selectFrom('agents').selectAll().where('workspace_id', '=', workspaceId).where('group_id', '=', id).orderBy('id', 'desc').execute()
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
  await on.updateTable('agents').set({ last_seen_at: NOW }).where('workspace_id', '=', workspaceId).where('id', '=', id)
    .where((where) => where.or([where('last_seen_at', 'is', null), where('last_seen_at', '<', sql<Date>`vault_now() - make_interval(secs => ${SEEN_SECONDS})`)])).execute()
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
  return spent !== undefined
}

/** Forgets codes and challenges that could not be used any more. */
export async function purgeEnrolments (tx: Tx): Promise<number> {
  const { numDeletedRows: codes } = await tx.deleteFrom('enrolment_codes').where('expires_at', '<', NOW).executeTakeFirst()
  const { numDeletedRows: challenges } = await tx.deleteFrom('used_challenges').where('expires_at', '<', NOW).executeTakeFirst()
  return Number(codes + challenges)
}
