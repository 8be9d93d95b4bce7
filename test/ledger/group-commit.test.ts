import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { newId } from '../../src/ids.ts'
import { createLedger, type AuditRecord } from '../../src/ledger/index.ts'
import { openTestRooms } from '../support/rooms.ts'

const rooms = await openTestRooms()
t.teardown(() => rooms.close())
const { database, ledger, open } = rooms

const record = (changes: Partial<AuditRecord> = {}): AuditRecord => ({
  event: 'connection.resolved', outcome: 'ok', principal: { kind: 'service_token', id: 'tok_1', actor: null }, workspaceId: 'acme', environment: 'sandbox', ...changes,
})

/** A ledger on the same database, how many of its statements were under way at most, and how many there were. */
function countLanes () {
  let [now, most, sent] = [0, 0, 0]
  const writes = Object.freeze({
    ...open.writes,
    run: async (...args: Parameters<typeof open.writes.run>) => {
      sent++
      most = Math.max(most, ++now)
      return await open.writes.run(...args).finally(() => { now-- })
    },
  }) as typeof open.writes
  const lanes = createLedger({ database: { ...open, writes }, macs: rooms.crypto.macs, clock: systemClock, log: rooms.log, metrics: rooms.metrics, owner: 'lanes' })
  return { lanes, most: () => most, sent: () => sent }
}

const count = async (where = 'true') => (await database.query<{ n: number }>(`select count(*)::int as n from audit_events where ${where}`))[0]?.n

t.test('records of many callers share commits, and each is there when its caller goes on', async (t) => {
  await Promise.all(Array.from({ length: 1_000 }, async (_, index) => { await ledger.record(record({ requestId: `req_${index}` })) }))
  t.equal(await count(), 1_000)
  const [batches] = await database.query<{ n: number, events: number }>('select count(*)::int as n, sum(events)::int as events from audit_unsealed')
  t.equal(batches?.events, 1_000)
  t.ok((batches?.n ?? 0) < 50, `${batches?.n} commits for 1,000 records`)
})

t.test('while the database is busy with one statement, a second is sent if many wait, and never a third', async (t) => {
  const { lanes, most } = countLanes()
  const countBatches = async () => (await database.query<{ n: number }>('select count(*)::int as n from audit_unsealed'))[0]?.n ?? 0
  await Promise.all(Array.from({ length: 40 }, async () => { await lanes.record(record({ requestId: 'few' })) }))
  t.equal(most(), 1, 'few have one after the other')
  await Promise.all(Array.from({ length: 1_000 }, async () => { await lanes.record(record({ requestId: 'many' })) }))
  t.equal(most(), 2)
  t.equal(await count("request_id = 'many'"), 1_000)
  const before = await countBatches()
  await Promise.all(Array.from({ length: 9_000 }, async () => { await lanes.record(record({ requestId: 'crowd' })) }))
  t.equal(most(), 2)
  t.ok(await countBatches() - before < 25, 'the more wait, the more go together: a slow commit is shared by all of them')
})

t.test('nobody is left waiting when two statements end together', async (t) => {
  let sent = 0
  for (let burst = 0; burst < 60; burst++) {
    const size = 1 + burst * 53 % 320
    sent += size
    await Promise.all(Array.from({ length: size }, async (_, at) => {
      if (at % 3 === 0) await new Promise((resolve) => { setImmediate(resolve) })
      await ledger.record(record({ requestId: 'burst' }))
    }))
  }
  await ledger.drain()
  t.equal(await count("request_id = 'burst'"), sent)
})

t.test('a record is written with all it says', async (t) => {
  await ledger.record(record({
    requestId: 'req_full', reason: 'because', connectionId: 'conn_1', versionId: 'ver_1', invocationId: newId('invocation'),
    principal: { kind: 'jwt', id: 'issuer#subject', actor: 'user_7' }, context: { procedure_id: 'p', step_id: 's' }, details: { b: 1, a: ['x'], c: null },
  }))
  const [row] = await database.query("select * from audit_events where request_id = 'req_full'")
  t.match(row, {
    event: 'connection.resolved', reason: 'because', connection_id: 'conn_1', version_id: 'ver_1', principal_kind: 'jwt', principal_id: 'issuer#subject', actor: 'user_7',
    context: { procedure_id: 'p', step_id: 's' }, details: { a: ['x'], b: 1, c: null },
  })
})

