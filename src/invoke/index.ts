/**
 * Invoke: run an action for a caller, without handing out the credential.
 *
 * Invariants
 * - Guards come in one order: environment, state, action, input, host, idempotency, credential; the first that fails answers.
 * - `invoke.started` is on disk before a byte leaves, `invoke.finished` before the answer does.
 * - An unsafe call that may have been carried out is never made again; when its end is not known, that is what the caller is told.
 * - Under one idempotency key a call is made once; what it came to is kept sealed.
 */
export { createInvoke, type Invoke } from './assemble.ts'
export { RESULT_COLUMN } from './endings.ts'
export type { Effect, Invocation } from './outcome.ts'
export type { Accepted, InvocationStatus } from './by-relay.ts'
export type { RunResult } from './run.ts'
export type { StoreAs, TakenOutput } from './store-output.ts'
export type { ActionUse, RawUse } from './use.ts'
