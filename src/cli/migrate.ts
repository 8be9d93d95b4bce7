import { readConfig } from '../config.ts'
import { migrate } from '../store/index.ts'
import { fail, print } from './output.ts'
import { openSession } from './session.ts'

/** With OWNER_DATABASE_URL the database of production; without any URL the embedded one. */
export async function runMigrations (): Promise<void> {
  const config = readConfig('operate')
  if (config.ownerDatabaseUrl !== undefined) {
    const done = await migrate(config.ownerDatabaseUrl)
    print(done.length === 0 ? 'the schema is up to date' : `migrated: ${done.join(', ')}`)
    return
  }
  if (config.databaseUrl !== undefined) fail('DATABASE_URL is the service’s role, which can’t alter the schema: set OWNER_DATABASE_URL as well')
  const session = await openSession(config, 'operate')
  await session.end()
  print('the embedded database is up to date')
}
