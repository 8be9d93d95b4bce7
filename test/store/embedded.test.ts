import { existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeFolder } from '../support/folder.ts'
import { EMBEDDED_SUPERUSER, prepareEmbedded, startEmbeddedPostgres } from '../../src/store/index.ts'
import { query } from '../support/cluster.ts'
import { eventually } from '../support/vault.ts'

const dataDir = makeFolder('embedded')

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

t.test('starts, is taken over, survives being killed, and stops', async (t) => {
  const first = await startEmbeddedPostgres({ dataDir })
  t.equal(first.adopted, false)
  const url = first.url(EMBEDDED_SUPERUSER, 'postgres')
  const [settings] = await query<{ listen: string, user: string }>(url, "select current_setting('listen_addresses') as listen, current_user as user")
  t.equal(settings?.listen, '', 'no TCP')
  const socketDir = new URL(url).searchParams.get('host') ?? ''
  t.equal(statSync(socketDir).mode & 0o077, 0, 'the socket’s folder is closed to others')
  t.equal(statSync(first.clusterDir).mode & 0o077, 0, 'and so is the data')
  if (process.getuid?.() === 0) t.not(statSync(first.clusterDir).uid, 0, 'it does not run as root')

  const second = await startEmbeddedPostgres({ dataDir })
  t.equal(second.adopted, true, 'a cluster that outlived its vault is taken over')
  t.equal(second.pid, first.pid)

  const urls = await prepareEmbedded(second)
  t.same(await prepareEmbedded(second), urls, 'preparing twice changes nothing')
  await query(urls.owner, 'create table kept (value int); insert into kept values (42)')

  process.kill(first.pid, 'SIGKILL')
  await eventually(async () => !isAlive(first.pid))
  const third = await startEmbeddedPostgres({ dataDir })
  t.equal(third.adopted, false)
  const [row] = await query<{ value: number }>((await prepareEmbedded(third)).owner, 'select value from kept')
  t.equal(row?.value, 42, 'nothing committed is lost')

  await third.stop()
  t.notOk(existsSync(join(third.clusterDir, 'postmaster.pid')))
  t.notOk(existsSync(new URL(third.url('a', 'b')).searchParams.get('host') ?? ''), 'the socket’s folder is gone')
})

t.test('a pid file of another program is no reason to kill it', async (t) => {
  const cluster = await startEmbeddedPostgres({ dataDir })
  await cluster.stop()
  writeFileSync(join(cluster.clusterDir, 'postmaster.pid'), `${process.ppid}\n${cluster.clusterDir}\n0\n5432\n/nowhere\n\n`)
  const again = await startEmbeddedPostgres({ dataDir })
  t.ok(isAlive(process.ppid))
  t.equal(again.adopted, false)
  await again.stop()
})
