import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { readConfig } from '../src/config.ts'
import { createLog } from '../src/log.ts'
import { openRooms } from '../src/rooms.ts'
import { openSession } from '../src/cli/session.ts'
import { query } from '../test/support/cluster.ts'
import { LINKED } from '../test/support/population.ts'
import { seedMany, seedRecords } from '../test/support/seed-many.ts'

/**
 * `npm run seed -- --connections 1000000`: fills the vault that the environment names, as `serve`
 * finds it, with made-up connections. For trying things at size; it is no verb of the vault's own.
 */
const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '10000' },
    workspaces: { type: 'string' },
    records: { type: 'string', default: '0' },
    threads: { type: 'string' },
  },
})
const connections = Number(values.connections)
const workspaces = Number(values.workspaces ?? Math.max(1, Math.round(connections / 100)))
const records = Number(values.records)
if (![connections, workspaces, records].every((number) => Number.isSafeInteger(number) && number >= 0) || workspaces < 1) {
  console.error('npm run seed -- [--connections 10000] [--workspaces, a hundredth of them] [--records 0, of the audit] [--threads, as many as processors]')
  process.exit(2)
}
const config = readConfig('serve', process.env)
if (config.nodeEnv === 'production') {
  console.error('NODE_ENV is production: made-up connections have no place there')
  process.exit(2)
}
const session = await openSession(config, 'operate')
const rooms = await openRooms(session.config, createLog('warn', process.stderr))
const startedMs = performance.now()
const seconds = () => Math.max(0.001, (performance.now() - startedMs) / 1_000)
try {
  let stored = 0
  const progress = setInterval(() => { console.log(`${stored} connections, ${Math.round(stored / seconds())} a second`) }, 10_000)
  const made = await seedMany(rooms, {
    databaseUrl: session.config.databaseUrl, keyringFile: session.config.keyringFile, connections, workspaces, report: (some) => { stored += some },
    ...values.threads !== undefined && { threads: Number(values.threads) },
  }).finally(() => { clearInterval(progress) })
  console.log(`${made} connections in ${seconds().toFixed(1)} s, ${Math.round(made / seconds())} a second, in ${workspaces} workspaces`)
  if (records > 0) {
    const before = seconds()
    await seedRecords(rooms, session.config.databaseUrl, records)
    console.log(`${records} records in ${(seconds() - before).toFixed(1)} s, ${Math.round(records / (seconds() - before))} a second`)
  }
  const owner = process.env['OWNER_DATABASE_URL']
  if (owner === undefined) console.log('OWNER_DATABASE_URL is not set: statistics come with the next autovacuum')
  else await query(owner, 'vacuum analyze')
  console.log(`linked ones are of ${LINKED.integration}: give the vault CATALOG_DIR=${writeManifest(resolve(session.config.dataDir, 'seeded-catalog'))} to know it`)
} finally {
  await rooms.close()
  await session.end()
}

/** An integration on a port where nothing listens. */
function writeManifest (dir: string): string {
  mkdirSync(dir, { recursive: true })
  const url = `http://${LINKED.host}`
  writeFileSync(join(dir, `${LINKED.integration}.yaml`), JSON.stringify({
    id: LINKED.integration, name: 'Seeded tokens', category: 'bench', docs: 'https://example.com/docs', environments: ['sandbox', 'live'], separation: 'none',
    auth: [{
      id: LINKED.auth, label: 'OAuth',
      fields: [{ name: 'access_token', label: 'Access token', secret: true }, { name: 'refresh_token', label: 'Refresh token', secret: true, vault_only: true }],
      inject: [{ header: 'authorization', value: 'Bearer {access_token}' }],
      oauth: {
        authorize_url: `${url}/authorize`, token_url: `${url}/token`, scopes: { default: [] }, pkce: 'use', client_auth: 'basic', token_request: 'form', token_answer: {},
        access_token_seconds: null, refresh: { issued: 'always', rotates: true, concurrency: 64 },
      },
    }],
    servers: { sandbox: url, live: url }, hosts: [LINKED.host], conventions: { body: 'json' }, errors: [],
    test: { method: 'GET', path: '/me', auth_failed: [{ status: 401 }] }, actions: [{ name: 'me', title: 'Me', method: 'GET', path: '/me', effect: 'read' }],
  }))
  return dir
}