t.test('one record that can’t be stored does not take the others with it', async (t) => {
  const results = await Promise.allSettled([
    ledger.record(record({ requestId: 'good_1' })), ledger.record(record({ requestId: 'bad\0' })), ledger.record(record({ requestId: 'good_2' })),
  ])
  t.same(results.map((result) => result.status), ['fulfilled', 'rejected', 'fulfilled'])
  t.equal(await count("request_id like 'good_%'"), 2)
  const { lanes, sent } = countLanes()
  const crowd = await Promise.allSettled(Array.from({ length: 150 }, async (_, at) => { await lanes.record(record({ requestId: at === 77 ? 'bad\0' : 'neighbour' })) }))
  t.equal(crowd.filter(({ status }) => status === 'rejected').length, 1)
  t.equal(await count("request_id = 'neighbour'"), 149)
  t.ok(sent() < 25, `${sent()} statements until it is found`)
})

t.test('a record in a transaction is there only if the change is', async (t) => {
  await t.rejects(open.transaction(async (tx) => {
    await ledger.recordIn(tx, record({ requestId: 'rolled_back' }))
    throw new Error('changed my mind')
  }))
  t.equal(await count("request_id = 'rolled_back'"), 0)
  await open.transaction(async (tx) => { await ledger.recordIn(tx, record({ requestId: 'in_1' }), record({ requestId: 'in_2' })) })
  t.equal(await count("request_id like 'in_%'"), 2)
})

t.test('a missing partition is made on the way', async (t) => {
  await database.query('do $$ declare p text; begin for p in select inhrelid::regclass::text from pg_inherits where inhparent = \'audit_events\'::regclass loop execute \'drop table \' || p; end loop; end $$')
  await database.query('truncate audit_unsealed')
  await ledger.record(record({ requestId: 'after_the_gap' }))
  t.equal(await count("request_id = 'after_the_gap'"), 1)
})

t.test('when the database refuses, the caller is told and nothing is lost sight of', async (t) => {
  await database.query('revoke insert on audit_events from connection_vault_service')
  await t.rejects(ledger.record(record()), { code: '42501' })
  ledger.recordSoon(record())
  await ledger.drain()
  t.ok(rooms.logs.some((line) => line.includes('a refusal could not be put on record')))
  await database.query('grant insert on audit_events to connection_vault_service')
  await t.resolves(ledger.record(record()))
})

t.test('an invocation is open until it is finished; a lost one is closed as unknown', async (t) => {
  const started = (id: string) => ({
    ...record({ event: 'invoke.started' }), workspaceId: 'acme', environment: 'live' as const, connectionId: 'conn_1', versionId: 'ver_1',
    invocationId: id as ReturnType<typeof newId<'invocation'>>, context: { run_id: 'run' }, details: { action: 'pay', effect: 'unsafe', timeout_ms: 60_000 },
  })
  const [finished, lost] = [started(newId('invocation')), started(newId('invocation'))]
  const late = started(newId('invocation'))
  const ends = async (of: typeof late) => { await ledger.record({ ...of, event: 'invoke.finished' }) }
  await ledger.record(finished, lost, late)
  await ends(finished)
  t.equal(await ledger.recoverInvocations(), 0)
  await ledger.sealer.seal()
  t.equal(await ledger.recoverInvocations(), 0, 'not before its deadline')
  t.same(new Set((await database.query<{ id: string }>('select id from open_invocations')).map(({ id }) => id)), new Set([lost.invocationId, late.invocationId]))
  await ends(late)
  await database.advance('89 seconds')
  t.equal(await ledger.recoverInvocations(), 0, 'nor within the margin after it')
  await database.advance('2 seconds')
  t.equal(await ledger.recoverInvocations(), 1, 'and not when its end is on record, sealed or not')
  await ledger.sealer.seal()
  t.equal(await ledger.recoverInvocations(), 0)
  t.same(await database.query('select from open_invocations'), [])
  t.equal(await ledger.recoverInvocations(), 0, 'once')
  const rows = await database.query('select event, outcome, reason, principal_kind, context, details from audit_events where invocation_id = $1 order by id', [lost.invocationId])
  t.match(rows, [
    { event: 'invoke.started', outcome: 'ok' },
    { event: 'invoke.finished', outcome: 'unknown', reason: 'outcome_unknown', principal_kind: 'system', context: { run_id: 'run' }, details: { action: 'pay' } },
  ])
})

t.test('a full queue refuses instead of growing', async (t) => {
  const results = await Promise.allSettled(Array.from({ length: 12_000 }, async () => { await ledger.record(record({ requestId: 'flood' })) }))
  const refused = results.filter((result) => result.status === 'rejected')
  t.equal(refused.length, 2_000)
  t.match(refused[0]?.reason, { code: 'overloaded' })
  t.equal(await count("request_id = 'flood'"), 10_000)
})
