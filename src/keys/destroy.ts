import type { KeyId, WorkspaceId } from '../ids.ts'
import { deleteWorkspace, destroyWorkspaceKeys, type Tx } from '../store/index.ts'
import type { KeysOptions } from './options.ts'
import type { KeyCaller } from './rotate.ts'

/** What is said of a workspace’s end, and goes on record. */
export interface Certificate {
  readonly workspaceId: WorkspaceId
  readonly destroyedAt: Date
  readonly keys: readonly KeyId[]
  /** Rows deleted, by table. */
  readonly rows: Readonly<Record<string, number>>
  /** Grants of providers that are still good there: nobody can revoke them from here any more. */
  readonly grantsLeft: number
}

/** Tells the other processes to drop keys from memory. */
const WORD = 'workspace-destroyed '

export function createDestroyer ({ database, crypto, ledger }: KeysOptions) {
  const forget = (workspaceId: string) => { crypto.forgetWorkspace(workspaceId) }
  database.signals.listen((word) => {
    if (!word.startsWith(WORD)) return false
    forget(word.slice(WORD.length))
    return true
  })
  const destroy = async (tx: Tx, workspaceId: WorkspaceId, caller: KeyCaller): Promise<Certificate> => {
    // The keys first: whoever is about to seal for this workspace holds them, and is waited for.
    const { keys, at } = await destroyWorkspaceKeys(tx, workspaceId)
    const { rows, grantsLeft } = await deleteWorkspace(tx, workspaceId)
    await ledger.recordIn(tx, {
      event: 'workspace.destroyed', outcome: 'ok', principal: caller.principal, requestId: caller.requestId, workspaceId,
      details: { keys, grants_left: grantsLeft, ...Object.fromEntries(Object.entries(rows).map(([table, number]) => [`rows.${table}`, number])) },
    })
    return { workspaceId, destroyedAt: at, keys, rows, grantsLeft }
  }
  return {
    /**
     * Erases a workspace’s keys and deletes its rows, together. What backups hold of it stays
     * sealed for good, except for a backup that holds the keys’ table from before. Records of the
     * audit stay. A workspace that has nothing gets a certificate, too.
     */
    destroyWorkspace: async (workspaceId: WorkspaceId, caller: KeyCaller): Promise<Certificate> => {
      const certificate = await database.transaction((tx) => destroy(tx, workspaceId, caller))
      forget(workspaceId)
      database.signals.spread(`${WORD}${workspaceId}`)
      return certificate
    },
  }
}
