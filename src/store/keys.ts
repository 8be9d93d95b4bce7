import type { Kysely } from 'kysely'
import type { KekCheck, KekCheckTable, KeyScope, KeyTable, StoredKey, WrappedKey } from '../crypto/index.ts'
import type { KeyId, WorkspaceId } from '../ids.ts'
import { guard, type Tx } from './database.ts'
import type { DB } from './schema.ts'

interface KeyRow {
  readonly id: KeyId
  readonly kek_id: string
  readonly wrapped: WrappedKey
}

const toStored = (row: KeyRow | undefined): StoredKey | undefined =>
  row && { id: row.id, kekId: row.kek_id, wrapped: row.wrapped }

/** Wrapped keys, for the keyring. */
export function createKeyTable (db: Kysely<DB>): KeyTable {
  return Object.freeze({
    findCurrent: async (scope: KeyScope) => await guard(async () => toStored(scope.kind === 'system'
      ? await db.selectFrom('system_keys').select(['id', 'kek_id', 'wrapped']).where('state', '=', 'current').executeTakeFirst()
      : await db.selectFrom('workspace_keys').select(['id', 'kek_id', 'wrapped'])
        .where('workspace_id', '=', scope.workspaceId).where('environment', '=', scope.environment).where('state', '=', 'current')
        .executeTakeFirst())),

    find: async (scope: KeyScope, id: KeyId) => await guard(async () => toStored(scope.kind === 'system'
      ? await db.selectFrom('system_keys').select(['id', 'kek_id', 'wrapped']).where('id', '=', id).executeTakeFirst()
      : await db.selectFrom('workspace_keys').select(['id', 'kek_id', 'wrapped'])
        .where('workspace_id', '=', scope.workspaceId).where('id', '=', id).where('environment', '=', scope.environment)
        .executeTakeFirst())),

    insertCurrent: async (scope: KeyScope, key: StoredKey) => await guard(async () => {
      const row = { id: key.id, kek_id: key.kekId, wrapped: key.wrapped }
      const inserted = scope.kind === 'system'
        ? await db.insertInto('system_keys').values(row).onConflict((on) => on.doNothing()).returning('id').executeTakeFirst()
        : await db.insertInto('workspace_keys').values({ ...row, workspace_id: scope.workspaceId, environment: scope.environment })
          .onConflict((on) => on.doNothing()).returning('id').executeTakeFirst()
      return inserted !== undefined
    }),
  })
}

/** Check values of the KEKs in use, for the keyring. */
export function createKekCheckTable (db: Kysely<DB>): KekCheckTable {
  return Object.freeze({
    listChecks: async () => await guard(async () =>
      (await db.selectFrom('keks').select(['kek_id', 'check_value']).orderBy('kek_id').execute())
        .map((row) => ({ kekId: row.kek_id, check: row.check_value }))),
    insertCheck: async (check: KekCheck) => await guard(async () => {
      await db.insertInto('keks').values({ kek_id: check.kekId, check_value: check.check }).onConflict((on) => on.doNothing()).execute()
    }),
  })
}

/**
 * Whether this key is still the workspace's current one, held so until the transaction ends: a
 * process with an old key in memory can't slip a row in after the key was replaced.
 */
export async function holdCurrentKey (tx: Tx, workspaceId: WorkspaceId, keyId: KeyId): Promise<boolean> {
  const row = await tx.selectFrom('workspace_keys').select('id')
    .where('workspace_id', '=', workspaceId).where('id', '=', keyId).where('state', '=', 'current').forShare().executeTakeFirst()
  return row !== undefined
}
