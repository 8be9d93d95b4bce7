import type { CallResult, ShapedResponse } from '../calls/index.ts'
import type { ErrorClass } from '../catalog/index.ts'
import { VaultError } from '../errors.ts'
import type { ConnectionId, InvocationId } from '../ids.ts'

/** What became of an action that the provider answered. */
export interface Invocation {
  readonly invocation_id: InvocationId
  readonly outcome: 'succeeded' | 'failed'
  /** Null where no provider was called by the vault: agents make calls of their own. */
  readonly provider: { readonly status: number, readonly headers: Readonly<Record<string, string>>, readonly request_id: string | null } | null
  readonly output: unknown
  readonly error?: { readonly class: ErrorClass | 'action_failed', readonly message: string }
  readonly attempts: number
  readonly duration_ms: number
  readonly replayed: boolean
  /** Who ran it, of a private connection’s group. */
  readonly agent_id?: string
  /** The connection that the credential in the output has become. */
  readonly stored?: { readonly connection_id: ConnectionId, readonly name: string }
  readonly store_error?: { readonly code: string, readonly message: string }
}

export type Effect = 'read' | 'idempotent' | 'unsafe'

/**
 * The provider's answer, or a throw for its absence. An unsafe call whose bytes may have left is
 * never called failed: `outcome_unknown` sends the caller to look before it repeats.
 */
export function judgeOutcome (result: CallResult, of: { effect: Effect, invocationId: InvocationId, attempts: number, durationMs: number }): Invocation {
  if (result.kind === 'answered') return describeAnswer(result.response, of)
  const meta = { invocation_id: of.invocationId }
  const { detail, maybeSent } = result
  if (of.effect === 'unsafe' && maybeSent && result.kind !== 'too_large') throw new VaultError('outcome_unknown', { detail, meta })
  switch (result.kind) {
    case 'blocked': throw new VaultError('egress_blocked', { detail, meta })
    case 'too_large': throw new VaultError('response_too_large', { detail, meta: { ...meta, provider_status: result.status ?? null } })
    case 'unreachable': case 'interrupted': case 'timeout': case 'cancelled': break
  }
  throw new VaultError(result.kind === 'timeout' && maybeSent ? 'upstream_timeout' : 'upstream_unreachable', { detail, meta })
}

function describeAnswer (response: ShapedResponse, of: { invocationId: InvocationId, attempts: number, durationMs: number }): Invocation {
  return {
    invocation_id: of.invocationId,
    outcome: response.error === undefined ? 'succeeded' : 'failed',
    provider: { status: response.status, headers: response.headers, request_id: response.requestId },
    output: response.output,
    ...response.error && { error: response.error },
    attempts: of.attempts,
    duration_ms: of.durationMs,
    replayed: false,
  }
}
