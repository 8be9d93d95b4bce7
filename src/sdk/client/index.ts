/**
 * A client of the vault’s API, for Node 20.3 and newer and for any runtime that has `fetch`.
 *
 * Invariants
 * - What it takes and answers are types of the contract, generated and never written by hand.
 * - Nothing is sent twice unless twice is the same as once, or the vault has said that nothing was done.
 * - No credential is kept, and neither a token nor an input or answer is in an error.
 * - Nothing of Node’s own is imported.
 */
export type { Answer, CallOptions, Input, Item, ListName, OperationName, Operations, OptionsOf } from './calls.ts'
export type { components } from './contract.ts'
export { createClient, type Accepted, type Client, type Credential, type DryRun, type Invocation, type InvocationStatus, type Resolved } from './create-client.ts'
export type { ClientOptions, RequestEvent } from './create-caller.ts'
export { VaultApiError, VaultConnectionError, VaultError, VaultTimeoutError, type ConnectionFailure, type FieldError } from './errors.ts'
export type { Fetch, FetchAnswer, FetchInit } from './exchange.ts'
export type { ErrorCode } from './operations.ts'
