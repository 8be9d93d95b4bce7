import { join } from 'node:path'
import { makeFolder } from './folder.ts'
import { systemClock, type Clock } from '../../src/clock.ts'
import { createCrypto, createLocalKeyring, openLocalKeyring } from '../../src/crypto/index.ts'
import { createLedger } from '../../src/ledger/index.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createKekCheckTable, createKeyTable, openDatabase } from '../../src/store/index.ts'
import { createTestDatabase } from './cluster.ts'

/** The lower rooms on a database of their own, without any listener or job. */
export async function openTestRooms () {
  const database = await createTestDatabase()
  const logs: string[] = []
  const log = createLog('trace', { write: (line) => { logs.push(line) } })
  const open = openDatabase({ url: database.serviceUrl, poolSize: 6, log })
  const keyringFile = join(makeFolder('rooms'), 'keyring.json')
  createLocalKeyring(keyringFile, new Date())
  const crypto = createCrypto({
    keks: openLocalKeyring(keyringFile), keys: createKeyTable(open.reads), checks: createKekCheckTable(open.reads), cacheMs: 60_000,
  })
  const metrics = createMetrics()
  const createOwnedLedger = (owner: string, clock: Clock = systemClock) => createLedger({ database: open, macs: crypto.macs, clock, log, metrics, owner })
  return {
    database, open, keyringFile, crypto, metrics, log, logs, ledger: createOwnedLedger('one'), createOwnedLedger,
    close: async () => {
      await open.close()
      await database.drop()
    },
  }
}
