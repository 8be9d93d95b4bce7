import { systemClock } from '../clock.ts'
import { isVaultError } from '../errors.ts'
import {
  describeAway, getServerVersion, judgeAuditPartitions, judgeSchema, judgeServiceRights, judgeServiceRole, measureClockSkew, measureSealingLag, type Database,
} from '../store/index.ts'
import { bad, note, ok, skipped, type Finding } from './findings.ts'

const SKEW_MAX_MS = 5_000
/** Sealing takes about a second. */
const LAG_MAX_SECONDS = 60

/** The database itself; `ready` when what is in it can be looked at. */
export async function examineDatabase (database: Database, embedded: boolean): Promise<{ findings: Finding[], ready: boolean }> {
  const startedMs = performance.now()
  try {
    const version = await getServerVersion(database)
    const findings = [ok('database', `Postgres ${version} answers in ${Math.round(performance.now() - startedMs)} ms`)]
    const behind = await judgeSchema(database)
    if (behind !== undefined) return { findings: [...findings, bad('schema', behind)], ready: false }
    findings.push(ok('schema', 'as this program knows it'))
    const lacking = await judgeServiceRights(database)
    if (lacking !== undefined) return { findings: [...findings, bad('database role', lacking)], ready: false }
    findings.push(await examineRole(database, embedded), await examineClock(database), await examinePartitions(database), await examineChain(database))
    return { findings, ready: true }
  } catch (error) {
    if (!isVaultError(error, 'database_unavailable')) throw error
    return { findings: [bad('database', `does not answer (${describeAway(error)})`), skipped('schema', 'needs the database')], ready: false }
  }
}

async function examineRole (database: Database, embedded: boolean): Promise<Finding> {
  const role = await judgeServiceRole(database)
  if (role === undefined) return ok('database role', 'owns nothing, can’t rewrite the audit')
  return embedded ? note('database role', role) : bad('database role', role)
}

async function examineClock (database: Database): Promise<Finding> {
  const skewMs = await measureClockSkew(database.db, systemClock)
  const said = `${Math.round(Math.abs(skewMs))} ms ${skewMs < 0 ? 'behind' : 'ahead of'} the database’s`
  return Math.abs(skewMs) <= SKEW_MAX_MS ? ok('clock', said) : bad('clock', `${said}: let NTP set both`)
}

async function examinePartitions (database: Database): Promise<Finding> {
  const months = await judgeAuditPartitions(database.db)
  if (months > 0) return ok('audit partitions', `for this month and ${months} ahead`)
  return bad('audit partitions', `none for ${months < 0 ? 'this month' : 'the next month'}: is a vault running?`)
}

async function examineChain (database: Database): Promise<Finding> {
  const seconds = Math.round(await measureSealingLag(database.db))
  return seconds <= LAG_MAX_SECONDS ? ok('audit chain', 'every record has its link, or soon will') : note('audit chain', `records have waited ${seconds} seconds for their links: is a vault running?`)
}
