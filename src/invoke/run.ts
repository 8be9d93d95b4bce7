import { buildRawRequest, buildRequest, describeAuth, describeRequest, isHostAllowed, type BuildOptions, type BuiltRequest, type DescribedRequest } from '../calls/index.ts'
import { isPrivate, type Catalog } from '../catalog/index.ts'
import { describeUsable, isRenewable, judgeUsable, PremiseFailed, requireUsable, type Caller, type Connections, type RecordedCall, type RememberedConnection, type Rest, type UsableConnection } from '../connections/index.ts'
import { ERRORS, isVaultError, VaultError } from '../errors.ts'
import { newId, type InvocationId } from '../ids.ts'
import type { Metrics } from '../metrics.ts'
import type { Database } from '../store/index.ts'
import type { Relayed, RelayRunner } from './by-relay.ts'
import { requireAllowed, requireDirect } from './guards.ts'
import type { Once } from './once.ts'
import { judgeOutcome, type Effect, type Invocation } from './outcome.ts'
import { carriesKey, withProviderKey } from './provider-key.ts'
import type { AroundCall, OutputStore } from './store-output.ts'
import type { ActionUse, RawUse, Use } from './use.ts'

export type RunResult = Invocation | Relayed | { readonly dry_run: true, readonly request: DescribedRequest }

export interface Runner {
  /** Runs an action of the catalog. Throws what the contract lists for invoke. */
  invoke (use: ActionUse, caller: Caller): Promise<RunResult>
  /** Makes a call the catalog has no action for, to one of the connection's hosts. */
  request (use: RawUse, caller: Caller): Promise<RunResult>
}

interface Options {
  readonly database: Pick<Database, 'usable'>
  readonly catalog: Catalog
  readonly connections: Pick<Connections, 'opener' | 'recall' | 'recordedCalls' | 'refusals' | 'renewer'>
  readonly metrics: Pick<Metrics, 'invocations'>
  readonly once: Once
  readonly outputs: OutputStore
  readonly relayed: RelayRunner
}

interface Prepared {
  readonly connection: UsableConnection
  readonly built: BuiltRequest
  /** The same request, where the connection has moved meanwhile. */
  readonly build: (connection: UsableConnection) => BuiltRequest
  readonly action: string
  readonly effect: Effect
  /** All that makes this call the one it is. */
  readonly meant: object
  readonly around?: AroundCall | undefined
  /** Of a connection that is only remembered: what that rests on, and its credential. */
  readonly rest?: Remembered | undefined
}

type Remembered = RememberedConnection & Rest

const TIMEOUT_MS = 30_000
/** Stands in a dry run for the id that the invocation will have. */
const OWN_KEY = '[invocation_id]'

const EFFECTS: Readonly<Record<string, Effect>> = { GET: 'read', HEAD: 'read', PUT: 'idempotent', DELETE: 'idempotent' }

type Sender = (prepared: Prepared, sending: Sending) => Promise<Invocation>

interface Sending {
  readonly use: Use
  readonly invocationId: InvocationId
  readonly caller: Caller
}

