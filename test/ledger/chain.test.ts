import t, { type Test } from 'tap'
import type { AuditRecord } from '../../src/ledger/index.ts'
import { openTestRooms } from '../support/rooms.ts'

const record = (requestId: string): AuditRecord => ({
  event: 'connection.resolved', outcome: 'ok', principal: { kind: 'service_token', id: 'tok_1', actor: null }, workspaceId: 'acme', requestId,
  context: { procedure_id: 'p', step_id: 's' }, details: { z: 1, a: { nested: true } as never, list: ['b', 'a'] },
})

/** A chain of so many links, two records each, all sealed. */
async function sealedRooms (t: Test, links: number) {
  const rooms = await openTestRooms()
  t.teardown(() => rooms.close())
  for (let link = 0; link < links; link++) {
    await Promise.all([rooms.ledger.record(record(`req_${link}_a`)), rooms.ledger.record(record(`req_${link}_b`))])
  }
  await rooms.ledger.sealer.seal()
  return rooms
}

t.test('an untouched record is whole', async (t) => {
  const { ledger, database, open } = await sealedRooms(t, 5)
  t.same(await ledger.verify(), { ok: true, links: 5, events: 10, findings: [], sealing: true })
  await open.transaction(async (tx) => { await ledger.recordIn(tx, record('in_tx')) })
  t.match(await ledger.verify(), { ok: true, links: 5 }, 'what waits for its link is fine for a while')
  await database.advance('2 minutes')
  t.match(await ledger.verify(), { ok: false, findings: [{ kind: 'batch_unsealed' }], sealing: false })
  await database.query("update audit_sealer set lease_owner = 'another', lease_until = vault_now() + interval '5 seconds'")
  t.match(await ledger.verify(), { ok: false, findings: [{ kind: 'batch_unsealed' }], sealing: true }, 'a vault runs, and something keeps it from sealing')
  await database.query('update audit_sealer set lease_owner = null, lease_until = null')
  await ledger.sealer.seal()
  t.match(await ledger.verify(), { ok: true, links: 6, events: 11 })
})

t.test('every change is found', async (t) => {
  const changes: [name: string, statement: string, finding: string][] = [
    ['a record changed', "update audit_events set outcome = 'refused' where request_id = 'req_2_a'", 'events_changed'],
    ['its time changed', "update audit_events set occurred_at = occurred_at + interval '1 millisecond' where request_id = 'req_2_a'", 'events_changed'],
    ['its details changed', "update audit_events set details = details || '{\"z\": 2}' where request_id = 'req_2_a'", 'events_changed'],
    ['its workspace changed', "update audit_events set workspace_id = 'other' where request_id = 'req_2_a'", 'events_changed'],
    ['a record removed', "delete from audit_events where request_id = 'req_2_a'", 'events_changed'],
    ['a batch of records removed', "delete from audit_events where request_id like 'req_2_%'", 'events_changed'],
    ['a record moved to another batch', "update audit_events set batch_id = (select batch_id from audit_events where request_id = 'req_3_a') where request_id = 'req_2_a'", 'events_changed'],
    ['a record inserted into a batch', "insert into audit_events select occurred_at, batch_id, id || 'x', event, outcome, reason, workspace_id, environment, connection_id, version_id, invocation_id, principal_kind, principal_id, actor, request_id, context, details from audit_events where request_id = 'req_2_a'", 'events_changed'],
    ['a record inserted beside all batches', "insert into audit_events select occurred_at, 'bat_x', id || 'x', event, outcome, reason, workspace_id, environment, connection_id, version_id, invocation_id, principal_kind, principal_id, actor, request_id, context, details from audit_events where request_id = 'req_2_a'", 'event_inserted'],
    ['a link changed', "update audit_chain set digest = sha256('x') where seq = 3", 'link_changed'],
    ['a link’s time changed', "update audit_chain set first_at = first_at - interval '1 day' where seq = 3", 'link_changed'],
    ['a link’s count changed', 'update audit_chain set events = 3 where seq = 3', 'link_changed'],
    ['a link removed with its records', 'delete from audit_events where batch_id = (select batch_id from audit_chain where seq = 3); delete from audit_chain where seq = 3', 'link_missing'],
    ['two links swapped', 'update audit_chain set seq = -seq where seq in (2, 3); update audit_chain set seq = case seq when -2 then 3 else 2 end where seq < 0', 'link_changed'],
    ['the first link removed', 'delete from audit_chain where seq = 1', 'link_missing'],
    ['the tail cut', 'delete from audit_chain where seq > 3; delete from audit_events where request_id > $$req_3$$', 'tail_cut'],
    ['the tail cut with the head', 'delete from audit_chain where seq > 3; delete from audit_events where request_id > $$req_3$$; update audit_sealer set head_seq = 3, head_mac = (select mac from audit_chain where seq = 3)', 'tail_cut'],
    ['a checkpoint forged', 'update audit_checkpoints set events = 3', 'checkpoint_unmatched'],
  ]
  for (const [name, statement, finding] of changes) {
    const { ledger, database } = await sealedRooms(t, 5)
    await database.query(statement)
    const { ok, findings } = await ledger.verify()
    t.equal(ok, false, name)
    t.ok(findings.some((one) => one.kind === finding), `${name}: ${JSON.stringify(findings)}`)
  }
})

