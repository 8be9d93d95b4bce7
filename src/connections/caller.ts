import type { Environment } from '../ids.ts'
import type { AuditPrincipal } from '../ledger/index.ts'

/** On whose behalf something is done, as the audit and `created_by` have it. */
export interface Caller {
  readonly principal: AuditPrincipal
  /** The person named by the dashboard, else the token. */
  readonly by: string
  /** What lies outside these does not exist for the caller. */
  readonly environments: readonly Environment[]
  readonly requestId: string | undefined
}
