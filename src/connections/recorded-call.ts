import { setTimeout as delay } from 'node:timers/promises'
import type { BuiltRequest, CallCredential, CallResult, Calls } from '../calls/index.ts'
import type { Integration } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import { VaultError } from '../errors.ts'
import type { ConnectionId, Environment, InvocationId, VersionId, WorkspaceId } from '../ids.ts'
import type { AuditOutcome, AuditRecord, Ledger, UseContext } from '../ledger/index.ts'
import type { Caller } from './caller.ts'
import { PremiseFailed, type Rest } from './recall.ts'
import { ATTEMPT_MIN_MS, isDoubtful, judgeRetry, settle } from './retry.ts'

/** A call that is about to be made, as the record names it. */
export interface CallSubject {
  readonly invocationId: InvocationId
  readonly workspaceId: WorkspaceId
  readonly environment: Environment
  readonly connectionId: ConnectionId
  readonly versionId: VersionId
  readonly integration: Integration
  /** The action's name; `(test)` and `(request)` for calls that are none. */
  readonly action: string
  readonly effect: 'read' | 'idempotent' | 'unsafe'
  readonly context?: UseContext | undefined
}

export interface OutgoingCall {
  readonly built: BuiltRequest
  readonly credential: CallCredential
  /** For all attempts together. */
  readonly timeoutMs: number
  /** Whether it may be made again after it may have been carried out. */
  readonly repeatable: boolean
  /** Ends the call early. */
  readonly signal?: AbortSignal | undefined
  /** What the call rests on, if on anything; set to `held` once its first record is on disk. */
  readonly rest?: Rest | undefined
  /** Ends the waiting for a turn, before anything is on record or sent. */
  readonly queueSignal?: AbortSignal | undefined
}

interface TimedCall {
  readonly request: OutgoingCall
  readonly deadlineMs: number
}

export interface RecordedCall {
  /** Of the last attempt, in the light of those before it. */
  readonly result: CallResult
  readonly attempts: number
  readonly durationMs: number
}

export interface RecordedCalls {
  /**
   * Makes one call, again where that is safe, with its two records: `invoke.started` is on disk
   * before the first byte leaves, `invoke.finished` before the result is given back.
   *
   * Throws `concurrency_limited` when its turn does not come (nothing was sent), `database_unavailable` or `overloaded` when the first can't be written or too many wait (nothing was
   * sent), `PremiseFailed` when what it rests on is not so any more (nothing was sent), and `outcome_unknown` when the second can't be after an unsafe call.
   */
  make (subject: CallSubject, request: OutgoingCall, caller: Caller): Promise<RecordedCall>
}

