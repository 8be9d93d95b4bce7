/**
 * The HTTP surface: three listeners, one error shape, no rule of the domain.
 *
 * Invariants
 * - Every route of the internal listener has a row in the route table, and its caller is known and allowed before its body is read.
 * - The inside is not reachable from outside: a route of one listener does not exist on the others.
 * - What leaves is described by the contract; what a caller may not see looks like what does not exist.
 */
export { openListeners, type HttpOptions, type Listeners } from './listeners.ts'
export type { ReadinessCheck } from './operations.ts'
export type { RefusalRecorder } from './refusals.ts'
export { presentKeys } from './routes/keys.ts'
export { enteredApp } from './routes/oauth-apps.ts'
export { ROUTE_TABLE, type RouteAccess } from './route-table.ts'
