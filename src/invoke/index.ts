/**
 * Invoke: run an action for a caller, without handing out the credential.
 *
 * Invariants
 * - Guards come in one order: environment, state, action, input, host, credential; the first that fails answers.
 * - `invoke.started` is on disk before a byte leaves, `invoke.finished` before the answer does.
 * - An unsafe call is sent once; when its end is not known, that is what the caller is told.
 */
export type { Effect, Invocation } from './outcome.ts'
export { createRunner as createInvoke, type ActionUse, type RawUse, type RunResult, type Runner as Invoke } from './run.ts'
