import { VaultError } from '../errors.ts'
import type { Ledger } from '../ledger/index.ts'
import { findConnection, guard, listReferences, listUses, replaceReferences, type Database, type ReferenceRow, type UseRow } from '../store/index.ts'
import type { Caller } from './caller.ts'
import { recordOf, requireLocked, type Of } from './edit.ts'

export interface Usage {
  readonly references: readonly ReferenceRow[]
  readonly uses: readonly UseRow[]
}

export interface NewReference {
  readonly procedure_id: string
  readonly step_id?: string | undefined
  readonly label?: string | undefined
}

export interface UsageKeeper {
  /** Where the connection is used: what the dashboard registered, and what was seen. Seen uses lag by some seconds. */
  get (of: Of, caller: Caller): Promise<Usage>
  /** Puts these references in place of all before. */
  setReferences (of: Of, references: readonly NewReference[], caller: Caller): Promise<Usage>
}

export function createUsageKeeper (options: { database: Pick<Database, 'db' | 'transaction'>, ledger: Pick<Ledger, 'recordIn'> }): UsageKeeper {
  const { database, ledger } = options
  const get = async (of: Of, caller: Caller): Promise<Usage> => await guard(async () => {
    const view = await findConnection(database.db, of.workspaceId, of.id)
    if (view === undefined || !caller.environments.includes(view.environment)) throw new VaultError('not_found')
    return { references: await listReferences(database.db, view), uses: await listUses(database.db, view) }
  })
  return Object.freeze({
    get,
    setReferences: async (of: Of, references: readonly NewReference[], caller: Caller) => {
      // One statement may not touch a row twice: a step named twice keeps its last label.
      const unique = new Map(references.map(({ procedure_id, step_id = '', label = null }) => [`${procedure_id}\n${step_id}`, { procedure_id, step_id, label }]))
      await database.transaction(async (tx) => {
        const row = await requireLocked(tx, of, caller)
        await replaceReferences(tx, row, [...unique.values()])
        await ledger.recordIn(tx, recordOf('connection.references_set', { row, caller }, { references: unique.size }))
      })
      return await get(of, caller)
    },
  })
}
