import { sql, type Insertable, type Selectable } from 'kysely'
import type { ConnectionId, SessionId, WorkspaceId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { ConnectSessions, OauthStates, PendingLinks } from './schema.ts'

/** A session with whether its time is over by the database's clock. */
export type SessionRow = Selectable<ConnectSessions> & { readonly expired: boolean }
export type StateRow = Selectable<OauthStates>
/** By the database's clock: what a token's lifetime is counted from. */
export type TakenState = StateRow & { readonly taken_at: Date }
export type PendingLinkRow = Selectable<PendingLinks>
export type NewPendingLink = Insertable<PendingLinks>

const EXPIRED = sql<boolean>`coalesce(confirm_until, expires_at) <= vault_now()`

interface Of {
  readonly workspace_id: WorkspaceId
  readonly id: SessionId
}

export async function insertSession (tx: Tx, row: Omit<Insertable<ConnectSessions>, 'expires_at'>, ttlSeconds: number): Promise<void> {
  await tx.insertInto('connect_sessions').values({ ...row, expires_at: sql`vault_now() + make_interval(secs => ${ttlSeconds})` }).execute()
}

export async function findSession (on: Executor, workspaceId: WorkspaceId, id: SessionId): Promise<SessionRow | undefined> {
  return await on.selectFrom('connect_sessions').selectAll().select(EXPIRED.as('expired')).where('workspace_id', '=', workspaceId).where('id', '=', id).executeTakeFirst()
}

export async function findSessionByToken (on: Executor, tokenHash: Buffer): Promise<SessionRow | undefined> {
  return await on.selectFrom('connect_sessions').selectAll().select(EXPIRED.as('expired')).where('token_hash', '=', tokenHash).executeTakeFirst()
}

/** Keeps every other change of this session out until the transaction ends. */
export async function lockSession (tx: Tx, { workspace_id: workspaceId, id }: Of): Promise<SessionRow | undefined> {
  return await tx.selectFrom('connect_sessions').selectAll().select(EXPIRED.as('expired'))
    .where('workspace_id', '=', workspaceId).where('id', '=', id).forUpdate().executeTakeFirst()
}

/** Ties the session to the browser that comes first; false when another was first. */
export async function bindSession (on: Executor, of: Of, cookieHash: Buffer): Promise<boolean> {
  const bound = await on.updateTable('connect_sessions').set({ state: 'bound', cookie_hash: cookieHash })
    .where('workspace_id', '=', of.workspace_id).where('id', '=', of.id).where('state', '=', 'open').returning('id').executeTakeFirst()
  return bound !== undefined
}

/** Counts an attempt to link; undefined when there were too many. */
export async function countAttempt (on: Executor, of: Of, max: number): Promise<number | undefined> {
  const counted = await on.updateTable('connect_sessions').set({ attempts: sql`attempts + 1` })
    .where('workspace_id', '=', of.workspace_id).where('id', '=', of.id).where('attempts', '<', max).returning('attempts').executeTakeFirst()
  return counted?.attempts
}

/** The account is linked: from here on the host has this long to confirm it. */
export async function awaitConfirmation (tx: Tx, of: Of, completion: { hash: Buffer, ttlSeconds: number }): Promise<void> {
  await tx.updateTable('connect_sessions')
    .set({ state: 'confirming', completion_hash: completion.hash, confirm_until: sql`vault_now() + make_interval(secs => ${completion.ttlSeconds})` })
    .where('workspace_id', '=', of.workspace_id).where('id', '=', of.id).execute()
}

/** Another code for the same link; the time to confirm it goes on as it was. */
export async function replaceCompletion (tx: Tx, of: Of, hash: Buffer): Promise<void> {
  await tx.updateTable('connect_sessions').set({ completion_hash: hash }).where('workspace_id', '=', of.workspace_id).where('id', '=', of.id).execute()
}

export async function completeSession (tx: Tx, of: Of, connectionId: ConnectionId): Promise<void> {
  await tx.updateTable('connect_sessions').set({ state: 'completed', connection_id: connectionId, completion_hash: null })
    .where('workspace_id', '=', of.workspace_id).where('id', '=', of.id).execute()
}

export async function endSession (tx: Tx, of: Of, reason: string): Promise<void> {
  await tx.updateTable('connect_sessions').set({ state: 'ended', ended_reason: reason, completion_hash: null })
    .where('workspace_id', '=', of.workspace_id).where('id', '=', of.id).execute()
}

/** Sessions whose time is over and that nobody has ended, locked. */
export async function listDueSessions (tx: Tx, limit: number): Promise<SessionRow[]> {
  return await tx.selectFrom('connect_sessions').selectAll().select(EXPIRED.as('expired'))
    .where('state', 'in', ['open', 'bound', 'confirming']).where(sql<Date>`coalesce(confirm_until, expires_at)`, '<=', sql<Date>`vault_now()`)
    .orderBy(sql`coalesce(confirm_until, expires_at)`).limit(limit).forUpdate().skipLocked().execute()
}

/** Forgets sessions a day after they were made, up to a number: what became of them is in the audit. Answers how many. */
export async function purgeSessions (tx: Tx, limit: number): Promise<number> {
  const { numDeletedRows } = await tx.deleteFrom('connect_sessions').where(({ eb, refTuple }) => eb(refTuple('workspace_id', 'id'), 'in', eb.selectFrom('connect_sessions as old')
    .select(['old.workspace_id', 'old.id']).where('old.state', 'in', ['completed', 'ended']).where('old.created_at', '<', sql<Date>`vault_now() - interval '1 day'`)
    .orderBy('old.created_at').limit(limit).$asTuple('workspace_id', 'id'))).executeTakeFirst()
  return Number(numDeletedRows)
}

/** Puts this way to the provider in the place of one begun before. */
export async function replaceState (tx: Tx, row: Omit<Insertable<OauthStates>, 'expires_at'>, ttlSeconds: number): Promise<void> {
  await tx.deleteFrom('oauth_states').where('workspace_id', '=', row.workspace_id).where('session_id', '=', row.session_id).execute()
  await tx.insertInto('oauth_states').values({ ...row, expires_at: sql`vault_now() + make_interval(secs => ${ttlSeconds})` }).execute()
}

/** Which session a state belongs to. Consumes nothing. */
export async function findState (on: Executor, stateHash: Buffer): Promise<Pick<StateRow, 'workspace_id' | 'session_id' | 'app_id'> | undefined> {
  return await on.selectFrom('oauth_states').select(['workspace_id', 'session_id', 'app_id']).where('state_hash', '=', stateHash).executeTakeFirst()
}

/** Deletes the state and answers it, in one statement: it is used once. Undefined when it is unknown, used or too old. */
export async function takeState (on: Executor, of: { workspaceId: WorkspaceId, stateHash: Buffer }): Promise<TakenState | undefined> {
  const row = await on.deleteFrom('oauth_states').where('workspace_id', '=', of.workspaceId).where('state_hash', '=', of.stateHash)
    .returningAll().returning([sql<boolean>`expires_at <= vault_now()`.as('expired'), sql<Date>`vault_now()`.as('taken_at')]).executeTakeFirst()
  return row === undefined || row.expired ? undefined : row
}

/** Keeps what a browser has brought, in the place of anything it brought before. */
export async function replacePendingLink (tx: Tx, row: NewPendingLink): Promise<void> {
  await deletePendingLink(tx, { workspace_id: row.workspace_id, id: row.session_id })
  await tx.insertInto('pending_links').values(row).execute()
}

export async function findPendingLink (on: Executor, of: Of): Promise<PendingLinkRow | undefined> {
  return await on.selectFrom('pending_links').selectAll().where('workspace_id', '=', of.workspace_id).where('session_id', '=', of.id).executeTakeFirst()
}

export async function deletePendingLink (tx: Tx, of: Of): Promise<void> {
  await tx.deleteFrom('pending_links').where('workspace_id', '=', of.workspace_id).where('session_id', '=', of.id).execute()
}
