import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Crypto } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { newId, type ConnectionId, type Environment, type GroupId, type InvocationId, type VersionId, type WorkspaceId } from '../ids.ts'
import { parseExactly } from '../json.ts'
import type { AuditRecord, Ledger } from '../ledger/index.ts'
import {
  claimIdempotencyKey, countWaiting, enqueueRelayInvocation, findRelayInvocation, guard, holdCurrentKey, insertRelayInvocation, isForeignKeyViolation,
  listEndedRelays, listRelayChunks,
  lockRelayInvocation, requestCancel,
  whileKeyChanges, type Database, type Idempotency, type RelayPlace, type RelayRow,
} from '../store/index.ts'
import { endOf, workFor } from './broker.ts'
import { detailsOf, recordOf, type Asker, type Endings } from './endings.ts'
import type { Payloads } from './payloads.ts'
import type { GroupAction } from './presence.ts'

/** A call for a group’s agents. */
export interface RelayCall {
  readonly workspaceId: WorkspaceId
  readonly environment: Environment
  readonly groupId: GroupId
  readonly connectionId: ConnectionId
  readonly versionId: VersionId
  readonly action: GroupAction
  /** JSON; with `encrypted`, a JWE that the vault can’t open. */
  readonly input: string
  readonly encrypted: boolean
  /** How long it may run; of a call that is waited for, from now to its end. */
  readonly timeoutMs: number
  /** How long it may wait for an agent; without it, no longer than it may run, and not at all when none is there. */
  readonly queueMs: number | undefined
  readonly waitedFor: boolean
  readonly idempotency: Idempotency | undefined
}

export interface Queued {
  readonly id: InvocationId
  /** A request before this one, with the same idempotency key, made it. */
  readonly replayed: boolean
}

export interface Wait {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** It has only just been queued: nothing has come of it yet. */
  readonly fresh?: boolean | undefined
}

