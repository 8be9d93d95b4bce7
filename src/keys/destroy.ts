import { setTimeout as sleep } from 'node:timers/promises'
import { VaultError } from '../errors.ts'
import type { KeyId, WorkspaceId } from '../ids.ts'
import type { AuditRecord } from '../ledger/index.ts'
import { deleteWorkspace, destroyWorkspaceKeys, isContended, listUnendedRelays, type Tx } from '../store/index.ts'
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

/** Statements and transactions of requests end within ten seconds. */
const TRIES_MAX = 20
const PAUSE_MS = 200
const PAGE = 500

/** Tells the other processes to drop keys from memory. */
const WORD = 'workspace-destroyed '

export function createDestroyer ({ database, crypto, ledger }: KeysOptions) {
  const forget = (workspaceId: string) => { crypto.forgetWorkspace(workspaceId) }
  database.signals.listen((word) => {
    if (!word.startsWith(WORD)) return false
    forget(word.slice(WORD.length))
    return true
  })
  /** Calls that wait for an agent, or for its answer, end on record like any other. */
  const endRelays = async (tx: Tx, workspaceId: WorkspaceId): Promise<void> => {
    for (let after = ''; ;) {
      const calls = await listUnendedRelays(tx, workspaceId, { after, limit: PAGE })
      if (calls.length === 0) return
      await ledger.recordIn(tx, ...calls.map((call) => {
        const { principal, requestId, context } = call.asked_by as Pick<AuditRecord, 'principal' | 'requestId' | 'context'>
        return {
          event: 'invoke.finished' as const, outcome: call.claims > 0 ? 'unknown' as const : 'failed' as const, reason: 'workspace_destroyed', principal, requestId, context, workspaceId,
          environment: call.environment, connectionId: call.connection_id, versionId: call.version_id, invocationId: call.id,
          details: { integration: 'private', action: call.action, effect: call.effect, group_id: call.group_id, agent_id: call.agent_id, attempts: call.claims },
        }
      }))
      after = calls.at(-1)?.id ?? ''
    }
  }
  const destroy = async (tx: Tx, workspaceId: WorkspaceId, caller: KeyCaller): Promise<Certificate> => {
    let certificate: Certificate | undefined
    for (;;) {
      // The keys first: whoever is about to seal for this workspace holds them, and is waited for.
      const { keys, at: destroyedAt } = await destroyWorkspaceKeys(tx, workspaceId)
      // Its first key, and rows with it, may come while the tables are being emptied.
      if (certificate !== undefined && keys.length === 0) break
      await endRelays(tx, workspaceId)
      const { rows, grantsLeft } = await deleteWorkspace(tx, workspaceId)
      certificate = add(certificate, { workspaceId, destroyedAt, keys, rows, grantsLeft })
    }
    const { keys, rows, grantsLeft } = certificate
    await ledger.recordIn(tx, {
      event: 'workspace.destroyed', outcome: 'ok', principal: caller.principal, requestId: caller.requestId, workspaceId,
      details: { keys, grants_left: grantsLeft, ...Object.fromEntries(Object.entries(rows).map(([table, number]) => [`rows.${table}`, number])) },
    })
    return certificate
  }
  /** Whoever is in the middle of something is let finish. */
  const untilDone = async (work: () => Promise<Certificate>): Promise<Certificate> => {
    for (let tries = 1; ; tries++) {
      try {
        return await work()
      } catch (error) {
        if (!isContended(error)) throw error
        if (tries === TRIES_MAX) throw new VaultError('overloaded', { detail: 'The workspace is in use. Nothing was deleted.', retryAfterSeconds: 5, cause: error })
        await sleep(Math.random() * PAUSE_MS)
      }
    }
  }
  return {
    /**
     * Erases a workspace’s keys and deletes its rows, together. What backups hold of it stays
     * sealed for good, except for a backup that holds the keys’ table from before. Records of the
     * audit stay. A workspace that has nothing gets a certificate, too.
     */
    destroyWorkspace: async (workspaceId: WorkspaceId, caller: KeyCaller): Promise<Certificate> => {
      const certificate = await untilDone(() => database.transaction((tx) => destroy(tx, workspaceId, caller)))
      forget(workspaceId)
      database.signals.spread(`${WORD}${workspaceId}`)
      return certificate
    },
  }
}

function add (to: Certificate | undefined, more: Certificate): Certificate {
  if (to === undefined) return more
  const rows = { ...to.rows }
  for (const [table, number] of Object.entries(more.rows)) rows[table] = (rows[table] ?? 0) + number
  return { ...to, keys: [...to.keys, ...more.keys], rows, grantsLeft: to.grantsLeft + more.grantsLeft }
}
