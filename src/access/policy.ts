import { VaultError } from '../errors.ts'
import type { WorkspaceId } from '../ids.ts'
import { seesEverything, seesWorkspace, type Principal, type Scope } from './principal.ts'

/** What a route asks of its caller. */
export interface Permission {
  readonly scope: Scope
  /** The workspace in the path; undefined for what concerns all tenants. */
  readonly workspaceId: WorkspaceId | undefined
  /** Readable by any caller with the scope, whatever its workspaces (the catalog). */
  readonly shared?: boolean
}

/**
 * Throws `insufficient_scope` where the scope is missing, and `not_found`, as for a missing
 * object, where the workspace is not the caller's.
 */
export function requirePermission (principal: Principal, permission: Permission): void {
  if (!principal.scopes.has(permission.scope)) {
    throw new VaultError('insufficient_scope', { detail: `This needs the scope ${permission.scope}.` })
  }
  if (permission.workspaceId !== undefined) {
    if (!seesWorkspace(principal, permission.workspaceId)) throw new VaultError('not_found')
  } else if (permission.shared !== true && !seesEverything(principal)) {
    throw new VaultError('insufficient_scope', { detail: 'This concerns all tenants: it needs a token of all workspaces and environments.' })
  }
}
