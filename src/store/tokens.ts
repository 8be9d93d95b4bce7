import { sql, type Insertable, type Selectable } from 'kysely'
import type { TokenId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { Pipeline } from './pipeline.ts'
import type { ServiceTokens } from './schema.ts'
import { builder, prepare } from './statements.ts'

/** A service token as it is shown to operators: without its hash. */
export type TokenRow = Omit<Selectable<ServiceTokens>, 'token_hash' | 'idempotency_hash' | 'idempotency_fingerprint'>
export type UsableToken = Pick<Selectable<ServiceTokens>, 'id' | 'token_hash' | 'scopes' | 'workspaces' | 'environments'>

const COLUMNS = ['id', 'name', 'scopes', 'workspaces', 'environments', 'created_by', 'created_at', 'expires_at', 'revoked_at', 'revoked_by'] as const

const BY_HASH = prepare('token_by_hash', builder.selectFrom('service_tokens')
  .select(['id', 'token_hash', 'scopes', 'workspaces', 'environments'])
  .where('token_hash', '=', Buffer.alloc(0))
  .where('revoked_at', 'is', null)
  .where(sql<boolean>`(expires_at is null or expires_at > vault_now())`))

/** The token of this hash while it is neither revoked nor expired, by the database's clock. */
export async function findUsableToken (reads: Pipeline, hash: Buffer): Promise<UsableToken | undefined> {
  const [row] = await reads.run<UsableToken>(BY_HASH, [hash])
  return row
}

export async function insertToken (tx: Tx, row: Insertable<ServiceTokens>): Promise<TokenRow> {
  return await tx.insertInto('service_tokens').values(row).returning(COLUMNS).executeTakeFirstOrThrow()
}

/** What an earlier request with this idempotency key made. */
export async function findTokenByIdempotency (on: Executor, hash: Buffer): Promise<{ token: TokenRow, fingerprint: Buffer } | undefined> {
  const row = await on.selectFrom('service_tokens').select([...COLUMNS, 'idempotency_fingerprint']).where('idempotency_hash', '=', hash).executeTakeFirst()
  if (row?.idempotency_fingerprint == null) return undefined
  const { idempotency_fingerprint: fingerprint, ...token } = row
  return { token, fingerprint }
}

/** Newest first, revoked and expired ones included. */
export async function listTokens (on: Executor, page: { before?: TokenId, limit: number }): Promise<TokenRow[]> {
  let query = on.selectFrom('service_tokens').select(COLUMNS).orderBy('id', 'desc').limit(page.limit)
  if (page.before !== undefined) query = query.where('id', '<', page.before)
  return await query.execute()
}

/** Revokes one that was not revoked before; undefined when there is no such token. */
export async function revokeToken (tx: Tx, id: TokenId, by: string): Promise<{ row: TokenRow, revoked: boolean } | undefined> {
  const revoked = await tx.updateTable('service_tokens').set({ revoked_at: sql`vault_now()`, revoked_by: by })
    .where('id', '=', id).where('revoked_at', 'is', null).returning(COLUMNS).executeTakeFirst()
  const row = revoked ?? await tx.selectFrom('service_tokens').select(COLUMNS).where('id', '=', id).executeTakeFirst()
  return row && { row, revoked: revoked !== undefined }
}
