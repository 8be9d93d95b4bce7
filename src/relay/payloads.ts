import type { BindingContext, Crypto, SealedPayload, SealedWithKey } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { sealedColumn, type RelayRow, type SealedColumn } from '../store/index.ts'

/** Whose payload it is, and which of that invocation’s. */
export type PayloadOf = Pick<RelayRow, 'workspace_id' | 'environment' | 'connection_id' | 'id'>
type Part = 'input' | 'result' | { readonly claim: number, readonly number: number }

/** What lies in the queue and what comes back, as JSON texts: nobody’s but its tenant’s. */
export interface Payloads {
  seal (of: PayloadOf, part: Part, json: string): Promise<SealedWithKey<SealedPayload>>
  /** Throws `integrity_failure` when it is not this invocation’s. */
  open (of: PayloadOf, part: Part, sealed: SealedPayload | null): Promise<string>
}

export function createPayloads (crypto: Pick<Crypto, 'sealPayload' | 'openPayload'>): Payloads {
  return Object.freeze({
    seal: async (of: PayloadOf, part: Part, json: string) => await crypto.sealPayload(bindingOf(of, part), Buffer.from(json)),
    open: async (of: PayloadOf, part: Part, sealed: SealedPayload | null) => {
      if (sealed === null) throw new VaultError('integrity_failure')
      const bytes = await crypto.openPayload(bindingOf(of, part), sealed)
      const text = bytes.toString('utf8')
      bytes.fill(0)
      return text
    },
  })
}

export const PAYLOAD_COLUMNS: readonly SealedColumn[] = [
  ...(['input', 'result'] as const).map((part) => sealedColumn({
    table: 'relay_invocations', column: part, keyColumn: `${part}_key_id`, id: ['workspace_id', 'id'], bound: ['environment', 'connection_id'],
    bindingOf: (row) => bindingOf(row, part),
  })),
  sealedColumn({
    table: 'relay_chunks', column: 'sealed', id: ['workspace_id', 'invocation_id', 'claim', 'number'], integers: ['claim', 'number'],
    bound: ['environment', 'connection_id'],
    bindingOf: ({ invocation_id: id, ...row }) => bindingOf({ ...row, id }, { claim: row.claim, number: row.number }),
  }),
]

function bindingOf (of: PayloadOf, part: Part): BindingContext {
  return {
    purpose: part === 'input' ? 'relay-input' : 'relay-result',
    scope: { kind: 'workspace', workspaceId: of.workspace_id, environment: of.environment },
    ownerId: of.connection_id,
    versionId: typeof part === 'string' ? of.id : `${of.id}.${part.claim}.${part.number}`,
    fieldSet: [],
    hosts: [],
    hostConfig: {},
  }
}