export interface RelayQueue {
  /** Puts a call on record and into its group’s queue. Throws `agent_offline`, `concurrency_limited`, `idempotency_conflict`. */
  enqueue (call: RelayCall, asker: Asker): Promise<Queued>
  /** How it ends; the row as it is at the deadline, if it has not. */
  awaitEnd (of: RelayPlace, wait: Wait): Promise<RelayRow>
  find (of: RelayPlace): Promise<RelayRow | undefined>
  /** The output of one that has ended; null when it has none. */
  readOutput (row: RelayRow): Promise<unknown>
  /** Nobody waits for it any more: ends it if no agent has it, else its agent is told to stop. */
  cancel (of: RelayPlace, why: 'expired' | 'cancelled'): Promise<RelayRow | undefined>
  /** Finds ends that no word has come of. */
  look (): Promise<void>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'reads' | 'transaction' | 'signals'>
  readonly crypto: Pick<Crypto, 'forgetCurrentKeys'>
  readonly payloads: Payloads
  readonly endings: Endings
  readonly ledger: Pick<Ledger, 'prepare' | 'recordIn'>
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** Calls of one group that wait for an agent. */
const QUEUED_MAX = 1_000

/** The callers’ side: what is asked of agents, and what they have answered. */
export function createRelayQueue (options: Options): RelayQueue {
  const { database, payloads, endings } = options
  const find = async (of: RelayPlace) => await guard(() => findRelayInvocation(database.reads, of))
  return Object.freeze({
    enqueue: createEnqueuer(options),
    ...createWaiting(options, find),
    find,
    readOutput: async (row: RelayRow) => {
      if (row.chunks > 0) {
        const pieces = await guard(() => listRelayChunks(database.db, { workspaceId: row.workspace_id, id: row.id, claim: row.claims }))
        return parseExactly((await Promise.all(pieces.map((piece) => payloads.open(row, { claim: row.claims, number: piece.number }, piece.sealed)))).join(''))
      }
      return row.result === null ? null : parseExactly(await payloads.open(row, 'result', row.result))
    },
    cancel: async (of: RelayPlace, why: 'expired' | 'cancelled') => {
      const ended = await database.transaction(async (tx) => {
        const row = await lockRelayInvocation(tx, of)
        if (row === undefined || row.state === 'ended') return false
        if (row.state === 'claimed' || row.claims > 0) {
          if (await requestCancel(tx, of) && row.cancel_requested_at === null) await endings.note(tx, row, { event: 'invoke.cancelled', outcome: 'ok', reason: why })
          if (row.state === 'claimed') return false
        }
        await endings.end(tx, row, { outcome: row.claims > 0 ? 'timeout' : why, error: null, result: null, chunks: 0, answered: false })
        return true
      })
      if (ended) database.signals.send(endOf(of.id))
      return await find(of)
    },
  })
}

function createEnqueuer ({ database, crypto, payloads, ledger }: Options): RelayQueue['enqueue'] {
  return async (call, asker) => {
    const { workspaceId, environment, action, timeoutMs, idempotency } = call
    const queueMs = Math.min(call.queueMs ?? timeoutMs, call.waitedFor ? timeoutMs : Infinity)
    const deadlineMs = call.waitedFor ? timeoutMs : queueMs + timeoutMs
    const group = { workspaceId, id: call.groupId }
    const row = {
      workspace_id: workspaceId, id: newId('invocation'), environment, group_id: call.groupId, connection_id: call.connectionId, version_id: call.versionId,
      action: action.definition.name, effect: action.effect, encrypted: call.encrypted, run_ms: timeoutMs, asked_by: JSON.stringify(asker),
      key_hash: idempotency?.keyHash ?? null,
    }
    const about = recordOf({ ...row, asked_by: asker })
    const started: AuditRecord = { ...about, event: 'invoke.started', outcome: 'ok', details: { ...detailsOf({ ...row, agent_id: null }), timeout_ms: deadlineMs } }
    const absent = action.online === 0 && call.queueMs === undefined
    const queued = await whileKeyChanges(crypto, async (): Promise<Queued | undefined> => {
      const { sealed, keyId } = await payloads.seal(row, 'input', call.input)
      const whole = { ...row, input: sealed, input_key_id: keyId, queueMs, deadlineMs }
      if (idempotency === undefined) {
        if (absent) throw new VaultError('agent_offline', { retryAfterSeconds: 30 })
        const { held, added } = await enqueueRelayInvocation(database.reads, whole, { batch: await ledger.prepare(started), waitingMax: QUEUED_MAX })
        if (held && !added) throw crowded()
        return added ? { id: row.id, replayed: false } : undefined
      }
      return await database.transaction(async (tx) => {
        if (!await holdCurrentKey(tx, workspaceId, keyId)) return undefined
        const earlier = await claimIdempotencyKey(tx, { workspaceId, ...idempotency, resourceId: row.id, conflict: 'This key was used for another request.' })
        if (earlier !== undefined) return { id: earlier as InvocationId, replayed: true }
        if (absent) throw new VaultError('agent_offline', { retryAfterSeconds: 30 })
        if (await countWaiting(database.reads, group, QUEUED_MAX) >= QUEUED_MAX) throw crowded()
        await insertRelayInvocation(tx, whole)
        await ledger.recordIn(tx, started)
        return { id: row.id, replayed: false }
      })
    }).catch((error: unknown) => {
      // The group was deleted since the connection was read.
      throw isForeignKeyViolation(error) ? new VaultError('not_found') : error
    })
    if (!queued.replayed) database.signals.send(workFor(group))
    return queued
  }
}

function crowded (): VaultError {
  return new VaultError('concurrency_limited', { detail: `${QUEUED_MAX} calls wait for this group’s agents. Nothing was run.`, retryAfterSeconds: 5 })
}

interface Waiting {
  readonly of: RelayPlace
  wake (): void
}

/** Waits for ends: woken by a word, and looking for itself as well. */
function createWaiting ({ database, clock }: Options, find: RelayQueue['find']): Pick<RelayQueue, 'awaitEnd' | 'look'> {
  const waiting = new Map<string, Set<Waiting>>()
  const wake = (word: string): boolean => {
    for (const one of waiting.get(word) ?? []) one.wake()
    return waiting.has(word)
  }
  database.signals.listen(wake)

  const requireFound = (row: RelayRow | undefined): RelayRow => {
    if (row === undefined) throw new VaultError('invocation_running', { detail: 'It is gone.' })
    return row
  }
  return {
    awaitEnd: async (of: RelayPlace, { timeoutMs, signal, fresh = false }: Wait) => {
      const deadlineMs = clock.monotonicMs() + timeoutMs
      const word = endOf(of.id)
      const one: Waiting = { of, wake: () => {} }
      const others = waiting.get(word) ?? new Set()
      waiting.set(word, others.add(one))
      try {
        for (let look = !fresh; ; look = true) {
          // Armed before the look, so that no word falls between the two.
          const woken = new AbortController()
          one.wake = () => { woken.abort() }
          const leftMs = deadlineMs - clock.monotonicMs()
          const over = leftMs <= 0 || signal?.aborted === true
          const row = look || over ? requireFound(await find(of)) : undefined
          if (row !== undefined && (row.state === 'ended' || over)) return row
          await delay(leftMs, undefined, { signal: AbortSignal.any([woken.signal, ...signal === undefined ? [] : [signal]]) }).catch(() => undefined)
        }
      } finally {
        others.delete(one)
        if (others.size === 0) waiting.delete(word)
      }
    },
    look: async () => {
      if (waiting.size === 0) return
      const places = [...waiting.values()].flatMap((some) => [...some].slice(0, 1).map(({ of }) => of))
      for (const id of await guard(() => listEndedRelays(database.db, places))) wake(endOf(id))
    },
  }
}
