import type { KekCheck, KekCheckTable, KeyCare, KeyScope, KeyTable, StoredKey, WrappedKey } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { sql } from 'kysely'
import { GLOBAL_OWNER, type AppOwner, type Environment, type KeyId } from '../ids.ts'
import type { Tx } from './database.ts'
import type { Pipeline, Statement } from './pipeline.ts'
import { builder, prepare } from './statements.ts'

// Parameters of prepared statements are given at each run; these stand for their types.
const text = ''
const key = '' as KeyId
const environment: Environment = 'live'
const wrapped = Buffer.alloc(0) as Buffer as WrappedKey
const seconds = 0
const since = (value: number) => sql<Date>`vault_now() - make_interval(secs => ${value})`

const ofWorkspace = builder.selectFrom('workspace_keys').select(['id', 'kek_id', 'wrapped']).where('workspace_id', '=', text).where('environment', '=', environment)
const ofSystem = builder.selectFrom('system_keys').select(['id', 'kek_id', 'wrapped'])

const STATEMENTS = {
  workspace: {
    current: prepare('workspace_key_current', ofWorkspace.where('state', '=', text)),
    byId: prepare('workspace_key_by_id', ofWorkspace.where('id', '=', key)),
    insert: prepare('workspace_key_insert', builder.insertInto('workspace_keys')
      .values({ workspace_id: text, environment, id: key, kek_id: text, wrapped }).onConflict((on) => on.doNothing()).returning('id')),
    replaced: prepare('workspace_key_replaced', ofWorkspace.where('replaced_at', '>', since(seconds)).where('wrapped', 'is not', null).orderBy('replaced_at', 'desc')),
  },
  system: {
    current: prepare('system_key_current', ofSystem.where('state', '=', text)),
    byId: prepare('system_key_by_id', ofSystem.where('id', '=', key)),
    insert: prepare('system_key_insert', builder.insertInto('system_keys')
      .values({ id: key, kek_id: text, wrapped }).onConflict((on) => on.doNothing()).returning('id')),
    replaced: prepare('system_key_replaced', ofSystem.where('replaced_at', '>', since(seconds)).where('wrapped', 'is not', null).orderBy('replaced_at', 'desc')),
  },
}

interface KeyRow {
  readonly id: KeyId
  readonly kek_id: string
  /** Null once it was erased: then there is no such key any more. */
  readonly wrapped: WrappedKey | null
}

/**
 * Wrapped keys, for the keyring. On the dedicated connections, never the pool: a key may be needed
 * in the middle of a transaction, and transactions that wait for the pool they hold would wait for ever.
 */
export function createKeyTable (reads: Pipeline): KeyTable {
  const list = async (scope: KeyScope, what: keyof typeof STATEMENTS.system, values: readonly unknown[]): Promise<StoredKey[]> => {
    const statement: Statement = STATEMENTS[scope.kind][what]
    const rows = await reads.run<KeyRow & { [column: string]: unknown }>(statement, [...ownerOf(scope), ...values])
    return rows.flatMap((row) => row.wrapped === null ? [] : [{ id: row.id, kekId: row.kek_id, wrapped: row.wrapped }])
  }
  const run = async (scope: KeyScope, what: keyof typeof STATEMENTS.system, values: readonly unknown[]) => (await list(scope, what, values))[0]
  return Object.freeze({
    findCurrent: async (scope: KeyScope) => await run(scope, 'current', ['current']),
    find: async (scope: KeyScope, id: KeyId) => await run(scope, 'byId', [id]),
    insertCurrent: async (scope: KeyScope, key: StoredKey) => {
      const inserted = await reads.run(STATEMENTS[scope.kind].insert, [...ownerOf(scope), key.id, key.kekId, key.wrapped])
      return inserted.length > 0
    },
    listReplaced: async (scope: KeyScope, withinSeconds: number) => await list(scope, 'replaced', [withinSeconds]),
  })
}

function ownerOf (scope: KeyScope): string[] {
  return scope.kind === 'workspace' ? [scope.workspaceId, scope.environment] : []
}

const LIST_CHECKS = prepare('kek_checks', builder.selectFrom('keks').select(['kek_id', 'check_value']).where('retired_at', 'is', null).orderBy('kek_id'))
const INSERT_CHECK = prepare('kek_check_insert', builder.insertInto('keks').values({ kek_id: text, check_value: wrapped })
  .onConflict((on) => on.column('kek_id').doUpdateSet({ retired_at: sql`null` })))

/** Check values of the KEKs in use, for the keyring. */
export function createKekCheckTable (reads: Pipeline): KekCheckTable {
  return Object.freeze({
    listChecks: async () => {
      const rows = await reads.run<{ kek_id: string, check_value: WrappedKey }>(LIST_CHECKS, [])
      return rows.map((row) => ({ kekId: row.kek_id, check: row.check_value }))
    },
    insertCheck: async (check: KekCheck) => { await reads.run(INSERT_CHECK, [check.kekId, check.check]) },
  })
}

/**
 * Whether this key is still its scope's current one, held so until the transaction ends: a
 * process with an old key in memory can't slip a row in after the key was replaced.
 */
export async function holdCurrentKey (tx: Tx, owner: AppOwner, keyId: KeyId): Promise<boolean> {
  const row = owner === GLOBAL_OWNER
    ? await tx.selectFrom('system_keys').select('id').where('id', '=', keyId).where('state', '=', 'current').forShare().executeTakeFirst()
    : await tx.selectFrom('workspace_keys').select('id').where('workspace_id', '=', owner).where('id', '=', keyId).where('state', '=', 'current').forShare().executeTakeFirst()
  return row !== undefined
}

/** A key is replaced about once a quarter: losing that race three times in a row does not happen. */
const KEY_RACES_MAX = 3

/** Repeats a sealing whose key was replaced before its transaction: `attempt` answers undefined then. */
export async function whileKeyChanges<T> (keys: Pick<KeyCare, 'forgetCurrentKeys'>, attempt: (first: boolean) => Promise<T | undefined>): Promise<T> {
  for (let race = 0; race < KEY_RACES_MAX; race++) {
    const done = await attempt(race === 0)
    if (done !== undefined) return done
    keys.forgetCurrentKeys()
  }
  throw new VaultError('overloaded', { detail: 'The workspace’s key is being replaced.', retryAfterSeconds: 1 })
}
