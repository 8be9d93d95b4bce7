import { ENVIRONMENTS, type Environment, type WorkspaceId } from '../ids.ts'

/** What a caller may do. One table, `http/route-table.ts`, says which route needs which. */
export const SCOPES = [
  'connections:read', 'connections:write', 'credentials:resolve', 'actions:invoke', 'requests:send', 'integrations:write', 'oauth_apps:write',
  'agents:write', 'keys:manage', 'tokens:manage', 'webhooks:write', 'workspaces:destroy', 'audit:read',
] as const
export type Scope = (typeof SCOPES)[number]

/** Roles, as scopes. No role but `runtime` reaches a credential's value. */
export const PRESETS = Object.freeze({
  dashboard: ['connections:read', 'connections:write', 'integrations:write', 'audit:read'],
  runtime: ['credentials:resolve', 'actions:invoke'],
  ops: ['connections:read', 'connections:write', 'integrations:write', 'oauth_apps:write', 'agents:write', 'keys:manage', 'tokens:manage', 'webhooks:write', 'workspaces:destroy', 'audit:read'],
} as const satisfies Record<string, readonly Scope[]>)
export type Preset = keyof typeof PRESETS

/** Stands for every workspace or environment. */
export const ALL = '*'

/** An authenticated caller. */
export interface Principal {
  readonly kind: 'service_token' | 'jwt'
  readonly id: string
  readonly scopes: ReadonlySet<string>
  readonly workspaces: ReadonlySet<string>
  readonly environments: readonly Environment[]
}

export interface Grants {
  readonly scopes: readonly string[]
  readonly workspaces: readonly string[]
  readonly environments: readonly string[]
}

export function toPrincipal (kind: Principal['kind'], id: string, grants: Grants): Principal {
  return Object.freeze({
    kind,
    id,
    scopes: new Set(grants.scopes),
    workspaces: new Set(grants.workspaces),
    environments: grants.environments.includes(ALL) ? ENVIRONMENTS : ENVIRONMENTS.filter((environment) => grants.environments.includes(environment)),
  })
}

export function seesWorkspace (principal: Principal, workspaceId: WorkspaceId): boolean {
  return principal.workspaces.has(ALL) || principal.workspaces.has(workspaceId)
}

/** Whether a caller is bound to no workspace and no environment: what concerns all tenants is for those alone. */
export function seesEverything (principal: Principal): boolean {
  return principal.workspaces.has(ALL) && principal.environments.length === ENVIRONMENTS.length
}
