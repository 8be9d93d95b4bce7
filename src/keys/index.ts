/**
 * Keys: their life after they are made. Rotation, re-wrapping, the sweep, retirement, destruction, inspection.
 *
 * Invariants
 * - One register names every sealed column; whatever walks sealed values walks all of it.
 * - Plaintext never comes here: values are sealed again, or found intact, inside `crypto`.
 * - Nothing waits for a sweep: rows stay readable under the old key until they are under the new one.
 * - A key ends only when, with its row locked, no row needs it; its bytes go a minute later, after another count.
 */
export { createKeys, type Keys } from './assemble.ts'
export type { Certificate } from './destroy.ts'
export { createInspector, type ColumnReport, type Inspection } from './inspect.ts'
export { createOverview, type KeyOverview } from './overview.ts'
export type { Retirement } from './retire.ts'
export type { KeyCaller } from './rotate.ts'
