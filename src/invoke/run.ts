import { buildRawRequest, buildRequest, describeAuth, describeRequest, isHostAllowed, type BuiltRequest, type DescribedRequest, type RawRequest } from '../calls/index.ts'
import type { Catalog } from '../catalog/index.ts'
import { describeUsable, requireUsable, type Caller, type Connections, type UsableConnection } from '../connections/index.ts'
import { VaultError } from '../errors.ts'
import { newId, type ConnectionId, type Environment, type InvocationId, type WorkspaceId } from '../ids.ts'
import type { UseContext } from '../ledger/index.ts'
import type { Metrics } from '../metrics.ts'
import type { Database } from '../store/index.ts'
import { judgeOutcome, type Effect, type Invocation } from './outcome.ts'

/** Which connection is used, by which run. */
export interface Use {
  readonly workspaceId: WorkspaceId
  readonly connectionId: ConnectionId
  readonly environment: Environment
  readonly context?: UseContext | undefined
  readonly timeoutMs?: number | undefined
  /** Build everything, send nothing. */
  readonly dryRun?: boolean | undefined
  /** Aborted when the caller goes away. */
  readonly signal?: AbortSignal | undefined
  /** Passed on to providers that have such a header. */
  readonly idempotencyKey?: string | undefined
}

export interface ActionUse extends Use {
  readonly action: string
  readonly input: Readonly<Record<string, unknown>>
}

export interface RawUse extends Use {
  readonly request: RawRequest
}

export type RunResult = Invocation | { readonly dry_run: true, readonly request: DescribedRequest }

export interface Runner {
  /** Runs an action of the catalog. Throws what the contract lists for invoke. */
  invoke (use: ActionUse, caller: Caller): Promise<RunResult>
  /** Makes a call the catalog has no action for, within the integration's server. */
  request (use: RawUse, caller: Caller): Promise<RunResult>
}

interface Options {
  readonly database: Pick<Database, 'usable'>
  readonly catalog: Catalog
  readonly connections: Pick<Connections, 'opener' | 'recordedCalls' | 'refusals'>
  readonly metrics: Pick<Metrics, 'invocations'>
}

interface Prepared {
  readonly connection: UsableConnection
  readonly built: BuiltRequest
  readonly action: string
  readonly effect: Effect
}

const TIMEOUT_MS = 30_000

const EFFECTS: Readonly<Record<string, Effect>> = { GET: 'read', HEAD: 'read', PUT: 'idempotent', DELETE: 'idempotent' }

export function createRunner (options: Options): Runner {
  const { database, catalog, connections, metrics } = options

  /** Environment, then disabled or pending: before anything of the request is looked at. */
  const findConnection = async (use: Use, caller: Caller): Promise<UsableConnection> => {
    const found = await database.usable.find(use.workspaceId, use.connectionId)
    return describeUsable(catalog, requireUsable(found, { environment: use.environment, visible: caller.environments }))
  }

  const send = async ({ connection, built, action, effect }: Prepared, use: Use, caller: Caller): Promise<Invocation> => {
    const { row, scheme, config, hosts, integration } = connection
    const secrets = await connections.opener.open(row, caller)
    const invocationId = newId('invocation')
    const place = { invocationId, workspaceId: use.workspaceId, environment: row.environment, connectionId: row.id, versionId: row.version_id }
    const subject = { ...place, integration, action, effect, context: use.context }
    const sent = withIdempotencyKey(connection, built, { effect, invocationId })
    const { result, attempts, durationMs } = await connections.recordedCalls.make(subject, {
      built: sent.built,
      repeatable: sent.repeatable,
      credential: { scheme, secrets, config, hosts },
      timeoutMs: use.timeoutMs ?? TIMEOUT_MS,
      // Only a read may be given up when its caller goes: anything else is seen through to its end.
      signal: effect === 'read' ? use.signal : undefined,
    }, caller)
    const observe = (outcome: string) => { metrics.invocations.observe({ integration: integration.manifest.id, outcome }, durationMs / 1_000) }
    observe(result.kind === 'answered' ? result.response.error?.class ?? 'succeeded' : result.kind)
    if (result.kind === 'answered') {
      if (result.response.error?.class === 'reauthorise') await connections.refusals.count(row, caller)
      else if (result.response.error === undefined) await connections.refusals.clear(row)
    }
    return judgeOutcome(result, { effect, invocationId, attempts, durationMs })
  }

  const run = async (prepared: Prepared, use: Use, caller: Caller): Promise<RunResult> => {
    const { connection, built } = prepared
    if (!isHostAllowed(built.url, connection.hosts)) {
      throw new VaultError('egress_blocked', { detail: `${built.url.host} is not a host this connection’s credential may go to.` })
    }
    if (use.dryRun !== true) return await send(prepared, use, caller)
    return { dry_run: true, request: describeRequest(built, authOf(connection)) }
  }

  return Object.freeze({
    invoke: async (use: ActionUse, caller: Caller) => {
      const connection = await findConnection(use, caller)
      const action = connection.integration.requireAction(use.action)
      const { allowed_actions: allowed } = connection.row
      if (allowed !== null && !allowed.includes(use.action)) throw new VaultError('action_not_allowed', { detail: `This connection allows: ${allowed.join(', ')}.` })
      const built = passIdempotencyKey(connection, buildRequest(action, use.input, buildOptions(connection)), use)
      return await run({ connection, built, action: use.action, effect: action.definition.effect }, use, caller)
    },
    request: async (use: RawUse, caller: Caller) => {
      const connection = await findConnection(use, caller)
      if (connection.row.allowed_actions !== null) throw new VaultError('action_not_allowed', { detail: 'This connection allows only the actions it lists.' })
      const built = passIdempotencyKey(connection, buildRawRequest(use.request, buildOptions(connection)), use)
      return await run({ connection, built, action: '(request)', effect: EFFECTS[use.request.method] ?? 'unsafe' }, use, caller)
    },
  })
}

function authOf (connection: UsableConnection) {
  return { scheme: connection.scheme, config: connection.config, secretNames: connection.row.field_set }
}

function buildOptions (connection: UsableConnection) {
  return {
    manifest: connection.integration.manifest,
    baseUrl: connection.baseUrl,
    fields: connection.row.field_set,
    injected: Object.keys(describeAuth(authOf(connection)).headers),
  }
}

/**
 * An unsafe call to a provider with an idempotency header carries a key in any case, the caller's
 * or the invocation's own: with it, the call can be made again without being carried out twice.
 */
function withIdempotencyKey (
  connection: UsableConnection, built: BuiltRequest, of: { effect: Effect, invocationId: InvocationId },
): { built: BuiltRequest, repeatable: boolean } {
  const header = connection.integration.manifest.conventions.idempotency_header
  if (of.effect !== 'unsafe') return { built, repeatable: true }
  if (header === undefined) return { built, repeatable: false }
  return { built: { ...built, headers: { [header]: of.invocationId, ...built.headers } }, repeatable: true }
}

/** A key that nobody would honour must not look as if it were. */
function passIdempotencyKey (connection: UsableConnection, built: BuiltRequest, use: Use): BuiltRequest {
  if (use.idempotencyKey === undefined) return built
  const header = connection.integration.manifest.conventions.idempotency_header
  if (header === undefined) {
    throw new VaultError('request_invalid', { detail: `${connection.integration.manifest.name} has no idempotency header, so this key would protect nothing.`, errors: [{ pointer: '/headers/idempotency-key', message: 'is not supported by this integration' }] })
  }
  return { ...built, headers: { ...built.headers, [header]: use.idempotencyKey } }
}
