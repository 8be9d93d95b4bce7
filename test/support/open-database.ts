import { createLog } from '../../src/log.ts'
import type { Metrics } from '../../src/metrics.ts'
import { openDatabase, type Database } from '../../src/store/index.ts'
import { createTestDatabase } from './cluster.ts'

/** A database of a test's own, opened as a vault does and closed with the test. */
export async function openTestDatabase (t: { teardown (work: () => Promise<void>): void }, metrics?: Metrics): Promise<Database> {
  const database = await createTestDatabase()
  const open = openDatabase({ url: database.serviceUrl, poolSize: 2, log: createLog('silent'), ...metrics !== undefined && { metrics } })
  t.teardown(async () => {
    await open.close()
    await database.drop()
  })
  return open
}