/** Opens the credential, makes the call and says what came of it. A token that is refused is renewed once and the call made again: the provider has not acted on it. */
function createSender ({ connections, metrics }: Pick<Options, 'connections' | 'metrics'>): Sender {
  const { renewer } = connections

  const callWith = async (connection: UsableConnection, prepared: Prepared, { use, invocationId, caller }: Sending): Promise<RecordedCall> => {
    const { action, effect, rest } = prepared
    const { row, scheme, config, hosts, integration, baseUrl } = connection
    const built = baseUrl === prepared.connection.baseUrl ? prepared.built : prepared.build(connection)
    const secrets = rest?.secrets ?? await connections.opener.open(row, caller)
    const { conventions } = integration.manifest
    return await connections.recordedCalls.make({
      invocationId, workspaceId: use.workspaceId, environment: row.environment, connectionId: row.id, versionId: row.version_id,
      integration, action, effect, context: use.context,
    }, {
      built: withProviderKey(conventions, built, { effect, key: use.idempotencyKey ?? invocationId }),
      repeatable: effect !== 'unsafe' || carriesKey(conventions),
      credential: { scheme, secrets, config, hosts },
      timeoutMs: use.timeoutMs ?? TIMEOUT_MS,
      rest,
      queueSignal: use.signal,
      // Only a read may be given up when its caller goes: anything else is seen through to its end.
      signal: effect === 'read' ? use.signal : undefined,
    }, caller)
  }

  /** The call, and with which version of the credential it was made at last. */
  const callFresh = async (prepared: Prepared, sending: Sending): Promise<RecordedCall & { row: UsableConnection['row'] }> => {
    const connection = await renewer.ensureFresh(prepared.connection, {}, sending.caller)
    const { result, attempts, durationMs } = await callWith(connection, prepared, sending)
    const first = { result, attempts, durationMs, row: connection.row }
    if (result.kind !== 'answered' || !result.response.tokenRefused || !isRenewable(connection)) return first
    const renewed = await renewer.ensureFresh(connection, { rejectedVersion: connection.row.version_id }, sending.caller).catch((error: unknown) => {
      if (isVaultError(error)) return undefined
      throw error
    })
    if (renewed === undefined) return first
    const second = await callWith(renewed, { ...prepared, rest: undefined }, sending)
    return { result: second.result, attempts: attempts + second.attempts, durationMs: durationMs + second.durationMs, row: renewed.row }
  }

  return async (prepared, sending) => {
    const { effect } = prepared
    const { manifest, revision } = prepared.connection.integration
    const { result, attempts, durationMs, row } = await callFresh(prepared, sending)
    const observe = (outcome: string) => { metrics.invocations.observe({ integration: revision === null ? manifest.id : 'custom_api', outcome }, durationMs / 1_000) }
    observe(result.kind === 'answered' ? result.response.error?.class ?? 'succeeded' : result.kind)
    if (result.kind === 'answered') {
      if (result.response.error?.class === 'reauthorise') await connections.refusals.count(row, sending.caller)
      else if (result.response.error === undefined) await connections.refusals.clear(row)
    }
    return judgeOutcome(result, { effect, invocationId: sending.invocationId, attempts, durationMs })
  }
}

type OnConnection = <T>(use: Use, caller: Caller, work: (connection: UsableConnection, rest?: Remembered) => Promise<T>) => Promise<T>

/** Finds the connection of a use, if it may be used. */
function createFinder ({ database, catalog, connections }: Pick<Options, 'database' | 'catalog' | 'connections'>): OnConnection {
  /** Environment, then disabled or pending: before anything of the request is looked at. */
  const findConnection = async (use: Use, caller: Caller): Promise<UsableConnection> => {
    const found = await database.usable.find(use.workspaceId, use.connectionId)
    if (found === undefined) throw new VaultError('not_found')
    const wrong = judgeUsable(found, runOf(use, caller))
    // What was made under a key is told whatever has become of the credential since.
    const later = use.idempotencyKey !== undefined && use.dryRun !== true && isVaultError(wrong, 'connection_needs_reauth')
    if (wrong !== undefined && !later) throw wrong
    return await describeUsable(catalog, found)
  }

  /**
   * Works on the connection as it is remembered where there is nothing to lose by that, and on the
   * one that is read where the memory was no good: before the first record nothing has happened yet.
   */
  return async (use, caller, work) => {
    const { workspaceId, connectionId: id, environment } = use
    const plain = use.idempotencyKey === undefined && use.dryRun !== true && !('storeAs' in use && use.storeAs !== undefined)
    const known = plain ? connections.recall({ workspaceId, id }, { environment, visible: caller.environments }) : undefined
    if (known === undefined) return await work(await findConnection(use, caller))
    const rest = { ...known, held: false }
    try {
      return await work(known.connection, rest)
    } catch (error) {
      if (rest.held || !isOfMemory(error)) throw error
      return await work(await findConnection(use, caller))
    }
  }
}

