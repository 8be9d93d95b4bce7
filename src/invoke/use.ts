import type { RawRequest } from '../calls/index.ts'
import type { ConnectionId, Environment, WorkspaceId } from '../ids.ts'
import type { UseContext } from '../ledger/index.ts'
import type { StoreAs } from './store-output.ts'

/** Which connection is used, by which run. */
export interface Use {
  readonly workspaceId: WorkspaceId
  readonly connectionId: ConnectionId
  readonly environment: Environment
  readonly context?: UseContext | undefined
  readonly timeoutMs?: number | undefined
  /** Build everything, send nothing. */
  readonly dryRun?: boolean | undefined
  /** Aborted when the caller goes away. */
  readonly signal?: AbortSignal | undefined
  /** Under one key a call is made once and its result replayed; providers that have such a header get it as well. */
  readonly idempotencyKey?: string | undefined
}

export interface ActionUse extends Use {
  readonly action: string
  /** Of a Custom API; the newest when left out. */
  readonly revision?: number | undefined
  readonly input: Readonly<Record<string, unknown>>
  /** Keep the credential in the output as a connection instead of answering it. */
  readonly storeAs?: StoreAs | undefined
  /** Of a private connection: instead of an input, one that only its agents can read, and what tells a repeat from another call. */
  readonly encryptedInput?: EncryptedInput | undefined
  /** Answer at once and run it later; private connections only. */
  readonly later?: boolean | undefined
  /** How long the call may wait for an agent. */
  readonly queueSeconds?: number | undefined
}

export interface RawUse extends Use {
  readonly request: RawRequest
}

/** An input that the vault passes on unread: a JWE (RFC 7516) for the group's agents. */
export interface EncryptedInput {
  readonly jwe: unknown
  /** Under one idempotency key, calls of one digest are one call: no two encryptions are alike. */
  readonly digest: string
}
