import type { SealedPayload } from '../crypto/index.ts'
import type { KeyId } from '../ids.ts'
import type { Executor, Tx } from './database.ts'
import type { RelayPlace, RelayRow } from './relay.ts'

export interface RelayChunk extends RelayPlace {
  readonly claim: number
  readonly number: number
}

/** Keeps a piece of a result; one that was sent before is replaced. */
export async function putRelayChunk (
  tx: Tx, { workspaceId, id, claim, number }: RelayChunk, piece: { sealed: SealedPayload, keyId: KeyId, bytes: number } & Pick<RelayRow, 'environment' | 'connection_id'>,
): Promise<void> {
  const { environment, connection_id: connectionId } = piece
  const values = { sealed: piece.sealed, key_id: piece.keyId, bytes: piece.bytes, environment, connection_id: connectionId }
  await tx.deleteFrom('relay_chunks').where('workspace_id', '=', workspaceId).where('invocation_id', '=', id).where('claim', '=', claim).where('number', '=', number).execute()
  await tx.insertInto('relay_chunks').values({ workspace_id: workspaceId, invocation_id: id, claim, number, ...values }).execute()
}

/** The pieces one holder has sent, in their order. */
export async function listRelayChunks (on: Executor, { workspaceId, id, claim }: Omit<RelayChunk, 'number'>) {
  return await on.selectFrom('relay_chunks').select(['number', 'bytes', 'sealed'])
    .where('workspace_id', '=', workspaceId).where('invocation_id', '=', id).where('claim', '=', claim).orderBy('number').execute()
}

/** Bytes one holder has sent so far, without one piece that is about to be replaced. */
export async function measureRelayChunks (on: Executor, { workspaceId, id, claim, number }: RelayChunk): Promise<number> {
  const { bytes } = await on.selectFrom('relay_chunks').select(({ fn }) => fn.sum<number>('bytes').as('bytes'))
    .where('workspace_id', '=', workspaceId).where('invocation_id', '=', id).where('claim', '=', claim).where('number', '<>', number).executeTakeFirstOrThrow()
  return Number(bytes)
}
