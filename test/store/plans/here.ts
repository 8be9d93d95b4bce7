import type { AgentId, AppId, ConnectionId, EventId, GroupId, IntegrationId, InvocationId, KeyId, RevocationId, SessionId, VersionId, WebhookId, WorkspaceId } from '../../../src/ids.ts'
import type { AuditBatch, SealedColumn, ConnectionRow, Database, RelayRow, Tx, UsableTable, VersionRow } from '../../../src/store/index.ts'
import { createHash } from 'node:crypto'
import { exampleId, FILLED_WORKSPACES } from '../../support/fill-tables.ts'

/** What the cases run on: a transaction that is rolled back, and one example of each thing. */
export interface Here {
  readonly tx: Tx
  readonly reads: Database['reads']
  readonly usable: UsableTable
  readonly columns: readonly SealedColumn[]
  readonly ownerUrl: string
  /** A connection of the largest workspace, with its current version; linked. */
  readonly connection: ConnectionRow
  readonly versionRow: VersionRow
  /** Keys of the largest workspace: of now, and one that was replaced. */
  readonly keyId: KeyId
  /** A call that an agent has. */
  readonly claimed: RelayRow
}

export type Case = (here: Here) => Promise<unknown>

const n = FILLED_WORKSPACES

export const W = 'seed_0000000' as WorkspaceId
export const HASH = createHash('sha256').update(String(n)).digest()
export const SOME = Buffer.from('some bytes') as never
export const APP = exampleId('app') as AppId
export const SESSION = { workspace_id: W, id: exampleId('cs') as SessionId }
export const REVOCATION = { workspace_id: W, id: exampleId('rev') as RevocationId }
export const WEBHOOK = exampleId('wh', 1) as WebhookId
export const EVENT = exampleId('evt', n) as EventId
export const GROUP = { workspaceId: W, id: exampleId('grp') as GroupId }
export const AGENT = { workspaceId: W, id: exampleId('agt') as AgentId }
export const INTEGRATION = { workspaceId: W, id: exampleId('int') as IntegrationId, revision: 1 }
export const INVOCATION = { workspaceId: W, id: exampleId('inv') as InvocationId }
export const OLD_KEY = { workspaceId: W, id: `key_${n}` as KeyId }
export const OTHER_KEY = { workspaceId: 'seed_0000001', id: 'key_1' as KeyId }
export const SCOPE = { kind: 'workspace', workspaceId: W, environment: 'live' } as const
export const SYSTEM = { kind: 'system' } as const
export const BOTH = ['sandbox', 'live'] as const

/** Of no record. */
export function newBatch (id: string): AuditBatch {
  return { id, rows: [], firstAt: new Date().toISOString(), lastAt: new Date().toISOString(), digest: HASH, keyId: OLD_KEY.id, mac: HASH }
}

export const of = ({ connection }: Here) => ({ workspace_id: connection.workspace_id, id: connection.id })
export const versionOf = ({ connection }: Here) => (
  { workspaceId: connection.workspace_id, connectionId: connection.id, versionId: connection.current_version })
export const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000)
export const connectionId = (text: string) => text as ConnectionId
export const versionId = (text: string) => text as VersionId