t.test('a tail cut with all that tells of it is found by a checkpoint from the log', async (t) => {
  const { ledger, database, logs } = await sealedRooms(t, 5)
  const checkpoints = logs.flatMap((line) => (JSON.parse(line) as { checkpoint?: string }).checkpoint ?? [])
  t.equal(checkpoints.length, 1)
  t.match(await ledger.verify(checkpoints[0]), { ok: true })
  const [seq = '', events = '', head = '', signature = ''] = (checkpoints[0] ?? '').split('.')
  const other = (word: string) => `${word.startsWith('A') ? 'B' : 'A'}${word.slice(1)}`
  for (const forged of [[seq, events, other(head), signature], ['7', events, head, signature], [seq, '7', head, signature], [seq, events, head, other(signature)]]) {
    t.match(await ledger.verify(forged.join('.')), { ok: false, links: 5, findings: [{ kind: 'checkpoint_unsigned', at: forged[0] }] }, 'a word with a wrong letter is not a record that was changed')
  }
  await database.query(`delete from audit_chain where seq > 3; delete from audit_checkpoints;
    delete from audit_events where batch_id not in (select batch_id from audit_chain);
    update audit_sealer set head_seq = 3, head_mac = (select mac from audit_chain where seq = 3)`)
  t.match(await ledger.verify(), { ok: true }, 'the database alone can’t tell')
  t.match(await ledger.verify(checkpoints[0]), { ok: false, findings: [{ kind: 'tail_cut' }] })
  await t.rejects(ledger.verify('nonsense'), { code: 'request_invalid' })
})

t.test('a forged batch in the queue is not taken up', async (t) => {
  const { ledger, database, logs } = await sealedRooms(t, 2)
  await database.query('insert into audit_unsealed select \'bat_forged\', 1, first_at, last_at, digest, key_id, mac from audit_chain where seq = 1')
  await ledger.record(record('genuine'))
  t.equal(await ledger.sealer.seal(), 1)
  t.match(await ledger.verify(), { ok: false, links: 3, findings: [{ kind: 'batch_changed', at: 'bat_forged' }] })
  t.ok(logs.some((line) => line.includes('does not carry the vault’s MAC')))
})

t.test('one seals at a time, and another takes over', async (t) => {
  const { ledger, createOwnedLedger, database } = await sealedRooms(t, 1)
  const other = createOwnedLedger('two')
  await ledger.record(record('x'))
  t.equal(await other.sealer.seal(), 0, 'the lease is held')
  await database.advance('11 seconds')
  t.equal(await other.sealer.seal(), 1, 'a lease runs out')
  await ledger.record(record('y'))
  t.equal(await ledger.sealer.seal(), 0)
  await other.sealer.release()
  t.equal(await ledger.sealer.seal(), 1, 'or is given back')
  t.match(await ledger.verify(), { ok: true, links: 3 })

  const many = Array.from({ length: 6 }, (_, index) => createOwnedLedger(`many_${index}`))
  await ledger.sealer.release()
  await Promise.all(Array.from({ length: 200 }, async (_, index) => {
    await ledger.record(record(`many_${index}`))
    await many[index % 6]?.sealer.seal()
  }))
  await database.advance('11 seconds')
  await ledger.sealer.seal()
  const { ok, events, findings } = await ledger.verify()
  t.same({ ok, events, findings }, { ok: true, events: 204, findings: [] })
})
