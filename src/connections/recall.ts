import { isPrivate } from '../catalog/index.ts'
import type { SecretFields } from '../crypto/index.ts'
import type { Environment } from '../ids.ts'
import type { Database, Premise, UsableRow } from '../store/index.ts'
import { describedAs, type CredentialOpener, type UsableConnection } from './credential.ts'
import type { Of } from './edit.ts'
import { judgeUsable, lastsFor, neededOf } from './guards.ts'

/** A connection as it was when it was last read. It may be used only with a record that the premise is committed with. */
export interface RememberedConnection {
  readonly connection: UsableConnection
  readonly secrets: SecretFields
  readonly premise: Premise
}

/** What a use rests on, and whether it has been found to be so: from then on it is on record. */
export interface Rest {
  readonly premise: Premise
  held: boolean
}

/** The premise of a use was not true any more. Nothing has happened: the connection is to be read anew. */
export class PremiseFailed extends Error {
  constructor () {
    super('the connection has changed since it was read')
    this.name = 'PremiseFailed'
  }
}

interface Wanted {
  readonly environment: Environment
  readonly visible: readonly Environment[]
  readonly minTtlSeconds?: number | undefined
}

/**
 * A connection from memory with its credential, if it was used before as it was read, was in good
 * order then, and its token lasts: anything else is for the row as it is now to decide. Memory never refuses anything.
 */
export type Recall = (of: Of, wanted: Wanted) => RememberedConnection | undefined

export function createRecall ({ database, opener }: { database: Pick<Database, 'usable'>, opener: Pick<CredentialOpener, 'openAgain'> }): Recall {
  return ({ workspaceId, id }, { environment, visible, minTtlSeconds = 0 }) => {
    const recalled = database.usable.recall(workspaceId, id)
    if (recalled === undefined) return undefined
    const { row, stamp } = recalled
    if (judgeUsable(row, { environment, visible }) !== undefined) return undefined
    const connection = describedAs(row)
    const lastSeconds = neededOf(row, minTtlSeconds)
    if (connection === undefined || isPrivate(connection.integration.manifest)) return undefined
    if (connection.scheme.oauth !== undefined && !lastsFor(row, lastSeconds)) return undefined
    const secrets = opener.openAgain(row)
    return secrets && { connection, secrets, premise: { stamp, until: untilOf(row, lastSeconds) } }
  }
}

function untilOf ({ token_expires_at: end }: UsableRow, lastSeconds: number): Date | null {
  return end === null ? null : new Date(end.getTime() - lastSeconds * 1_000)
}
