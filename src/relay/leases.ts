import { sha256, type Crypto } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { InvocationId } from '../ids.ts'
import { ANSWER_LIMITS, measureJson, type JsonProblem } from '../json.ts'
import {
  claimOffer, extendLease, findRelayInvocation, guard, holdCurrentKey, listRelayChunks, lockRelayInvocation, measureRelayChunks, putRelayChunk, whileKeyChanges,
  type Database, type FoundRelay, type Holding, type RelayEnding, type RelayRow, type Tx,
} from '../store/index.ts'
import type { AgentPrincipal } from './agent-tokens.ts'
import { endOf } from './broker.ts'
import type { Endings } from './endings.ts'
import type { Payloads } from './payloads.ts'
import { LEASE_SECONDS } from './spans.ts'

/** An invocation in an agent’s hands. Times are spans: the two clocks need not agree. */
export interface Claimed {
  readonly id: InvocationId
  readonly action: string
  readonly effect: RelayRow['effect']
  /** JSON; with `encrypted`, a JWE for the group’s agents. */
  readonly input: string
  readonly encrypted: boolean
  /** How often it has been claimed, this time included. */
  readonly attempt: number
  readonly deadlineMs: number
}

/** What an agent says came of an invocation. */
export interface AgentResult {
  /** `unknown`: broken off where nobody can say whether it was done. */
  readonly outcome: 'succeeded' | 'failed' | 'unknown'
  /** JSON, or how many pieces of one were sent before. */
  readonly output: string | number | undefined
  readonly error: { readonly class: string, readonly message: string } | undefined
}

/** An invocation, and the token an agent holds it by. */
export interface Lease {
  readonly id: InvocationId
  readonly leaseToken: string
}

export interface Leases {
  /** Doing it twice answers the same. Throws `not_found`, `lease_lost`. */
  claim (agent: AgentPrincipal, lease: Lease): Promise<Claimed>
  /** Throws `lease_lost`. */
  heartbeat (agent: AgentPrincipal, lease: Lease): Promise<{ cancel: boolean, deadlineMs: number }>
  /** Keeps a piece of a result, 1 MiB at most. Throws `lease_lost`, `result_too_large`. */
  putChunk (agent: AgentPrincipal, lease: Lease, piece: { number: number, text: string }): Promise<void>
  /** Doing it twice changes nothing. Throws `not_found`, `lease_lost`, `result_too_large`, `request_invalid`. */
  finish (agent: AgentPrincipal, lease: Lease, result: AgentResult): Promise<void>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'reads' | 'transaction' | 'signals'>
  readonly crypto: Pick<Crypto, 'forgetCurrentKeys'>
  readonly payloads: Payloads
  readonly endings: Endings
}

const INLINE_BYTES = 1_048_576
const RESULT_BYTES = 32 * 1_048_576

/** What agents do with what they have been offered. */
export function createLeases (options: Options): Leases {
  const { database, crypto, payloads } = options
  const finish = createFinisher(options)

  return Object.freeze({
    claim: async (agent: AgentPrincipal, lease: Lease) => {
      const row = await guard(() => claimOffer(database.reads, holdingOf(agent, lease), LEASE_SECONDS * 1_000))
      if (row === undefined) throw await describeLoss(database, agent, lease)
      const input = await payloads.open(row, 'input', row.input).catch(async (error: unknown) => {
        // Deleted since, and with it its workspace's keys: then it is said that it has gone.
        await findHeld(database.reads, agent, lease)
        throw error
      })
      const { id, action, effect, encrypted, claims: attempt } = row
      return { id, action, effect, input, encrypted, attempt, deadlineMs: Math.max(0, Math.round(row.remaining_ms)) }
    },
    heartbeat: async (agent: AgentPrincipal, lease: Lease) => {
      const row = await guard(() => extendLease(database.db, holdingOf(agent, lease), LEASE_SECONDS * 1_000))
      if (row === undefined) throw await describeLoss(database, agent, lease)
      return { cancel: row.cancel_requested_at !== null, deadlineMs: Math.max(0, Math.round(row.remaining_ms)) }
    },
    putChunk: async (agent: AgentPrincipal, lease: Lease, { number, text }: { number: number, text: string }) => {
      const bytes = Buffer.byteLength(text)
      if (bytes > INLINE_BYTES) throw tooLarge()
      const row = await findHeld(database.reads, agent, lease)
      if (judge(row, agent, lease) !== 'counts') throw new VaultError('lease_lost')
      const place = { workspaceId: agent.workspaceId, id: lease.id, claim: row.claims, number }
      await whileKeyChanges(crypto, async () => {
        const { sealed, keyId } = await payloads.seal(row, { claim: row.claims, number }, text)
        return await database.transaction(async (tx) => {
          if (!await holdCurrentKey(tx, agent.workspaceId, keyId)) return undefined
          if (judge(await requireLocked(tx, agent, lease), agent, lease) !== 'counts') throw new VaultError('lease_lost')
          if (await measureRelayChunks(tx, place) + bytes > RESULT_BYTES) throw tooLarge()
          await putRelayChunk(tx, place, { sealed, keyId, bytes, environment: row.environment, connection_id: row.connection_id })
          return true
        })
      })
    },
    finish,
  })
}

