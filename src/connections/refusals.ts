import { ENVIRONMENTS } from '../ids.ts'
import type { AuditRecord, Ledger } from '../ledger/index.ts'
import type { Log } from '../log.ts'
import { clearRefusals, countRefusal, type Database, type UsableRow } from '../store/index.ts'
import type { Caller } from './caller.ts'
import type { Tester } from './test.ts'

/** None of these throws: what they note must not cost a caller its answer. */
export interface Refusals {
  /** Notes a 401 that a caller or an invocation got with this version. */
  count (row: UsableRow, caller: Caller): Promise<void>
  /** Notes that the provider took it, if that had been in doubt. */
  clear (row: UsableRow): Promise<void>
  /** Resolves when no test that was started here is under way. */
  drain (): Promise<void>
}

/** So many refusals in a row, and the vault asks the provider itself. */
const REFUSALS_BEFORE_TEST = 3

const SYSTEM: Caller = { principal: { kind: 'system', id: null, actor: null }, by: 'system', environments: ENVIRONMENTS, requestId: undefined }

interface Options {
  readonly database: Pick<Database, 'transaction'>
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly tester: Pick<Tester, 'test'>
  readonly log: Log
}

/**
 * A pasted credential is not given up on a caller's word, which may be wrong or malicious: after
 * a few refusals the vault tests it, and only the provider's own no takes the connection out of use.
 */
export function createRefusals (options: Options): Refusals {
  const { database, ledger, tester, log } = options
  const testing = new Map<string, Promise<void>>()

  const testSoon = (row: UsableRow): void => {
    if (testing.has(row.id)) return
    const test = tester.test({ workspaceId: row.workspace_id, id: row.id }, SYSTEM)
      .then(() => undefined, (error: unknown) => { log.warn({ err: error, connection_id: row.id }, 'a refused credential could not be tested') })
      .finally(() => { testing.delete(row.id) })
    testing.set(row.id, test)
  }

  const quietly = async (row: UsableRow, work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      log.warn({ err: error, connection_id: row.id }, 'a refusal could not be noted')
    }
  }

  const count = async (row: UsableRow, caller: Caller): Promise<void> => {
    const refusals = await database.transaction(async (tx) => {
      const counted = await countRefusal(tx, versionOf(row))
      if (counted !== undefined) {
        await ledger.recordIn(tx, {
          event: 'connection.refused', outcome: 'ok', principal: caller.principal, workspaceId: row.workspace_id, environment: row.environment,
          connectionId: row.id, versionId: row.version_id, requestId: caller.requestId, details: { refusals: counted },
        })
      }
      return counted ?? 0
    })
    if (refusals > 0 && refusals % REFUSALS_BEFORE_TEST === 0) testSoon(row)
  }

  return Object.freeze({
    count: async (row: UsableRow, caller: Caller) => { await quietly(row, async () => { await count(row, caller) }) },
    clear: async (row: UsableRow) => {
      if (row.refusals === 0) return
      await quietly(row, async () => {
        await database.transaction(async (tx) => { if (await clearRefusals(tx, versionOf(row))) await ledger.recordIn(tx, recovered(row)) })
      })
    },
    drain: async () => { await Promise.all(testing.values()) },
  })
}

function recovered (row: UsableRow): AuditRecord {
  return {
    event: 'connection.recovered', outcome: 'ok', principal: SYSTEM.principal, workspaceId: row.workspace_id, environment: row.environment,
    connectionId: row.id, versionId: row.version_id,
  }
}

function versionOf (row: UsableRow) {
  return { workspaceId: row.workspace_id, connectionId: row.id, versionId: row.version_id }
}
