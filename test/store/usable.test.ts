import t from 'tap'
import type { ConnectionId, WorkspaceId } from '../../src/ids.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { toBatch, toRow } from '../../src/ledger/record.ts'
import { appendBatchOn, openDatabase, type Premise } from '../../src/store/index.ts'
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

t.test('what was read is recalled, and only as it was read', async (t) => {
  const table = createUsableTable(open.reads)
  const [{ workspaceId, id }, other] = places as [typeof places[number], typeof places[number]]
  t.equal(table.recall(workspaceId, id), undefined)
  const row = await table.find(workspaceId, id)
  const first = table.recall(workspaceId, id)
  t.equal(first?.row, row)
  t.equal(table.recall(other.workspaceId, id), undefined, 'in its own workspace only')
  await vault.request('PATCH', `/v1/workspaces/${workspaceId}/connections/${id}`, { headers: { 'if-match': '*' }, body: { labels: { changed: 'yes' } } })
  t.equal(table.recall(workspaceId, id), first, 'memory does not hear of changes')
  await table.find(workspaceId, id)
  t.not(table.recall(workspaceId, id)?.stamp, first?.stamp, 'which have another stamp')
  await vault.request('DELETE', `/v1/workspaces/${workspaceId}/connections/${id}`)
  t.equal(await table.find(workspaceId, id), undefined)
  t.equal(table.recall(workspaceId, id), undefined)
  places.shift()
})

t.test('a batch is stored only if all its premises hold', async (t) => {
  const table = createUsableTable(open.reads)
  const [one, two] = places as [typeof places[number], typeof places[number]]
  const premise = async ({ workspaceId, id }: typeof one, until: Date | null = null) => {
    await table.find(workspaceId, id)
    return { stamp: table.recall(workspaceId, id)?.stamp ?? '', until }
  }
  const append = async (...premises: (Premise | undefined)[]) => {
    const rows = premises.map((of, place) => {
      const at = place === 0 ? one : two
      const use = { event: 'connection.resolved', outcome: 'ok', principal: { kind: 'system', id: null, actor: null } } as const
      return toRow({ ...use, workspaceId: at.workspaceId, connectionId: at.id }, new Date(), of)
    })
    const batch = toBatch(rows, { compute: () => ({ keyId: newId('key'), mac: Buffer.alloc(32) }) })
    const failed = await appendBatchOn(open.writes, batch)
    const [found] = await vault.database.query<{ events: number, queued: number }>(
      'select (select count(*)::int from audit_events where batch_id = $1) as events, (select count(*)::int from audit_unsealed where batch_id = $1) + (select count(*)::int from audit_chain where batch_id = $1) as queued', [batch.id],
    )
    return { failed: failed.map((failedId) => rows.findIndex((row) => row.id === failedId)), ...found }
  }
  const [first, second] = [await premise(one), await premise(two)]
  t.same(await append(first, second), { failed: [], events: 2, queued: 1 })
  t.same(await append(first, undefined), { failed: [], events: 2, queued: 1 }, 'a record may rest on nothing')
  t.same(await append(first, first), { failed: [1], events: 0, queued: 0 }, 'a stamp is that of its own connection')
  const now = (await vault.database.query<{ now: Date }>('select vault_now() as now'))[0]?.now.getTime() ?? 0
  t.same(await append({ ...first, until: new Date(now + 60_000) }, second), { failed: [], events: 2, queued: 1 })
  t.same(await append({ ...first, until: new Date(now - 1) }, second), { failed: [0], events: 0, queued: 0 }, 'by the database’s clock')
  await vault.database.query('update credential_versions set sealed = sealed where connection_id = $1', [one.id])
  t.same(await append(first, second), { failed: [0], events: 0, queued: 0 }, 'nor the credential touched')
  const again = await premise(one)
  t.same(await append(again, second), { failed: [], events: 2, queued: 1 })
  await vault.request('POST', `/v1/workspaces/${two.workspaceId}/connections/${two.id}/disable`)
  t.same(await append(again, second), { failed: [1], events: 0, queued: 0 })
  t.same(await append(again, await premise(two)), { failed: [], events: 2, queued: 1 })
  await vault.request('POST', `/v1/workspaces/${two.workspaceId}/connections/${two.id}/enable`)
})

t.test('a look-up does not remember: a change is seen by the next', async (t) => {
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
