import t from 'tap'
import type { ConnectionId, WorkspaceId } from '../../src/ids.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { openDatabase } from '../../src/store/index.ts'
import type { Pipeline } from '../../src/store/pipeline.ts'
import { createUsableTable } from '../../src/store/usable.ts'
import { startTestVault } from '../support/vault.ts'

const vault = await startTestVault()
const open = openDatabase({ url: vault.database.serviceUrl, poolSize: 2, log: createLog('silent') })
t.teardown(async () => {
  await open.close()
  await vault.close()
})

const workspaces = ['ws_a', 'ws_b', 'ws_c'] as WorkspaceId[]
const places = await Promise.all(Array.from({ length: 30 }, async (_, n) => {
  const workspaceId = workspaces[n % 3] as WorkspaceId
  return { workspaceId, id: await vault.connect(workspaceId) as ConnectionId }
}))

/** The real connections, counting what goes over them; the next statement can be made to fail. */
function count (): { reads: Pipeline, sent: number[], breakNext: () => void } {
  const sent: number[] = []
  let broken = false
  const reads: Pipeline = {
    run: async (statement, values) => {
      sent.push((values[0] as string[]).length)
      if (!broken) return await open.reads.run(statement, values)
      broken = false
      throw new Error('lost')
    },
    close: async () => {},
  }
  return { reads, sent, breakNext: () => { broken = true } }
}

t.test('look-ups that arrive together share a statement, and each gets its own row', async (t) => {
  const counted = count()
  const table = createUsableTable(counted.reads)
  const rows = await Promise.all([...places, ...places].map((place) => table.find(place.workspaceId, place.id)))
  t.same(rows.map((row) => row?.id), [...places, ...places].map((place) => place.id))
  t.same(rows.map((row) => row?.workspace_id), [...places, ...places].map((place) => place.workspaceId))
  t.same(counted.sent, [places.length], 'one statement, and each row asked for once')
})

t.test('another workspace’s id in the same statement finds nothing', async (t) => {
  const counted = count()
  const table = createUsableTable(counted.reads)
  const rows = await Promise.all(places.flatMap(({ workspaceId, id }) => [
    table.find(workspaceId, id), table.find(workspaces.find((other) => other !== workspaceId) as WorkspaceId, id), table.find(workspaceId, newId('connection')),
  ]))
  t.same(rows.map((row) => row?.id), places.flatMap(({ id }) => [id, undefined, undefined]))
  t.equal(counted.sent.length, 1)
})

t.test('nothing is remembered: a change is seen by the next look-up', async (t) => {
  const table = createUsableTable(open.reads)
  const place = places[0] as { workspaceId: WorkspaceId, id: ConnectionId }
  t.equal((await table.find(place.workspaceId, place.id))?.disabled_at, null)
  await vault.request('POST', `/v1/workspaces/${place.workspaceId}/connections/${place.id}/disable`)
  t.ok((await table.find(place.workspaceId, place.id))?.disabled_at instanceof Date)
})

t.test('a statement that hangs does not hold up the next', async (t) => {
  let hang = true
  const table = createUsableTable({
    run: async (statement, values) => {
      if (!hang) return await open.reads.run(statement, values)
      hang = false
      return await new Promise(() => {})
    },
    close: async () => {},
  })
  const [first, second] = places as [typeof places[number], typeof places[number]]
  table.find(first.workspaceId, first.id).catch(() => {})
  await new Promise((resolve) => { setTimeout(resolve, 20) })
  t.equal((await table.find(second.workspaceId, second.id))?.id, second.id)
})

t.test('more than one statement’s worth, and a statement that fails', async (t) => {
  const counted = count()
  const table = createUsableTable(counted.reads)
  const wanted = places[1] as { workspaceId: WorkspaceId, id: ConnectionId }
  const ids = [...Array.from({ length: 450 }, () => newId('connection')), wanted.id]
  const rows = await table.findMany(wanted.workspaceId, ids)
  t.same(rows.map((row) => row?.id).filter((id) => id !== undefined), [wanted.id])
  t.same(counted.sent, [200, 200, 51])
  counted.breakNext()
  const lost = await Promise.allSettled(places.map((place) => table.find(place.workspaceId, place.id)))
  t.ok(lost.every((result) => result.status === 'rejected'), 'those who shared it hear of it')
  t.equal((await table.find(wanted.workspaceId, wanted.id))?.id, wanted.id, 'the next is sent all the same')
})
