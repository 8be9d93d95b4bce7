import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Caller, UsableConnection } from '../connections/index.ts'
import { sha256, type Crypto } from '../crypto/index.ts'
import { isVaultError, TURNED_AWAY, VaultError, type ErrorCode } from '../errors.ts'
import { newId, type InvocationId } from '../ids.ts'
import { canonicalJson } from '../json.ts'
import type { Ledger, UseContext } from '../ledger/index.ts'
import type { Log } from '../log.ts'
import {
  claimInvocation, guard, releaseInvocation, renewInvocation, wasStarted, type Database, type EarlierInvocation, type InvocationClaim,
} from '../store/index.ts'
import { createEndings, type Ending } from './endings.ts'
import type { Effect, Invocation } from './outcome.ts'

/** A call that is to be made at most once under its key. */
export interface KeyedCall {
  readonly key: string
  readonly connection: UsableConnection
  readonly effect: Effect
  /** Whether making it again is the same as making it once. */
  readonly repeatable: boolean
  /** All that makes it this call and no other. */
  readonly meant: unknown
  readonly context: UseContext | undefined
  /** Also how long it waits for another with the same key. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

export interface Once {
  /**
   * Makes the call, or answers what it came to when it was made before with this key. Throws
   * `idempotency_conflict` when the key was used for something else, `invocation_running` when
   * the other one does not end in time, `outcome_unknown` when its process died after it began.
   */
  run (call: KeyedCall, caller: Caller, make: (invocationId: InvocationId) => Promise<Invocation>): Promise<Invocation>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly crypto: Pick<Crypto, 'sealPayload' | 'openPayload' | 'macs' | 'forgetCurrentKeys'>
  readonly ledger: Pick<Ledger, 'record'>
  readonly clock: Clock
  readonly log: Log
}

/** A process that has not renewed its claim for this long is dead or paused. */
const LEASE_MS = 10_000
const RENEW_MS = 3_000
const POLL_MS = { first: 20, most: 500 }

export function createOnce (options: Options): Once {
  const { database, crypto, ledger, clock, log } = options
  const endings = createEndings(options)
  const makeClaimed = createClaimedMaker(options, endings)

  const replay = async (claim: InvocationClaim, earlier: EarlierInvocation, { call, caller }: { call: KeyedCall, caller: Caller }): Promise<Invocation> => {
    const ending = await endings.open(claim.workspaceId, earlier)
    const { row } = call.connection
    await ledger.record({
      event: 'invoke.replayed', outcome: 'ok', principal: caller.principal, workspaceId: row.workspace_id, environment: row.environment, connectionId: row.id,
      versionId: row.version_id, invocationId: earlier.resourceId as InvocationId, requestId: caller.requestId, context: call.context,
    })
    if ('invocation' in ending) return { ...ending.invocation, replayed: true }
    const { code, detail, meta } = ending.problem
    throw new VaultError(code, { ...detail !== undefined && { detail }, meta: { ...meta, replayed: true } })
  }

  /** It died before its record was written, and so before a byte left: nothing to be in doubt of. */
  const neverBegan = async ({ row }: UsableConnection, { resourceId, claimedAt }: EarlierInvocation): Promise<boolean> =>
    !await guard(() => wasStarted(database.db, { workspaceId: row.workspace_id, connectionId: row.id, invocationId: resourceId, since: claimedAt }))

  return Object.freeze({
    run: async (call: KeyedCall, caller: Caller, make: (invocationId: InvocationId) => Promise<Invocation>) => {
      const { row } = call.connection
      const fingerprint = await crypto.macs.fingerprint(canonicalJson(call.meant))
      const claim = { workspaceId: row.workspace_id, keyHash: sha256(call.key), fingerprint, invocationId: newId('invocation'), leaseMs: LEASE_MS }
      const deadlineMs = clock.monotonicMs() + call.timeoutMs
      let fromTheDead = call.effect !== 'unsafe'
      for (let waitMs = POLL_MS.first; ; waitMs = Math.min(waitMs * 2, POLL_MS.most)) {
        const earlier = await guard(() => claimInvocation(database.db, claim, { fromTheDead }))
        if (earlier === undefined) return await makeClaimed(claim, call, () => make(claim.invocationId))
        if (!fingerprint.matches(earlier.fingerprint)) throw new VaultError('idempotency_conflict', { detail: 'This key was used for another request.' })
        if (earlier.result !== undefined) return await replay(claim, earlier, { call, caller })
        if (earlier.state === 'ended' && !fromTheDead) {
          fromTheDead = await neverBegan(call.connection, earlier)
          if (!fromTheDead) throw lost(earlier)
          continue
        }
        caller.stepAside?.()
        if (clock.monotonicMs() + waitMs > deadlineMs || !await pause(waitMs, call.signal)) {
          throw new VaultError('invocation_running', { meta: { invocation_id: earlier.resourceId }, retryAfterSeconds: 1 })
        }
      }
    },
  })

  function lost (earlier: EarlierInvocation): VaultError {
    log.warn({ invocation_id: earlier.resourceId }, 'an idempotent invocation is asked for whose process ended without a result')
    return new VaultError('outcome_unknown', { detail: 'The process that made this call ended before it could say what became of it.', meta: { invocation_id: earlier.resourceId } })
  }
}

