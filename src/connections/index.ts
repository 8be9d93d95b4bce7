/**
 * Connections: the life of a credential, from entry to destruction.
 *
 * Invariants
 * - A credential is sealed for its connection, version, environment and hosts before it is stored, and opened only for a use that is on record.
 * - A change and its record commit together; no transaction is open while the network is.
 * - Sandbox and live never mix; what a caller may not see does not exist.
 */
export { createConnections, type Connections } from './assemble.ts'
export type { Caller } from './caller.ts'
export type { NewConnection, NewCredential } from './create.ts'
export { describeUsable, type UsableConnection } from './credential.ts'
export type { ConnectionChanges, Of } from './edit.ts'
export { judgeUsable, requireUsable } from './guards.ts'
export type { CallSubject, RecordedCall } from './recorded-call.ts'
export { browserCaller, type ConnectRequest } from './connect-sessions.ts'
export type { Linking, Way } from './link.ts'
export { createOAuthAppKeeper, type OAuthAppKeeper, type PresentedApp } from './oauth-apps.ts'
export { PremiseFailed, type Recall, type RememberedConnection, type Rest } from './recall.ts'
export { isRenewable } from './renew.ts'
export type { LinkEnd, LinkStep } from './settle-link.ts'
export type { Resolved, ResolvedOne, ResolveRequest } from './resolve.ts'
export { CONNECTION_COLUMNS } from './sealed.ts'
export type { TestResult } from './test.ts'
export { presentConnection } from './view.ts'
export { describeShared, isShared } from './warnings.ts'
