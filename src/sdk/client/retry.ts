import type { OperationName } from './calls.ts'
import { BAD_PORT, type Outcome } from './exchange.ts'
import { OPERATIONS, type ErrorCode } from './operations.ts'

/** POSTs that take no key have to say whether twice is the same as once. */
type BarePost = { [Name in OperationName]: (typeof OPERATIONS)[Name] extends { readonly method: 'POST' } ? (typeof OPERATIONS)[Name] extends { readonly key: true } ? never : Name : never }[OperationName]

const TWICE_AS_ONCE: Readonly<Record<BarePost, boolean>> = {
  resolveConnection: true,
  resolveConnections: true,
  disableConnection: true,
  enableConnection: true,
  testConnection: true,
  cancelInvocation: true,
  previewOpenapi: true,
  // A second one would go further back, replace the replaced, or send again.
  rollbackConnection: false,
  refreshConnection: false,
  rotateWebhookSecret: false,
  testWebhook: false,
  replayWebhook: false,
  rotateKeys: false,
  sweepKeys: false,
  retireKeys: false,
}

interface Sent {
  readonly input: Readonly<Record<string, unknown>>
  readonly key: string | undefined
  readonly etag: string | undefined
}

/**
 * Whether a request that may have arrived may be sent again. With If-Match it may not: the second
 * would be refused because of the first.
 */
export function isRepeatable (name: OperationName, sent: Sent): boolean {
  const { method } = OPERATIONS[name]
  if (sent.etag !== undefined) return false
  if (sent.key !== undefined) return true
  // The first ends by itself, and nobody has it.
  if (name === 'createEnrolmentCode') return true
  if (name === 'invokeAction') return sent.input['dry_run'] === true
  // The method of the call to the provider.
  if (name === 'sendRequest') return sent.input['dry_run'] === true || ['GET', 'HEAD', 'PUT', 'DELETE'].includes(String(sent.input['method']))
  if (method === 'POST') return name in TWICE_AS_ONCE && TWICE_AS_ONCE[name as BarePost]
  return method !== 'PATCH'
}

/** Said before anything is done, so that anything may be sent again. */
const TURNED_AWAY: ReadonlySet<string> = new Set<ErrorCode>(['rate_limited', 'concurrency_limited', 'overloaded', 'shutting_down', 'issuer_unavailable'])
/** Pass soon. What a provider or an agent failed at is for the caller: the vault has tried it again already. */
const PASSING: ReadonlySet<string> = new Set<ErrorCode>(['database_unavailable', 'kek_unavailable', 'refresh_failed', 'invocation_running'])
/** Of gateways. */
const PASSING_STATUS: ReadonlySet<number> = new Set([408, 429, 502, 503, 504])

/** Whether the client itself sends it again. */
export function judgeRetry (outcome: Outcome, repeatable: boolean): boolean {
  switch (outcome.kind) {
    case 'answer': return false
    case 'timeout': return repeatable
    case 'problem': return TURNED_AWAY.has(outcome.problem.code) || (repeatable && PASSING.has(outcome.problem.code))
    case 'failure': return (outcome.reason === 'unreachable' && outcome.code !== BAD_PORT) ||
      (repeatable && (outcome.reason === 'broken' || (outcome.reason === 'not_the_vault' && PASSING_STATUS.has(outcome.status ?? 0))))
  }
}

const BACKOFF_MS = { first: 100, most: 2_000 }

/** Full jitter, after what the vault asks for: callers that lost it together do not come back together. */
export function chooseWait (attempt: number, retryAfterMs: number | undefined): number {
  return (retryAfterMs ?? 0) + Math.random() * Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** (attempt - 1))
}

/** Throws the signal’s reason when it ends. */
export async function pause (waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted()
  let wake = () => {}
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, waitMs)
    wake = () => { clearTimeout(timer); resolve() }
    signal?.addEventListener('abort', wake, { once: true })
  })
  signal?.removeEventListener('abort', wake)
  signal?.throwIfAborted()
}