export function createRunner (options: Options): Runner {
  const { once, outputs, relayed } = options
  const send = createSender(options)

  const onConnection = createFinder(options)

  const run = async (prepared: Prepared, use: Use, caller: Caller): Promise<RunResult> => {
    const { connection, built, effect, meant, around } = prepared
    if (!isHostAllowed(built.url, connection.hosts)) {
      throw new VaultError('egress_blocked', { detail: `${built.url.host} is not a host this connection’s credential may go to.` })
    }
    if (use.dryRun === true) {
      const keyed = withProviderKey(connection.integration.manifest.conventions, built, { effect, key: use.idempotencyKey ?? OWN_KEY })
      return { dry_run: true, request: describeRequest(keyed, authOf(connection)) }
    }
    const make = async (invocationId: InvocationId): Promise<Invocation> => {
      await around?.before()
      const invocation = await send(prepared, { use, invocationId, caller })
      return await around?.after(invocation) ?? invocation
    }
    const { idempotencyKey: key, context, signal, timeoutMs = TIMEOUT_MS } = use
    if (key === undefined) return await make(newId('invocation'))
    const repeatable = effect !== 'unsafe' || carriesKey(connection.integration.manifest.conventions)
    const call = { key, connection, effect, repeatable, meant: { ...meant, connection: use.connectionId }, context, signal, timeoutMs }
    return await once.run(call, caller, async (invocationId) => {
      requireUsable(connection.row, runOf(use, caller))
      return await make(invocationId)
    })
  }

  return Object.freeze({
    invoke: async (use: ActionUse, caller: Caller) => await onConnection(use, caller, async (connection, rest) => {
      if (isPrivate(connection.integration.manifest)) return await relayed.invoke(connection, { timeoutMs: TIMEOUT_MS, ...use }, caller)
      requireDirect(use)
      const action = await connection.integration.loadAction(use.action, use.revision)
      requireAllowed(connection, action)
      const { storeAs } = use
      const build = (of: UsableConnection) => buildRequest(action, use.input, buildOptions(of))
      const built = build(connection)
      const around = storeAs && outputs.prepare({ connection, action, storeAs }, caller)
      const revision = use.revision === undefined ? {} : { revision: use.revision }
      const meant = {
        action: use.action, ...revision, input: use.input, store_as: storeAs === undefined ? null : { name: storeAs.name, labels: storeAs.labels },
      }
      return await run({ connection, built, build, action: use.action, effect: action.definition.effect, meant, around, rest }, use, caller)
    }),
    request: async (use: RawUse, caller: Caller) => await onConnection(use, caller, async (connection, rest) => {
      if (isPrivate(connection.integration.manifest)) throw new VaultError('private_connection')
      if (connection.row.allowed_actions !== null) throw new VaultError('action_not_allowed', { detail: 'This connection allows only the actions it lists.' })
      const build = (of: UsableConnection) => buildRawRequest(use.request, buildOptions(of))
      return await run({ connection, built: build(connection), build, action: '(request)', effect: EFFECTS[use.request.method] ?? 'unsafe', meant: { request: use.request }, rest }, use, caller)
    }),
  })
}

/** For what the connection is used. */
function runOf ({ environment }: Use, { environments: visible }: Caller) {
  return { environment, visible }
}

/** Whether what is remembered may be the reason. What is wrong with the request itself is found again. */
function isOfMemory (error: unknown): boolean {
  return error instanceof PremiseFailed || (isVaultError(error) && ERRORS[error.code].status < 500 && error.code !== 'concurrency_limited')
}

function authOf (connection: UsableConnection) {
  return { scheme: connection.scheme, config: connection.config, secretNames: connection.row.field_set }
}

/** Of a connection that is remembered they are worked out once. */
const optionsOf = new WeakMap<UsableConnection, BuildOptions>()

function buildOptions (connection: UsableConnection): BuildOptions {
  const known = optionsOf.get(connection)
  if (known !== undefined) return known
  const options = {
    manifest: connection.integration.manifest,
    baseUrl: connection.baseUrl,
    fields: connection.row.field_set,
    config: connection.config,
    injected: Object.keys(describeAuth(authOf(connection)).headers),
    satisfied: connection.scheme.inject.flatMap(({ of }) => of === undefined ? [] : [of]),
  }
  optionsOf.set(connection, options)
  return options
}
