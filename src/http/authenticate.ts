import type { FastifyRequest } from 'fastify'
import { requirePermission, type Access, type Principal } from '../access/index.ts'
import type { Caller } from '../connections/index.ts'
import { isVaultError, VaultError, type ErrorCode } from '../errors.ts'
import { isWorkspaceId, type WorkspaceId } from '../ids.ts'
import type { AuditPrincipal } from '../ledger/index.ts'
import { forgetCaller, knowCaller, stepAside } from './admission/book.ts'
import type { RouteAccess } from './route-table.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling; null on open routes and until it is known. */
    principal: Principal | null
  }
  interface FastifyContextConfig {
    access?: RouteAccess
    errors?: readonly ErrorCode[]
    /** What somebody waits for ends by way of it: it is served during a shutdown, too. */
    endsWork?: boolean
  }
}

const ACTOR = /^[A-Za-z0-9._:@|-]{1,128}$/

/** Finds out who calls and whether they may; before a byte of the body is read. */
export async function authenticate (request: FastifyRequest, access: Pick<Access, 'authenticate'>): Promise<void> {
  const needed = request.routeOptions.config.access
  if (needed === undefined || needed === 'open') return
  const { authorization } = request.headers
  if (authorization === undefined || !/^Bearer /i.test(authorization)) throw new VaultError('unauthenticated', { detail: 'Send `Authorization: Bearer <token>`.' })
  try {
    request.principal = await access.authenticate(authorization.slice('Bearer '.length).trim())
  } catch (error) {
    if (isVaultError(error, 'unauthenticated')) forgetCaller(request)
    throw error
  }
  knowCaller(request, request.principal.id)
  const actor = request.headers['x-actor']
  if (actor !== undefined && (typeof actor !== 'string' || !ACTOR.test(actor))) {
    throw new VaultError('request_invalid', { detail: 'X-Actor can’t be read.', errors: [{ pointer: '/headers/x-actor', message: 'must be 1 to 128 letters, digits or . _ : @ | -' }] })
  }
  requirePermission(request.principal, {
    scope: needed.scope,
    workspaceId: needed.over === 'workspace' ? readWorkspace(request) : undefined,
    shared: needed.over === 'shared',
  })
}

/** What can't be an id can't be a workspace of the caller's either. */
function readWorkspace (request: FastifyRequest): WorkspaceId {
  const { workspace_id: id } = request.params as { workspace_id: string }
  if (!isWorkspaceId(id)) throw new VaultError('not_found')
  return id
}

/** The caller of an authenticated route, for the rooms. */
export function callerOf (request: FastifyRequest): Caller {
  const { principal } = request
  if (principal === null) throw new VaultError('unauthenticated')
  const audited = auditPrincipalOf(request)
  return {
    principal: audited, by: audited.actor ?? principal.id, environments: principal.environments, requestId: request.id,
    stepAside: () => { stepAside(request) },
  }
}

export function auditPrincipalOf (request: FastifyRequest): AuditPrincipal {
  const actor = request.headers['x-actor']
  return {
    kind: request.principal?.kind ?? 'anonymous',
    id: request.principal?.id ?? null,
    actor: request.principal !== null && typeof actor === 'string' && ACTOR.test(actor) ? actor : null,
  }
}
