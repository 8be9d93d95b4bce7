import rateLimit from '@fastify/rate-limit'
import type { Access } from '../access/index.ts'
import type { Catalog, CustomApis } from '../catalog/index.ts'
import { ConfigError } from '../config.ts'
import type { Connections } from '../connections/index.ts'
import type { Macs } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { Invoke } from '../invoke/index.ts'
import type { Events, Ledger } from '../ledger/index.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Keys } from '../keys/index.ts'
import type { Relay } from '../relay/index.ts'
import { createAdmission, type Admission } from './admission/admission.ts'
import { watchLoop } from './admission/pressure.ts'
import { createApp, type App, type AppOptions, type ListenerName, type Shutdown } from './app.ts'
import { boundConnections } from './bound-connections.ts'
import { operationsRoutes, type ReadinessCheck } from './operations.ts'
import { RateWindows } from './rate-windows.ts'
import { describeApi, serveDescription } from './reference.ts'
import { createRefusalRecorder, type RefusalRecorder } from './refusals.ts'
import { agentGroupRoutes } from './routes/agent-groups.ts'
import { agentRoutes } from './routes/agent.ts'
import { auditRoutes } from './routes/audit.ts'
import { connectRoutes } from './routes/connect.ts'
import { connectSessionRoutes } from './routes/connect-sessions.ts'
import { connectionRoutes } from './routes/connections.ts'
import { customApiRoutes } from './routes/custom-apis.ts'
import { eventRoutes } from './routes/events.ts'
import { integrationRoutes } from './routes/integrations.ts'
import { invokeRoutes } from './routes/invoke.ts'
import { lifecycleRoutes } from './routes/lifecycle.ts'
import { oauthAppRoutes } from './routes/oauth-apps.ts'
import { resolveRoutes } from './routes/resolve.ts'
import { keyRoutes } from './routes/keys.ts'
import { serviceTokenRoutes } from './routes/service-tokens.ts'
import { webhookRoutes } from './routes/webhooks.ts'

export interface HttpOptions {
  readonly access: Access
  readonly catalog: Catalog
  readonly customApis: CustomApis
  readonly connections: Connections
  readonly invoke: Invoke
  readonly ledger: Ledger
  readonly events: Events
  readonly relay: Relay
  readonly keys: Keys
  readonly macs: Macs
  readonly log: Log
  readonly metrics: Metrics
  readonly checks: readonly ReadinessCheck[]
  readonly version: string
  readonly bodyLimitBytes: number
  readonly lazySerialisers: boolean
  readonly invokeBodyLimitBytes: number
  readonly rateLimitPerMinute: number
  readonly workInFlight: number
  readonly callsInFlight: number
  readonly publicConnectionsMax: number
  readonly productName: string
  readonly publicUrl: () => string
  readonly tls: AppOptions['tls']
  readonly addresses: Readonly<Record<ListenerName, { readonly host: string, readonly port: number }>>
}

export interface Listeners {
  /** Where each listens, as a URL without a path. */
  readonly urls: Readonly<Record<ListenerName, string>>
  readonly refusals: RefusalRecorder
  /** Stops accepting, lets running requests finish, then closes. */
  close (): Promise<void>
}

/** Opens all three listeners, or none. */
export async function openListeners (given: HttpOptions): Promise<Listeners> {
  const shutdown: Shutdown = { begun: false }
  const options = { ...given, shutdown }
  const refusals = createRefusalRecorder(options)
  // The internet has places of its own: it can't take those of the API.
  const admissions = { internal: admit(options, 'internal', 1), public: admit(options, 'public', 2) }
  const stopWatching = watchLoop((loop) => { for (const one of Object.values(admissions)) one.adapt(loop) })
  const apps: Record<ListenerName, App> = {
    operations: createApp({ ...options, listener: 'operations', tls: undefined }),
    public: createApp({ ...options, listener: 'public', tls: undefined, admission: admissions.public }),
    internal: await createInternal(options, { refusals, admission: admissions.internal }),
  }
  operationsRoutes(apps.operations, options)
  boundConnections(apps.public, { ...options, listener: 'public', most: options.publicConnectionsMax })
  // A plugin of its own: what its pages do to errors and headers stays with them.
  await apps.public.register(async (scoped) => { await connectRoutes(scoped, options) })
  await apps.public.register(async (scoped) => { await agentRoutes(scoped, options) })
  const prepare = (app: App): OpenApp => ({ app, closeUnused: trackUnused(app, options.tls !== undefined && app === apps.internal) })
  const [first, last] = [[apps.operations, apps.internal].map(prepare), prepare(apps.public)]
  const close = async (): Promise<void> => {
    shutdown.begun = true
    // Held polls would hold up the end of the process.
    options.relay.broker.release()
    await Promise.all(first.map(closeApp))
    // What the callers of the internal listener still waited for came over this one, from agents.
    await closeApp(last)
    stopWatching()
  }
  try {
    const urls = { operations: '', public: '', internal: '' }
    for (const name of Object.keys(urls) as ListenerName[]) urls[name] = await listen(apps[name], name, options.addresses[name])
    return Object.freeze({ urls, refusals, close })
  } catch (error) {
    await close()
    throw error
  }
}

