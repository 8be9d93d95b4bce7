import { readFileSync } from 'node:fs'
import { createAccess, parseTrustedIssuers } from './access/index.ts'
import { createCalls } from './calls/index.ts'
import { loadCatalog } from './catalog/index.ts'
import { systemClock } from './clock.ts'
import { ConfigError, type Config } from './config.ts'
import { createConnections } from './connections/index.ts'
import { createCrypto, openLocalKeyring } from './crypto/index.ts'
import { createEgress } from './egress/index.ts'
import { openListeners, type Listeners } from './http/index.ts'
import { newId } from './ids.ts'
import { createInvoke } from './invoke/index.ts'
import { listJobs, startJobs } from './jobs.ts'
import { createLedger } from './ledger/index.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { createKekCheckTable, createKeyTable, judgeSchema, judgeServiceRole, openDatabase } from './store/index.ts'

/** A running vault. */
export interface Vault {
  readonly urls: Listeners['urls']
  /** Finishes what was begun, then lets everything go. */
  close (): Promise<void>
}

export const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version

/** The rooms that the operator's tools use as well. Throws where database, schema and keyring don't fit together. */
export async function openRooms (config: Config & { readonly databaseUrl: string, readonly keyringFile: string }, log: Log) {
  const clock = systemClock
  const metrics = createMetrics()
  const database = openDatabase({ url: config.databaseUrl, poolSize: config.databasePoolSize, log })
  try {
    const behind = await judgeSchema(database) ?? (config.nodeEnv === 'production' ? await judgeServiceRole(database) : undefined)
    if (behind !== undefined) throw new ConfigError(behind)
    const crypto = createCrypto({
      keks: openLocalKeyring(config.keyringFile),
      keys: createKeyTable(database.reads),
      checks: createKekCheckTable(database.reads),
      cacheMs: config.keyCacheSeconds * 1_000,
    })
    await crypto.checkKeks()
    const egress = createEgress({ exceptions: { provider: config.egressAllowProvider, issuer: config.egressAllowIssuer }, metrics })
    const issuers = config.trustedIssuersFile === undefined ? [] : parseTrustedIssuers(readSetting('TRUSTED_ISSUERS_FILE', config.trustedIssuersFile))
    const access = createAccess({ database, macs: crypto.macs, egress, issuers, clock })
    const ledger = createLedger({ database, macs: crypto.macs, clock, log, metrics, owner: newId('request') })
    const close = async () => {
      await ledger.drain()
      await egress.close()
      await database.close()
    }
    return { clock, metrics, database, crypto, egress, access, ledger, close }
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Puts the vault together, starts its jobs and opens its listeners. */
export async function startVault (config: Config & { readonly databaseUrl: string, readonly keyringFile: string }, log: Log): Promise<Vault> {
  const catalog = loadCatalog(config.catalogDir)
  const rooms = await openRooms(config, log)
  const { clock, metrics, database, crypto, access, ledger } = rooms
  const calls = createCalls({ ...rooms, perConnection: config.callsPerConnection, perOrigin: config.callsPerOrigin })
  const connections = createConnections({ database, catalog, crypto, ledger, calls, clock, log, metrics, maxResponseBytes: config.responseLimitBytes })
  const invoke = createInvoke({ database, catalog, crypto, connections, ledger, clock, log, metrics })
  try {
    const listeners = await openListeners({
      access, catalog, connections, invoke, ledger, macs: crypto.macs, log, metrics, version: VERSION,
      bodyLimitBytes: config.bodyLimitBytes,
      invokeBodyLimitBytes: config.invokeBodyLimitBytes,
      rateLimitPerMinute: config.rateLimitPerMinute,
      tls: readTls(config),
      checks: [
        { name: 'database', check: () => database.ping() },
        { name: 'keys', check: async () => { await crypto.macs.key('audit-batch') } },
      ],
      addresses: {
        internal: { host: config.internalHost, port: config.internalPort },
        public: { host: config.publicHost, port: config.publicPort },
        operations: { host: config.operationsHost, port: config.operationsPort },
      },
    })
    const jobs = startJobs(listJobs({ database, ledger, refusals: listeners.refusals }), { clock, log, metrics })
    const close = async () => {
      await listeners.close()
      await connections.refusals.drain()
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

function readTls (config: Config): { cert: string, key: string, ca?: string } | undefined {
  if (config.tlsCertFile === undefined || config.tlsKeyFile === undefined) return undefined
  return {
    cert: readSetting('TLS_CERT_FILE', config.tlsCertFile),
    key: readSetting('TLS_KEY_FILE', config.tlsKeyFile),
    ...config.tlsClientCaFile !== undefined && { ca: readSetting('TLS_CLIENT_CA_FILE', config.tlsClientCaFile) },
  }
}

function readSetting (name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`${name}: ${file} can’t be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`)
  }
}
