import { isAgentRevoked, takeOverdueRelays, type Database, type OverdueRow, type RelayOutcome, requeueRelayInvocation, type Tx } from '../store/index.ts'
import { endOf, workFor } from './broker.ts'
import type { Endings } from './endings.ts'

export interface Sweeper {
  /** Ends what has waited or run for too long and hands on what was dropped; answers how many there were. */
  run (): Promise<number>
}

const SWEPT_MAX = 100
/** After its deadline an agent has this long to say how it broke off. */
const GRACE_MS = 5_000
/** Who drops a call kills whoever takes it, as often as not. */
const CLAIMS_MAX = 5
/** Why nothing more will be heard of a call. */
const REVOKED = { class: 'agent_revoked', message: 'The agent that had it was revoked.' }

interface Options {
  readonly database: Pick<Database, 'transaction' | 'signals'>
  readonly endings: Endings
}

export function createSweeper ({ database, endings }: Options): Sweeper {
  /** Answers the word that tells of it. */
  const settle = async (tx: Tx, row: OverdueRow): Promise<string> => {
    const outcome = judge(row)
    if (outcome === undefined) {
      await requeueRelayInvocation(tx, { workspaceId: row.workspace_id, id: row.id })
      await endings.note(tx, row, { event: 'invoke.requeued', outcome: 'ok', reason: 'lease_lost' })
      return workFor({ workspaceId: row.workspace_id, id: row.group_id })
    }
    const revoked = row.state === 'claimed' && row.agent_id !== null && await isAgentRevoked(tx, { workspaceId: row.workspace_id, id: row.agent_id })
    await endings.end(tx, row, { outcome, error: revoked ? REVOKED : null, result: null, chunks: 0, answered: false })
    return endOf(row.id)
  }
  return Object.freeze({
    run: async () => {
      const words = await database.transaction(async (tx) => {
        const rows = await takeOverdueRelays(tx, SWEPT_MAX, GRACE_MS)
        const said: string[] = []
        for (const row of rows) said.push(await settle(tx, row))
        return said
      })
      for (const word of words) database.signals.send(word)
      return words.length
    },
  })
}

/** How it ends; undefined when another agent may run it. */
function judge (row: OverdueRow): RelayOutcome | undefined {
  if (row.state === 'queued') return row.cancel_requested_at !== null ? 'cancelled' : row.claims > 0 ? 'timeout' : 'expired'
  if (row.effect === 'unsafe') return 'unknown'
  return row.past_deadline || row.cancel_requested_at !== null || row.claims >= CLAIMS_MAX ? 'timeout' : undefined
}
