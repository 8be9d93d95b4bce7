import type { BindingContext, Crypto, Secret } from '../crypto/index.ts'
import { findAnswer, guard, keepAnswer, whileKeyChanges, type Database, type UsableRow } from '../store/index.ts'
import { versionOf, type Claimed } from './refresh-store.ts'

/** What token endpoints have answered, on disk before anybody reads it: a crash from then on loses nothing. */
export interface RefreshAnswers {
  /** Keeps it while the claim is good. */
  keep (of: Claimed, answer: Secret): Promise<void>
  /** What an earlier attempt with this version's refresh token has left. */
  find (row: UsableRow): Promise<{ answer: Secret, startedAt: Date } | undefined>
}

export interface RefreshAnswersOptions {
  readonly database: Pick<Database, 'db'>
  readonly crypto: Pick<Crypto, 'seal' | 'open' | 'forgetCurrentKeys'>
}

export function createRefreshAnswers ({ database, crypto }: RefreshAnswersOptions): RefreshAnswers {
  return Object.freeze({
    keep: async ({ row, claim }: Claimed, answer: Secret) => {
      await whileKeyChanges(crypto, async () => {
        const { sealed, keyId } = await crypto.seal(bindingOf(row), { answer })
        const kept = await guard(() => keepAnswer(database.db, {
          workspace_id: row.workspace_id, connection_id: row.id, environment: row.environment, version_id: row.version_id, started_at: claim.startedAt,
          sealed, key_id: keyId,
        }, claim))
        return kept === 'key_replaced' ? undefined : true
      })
    },
    find: async (row: UsableRow) => {
      const kept = await findAnswer(database.db, versionOf(row))
      if (kept?.version_id !== row.version_id) return undefined
      const { answer } = await crypto.open(bindingOf(row), kept.sealed)
      return answer && { answer, startedAt: kept.started_at }
    },
  })
}

/** Its own purpose: an answer can't be taken for a credential. */
export function bindingOf (row: Pick<UsableRow, 'workspace_id' | 'environment' | 'id' | 'version_id'>): BindingContext {
  return {
    purpose: 'refresh-answer', scope: { kind: 'workspace', workspaceId: row.workspace_id, environment: row.environment }, ownerId: row.id, versionId: row.version_id,
    fieldSet: ['answer'], hosts: [], hostConfig: {},
  }
}
