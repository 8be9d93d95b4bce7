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
  /**
   * Gives up the caller's place among the requests at work: said before a wait for somebody outside, so that what a
   * slow provider holds up is not everybody's. Throws `overloaded` when too many wait like that. Absent where nobody waits.
   */
  readonly stepAside?: (() => void) | undefined
}