function createFinisher ({ database, crypto, payloads, endings }: Options): Leases['finish'] {
  /** The pieces have to be all there, and JSON together. */
  const requireChunks = async (row: RelayRow, count: number): Promise<void> => {
    const place = { workspaceId: row.workspace_id, id: row.id, claim: row.claims }
    const pieces = await guard(() => listRelayChunks(database.db, place))
    if (pieces.length !== count || pieces.some((piece, index) => piece.number !== index)) {
      throw new VaultError('request_invalid', { detail: `The result is said to have ${count} pieces; ${pieces.length} are here.`, errors: [{ pointer: '/chunks', message: 'does not fit what was sent' }] })
    }
    const texts = await Promise.all(pieces.map((piece) => payloads.open(row, { claim: row.claims, number: piece.number }, piece.sealed)))
    requireJson(texts.join(''))
  }

  const end = async (agent: AgentPrincipal, lease: Lease, { row, result }: { row: FoundRelay, result: AgentResult }): Promise<'ended' | 'lost' | undefined> => {
    const { output, outcome, error } = result
    const sealed = typeof output === 'string' ? await payloads.seal(row, 'result', output) : undefined
    // How nearly all of them end; whatever is unusual is looked at under a lock.
    const usual = outcome === 'succeeded' && sealed !== undefined && row.state === 'claimed' && judge(row, agent, lease) === 'counts'
    if (usual && await endings.succeed(row, sealed)) return 'ended'
    return await database.transaction(async (tx) => {
      if (sealed !== undefined && !await holdCurrentKey(tx, agent.workspaceId, sealed.keyId)) return undefined
      const now = await requireLocked(tx, agent, lease)
      switch (judge(now, agent, lease)) {
        case 'counted': return 'ended'
        case 'lost':
          await endings.note(tx, now, { event: 'invoke.result_refused', outcome: 'refused', reason: 'lease_lost' })
          return 'lost'
        case 'counts': {
          const ending: RelayEnding = { outcome, error: error ?? null, result: sealed ?? null, chunks: typeof output === 'number' ? output : 0, answered: true }
          await endings.end(tx, now, ending)
          return 'ended'
        }
      }
    })
  }

  return async (agent, lease, result) => {
    const { output } = result
    if (typeof output === 'string') {
      if (Buffer.byteLength(output) > INLINE_BYTES) throw tooLarge()
      requireJson(output)
    }
    const row = await findHeld(database.reads, agent, lease)
    if (typeof output === 'number' && judge(row, agent, lease) === 'counts') await requireChunks(row, output)
    const done = await whileKeyChanges(crypto, () => end(agent, lease, { row, result }))
    if (done === 'lost') throw new VaultError('lease_lost')
    database.signals.send(endOf(lease.id))
  }
}

/**
 * Whether a result counts: it is the last holder’s, and none has been counted before. It may be
 * late: whoever was given up has still the only truth about what was done, unless somebody else
 * was handed the call meanwhile.
 */
function judge (row: RelayRow, agent: AgentPrincipal, { leaseToken }: Lease): 'counts' | 'counted' | 'lost' {
  if (row.agent_id !== agent.id || row.claim_hash?.equals(sha256(leaseToken)) !== true) return 'lost'
  return row.answered ? 'counted' : 'counts'
}

function holdingOf (agent: AgentPrincipal, { id, leaseToken }: Lease): Holding {
  return { workspaceId: agent.workspaceId, id, group: agent.groupId, agentId: agent.id, tokenHash: sha256(leaseToken) }
}

async function findHeld (on: Database['reads'], agent: AgentPrincipal, { id }: Lease): Promise<FoundRelay> {
  return requireOwn(await guard(() => findRelayInvocation(on, { workspaceId: agent.workspaceId, id })), agent)
}

async function requireLocked (tx: Tx, agent: AgentPrincipal, { id }: Lease): Promise<RelayRow> {
  return requireOwn(await lockRelayInvocation(tx, { workspaceId: agent.workspaceId, id }), agent)
}

/** Of another group is as good as of nobody. */
function requireOwn<Row extends RelayRow> (row: Row | undefined, agent: AgentPrincipal): Row {
  if (row?.group_id !== agent.groupId) throw new VaultError('not_found')
  return row
}

async function describeLoss (database: Pick<Database, 'reads'>, agent: AgentPrincipal, lease: Lease): Promise<VaultError> {
  await findHeld(database.reads, agent, lease)
  return new VaultError('lease_lost')
}

const TOO_COMPLEX: Readonly<Record<JsonProblem, string>> = {
  too_deep: `It is nested deeper than ${ANSWER_LIMITS.depth} levels.`,
  too_many_keys: `It has more than ${ANSWER_LIMITS.keys} members.`,
  too_many_items: `It has more than ${ANSWER_LIMITS.items} elements.`,
  too_many_containers: `It has more than ${ANSWER_LIMITS.containers} objects and arrays.`,
}

/** Whatever is kept can be read again: it is judged by its bytes before it is parsed. */
function requireJson (text: string): void {
  const { problem } = measureJson(Buffer.from(text), ANSWER_LIMITS)
  if (problem !== undefined) throw new VaultError('result_too_large', { detail: TOO_COMPLEX[problem] })
  try {
    JSON.parse(text)
  } catch {
    throw new VaultError('request_invalid', { detail: 'The output is no JSON.', errors: [{ pointer: '/output', message: 'is no JSON' }] })
  }
}

function tooLarge (): VaultError {
  return new VaultError('result_too_large')
}