type ClaimedMaker = (claim: InvocationClaim, call: KeyedCall, make: () => Promise<Invocation>) => Promise<Invocation>

/** Makes a call while showing that it is under way, and keeps what it came to. */
function createClaimedMaker ({ database, log }: Pick<Options, 'database' | 'log'>, endings: ReturnType<typeof createEndings>): ClaimedMaker {
  /** Whatever goes wrong here, the caller has its answer: a repeat finds a claim that ended without a result. */
  const settle = async (claim: InvocationClaim, call: KeyedCall, ending: Ending | undefined): Promise<void> => {
    try {
      if (ending === undefined) await guard(() => releaseInvocation(database.db, claim))
      else if (!await endings.keep(claim, call.connection, ending)) await settle(claim, call, call.effect === 'unsafe' ? { problem: TOO_LARGE(claim) } : undefined)
    } catch (error) {
      log.warn({ err: error, invocation_id: claim.invocationId }, 'the end of an idempotent invocation could not be kept')
    }
  }
  return async (claim, call, make) => {
    const renewal = setInterval(() => {
      renewInvocation(database.db, claim).catch((error: unknown) => {
        log.warn({ err: error, invocation_id: claim.invocationId }, 'an invocation’s claim could not be renewed')
      })
    }, RENEW_MS)
    try {
      const invocation = await make()
      await settle(claim, call, isFinal(invocation, call) ? { invocation } : undefined)
      return invocation
    } catch (error) {
      const lasting = call.effect === 'unsafe' && isVaultError(error) && LASTING.includes(error.code)
      await settle(claim, call, lasting ? { problem: { code: error.code, detail: error.details.detail, meta: error.details.meta } } : undefined)
      throw error
    } finally {
      clearInterval(renewal)
    }
  }
}

/** What is told of an answer that was given once: it was carried out, and is not for a second time. */
const TOO_LARGE = ({ invocationId }: InvocationClaim) => ({
  code: 'response_too_large' as const, detail: 'The first answer under this key was given, and is too large (over 1 MB) to be given again.', meta: { invocation_id: invocationId },
})

/** Problems that say something of a call that was sent; any other leaves the key free for a repeat. */
const LASTING: readonly ErrorCode[] = ['outcome_unknown', 'response_too_large']

/** Whether a repeat gets this answer again instead of making the call anew. */
function isFinal ({ error }: Invocation, { repeatable }: KeyedCall): boolean {
  if (error === undefined) return true
  return !TURNED_AWAY.includes(error.class) && !(repeatable && error.class === 'provider_unavailable')
}

/** False when the caller went away meanwhile. */
async function pause (ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  return await delay(ms, true, { ...signal && { signal } }).catch(() => false)
}
