import { ConfigError, judgePublicUrl, readConfig, type Config } from '../config.ts'
import { createCrypto, KeyringError, type Keks } from '../crypto/index.ts'
import { createEgress } from '../egress/index.ts'
import { openKeks } from '../kek-providers.ts'
import { createOverview } from '../keys/index.ts'
import { createLog } from '../log.ts'
import { createMetrics } from '../metrics.ts'
import { SEALED_COLUMNS } from '../rooms.ts'
import { createKekCheckTable, createKeyTable, openDatabase, type Database } from '../store/index.ts'
import { examineDatabase } from './examine-database.ts'
import { examineCurrentKeks, examineKeks, examineSealed } from './examine-keys.ts'
import { bad, note, ok, skipped, type Finding } from './findings.ts'
import { createProgress, print, printTable } from './output.ts'
import { openSession, requireVault, type Session } from './session.ts'

/**
 * Looks at everything the vault stands on, opens every sealed value, prints none, changes nothing.
 * What is wrong in one place keeps it from looking only at what needs that place. Exit code 1 when
 * anything is wrong.
 */
export async function examine (options: { json?: boolean }): Promise<void> {
  const findings = await examineAll()
  if (options.json === true) print(JSON.stringify(findings))
  else printTable([['check', 'state', ''], ...findings.map(({ check, state, said }) => [check, state, said])])
  if (findings.some(({ state }) => state === 'bad')) process.exitCode = 1
}

const skipAll = (checks: readonly string[], why: string) => checks.map((check) => skipped(check, why))

async function examineAll (): Promise<Finding[]> {
  let config: Config
  let session: Session
  try {
    config = readConfig()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const problems = error.message.split('\n').map((problem) => bad('configuration', problem))
    return [...problems, ...skipAll(['database', 'key provider', 'keys', 'sealed values'], 'needs the configuration')]
  }
  const amiss = judgePublicUrl(config)
  const read = [ok('configuration', `read (NODE_ENV ${config.nodeEnv})`), ...amiss === undefined ? [] : [note('public URL', amiss)]]
  try {
    requireVault(config, ['postgres', 'ops-token'])
    session = await openSession(config, 'look')
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return [...read, bad('database', error.message), ...skipAll(['key provider', 'keys', 'sealed values'], 'needs the database')]
  }
  try {
    return [...read, ...await examineSession(session)]
  } finally {
    await session.end()
  }
}

async function examineSession ({ config, embedded }: Session): Promise<Finding[]> {
  const metrics = createMetrics()
  const database = openDatabase({ url: config.databaseUrl, poolSize: 4, notify: false, log: createLog('silent', process.stderr), metrics })
  const none = new Set<string>()
  const egress = createEgress({ exceptions: { provider: none, issuer: none, webhook: none, document: none, kek: config.egressAllowKek }, metrics })
  try {
    const { findings, ready } = await examineDatabase(database, embedded)
    const opened = await openKeks(config, egress).catch((error: unknown) => {
      if (error instanceof KeyringError || error instanceof ConfigError) return error
      throw error
    })
    if (opened instanceof Error) findings.push(bad('key provider', opened.message))
    else if (!ready) findings.push(...await examineCurrentKeks(opened))
    if (ready && !(opened instanceof Error)) return [...findings, ...await examineContent(config, database, opened)]
    const why = ready ? 'needs the key provider' : 'needs the database, with its schema'
    return [...findings, ...skipAll(['keys', 'sealed values'], why)]
  } finally {
    await egress.close()
    await database.close()
  }
}

async function examineContent (config: Config, database: Database, keks: Keks): Promise<Finding[]> {
  const { reads } = database
  const crypto = createCrypto({ keks, keys: createKeyTable(reads), checks: createKekCheckTable(reads), cacheMs: config.keyCacheSeconds * 1_000 })
  const cryptoperiods = { kekDays: config.kekCryptoperiodDays, keyDays: config.keyCryptoperiodDays }
  const { overview } = createOverview({ database, crypto, columns: SEALED_COLUMNS, cryptoperiods })
  return [...await examineKeks(crypto, await overview()), ...await examineSealed({ database, crypto }, createProgress(process.stderr))]
}
