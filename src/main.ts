import { readFileSync } from 'node:fs'
import { createCalls } from './calls/index.ts'
import { createCompiler, createCustomApis, createWorkspaceCatalog, loadCatalog } from './catalog/index.ts'
import type { Config } from './config.ts'
import { createConnections } from './connections/index.ts'
import { openListeners, type Listeners } from './http/index.ts'
import { newId } from './ids.ts'
import { createInvoke } from './invoke/index.ts'
import { createEvents } from './ledger/index.ts'
import { listJobs, startJobs } from './jobs.ts'
import type { Log } from './log.ts'
import { createRelay } from './relay/index.ts'
import { openRooms, readSetting } from './rooms.ts'

/** A running vault. */
export interface Vault {
  readonly urls: Listeners['urls']
  /** Finishes what was begun, then lets everything go. */
  close (): Promise<void>
}

export const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version

/** Of calls under way, and of what they bring back. */
function boundsOf ({ callsPerConnection: perConnection, callsPerOrigin: perOrigin, responseLimitBytes: maxResponseBytes }: Config) {
  return { perConnection, perOrigin, maxResponseBytes }
}

function addressesOf (config: Config) {
  return {
    internal: { host: config.internalHost, port: config.internalPort },
    public: { host: config.publicHost, port: config.publicPort },
    operations: { host: config.operationsHost, port: config.operationsPort },
  }
}

/** Puts the vault together, starts its jobs and opens its listeners. */
export async function startVault (config: Config & { readonly databaseUrl: string, readonly keyringFile: string }, log: Log): Promise<Vault> {
  const everybodys = loadCatalog(config.catalogDir)
  const rooms = await openRooms(config, log)
  const { clock, metrics, database, crypto, access, ledger, oauth, keys } = rooms
  const reach = reachOf(config)
  const catalog = createWorkspaceCatalog(everybodys, { database, closedHosts: reach.closed })
  const customApis = createCustomApis({ ...rooms, compiler: createCompiler(), reach, bytesMax: config.customApiBytesPerWorkspace })
  const calls = createCalls({ ...rooms, ...boundsOf(config) })
  const relay = createRelay({ database, crypto, ledger, clock, metrics })
  // Known once the listener is open, where the configuration does not say.
  const address = { public: config.publicUrl ?? '' }
  const publicUrl = () => address.public
  const connections = createConnections({
    database, catalog, crypto, ledger, calls, clock, log, metrics, oauth, publicUrl, presence: relay.presence, owner: newId('request'), returnOrigins: config.returnOrigins,
    maxResponseBytes: config.responseLimitBytes,
  })
  const invoke = createInvoke({ database, catalog, crypto, connections, relay, ledger, clock, log, metrics })
  const events = createEvents({ ...rooms, log, exceptions: config.egressAllowWebhook })
  try {
    const listeners = await openListeners({
      access, catalog, customApis, connections, invoke, ledger, events, relay, keys, macs: crypto.macs, log, metrics, version: VERSION,
      bodyLimitBytes: config.bodyLimitBytes,
      lazySerialisers: config.nodeEnv !== 'test',
      invokeBodyLimitBytes: config.invokeBodyLimitBytes,
      rateLimitPerMinute: config.rateLimitPerMinute,
      workInFlight: config.workInFlight,
      callsInFlight: config.callsInFlight,
      publicConnectionsMax: config.publicConnectionsMax,
      productName: config.productName,
      publicUrl,
      tls: readTls(config),
      checks: [
        { name: 'database', check: () => database.ping() },
        { name: 'keys', check: async () => { await rooms.requireKeks(); await crypto.macs.key('audit-batch') } },
      ],
      addresses: addressesOf(config),
    })
    address.public = config.publicUrl ?? listeners.urls.public
    const jobs = startJobs(listJobs({ database, ledger, connections, events, relay, keys, refusals: listeners.refusals }), { clock, log, metrics })
    const close = async () => {
      await listeners.close()
      await connections.scheduler.drain()
      await connections.refusals.drain()
      await connections.revoker.drain()
      await events.deliverer.drain()
      await keys.sweeper.drain()
      await jobs.stop()
      listeners.refusals.flush()
      await ledger.drain()
      await ledger.sealer.release()
      await rooms.close()
    }
    return Object.freeze({ urls: listeners.urls, close })
  } catch (error) {
    await rooms.close()
    throw error
  }
}

/** What operators have opened to their own manifests stays closed to what tenants import. */
function reachOf ({ egressAllowProvider, egressAllowCustomApi: open }: Config) {
  return { open, closed: new Set([...egressAllowProvider].filter((endpoint) => !open.has(endpoint))) }
}

function readTls (config: Config): { cert: string, key: string, ca?: string } | undefined {
  if (config.tlsCertFile === undefined || config.tlsKeyFile === undefined) return undefined
  return {
    cert: readSetting('TLS_CERT_FILE', config.tlsCertFile),
    key: readSetting('TLS_KEY_FILE', config.tlsKeyFile),
    ...config.tlsClientCaFile !== undefined && { ca: readSetting('TLS_CLIENT_CA_FILE', config.tlsClientCaFile) },
  }
}
