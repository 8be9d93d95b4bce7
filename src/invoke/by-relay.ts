import type { Caller, UsableConnection } from '../connections/index.ts'
import { sha256, type Crypto } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { Environment, GroupId, InvocationId, WorkspaceId } from '../ids.ts'
import { canonicalJson } from '../json.ts'
import type { Ledger } from '../ledger/index.ts'
import type { GroupAction, Relay } from '../relay/index.ts'
import type { RelayRow } from '../store/index.ts'
import { requireAllowed } from './guards.ts'
import type { Effect, Invocation } from './outcome.ts'
import type { ActionUse } from './use.ts'

/** A call that goes on without its caller. */
export interface Accepted {
  readonly invocation_id: InvocationId
  readonly state: 'queued'
  readonly status_url: string
  readonly replayed: boolean
}

/** What would be given to an agent. */
export interface RelayDryRun {
  readonly dry_run: true
  readonly relay: {
    readonly group_id: GroupId
    readonly action: string
    readonly effect: Effect
    readonly agents: number
    readonly agents_online: number
    readonly input: unknown
  }
}

export type Relayed = Invocation | Accepted | RelayDryRun

/** Where a relayed invocation is, for whoever asks later. */
export interface InvocationStatus {
  readonly invocation_id: InvocationId
  readonly connection_id: string
  readonly environment: Environment
  readonly action: string
  readonly state: 'queued' | 'running' | 'ended'
  readonly cancel_requested: boolean
  readonly created_at: string
  readonly ended_at: string | null
  readonly result: Invocation | null
  /** Why there is no result. */
  readonly problem: { readonly code: string, readonly detail: string } | null
}

interface Of {
  readonly workspaceId: WorkspaceId
  readonly id: InvocationId
}

export interface RelayRunner {
  /** Runs an action of the connection's group. Throws what the contract lists for invoke. */
  invoke (connection: UsableConnection, use: ActionUse & { timeoutMs?: number | undefined }, caller: Caller): Promise<Relayed>
  /** Throws `not_found`; invocations are known for 24 hours after their end. */
  status (of: Of, caller: Caller): Promise<InvocationStatus>
  /** Ends it if no agent has it, else its agent is told to stop. Throws `not_found`. */
  cancel (of: Of, caller: Caller): Promise<InvocationStatus>
}

interface Options {
  readonly relay: Pick<Relay, 'queue' | 'presence'>
  readonly crypto: Pick<Crypto, 'macs'>
  readonly ledger: Pick<Ledger, 'record'>
}

type RelayUse = Parameters<RelayRunner['invoke']>[1]

const TIMEOUT_MS = 30_000

export function createRelayRunner (options: Options): RelayRunner {
  const { relay: { queue, presence } } = options

  const present = async (row: RelayRow, replayed: boolean): Promise<Invocation> => {
    const { outcome, error, claims } = row
    if (outcome !== 'succeeded' && outcome !== 'failed') throw describeAbsence(row)
    return {
      invocation_id: row.id, outcome, provider: null, output: await queue.readOutput(row),
      ...error !== null && { error: error as NonNullable<Invocation['error']> },
      attempts: claims, duration_ms: (row.ended_at ?? row.created_at).getTime() - row.created_at.getTime(), replayed,
      ...row.agent_id !== null && { agent_id: row.agent_id },
    }
  }
  const enqueue = createEnqueuer(options)
  const describe = async (row: RelayRow): Promise<InvocationStatus> => {
    const absence = row.state === 'ended' && row.outcome !== 'succeeded' && row.outcome !== 'failed' ? describeAbsence(row) : undefined
    return {
      invocation_id: row.id, connection_id: row.connection_id, environment: row.environment, action: row.action, state: row.state === 'claimed' ? 'running' : row.state,
      cancel_requested: row.cancel_requested_at !== null, created_at: row.created_at.toISOString(), ended_at: row.ended_at?.toISOString() ?? null,
      result: row.state === 'ended' && absence === undefined ? await present(row, false) : null,
      problem: absence === undefined ? null : { code: absence.code, detail: absence.message },
    }
  }
  const find = async (of: Of, caller: Caller): Promise<RelayRow> => {
    const row = await queue.find(of)
    if (row === undefined || !caller.environments.includes(row.environment)) throw new VaultError('not_found')
    return row
  }

  return Object.freeze({
    invoke: async (connection: UsableConnection, use: RelayUse, caller: Caller) => {
      const action = await prepare(presence, connection, use)
      const { timeoutMs = TIMEOUT_MS, signal, later } = use
      if (use.dryRun === true) return describeDryRun(connection, { action, use })
      const { id, replayed } = await enqueue(connection, { use: { ...use, timeoutMs }, action }, caller)
      if (later === true) return { invocation_id: id, state: 'queued' as const, status_url: `/v1/workspaces/${use.workspaceId}/invocations/${id}`, replayed }
      const of = { workspaceId: use.workspaceId, id }
      caller.stepAside?.()
      // Only a read may be given up when its caller goes: anything else is seen through to its end.
      const row = await queue.awaitEnd(of, { timeoutMs, signal: action.effect === 'read' ? signal : undefined, fresh: !replayed })
      if (row.state === 'ended') return await present(row, replayed)
      if (replayed) throw new VaultError('invocation_running', { meta: { invocation_id: id }, retryAfterSeconds: 1 })
      const given = await queue.cancel(of, signal?.aborted === true ? 'cancelled' : 'expired')
      if (given?.state === 'ended') return await present(given, false)
      throw silence(given ?? row)
    },
    status: async (of: Of, caller: Caller) => await describe(await find(of, caller)),
    cancel: async (of: Of, caller: Caller) => {
      await find(of, caller)
      const row = await queue.cancel(of, 'cancelled')
      if (row === undefined) throw new VaultError('not_found')
      return await describe(row)
    },
  })
}

