import { sql, type RawBuilder } from 'kysely'
import type { KekSlot, KeyScope, StoredKey, WrappedKey } from '../crypto/index.ts'
import { ENVIRONMENTS, type Environment, type KeyId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { OwnedKey } from './sealed-rows.ts'

export type KeyState = 'current' | 'previous' | 'retired' | 'destroyed'

/** A wrapped key and whose it is. */
export interface ScopedKey {
  readonly scope: KeyScope
  readonly stored: StoredKey
}

interface KeyRow {
  readonly workspace_id: string | null
  readonly environment: Environment | null
  readonly id: KeyId
  readonly kek_id: string
  readonly wrapped: WrappedKey
}

/** Both tables as one. */
const ALL_KEYS = sql`(
  select null as workspace_id, null as environment, id, kek_id, wrapped, state, created_at, wrapped_at, replaced_at, ended_at from system_keys
  union all
  select workspace_id, environment, id, kek_id, wrapped, state, created_at, wrapped_at, replaced_at, ended_at from workspace_keys
)`

function toScoped (row: KeyRow): ScopedKey {
  const scope: KeyScope = row.workspace_id === null || row.environment === null ? { kind: 'system' } : { kind: 'workspace', workspaceId: row.workspace_id, environment: row.environment }
  return { scope, stored: { id: row.id, kekId: row.kek_id, wrapped: row.wrapped } }
}

function tableOf (scope: KeyScope): RawBuilder<unknown> {
  return scope.kind === 'system' ? sql.table('system_keys') : sql.table('workspace_keys')
}

function isOf (scope: KeyScope, id: KeyId): RawBuilder<unknown> {
  return scope.kind === 'system' ? sql`id = ${id}` : sql`workspace_id = ${scope.workspaceId} and id = ${id}`
}

/** Which current keys are to be replaced. */
export interface RotationFilter {
  readonly before: Date
  readonly kind: KeyScope['kind']
  readonly workspaceId: string | null
  readonly environment: Environment | null
}

/** Current keys made before an instant, oldest first. */
export async function listKeysToReplace (on: Executor, filter: RotationFilter, limit: number): Promise<ScopedKey[]> {
  if (filter.kind === 'system') {
    const { rows } = await sql<KeyRow>`
      select null as workspace_id, null as environment, id, kek_id, wrapped from system_keys where state = 'current' and created_at < ${filter.before}`.execute(on)
    return rows.map(toScoped)
  }
  const environments = filter.environment === null ? ENVIRONMENTS : [filter.environment]
  const parts = environments.map((environment) => sql`(
    select workspace_id, environment, id, kek_id, wrapped, created_at from workspace_keys where state = 'current' and environment = ${environment} and created_at < ${filter.before}
       ${filter.workspaceId === null ? sql`` : sql`and workspace_id = ${filter.workspaceId}`} order by created_at limit ${limit})`)
  const { rows } = await sql<KeyRow>`select * from (${sql.join(parts, sql` union all `)}) as oldest order by created_at limit ${limit}`.execute(on)
  return rows.map(toScoped)
}

/** Makes a key its scope's current one in the place of another; false when that is no longer it. Waits for those who hold it current. */
export async function replaceKey (tx: Tx, scope: KeyScope, { old, made }: { old: KeyId, made: StoredKey }): Promise<boolean> {
  const { numAffectedRows } = await sql`update ${tableOf(scope)} set state = 'previous', replaced_at = vault_now() where ${isOf(scope, old)} and state = 'current'`.execute(tx)
  if (Number(numAffectedRows) === 0) return false
  if (scope.kind === 'system') await sql`insert into system_keys (id, kek_id, wrapped) values (${made.id}, ${made.kekId}, ${made.wrapped})`.execute(tx)
  else {
    await sql`insert into workspace_keys (workspace_id, environment, id, kek_id, wrapped)
      values (${scope.workspaceId}, ${scope.environment}, ${made.id}, ${made.kekId}, ${made.wrapped})`.execute(tx)
  }
  return true
}

/** Keys that were wrapped before an instant, in use or not. */
export async function listKeysToRewrap (on: Executor, which: { before: Date, except: readonly string[], limit: number }): Promise<ScopedKey[]> {
  const { before, except, limit } = which
  const due = sql`wrapped is not null and wrapped_at < ${before} and not (id = any(${except}::text[]))`
  const { rows } = await sql<KeyRow>`
    (select null as workspace_id, null as environment, id, kek_id, wrapped from system_keys where ${due} limit ${limit})
    union all
    (select workspace_id, environment, id, kek_id, wrapped from workspace_keys where ${due} order by wrapped_at limit ${limit})`.execute(on)
  return rows.map(toScoped)
}

/** Stores a key as another KEK wraps it, unless somebody else was first. */
export async function storeRewrapped (tx: Tx, { scope, stored }: ScopedKey, made: StoredKey): Promise<boolean> {
  const { numAffectedRows } = await sql`update ${tableOf(scope)} set kek_id = ${made.kekId}, wrapped = ${made.wrapped}, wrapped_at = vault_now()
    where ${isOf(scope, stored.id)} and wrapped = ${stored.wrapped}`.execute(tx)
  return Number(numAffectedRows) > 0
}

/** A key that was replaced. */
export interface PreviousKey extends OwnedKey {
  readonly kind: KeyScope['kind']
  readonly environment: Environment | null
}

/** Keys that were replaced and not yet retired: the vault's own, then workspaces' in the order of their ids. */
export async function listPreviousKeys (on: Executor, { after, limit }: { after: OwnedKey | undefined, limit: number }): Promise<PreviousKey[]> {
  const system = after === undefined ? (await sql<{ id: KeyId }>`select id from system_keys where state = 'previous' order by id`.execute(on)).rows : []
  const { rows } = await sql<{ workspace_id: string, id: KeyId, environment: Environment }>`
    select workspace_id, id, environment from workspace_keys where state = 'previous' and (workspace_id, id) > (${after?.workspaceId ?? ''}, ${after?.id ?? ''})
     order by workspace_id, id limit ${limit}`.execute(on)
  return [
    ...system.map(({ id }) => ({ kind: 'system' as const, workspaceId: '', id, environment: null })),
    ...rows.map((row) => ({ kind: 'workspace' as const, workspaceId: row.workspace_id, id: row.id, environment: row.environment })),
  ]
}

/** A key's state, its row locked against those who would use it as current. */
export async function lockKey (tx: Tx, scope: KeyScope, id: KeyId): Promise<KeyState | undefined> {
  const { rows: [row] } = await sql<{ state: KeyState }>`select state from ${tableOf(scope)} where ${isOf(scope, id)} for update`.execute(tx)
  return row?.state
}

/** What a key is said to be from now on. `retired`: its bytes are still there; `previous`: it was retired too early. */
export async function markKey (tx: Tx, { scope, id }: { scope: KeyScope, id: KeyId }, to: 'retired' | 'previous'): Promise<void> {
  await sql`update ${tableOf(scope)} set state = ${to}, ended_at = ${to === 'retired' ? sql`vault_now()` : null} where ${isOf(scope, id)}`.execute(tx)
}

export async function eraseKey (tx: Tx, scope: KeyScope, id: KeyId): Promise<void> {
  await sql`update ${tableOf(scope)} set wrapped = null where ${isOf(scope, id)} and state = 'retired'`.execute(tx)
}

/** Retired keys whose bytes have waited long enough. */
export async function listKeysToErase (on: Executor, afterSeconds: number, limit: number): Promise<ScopedKey[]> {
  const due = sql`state = 'retired' and wrapped is not null and ended_at < vault_now() - make_interval(secs => ${afterSeconds})`
  const { rows } = await sql<KeyRow>`
    select null as workspace_id, null as environment, id, kek_id, wrapped from system_keys where ${due}
    union all (select workspace_id, environment, id, kek_id, wrapped from workspace_keys where ${due} limit ${limit})`.execute(on)
  return rows.map(toScoped)
}

export interface KekUse {
  readonly kekId: string
  readonly createdAt: Date
  readonly ageSeconds: number
  /** Keys it wraps now. */
  readonly keys: number
}

/** KEKs the database needs, or has known as needed, oldest first. */
export async function listKekUses (on: Executor): Promise<KekUse[]> {
  const { rows } = await sql<{ kek_id: string, created_at: Date, age: number, keys: number }>`
    select k.kek_id, k.created_at, extract(epoch from vault_now() - k.created_at)::float8 as age,
           (select count(*) from system_keys s where s.kek_id = k.kek_id and s.wrapped is not null)
           + (select count(*) from workspace_keys w where w.kek_id = k.kek_id and w.wrapped is not null) as keys
      from keks k where k.retired_at is null order by k.created_at, k.kek_id`.execute(on)
  return rows.map((row) => ({ kekId: row.kek_id, createdAt: row.created_at, ageSeconds: row.age, keys: row.keys }))
}

/** Says that a KEK is no longer needed; false while it wraps a key. */
export async function retireKek (tx: Tx, kekId: string): Promise<'retired' | 'in_use' | 'unknown'> {
  const { rows: [kek] } = await sql`select from keks where kek_id = ${kekId} and retired_at is null for update`.execute(tx)
  if (kek === undefined) return 'unknown'
  const { rows: [used] } = await sql<{ used: boolean }>`
    select exists (select from system_keys where kek_id = ${kekId} and wrapped is not null) or exists (select from workspace_keys where kek_id = ${kekId} and wrapped is not null) as used`.execute(tx)
  if (used?.used !== false) return 'in_use'
  await sql`update keks set retired_at = vault_now() where kek_id = ${kekId}`.execute(tx)
  return 'retired'
}

export interface KeyCount {
  readonly slot: KekSlot
  readonly state: KeyState
  readonly keys: number
  /** How long ago the oldest of them was made. */
  readonly oldestSeconds: number
}

/** How many keys there are, by what they are for and how they stand. */
export async function countKeys (on: Executor): Promise<KeyCount[]> {
  const { rows } = await sql<{ slot: KekSlot, state: KeyState, keys: number, oldest: number }>`
    select coalesce(environment, 'system') as slot, state, count(*) as keys, extract(epoch from vault_now() - min(created_at))::float8 as oldest
      from ${ALL_KEYS} as k group by 1, 2 order by 1, 2`.execute(on)
  return rows.map((row) => ({ slot: row.slot, state: row.state, keys: row.keys, oldestSeconds: row.oldest }))
}

/** Keys that have to be usable: first the vault's own, then workspaces' in the order of their ids. */
export async function listUsableKeys (on: Executor, { after, limit }: { after: OwnedKey | undefined, limit: number }): Promise<ScopedKey[]> {
  const { rows: system } = after === undefined ? await sql<KeyRow>`select null as workspace_id, null as environment, id, kek_id, wrapped from system_keys where wrapped is not null`.execute(on) : { rows: [] }
  const { rows } = await sql<KeyRow>`
    select workspace_id, environment, id, kek_id, wrapped from workspace_keys where wrapped is not null and (workspace_id, id) > (${after?.workspaceId ?? ''}, ${after?.id ?? ''})
     order by workspace_id, id limit ${limit}`.execute(on)
  return [...system, ...rows].map(toScoped)
}