export function createRecordedCalls (options: { calls: Calls, ledger: Pick<Ledger, 'record' | 'recordIf'>, clock: Clock, maxResponseBytes: number }): RecordedCalls {
  const { calls, ledger, clock, maxResponseBytes } = options

  /** Until it ends in a way that another attempt would not mend, or its time is over. */
  const attempt = async ({ workspaceId, integration, effect }: CallSubject, request: OutgoingCall, deadlineMs: number): Promise<Pick<RecordedCall, 'result' | 'attempts'>> => {
    const { built, credential, repeatable, signal } = request
    let doubtful = false
    for (let attempts = 1; ; attempts++) {
      const limits = { timeoutMs: Math.max(1, Math.ceil(deadlineMs - clock.monotonicMs())), maxResponseBytes, ...signal && { signal } }
      const result = await calls.call({ workspaceId, manifest: integration.manifest, built, credential }, limits)
      const waitMs = judgeRetry(result, { repeatable, attempts, remainingMs: deadlineMs - clock.monotonicMs(), now: clock.now(), jitter: Math.random() })
      if (waitMs === undefined || !await pause(waitMs, signal)) return { result: settle(result, { doubtful, unsafe: effect === 'unsafe' }), attempts }
      doubtful ||= isDoubtful(result)
    }
  }

  const makeNow = async (subject: CallSubject, { request, deadlineMs }: TimedCall, caller: Caller): Promise<RecordedCall> => {
    const { host } = request.built.url
    await begin(ledger, recordStart(subject, { host, timeoutMs: request.timeoutMs }, caller), request.rest)
    const startedMs = clock.monotonicMs()
    const { result, attempts } = await attempt(subject, request, deadlineMs)
    const durationMs = Math.round(clock.monotonicMs() - startedMs)
    try {
      await ledger.record(recordEnd(subject, { host, result, attempts, durationMs }, caller))
    } catch (error) {
      if (subject.effect === 'unsafe' && (result.kind === 'answered' || result.maybeSent)) {
        throw new VaultError('outcome_unknown', { detail: 'The call was made, but its end could not be put on record.', meta: { invocation_id: subject.invocationId }, cause: error })
      }
      throw error
    }
    return { result, attempts, durationMs }
  }

  return Object.freeze({
    make: async (subject: CallSubject, request: OutgoingCall, caller: Caller) => {
      const deadlineMs = clock.monotonicMs() + request.timeoutMs
      caller.stepAside?.()
      const leave = await calls.takeTurn({
        workspaceId: subject.workspaceId, connectionId: subject.connectionId, origin: request.built.url.origin,
        perConnection: subject.integration.manifest.conventions.concurrency,
        timeoutMs: Math.max(0, request.timeoutMs - ATTEMPT_MIN_MS), signal: request.queueSignal,
      })
      if (leave === undefined) {
        throw new VaultError('concurrency_limited', { detail: 'Too many calls of this connection, or to its provider’s host, are under way. Nothing was sent.', retryAfterSeconds: 1 })
      }
      try {
        return await makeNow(subject, { request, deadlineMs }, caller)
      } finally {
        leave()
      }
    },
  })
}

async function begin (ledger: Pick<Ledger, 'record' | 'recordIf'>, started: AuditRecord, rest: Rest | undefined): Promise<void> {
  if (rest === undefined) {
    await ledger.record(started)
    return
  }
  if (!await ledger.recordIf(started, rest.premise)) throw new PremiseFailed()
  rest.held = true
}

/** False when the caller went away meanwhile. */
async function pause (ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  return await delay(ms, true, { ...signal && { signal } }).catch(() => false)
}

/** Whose call it is, in both of its records. */
function recordSubject ({ workspaceId, environment, connectionId, versionId, invocationId, context }: CallSubject, { principal, requestId }: Caller) {
  return { principal, workspaceId, environment, connectionId, versionId, invocationId, requestId, context }
}

function recordStart (subject: CallSubject, { host, timeoutMs }: { host: string, timeoutMs: number }, caller: Caller): AuditRecord {
  return {
    ...recordSubject(subject, caller),
    event: 'invoke.started',
    outcome: 'ok',
    // What recovers lost invocations reads their deadline from here.
    details: { action: subject.action, effect: subject.effect, host, integration: subject.integration.manifest.id, timeout_ms: timeoutMs },
  }
}

function recordEnd (subject: CallSubject, { host, result, attempts, durationMs }: RecordedCall & { host: string }, caller: Caller): AuditRecord {
  const answer = result.kind === 'answered' ? result.response : undefined
  return {
    ...recordSubject(subject, caller),
    event: 'invoke.finished',
    outcome: judgeEnd(result, subject.effect),
    reason: result.kind === 'answered' ? result.response.error?.class : result.kind,
    details: {
      action: subject.action, attempts, duration_ms: durationMs, effect: subject.effect, host, integration: subject.integration.manifest.id,
      provider_request_id: answer?.requestId, status: result.kind === 'answered' ? result.response.status : result.status ?? null,
    },
  }
}

function judgeEnd (result: CallResult, effect: CallSubject['effect']): AuditOutcome {
  if (result.kind === 'answered') return result.response.error === undefined ? 'ok' : 'failed'
  return effect === 'unsafe' && result.maybeSent && result.kind !== 'too_large' ? 'unknown' : 'failed'
}
