import pg from 'pg'
import t from 'tap'
import { deriveUses } from '../../src/store/index.ts'
import { startTestVault } from '../support/vault.ts'

/** Uses are added up while connections that they are of are deleted. */
const vault = await startTestVault()
t.teardown(() => vault.close())
const W = 'ws_uses'

/** Adds up from the start, while the deletion of a connection is under way that then goes through. */
async function deriveDuring (id: string): Promise<number> {
  await vault.database.query('update uses_cursor set seq = 0')
  const client = new pg.Client({ connectionString: vault.database.superUrl })
  await client.connect()
  try {
    await client.query('begin')
    await client.query('delete from connections where id = $1', [id])
    return await vault.withRooms(async ({ database, ledger }) => {
      await ledger.sealer.seal()
      const derived = database.transaction((tx) => deriveUses(tx, 5_000))
      derived.catch(() => {})
      await new Promise((resolve) => { setTimeout(resolve, 500) })
      await client.query('commit')
      return await derived
    })
  } finally {
    await client.end()
  }
}

t.test('a connection that is deleted meanwhile is passed over, and the others are not', async (t) => {
  const [first = '', second = '', kept = ''] = await Promise.all([1, 2, 3].map(async () => await vault.connect(W)))
  for (const id of [first, second, kept]) {
    t.match(await vault.request('POST', `/v1/workspaces/${W}/connections/${id}/resolve`, { body: { environment: 'sandbox', context: { procedure_id: 'p' } } }), { status: 200 })
  }
  await vault.stop()
  await vault.database.query('delete from connection_uses')
  const list = async () => (await vault.database.query<{ connection_id: string }>('select connection_id from connection_uses order by 1')).map((row) => row.connection_id)
  t.ok(await deriveDuring(first) > 0)
  t.strictSame(await list(), [second, kept].sort())
  t.ok(await deriveDuring(second) > 0, 'also one whose uses were added up before')
  t.strictSame(await list(), [kept])
})
