import t from 'tap'
import { describe } from '../support/population.ts'
import { seedMany, seedRecords } from '../support/seed-many.ts'
import { eventually, startTestVault } from '../support/vault.ts'

const vault = await startTestVault()
t.teardown(() => vault.close())

const COUNT = 400
const seeding = { databaseUrl: vault.database.serviceUrl, keyringFile: vault.keyringFile, connections: COUNT, workspaces: 7, threads: 2 }

t.test('what is seeded can be used like anything else', async (t) => {
  t.equal(await vault.withRooms((rooms) => seedMany(rooms, { ...seeding, connections: 100 })), 100)
  t.equal(await vault.withRooms((rooms) => seedMany(rooms, seeding)), COUNT - 100, 'those that are there count')
  const rows = await vault.database.query<{ workspace_id: string, id: string, environment: string, name: string }>(
    'select workspace_id, id, environment, name from connections where integration <> \'seeded_tokens\' and health = \'active\' and disabled_at is null and expires_on is null')
  t.ok(rows.length > COUNT / 2)
  const { workspace_id: workspaceId } = rows[0] ?? { workspace_id: '' }
  const listed = await vault.request('GET', `/v1/workspaces/${workspaceId}/connections`)
  t.equal(listed.status, 200)
  t.match(listed.text, rows[0]?.id ?? 'none')
  for (const row of rows.filter((_, index) => index % 20 === 0)) {
    const { body } = await vault.request('POST', `/v1/workspaces/${row.workspace_id}/connections/${row.id}/resolve`, { body: { environment: row.environment } })
    const { fields } = describe(Number(/\d+$/.exec(row.name)?.[0]), { workspaces: seeding.workspaces, now: Date.now() })
    t.same(body.credentials, fields, row.name)
  }
})

t.test('its records are linked like any other', async (t) => {
  await vault.withRooms((rooms) => seedRecords(rooms, seeding.databaseUrl, 200))
  await eventually(async () => (await vault.database.query('select from audit_unsealed')).length === 0)
  t.match((await vault.request('GET', '/v1/audit/verify')).body, { ok: true })
})

t.test('a database with anybody else’s connections is left alone', async (t) => {
  await vault.connect('acme')
  await t.rejects(vault.withRooms((rooms) => seedMany(rooms, { ...seeding, connections: COUNT + 100 })), /no seed’s/)
  t.equal((await vault.database.query('select from connections')).length, COUNT + 1)
})
