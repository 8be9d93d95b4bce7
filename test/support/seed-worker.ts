import { parentPort, workerData } from 'node:worker_threads'
import { createCrypto, openLocalKeyring } from '../../src/crypto/index.ts'
import { createLog } from '../../src/log.ts'
import { createKekCheckTable, createKeyTable, openDatabase } from '../../src/store/index.ts'
import { seedPart, type SeedPart } from './seed-part.ts'

/** Sealing takes a processor of its own; this is one of as many as there are. */
const { part, keyringFile } = workerData as { part: SeedPart, keyringFile: string }
const database = openDatabase({ url: part.databaseUrl, poolSize: 1, notify: false, log: createLog('error', process.stderr) })
try {
  const crypto = createCrypto({
    keks: openLocalKeyring(keyringFile), keys: createKeyTable(database.reads), checks: createKekCheckTable(database.reads), cacheMs: 3_600_000,
  })
  await seedPart(crypto, part, (stored) => { parentPort?.postMessage(stored) })
} finally {
  await database.close()
}
