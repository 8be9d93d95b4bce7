import type { UsableConnection } from '../connections/index.ts'
import type { BindingContext, Crypto } from '../crypto/index.ts'
import { VaultError, type ErrorCode } from '../errors.ts'
import type { ConnectionId, Environment, WorkspaceId } from '../ids.ts'
import { parseExactly } from '../json.ts'
import { finishInvocation, holdCurrentKey, sealedColumn, whileKeyChanges, type Database, type EarlierInvocation, type InvocationClaim } from '../store/index.ts'
import type { Invocation } from './outcome.ts'

/** What a key's invocation came to: the answer, or the problem its caller was told. */
export type Ending =
  | { readonly invocation: Invocation }
  | { readonly problem: { readonly code: ErrorCode, readonly detail: string | undefined, readonly meta: Readonly<Record<string, unknown>> | undefined } }

export interface Endings {
  /** Seals it for its connection and invocation, and stores it with its key. Answers false, and keeps nothing, where it is too large. */
  keep (claim: InvocationClaim, connection: UsableConnection, ending: Ending): Promise<boolean>
  /** Throws `integrity_failure` when what is stored is not this invocation's. */
  open (workspaceId: WorkspaceId, earlier: EarlierInvocation): Promise<Ending>
}

/** For a day, and for each key: without a bound a caller could fill the disk. */
const KEPT_BYTES_MAX = 1_048_576

export function createEndings ({ database, crypto }: { database: Pick<Database, 'transaction'>, crypto: Pick<Crypto, 'sealPayload' | 'openPayload' | 'forgetCurrentKeys'> }): Endings {
  return Object.freeze({
    keep: async (claim: InvocationClaim, connection: UsableConnection, ending: Ending) => {
      const { id: connectionId, environment } = connection.row
      const bytes = Buffer.from(JSON.stringify(ending))
      if (bytes.length > KEPT_BYTES_MAX) return false
      const binding = bindingOf({ workspaceId: claim.workspaceId, environment, connectionId, invocationId: claim.invocationId })
      await whileKeyChanges(crypto, async () => {
        const { sealed, keyId } = await crypto.sealPayload(binding, bytes)
        return await database.transaction(async (tx) => {
          if (!await holdCurrentKey(tx, claim.workspaceId, keyId)) return undefined
          await finishInvocation(tx, claim, { connectionId, environment, sealed, keyId })
          return true
        })
      })
      return true
    },
    open: async (workspaceId: WorkspaceId, { result, resourceId }: EarlierInvocation) => {
      if (result === undefined) throw new VaultError('integrity_failure')
      const binding = bindingOf({ workspaceId, environment: result.environment, connectionId: result.connectionId, invocationId: resourceId })
      const bytes = await crypto.openPayload(binding, result.sealed)
      const ending = parseExactly(bytes.toString('utf8')) as Ending
      bytes.fill(0)
      return ending
    },
  })
}

export const RESULT_COLUMN = sealedColumn({
  table: 'invocation_results',
  column: 'sealed',
  id: ['workspace_id', 'invocation_id'],
  bound: ['environment', 'connection_id'],
  bindingOf: ({ workspace_id: workspaceId, environment, connection_id: connectionId, invocation_id: invocationId }) =>
    bindingOf({ workspaceId, environment, connectionId, invocationId }),
})

function bindingOf (of: { workspaceId: WorkspaceId, environment: Environment, connectionId: ConnectionId, invocationId: string }): BindingContext {
  return {
    purpose: 'invocation-result',
    scope: { kind: 'workspace', workspaceId: of.workspaceId, environment: of.environment },
    ownerId: of.connectionId,
    versionId: of.invocationId,
    fieldSet: [],
    hosts: [],
    hostConfig: {},
  }
}