/** One part of so many of the places. */
function admit ({ workInFlight, callsInFlight, log, metrics }: HttpOptions, listener: ListenerName, part: number): Admission {
  return createAdmission({ listener, most: Math.ceil(workInFlight / part), outsideMost: Math.ceil(callsInFlight / part), log, metrics })
}

async function listen (app: App, name: ListenerName, address: { host: string, port: number }): Promise<string> {
  try {
    // Fastify opens a server more for the other address of this name: neither bounds nor a shutdown would reach it.
    return await app.listen({ ...address, host: address.host === 'localhost' ? '127.0.0.1' : address.host })
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    if (syscall !== 'listen' && syscall !== 'getaddrinfo') throw error
    const setting = name.toUpperCase()
    throw new ConfigError(`the ${name} listener can’t open ${address.host}:${address.port} (${code}): see ${setting}_HOST and ${setting}_PORT`)
  }
}

interface OpenApp {
  readonly app: App
  readonly closeUnused: () => void
}

/** Answers what closes the connections, such as those a balancer opens ahead, that no request has come over. */
function trackUnused ({ server }: App, tls: boolean): () => void {
  const unused = new Set<object>()
  server.on(tls ? 'secureConnection' : 'connection', (socket: { once (event: 'close', listener: () => void): unknown }) => {
    unused.add(socket)
    socket.once('close', () => { unused.delete(socket) })
  })
  server.on('request', ({ socket }) => { unused.delete(socket) })
  return () => { for (const socket of unused) (socket as { destroy (): void }).destroy() }
}

/**
 * Connections that fall idle while their last answer goes out are closed as well, not kept for a
 * next request, and so are those that have never had one: Node counts them as busy for a minute.
 */
async function closeApp ({ app, closeUnused }: OpenApp): Promise<void> {
  const idle = setInterval(() => {
    app.server.closeIdleConnections()
    closeUnused()
  }, 50)
  try {
    await app.close()
  } finally {
    clearInterval(idle)
  }
}

async function createInternal (options: HttpOptions & { shutdown: Shutdown }, of: { refusals: RefusalRecorder, admission: Admission }): Promise<App> {
  const app = createApp({ ...options, ...of, listener: 'internal' })
  await app.register(rateLimit, {
    max: options.rateLimitPerMinute,
    timeWindow: 60_000,
    store: RateWindows,
    enableDraftSpec: true,
    keyGenerator: (request) => request.principal?.id ?? request.ip,
    // Open routes are static pages; whoever is refused by authentication never gets here.
    allowList: (request) => request.principal === null,
    errorResponseBuilder: (_request, context) => new VaultError('rate_limited', { detail: `At most ${context.max} requests a minute.`, retryAfterSeconds: Math.ceil(context.ttl / 1_000) }),
  })
  await describeApi(app, options.version)
  // A plugin of its own, so that the hooks registered above see every route.
  await app.register(async (scoped) => {
    const routes = scoped as unknown as App
    integrationRoutes(routes, options)
    connectionRoutes(routes, options)
    lifecycleRoutes(routes, options)
    resolveRoutes(routes, options)
    invokeRoutes(routes, { invoke: options.invoke, bodyLimitBytes: options.invokeBodyLimitBytes })
    connectSessionRoutes(routes, options)
    oauthAppRoutes(routes, options)
    auditRoutes(routes, options)
    eventRoutes(routes, options)
    webhookRoutes(routes, options)
    serviceTokenRoutes(routes, options)
    customApiRoutes(routes, options)
    agentGroupRoutes(routes, options)
    keyRoutes(routes, options)
    serveDescription(routes)
  })
  return app
}
