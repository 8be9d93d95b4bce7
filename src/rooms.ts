import { readFileSync } from 'node:fs'
import { createAccess, parseTrustedIssuers } from './access/index.ts'
import { systemClock } from './clock.ts'
import { ConfigError, type Config } from './config.ts'
import { CONNECTION_COLUMNS } from './connections/index.ts'
import { createCrypto } from './crypto/index.ts'
import { createEgress } from './egress/index.ts'
import { isVaultError } from './errors.ts'
import { newId } from './ids.ts'
import { RESULT_COLUMN } from './invoke/index.ts'
import { openKeks } from './kek-providers.ts'
import { createKeys } from './keys/index.ts'
import { createLedger, WEBHOOK_SECRET_COLUMN } from './ledger/index.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { APP_SECRET_COLUMN, createOAuth } from './oauth/index.ts'
import { PAYLOAD_COLUMNS } from './relay/index.ts'
import { createKekCheckTable, createKeyTable, describeAway, ensureAuditPartitions, guard, judgeSchema, judgeServiceRole, openDatabase } from './store/index.ts'

/** The register of sealed columns: what the sweep seals again, what keeps a key from being retired, what `doctor` opens. */
export const SEALED_COLUMNS = [...CONNECTION_COLUMNS, APP_SECRET_COLUMN, WEBHOOK_SECRET_COLUMN, RESULT_COLUMN, ...PAYLOAD_COLUMNS]

/** The rooms that the operator's tools use as well. Throws where database, schema and keyring don't fit together. */
export async function openRooms (config: Config & { readonly databaseUrl: string, readonly keyringFile: string }, log: Log) {
  const clock = systemClock
  const metrics = createMetrics()
  const database = openDatabase({
    url: config.databaseUrl, poolSize: config.databasePoolSize, notify: config.databaseNotify === 'on', prepared: config.databaseStatements === 'prepared', log, metrics,
  })
  try {
    const behind = await judgeSchema(database).catch(nameAway(config.databaseUrl)) ?? (config.nodeEnv === 'production' ? await judgeServiceRole(database) : undefined)
    if (behind !== undefined) throw new ConfigError(behind)
    // A vault that comes back after months finds none for today.
    await guard(() => ensureAuditPartitions(database.db))
    const provider = new Set([...config.egressAllowProvider, ...config.egressAllowCustomApi])
    const { egressAllowIssuer: issuer, egressAllowWebhook: webhook, egressAllowDocument: document, egressAllowKek: kek } = config
    const egress = createEgress({ exceptions: { provider, issuer, webhook, document, kek }, metrics })
    const crypto = createCrypto({
      keks: await openKeks(config, egress),
      keys: createKeyTable(database.reads),
      checks: createKekCheckTable(database.reads),
      cacheMs: config.keyCacheSeconds * 1_000,
    })
    const requireKeks = requireOnce(() => crypto.checkKeks())
    await requireKeks().catch((error: unknown) => {
      // A provider that is away may come back; one that has other keys will not.
      if (!isVaultError(error, 'kek_unavailable')) throw error
      log.error({ err: error.cause }, 'the key provider can’t be used: starting without, not ready until it can')
    })
    const issuers = config.trustedIssuersFile === undefined ? [] : parseTrustedIssuers(readSetting('TRUSTED_ISSUERS_FILE', config.trustedIssuersFile))
    const access = createAccess({ database, macs: crypto.macs, egress, issuers, clock, log })
    const ledger = createLedger({ database, macs: crypto.macs, clock, log, metrics, owner: newId('request') })
    const oauth = createOAuth({ database, crypto, ledger, egress, clock })
    const keys = createKeys({
      database,
      crypto,
      ledger,
      log,
      metrics,
      columns: SEALED_COLUMNS,
      cryptoperiods: { kekDays: config.kekCryptoperiodDays, keyDays: config.keyCryptoperiodDays },
      owner: newId('request'),
    })
    const close = async () => {
      await oauth.close()
      await ledger.drain()
      await egress.close()
      await database.close()
    }
    return { clock, metrics, database, crypto, egress, access, ledger, oauth, keys, requireKeks, close }
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Repeats a check until it has passed once. */
function requireOnce (check: () => Promise<void>): () => Promise<void> {
  let passed = false
  return async () => {
    if (!passed) await check()
    passed = true
  }
}

/** The content of a file that a setting names. Throws ConfigError with the setting's name. */
export function readSetting (name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`${name}: ${file} can’t be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`)
  }
}

/** Names the database that does not answer; never its user and password. */
function nameAway (databaseUrl: string): (error: unknown) => never {
  return (error) => {
    if (!isVaultError(error, 'database_unavailable')) throw error
    const url = URL.parse(databaseUrl)
    // The driver takes anything for the name of a database, at an address of its own choice; a path is a socket's.
    if (url === null && !databaseUrl.startsWith('/')) throw new ConfigError('DATABASE_URL is no URL of a database, such as postgresql://user:password@host:5432/name')
    throw new ConfigError(`the database of DATABASE_URL does not answer${url === null || url.host === '' ? '' : `: ${url.pathname.slice(1)} at ${url.host}`} (${describeAway(error)})`)
  }
}
