import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readConfig } from '../config.ts'
import { migrate } from '../store/index.ts'
import { fail, print } from './output.ts'
import { openSession } from './session.ts'

/** Of an embedded database, where its files may lie elsewhere. */
const TRACES = ['postgres', 'keyring.json', 'ops-token']

/** With OWNER_DATABASE_URL the database of production; without any URL the embedded one, where there is one: whoever forgot the URL is not told that all is well with a new one. */
export async function runMigrations (): Promise<void> {
  const config = readConfig('operate')
  if (config.ownerDatabaseUrl !== undefined) {
    const done = await migrate(config.ownerDatabaseUrl)
    print(done.length === 0 ? 'the schema is up to date' : `migrated: ${done.join(', ')}`)
    return
  }
  if (config.databaseUrl !== undefined) fail('DATABASE_URL is the service’s role, which can’t alter the schema: set OWNER_DATABASE_URL as well')
  if (config.nodeEnv === 'production' || !TRACES.some((name) => existsSync(join(resolve(config.dataDir), name)))) {
    fail('OWNER_DATABASE_URL is missing: Postgres as the role that owns the schema. An embedded database is made, and brought up to date, by `npm start`')
  }
  const session = await openSession(config, 'operate')
  await session.end()
  print('the embedded database is up to date')
}
