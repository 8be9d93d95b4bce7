import { join } from 'node:path'
import t from 'tap'
import { createLocalKeyring } from '../../src/crypto/index.ts'
import { readConfig } from '../../src/config.ts'
import { GLOBAL_OWNER, newId, type WorkspaceId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { openRooms } from '../../src/rooms.ts'
import { createTestDatabase } from '../support/cluster.ts'
import { makeFolder } from '../support/folder.ts'
import { runCli, startVaultProcess } from '../support/process.ts'
import { seedLinked } from '../support/seed.ts'
import { eventually } from '../support/vault.ts'

/** kill -9 in the middle of a rotation: another process goes on where it was, and it ends as if nothing had happened. */
const database = await createTestDatabase()
const keyringFile = join(makeFolder('key-crash'), 'keyring.json')
createLocalKeyring(keyringFile, new Date())
const settings = { NODE_ENV: 'test', DATABASE_URL: database.serviceUrl, KEYRING_FILE: keyringFile, LOG_LEVEL: 'info' }
const rooms = await openRooms({ ...readConfig('serve', settings), databaseUrl: database.serviceUrl, keyringFile }, createLog('silent'))
t.teardown(async () => {
  await rooms.close()
  await database.drop()
})

const ROWS = 1_200
const RATE = 600
const KILLS = 3
const by = { by: 'test', principal: { kind: 'operator', id: null, actor: null } } as const
for (const workspace of ['one', 'two', 'three']) {
  const place = { workspaceId: workspace as WorkspaceId, environment: 'sandbox' as const, integration: 'linear', auth: 'oauth', hosts: ['api.linear.app'] }
  await seedLinked(rooms, { ...place, app: { owner: GLOBAL_OWNER, id: newId('app') } }, Array.from({ length: ROWS / 3 }, (_, index) => (
    { accessToken: `access-${index}`, refreshToken: `refresh-${index}`, expiresAt: new Date(Date.now() + 1e9), nextRefreshAt: null })))
}

const left = async () => (await database.query<{ rows: number }>(
  "select count(*)::int as rows from credential_versions v join workspace_keys k on k.workspace_id = v.workspace_id and k.id = v.key_id where k.state = 'previous'"))[0]?.rows ?? NaN
const opened = async () => {
  const { keys, columns } = await rooms.keys.inspect()
  return { rows: columns.find(({ table }) => table === 'credential_versions')?.rows, broken: keys.broken.length + columns.reduce((sum, { brokenRows }) => sum + brokenRows, 0) }
}
const status = async () => await rooms.keys.sweepStatus()

t.test('a vault that is killed, again and again', async (t) => {
  await rooms.keys.rotate({ target: 'workspace', workspaceId: undefined, environment: undefined }, by)
  await rooms.keys.sweep({ rowsPerSecond: RATE }, by)
  let [kills, before] = [0, Infinity]
  for (;;) {
    const vault = await startVaultProcess(settings)
    // Each is let live until it has done something.
    const progress = await eventually(async () => {
      const { state, keysMade } = await status()
      const now = await left()
      return (state === 'idle' || (kills < KILLS && keysMade === 3 && now < before && now < ROWS)) && { state, now }
    }, 60_000)
    await vault.kill(progress.state === 'idle' ? 'SIGTERM' : 'SIGKILL')
    if (progress.state === 'idle') break
    t.same(await opened(), { rows: ROWS, broken: 0 }, `killed with ${progress.now} rows to go: every value opens`)
    before = progress.now
    kills++
    // Its lease would end by itself in ten seconds.
    await database.query("update key_sweep set lease_until = vault_now() - interval '1 second'")
  }
  t.equal(kills, KILLS)
  t.equal(await left(), 0)
  t.match(await status(), { rowsFailed: 0, keysMade: 3 })
  t.match(await rooms.keys.retire(by), { retired: 3, kept: [] })
  t.same(await opened(), { rows: ROWS, broken: 0 })
})

t.test('the command that is killed', async (t) => {
  const command = runCli(['keys', 'rotate', 'workspace', '--rate', String(RATE)], settings)
  await eventually(async () => (await status()).rowsDone > 0 && await left() > 0, 30_000)
  command.child.kill('SIGKILL')
  await command.done
  t.ok(await left() > 0, `${await left()} rows to go`)
  t.match(command.output(), /rows sealed again/, 'plain lines where there is no terminal')
  t.notMatch(command.output(), '\r')
  await database.query("update key_sweep set lease_until = vault_now() - interval '1 second'")
  const again = await runCli(['keys', 'sweep', '--rate', '100000'], settings).done
  t.equal(again.code, 0)
  t.match(again.output, /done: .* rows sealed again/)
  t.equal(await left(), 0)
  t.same(await opened(), { rows: ROWS, broken: 0 })
})

t.test('two at the same time', async (t) => {
  const [first, second] = await Promise.all([
    runCli(['keys', 'rotate', 'workspace', '--workspace', 'one', '--rate', '100000'], settings).done,
    runCli(['keys', 'sweep', '--rate', '100000'], settings).done,
  ])
  t.match([first.code, second.code], [0, 0], `${first.output} ${second.output}`)
  t.equal(await left(), 0)
  t.same(await opened(), { rows: ROWS, broken: 0 })
})
