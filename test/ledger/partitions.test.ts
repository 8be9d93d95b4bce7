import pg from 'pg'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import type { AuditRecord } from '../../src/ledger/index.ts'
import { ensureAuditPartitions, judgeAuditPartitions } from '../../src/store/index.ts'
import { openTestRooms } from '../support/rooms.ts'
import { startTestVault } from '../support/vault.ts'

const record = (workspaceId: string): AuditRecord => ({ event: 'connection.resolved', outcome: 'ok', principal: { kind: 'operator', id: 'test', actor: null }, workspaceId })

/** Rooms without a clock of their own, and the instant at which the month begins that is so many ahead. */
async function openAt (monthsAhead: number) {
  const rooms = await openTestRooms()
  const [at] = await rooms.database.query<{ now: Date, month: Date }>(
    'select vault_now() as now, (date_trunc(\'month\', vault_now() at time zone \'UTC\') + make_interval(months => $1)) at time zone \'UTC\' as month', [monthsAhead])
  if (at === undefined) throw new Error('no time')
  const clockAt = (time: number) => ({ ...systemClock, now: () => new Date(time) })
  const list = async () => await rooms.database.query<{ partition: string, workspace_id: string }>('select tableoid::regclass::text as partition, workspace_id from audit_events order by workspace_id')
  return { ...rooms, month: at.month.getTime(), moveTo: async (time: number) => { await rooms.database.advance(`${time - Date.now()} milliseconds`) }, clockAt, list }
}

const nameOf = (time: number) => `audit_events_${new Date(time).toISOString().slice(0, 7).replace('-', '_')}`

t.test('a record of the last millisecond of a month and one of the first of the next', async (t) => {
  const rooms = await openAt(1)
  t.teardown(() => rooms.close())
  await rooms.moveTo(rooms.month)
  const [before, after] = [rooms.createOwnedLedger('before', rooms.clockAt(rooms.month - 1)), rooms.createOwnedLedger('after', rooms.clockAt(rooms.month))]
  await Promise.all([before.record(record('a')), after.record(record('b'))])
  await rooms.open.transaction(async (tx) => {
    await before.recordIn(tx, record('c'))
    await after.recordIn(tx, record('d'))
  })
  t.same((await rooms.list()).map(({ partition }) => partition), [nameOf(rooms.month - 1), nameOf(rooms.month), nameOf(rooms.month - 1), nameOf(rooms.month)])
})

t.test('the job keeps three months ahead, month after month', async (t) => {
  const rooms = await openAt(1)
  t.teardown(() => rooms.close())
  for (let month = 0; month < 14; month++) {
    t.equal(await judgeAuditPartitions(rooms.open.db), 3)
    await rooms.database.advance('1 month')
    t.equal(await judgeAuditPartitions(rooms.open.db), 2)
    await ensureAuditPartitions(rooms.open.db)
  }
})

t.test('in the first day of a month a clock that is behind finds its partition, even in a new database', async (t) => {
  const rooms = await openAt(7)
  t.teardown(() => rooms.close())
  await rooms.moveTo(rooms.month + 1_000)
  await ensureAuditPartitions(rooms.open.db)
  const late = rooms.createOwnedLedger('late', rooms.clockAt(rooms.month - 500))
  await rooms.open.transaction(async (tx) => { await late.recordIn(tx, record('a')) })
  t.equal((await rooms.list())[0]?.partition, nameOf(rooms.month - 500))
  await rooms.database.advance('25 hours')
  await rooms.database.query(`drop table ${nameOf(rooms.month - 500)}`)
  await ensureAuditPartitions(rooms.open.db)
  const [found] = await rooms.database.query('select to_regclass($1) as there', [nameOf(rooms.month - 500)])
  t.equal(found?.['there'], null, 'a month that was let go is not made again')
})

t.test('nobody has run the job for months: a use makes the partition it needs', async (t) => {
  const rooms = await openAt(6)
  t.teardown(() => rooms.close())
  await rooms.moveTo(rooms.month)
  await rooms.createOwnedLedger('one', rooms.clockAt(rooms.month)).record(record('a'))
  t.equal((await rooms.list())[0]?.partition, nameOf(rooms.month))
})

t.test('as do many uses at once, of several processes', async (t) => {
  const rooms = await openAt(6)
  t.teardown(() => rooms.close())
  await rooms.moveTo(rooms.month)
  const ledgers = ['one', 'two', 'three'].map((owner) => rooms.createOwnedLedger(owner, rooms.clockAt(rooms.month)))
  const ends = await Promise.allSettled(Array.from({ length: 900 }, async (_, at) => { await ledgers[at % 3]?.record(record(`${at}`)) }))
  t.same(ends.filter(({ status }) => status === 'rejected'), [])
  t.equal((await rooms.list())[0]?.partition, nameOf(rooms.month))
})

t.test('nobody has run a vault for months: it makes them before anybody can ask it for anything', async (t) => {
  const vault = await startTestVault()
  t.teardown(() => vault.close())
  await vault.stop()
  await vault.database.advance('6 months')
  await vault.withRooms(async (rooms) => { t.equal(await judgeAuditPartitions(rooms.database.db), 3) })
})

t.test('making one waits for nobody who reads or writes the record; letting one go waits in small pieces', async (t) => {
  const rooms = await openAt(1)
  t.teardown(() => rooms.close())
  const busy = new pg.Client({ connectionString: rooms.database.serviceUrl })
  await busy.connect()
  t.teardown(() => busy.end())
  await rooms.ledger.record(record('a'))
  await busy.query('begin')
  await busy.query('select count(*) from audit_events')
  await rooms.database.advance('2 months')
  await rooms.open.transaction(async (tx) => {
    await ensureAuditPartitions(tx)
    t.equal(await judgeAuditPartitions(tx), 3)
    // Not committed yet, and the record goes on.
    await rooms.ledger.record(record('b'))
  })
  const [cut] = await rooms.database.query<{ cut: Date }>('select date_trunc(\'month\', vault_now() at time zone \'UTC\') at time zone \'UTC\' as cut')
  await rooms.database.query('insert into audit_anchors (seq, head_mac, events, kept_from, key_id, signature, lost_links) values (0, $1, 0, $2, $3, $1, $4)', [Buffer.alloc(1), cut?.cut, 'key', []])
  const pruning = rooms.database.query<{ dropped: number }>('select prune_audit(0, $1) as dropped', [cut?.cut])
  await rooms.ledger.record(record('c'))
  await busy.query('commit')
  const [pruned] = await pruning
  t.ok((pruned?.dropped ?? 0) > 0)
})

t.test('there is no partition for what fits nowhere: a month could not be let go out of it', async (t) => {
  const rooms = await openAt(1)
  t.teardown(() => rooms.close())
  const [found] = await rooms.database.query<{ count: number }>('select count(*)::integer as count from pg_partitioned_table where partdefid <> 0')
  t.equal(found?.count, 0)
})
