import type { FastifyRequest } from 'fastify'
import { ERRORS, type VaultError } from '../errors.ts'
import { isId, isWorkspaceId, type Environment } from '../ids.ts'
import type { Ledger } from '../ledger/index.ts'
import type { Metrics } from '../metrics.ts'
import { auditPrincipalOf } from './authenticate.ts'

/** Puts refused requests on record. */
export interface RefusalRecorder {
  note (request: FastifyRequest, error: VaultError): void
  /** Writes what strangers were refused since the last time, one record for each reason and route. */
  flush (): void
}

/** Strangers must not be able to fill the record: theirs are counted, and no more kinds of them kept than this. */
const STRANGERS_MAX = 500

interface Counted {
  count: number
  readonly reason: string
  readonly route: string
  readonly sources: Set<string>
}

const SOURCES_MAX = 10

export function createRefusalRecorder (options: { ledger: Pick<Ledger, 'recordSoon'>, metrics: Pick<Metrics, 'refusals'> }): RefusalRecorder {
  const { ledger, metrics } = options
  const strangers = new Map<string, Counted>()

  const count = (request: FastifyRequest, reason: string): void => {
    const route = routeOf(request)
    const kind = `${reason} ${route}`
    const counted = strangers.get(kind) ?? { count: 0, reason, route, sources: new Set<string>() }
    if (!strangers.has(kind) && strangers.size < STRANGERS_MAX) strangers.set(kind, counted)
    counted.count++
    if (counted.sources.size < SOURCES_MAX) counted.sources.add(request.ip)
  }

  return Object.freeze({
    note: (request: FastifyRequest, error: VaultError) => {
      const { status } = ERRORS[error.code]
      metrics.refusals.inc({ code: error.code })
      if (request.principal === null) {
        if (status === 401) count(request, error.code)
        return
      }
      if (![403, 404, 409, 429].includes(status) && error.code !== 'input_invalid') return
      const { workspace_id: workspaceId, connection_id: connectionId } = request.params as { workspace_id?: string, connection_id?: string }
      const { environment } = (request.body ?? {}) as { environment?: Environment }
      ledger.recordSoon({
        event: 'request.refused', outcome: 'refused', reason: error.code, principal: auditPrincipalOf(request),
        workspaceId: workspaceId !== undefined && isWorkspaceId(workspaceId) ? workspaceId : undefined,
        connectionId: connectionId !== undefined && isId('connection', connectionId) ? connectionId : undefined,
        requestId: request.id, details: { route: routeOf(request), environment: environment === 'sandbox' || environment === 'live' ? environment : null },
      })
    },
    flush: () => {
      for (const { count: events, reason, route, sources } of strangers.values()) {
        ledger.recordSoon({
          event: 'request.refused', outcome: 'refused', reason, principal: { kind: 'anonymous', id: null, actor: null },
          details: { route, count: events, sources: [...sources] },
        })
      }
      strangers.clear()
    },
  })
}

/** The pattern, never the URL: a path may hold anything. */
function routeOf (request: FastifyRequest): string {
  return `${request.method} ${request.routeOptions.url ?? '(none)'}`
}