/** The guards, in their order: action, then input. */
async function prepare (presence: Relay['presence'], connection: UsableConnection, use: RelayUse): Promise<GroupAction> {
  const group = groupOf(connection)
  const known = await presence.findAction(group, use.action)
  const names = known === undefined ? await presence.listNames(group) : []
  if (names.length > 0) throw new VaultError('action_unknown', { detail: `No agent of the group runs it. They run: ${names.slice(0, 50).join(', ')}.` })
  const action = known ?? describeAwaited(use.action)
  requireAllowed(connection, { definition: { name: use.action } })
  if (use.revision !== undefined) throw new VaultError('revision_unknown', { detail: 'Actions of agents have no revisions: leave `revision` out.' })
  if (use.storeAs !== undefined) throw new VaultError('input_invalid', { errors: [{ pointer: '/store_as', message: 'does not go with this action' }] })
  const errors = use.encryptedInput === undefined ? action.check(use.input) : []
  if (errors.length > 0) throw new VaultError('input_invalid', { errors })
  return action
}

/**
 * An action of a group that has no agents, as between one and the next: whether there will be such an action nobody can say, nor what
 * repeating it comes to. Its input is checked by the agent that takes it.
 */
function describeAwaited (name: string): GroupAction {
  return { definition: { name, effect: 'unsafe', input: {} }, effect: 'unsafe', agents: 0, online: 0, check: () => [] }
}

interface Prepared {
  readonly use: RelayUse & { readonly timeoutMs: number }
  readonly action: GroupAction
}

function createEnqueuer ({ relay: { queue }, crypto, ledger }: Options) {
  return async (connection: UsableConnection, { use, action }: Prepared, caller: Caller) => {
    const { row } = connection
    const { context, encryptedInput: encrypted, idempotencyKey: key } = use
    const what = encrypted === undefined ? { input: use.input } : { digest: encrypted.digest }
    const meant = { action: use.action, connection: row.id, later: use.later === true, ...what }
    const queued = await queue.enqueue({
      workspaceId: row.workspace_id, environment: row.environment, groupId: groupOf(connection).id, connectionId: row.id, versionId: row.version_id, action,
      input: JSON.stringify(encrypted === undefined ? use.input : encrypted.jwe), encrypted: encrypted !== undefined, timeoutMs: use.timeoutMs,
      queueMs: use.queueSeconds === undefined ? undefined : use.queueSeconds * 1_000, waitedFor: use.later !== true,
      idempotency: key === undefined ? undefined : { keyHash: sha256(key), fingerprint: await crypto.macs.fingerprint(canonicalJson(meant)) },
    }, { principal: caller.principal, requestId: caller.requestId, context })
    if (queued.replayed) {
      await ledger.record({
        event: 'invoke.replayed', outcome: 'ok', principal: caller.principal, workspaceId: row.workspace_id, environment: row.environment, connectionId: row.id,
        versionId: row.version_id, invocationId: queued.id, requestId: caller.requestId, context,
      })
    }
    return queued
  }
}

function groupOf ({ row }: UsableConnection): { workspaceId: WorkspaceId, id: GroupId } {
  return { workspaceId: row.workspace_id, id: row.host_config['group'] as GroupId }
}

function describeDryRun (connection: UsableConnection, { action, use }: { action: GroupAction, use: RelayUse }): RelayDryRun {
  const { effect, agents, online } = action
  const input = use.encryptedInput === undefined ? use.input : '[encrypted]'
  return { dry_run: true, relay: { group_id: groupOf(connection).id, action: use.action, effect, agents, agents_online: online, input } }
}

/** The deadline is past and an agent still has it. */
function silence ({ id, effect }: RelayRow): VaultError {
  const meta = { invocation_id: id }
  return effect === 'unsafe'
    ? new VaultError('outcome_unknown', { detail: 'The agent that runs it has not answered in time. What comes of it can be read from its invocation.', meta })
    : new VaultError('upstream_timeout', { detail: 'The agent that runs it has not answered in time.', meta })
}

/** Why a call has ended without an answer. */
function describeAbsence ({ id, outcome, answered, error }: RelayRow): VaultError {
  const meta = { invocation_id: id }
  const revoked = error !== null && 'class' in error && error.class === 'agent_revoked'
  switch (outcome) {
    case 'cancelled': return new VaultError('invocation_cancelled', { meta })
    case 'expired': return new VaultError('agent_offline', { detail: 'No agent took the call in time. Nothing was run.', meta, retryAfterSeconds: 5 })
    case 'timeout': return new VaultError('upstream_timeout', { detail: revoked ? 'The agent that had it was revoked.' : 'The agent that had it fell silent, or was stopped.', meta })
    default: return new VaultError('outcome_unknown', { detail: answered ? 'The agent was broken off where it can’t tell whether it was done.' : `The agent that had it ${revoked ? 'was revoked' : 'fell silent'}. Check before you repeat it.`, meta })
  }
}
