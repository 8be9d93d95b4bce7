import { readFileSync } from 'node:fs'
import { createAccess, parseTrustedIssuers } from './access/index.ts'
import { systemClock } from './clock.ts'
import { ConfigError, type Config } from './config.ts'
import { createCrypto, openLocalKeyring } from './crypto/index.ts'
import { createEgress } from './egress/index.ts'
import { newId } from './ids.ts'
import { createLedger } from './ledger/index.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { createOAuth } from './oauth/index.ts'
import { createKekCheckTable, createKeyTable, judgeSchema, judgeServiceRole, openDatabase } from './store/index.ts'

/** The rooms that the operator's tools use as well. Throws where database, schema and keyring don't fit together. */
export async function openRooms (config: Config & { readonly databaseUrl: string, readonly keyringFile: string }, log: Log) {
  const clock = systemClock
  const metrics = createMetrics()
  const database = openDatabase({ url: config.databaseUrl, poolSize: config.databasePoolSize, notify: config.databaseNotify === 'on', log })
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
    const provider = new Set([...config.egressAllowProvider, ...config.egressAllowCustomApi])
    const exceptions = { provider, issuer: config.egressAllowIssuer, webhook: config.egressAllowWebhook, document: config.egressAllowDocument }
    const egress = createEgress({ exceptions, metrics })
    const issuers = config.trustedIssuersFile === undefined ? [] : parseTrustedIssuers(readSetting('TRUSTED_ISSUERS_FILE', config.trustedIssuersFile))
    const access = createAccess({ database, macs: crypto.macs, egress, issuers, clock })
    const ledger = createLedger({ database, macs: crypto.macs, clock, log, metrics, owner: newId('request') })
    const oauth = createOAuth({ database, crypto, ledger, egress, clock })
    const close = async () => {
      await oauth.close()
      await ledger.drain()
      await egress.close()
      await database.close()
    }
    return { clock, metrics, database, crypto, egress, access, ledger, oauth, close }
  } catch (error) {
    await database.close()
    throw error
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
