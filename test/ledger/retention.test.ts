import { spawn, spawnSync } from 'node:child_process'
import pg from 'pg'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import type { AuditRecord } from '../../src/ledger/index.ts'
import { pruneAuditAs } from '../../src/store/index.ts'
import { query } from '../support/cluster.ts'
import { runCli } from '../support/process.ts'
import { openTestRooms } from '../support/rooms.ts'

const CLI = new URL('../../src/cli.ts', import.meta.url).pathname
const record = (requestId: string): AuditRecord => ({
  event: 'connection.resolved', outcome: 'ok', principal: { kind: 'service_token', id: 'tok_1', actor: null }, workspaceId: 'acme', requestId, details: { z: 1 },
})

const today = new Date()
/** The first instant of a month, so many before this one. */
const month = (ago: number) => new Date(Date.UTC(today.getUTCFullYear(), today.getUTCMonth() - ago, 1))
const partition = (ago: number) => `audit_events_${month(ago).toISOString().slice(0, 7).replace('-', '_')}`
const within = (ago: number, seconds: number) => new Date(month(ago).getTime() + seconds * 1_000)

/** A record that goes back for four months, two batches of two records in each and a checkpoint in between. */
async function oldRooms (t: Test, months: readonly number[] = [4, 3, 2, 1]) {
  const rooms = await openTestRooms()
  t.teardown(() => rooms.close())
  const { database } = rooms
  for (const ago of [4, 3, 2, 1]) {
    await database.query(`create table if not exists ${partition(ago)} partition of audit_events for values from ('${month(ago).toISOString()}') to ('${month(ago - 1).toISOString()}');
      alter table ${partition(ago)} owner to connection_vault_owner`)
  }
  let now = new Date()
  const ledger = rooms.createOwnedLedger('one', { ...systemClock, now: () => now })
  for (const ago of months) {
    for (const [at, name] of [[100, 'a'], [200, 'b']] as const) {
      now = within(ago, at)
      await ledger.record(record(`${ago}${name}1`), record(`${ago}${name}2`))
      await ledger.sealer.seal()
      // The first batch of a month gets a checkpoint, the second is beyond it.
      await database.advance(name === 'b' ? '2 minutes' : '1 second')
    }
  }
  now = new Date()
  const retentionUrl = database.serviceUrl.replace('connection_vault_service', 'connection_vault_retention')
  const env = { DATABASE_URL: database.serviceUrl, KEYRING_FILE: rooms.keyringFile }
  const cli = async (args: string[], more: Record<string, string> = {}) => await runCli(['audit', ...args], { ...env, RETENTION_DATABASE_URL: retentionUrl, ...more }).done
  const partitions = async () => (await database.query<{ name: string }>("select relname as name from pg_class where relname ~ '^audit_events_\\d' and relkind = 'r' order by 1")).map(({ name }) => name)
  return { ...rooms, ledger, cli, env, retentionUrl, partitions }
}

t.test('months are dropped, and the rest is whole', async (t) => {
  const { cli, ledger, database, partitions } = await oldRooms(t)
  t.match(await cli(['verify']), { code: 0, output: 'the record is whole: 16 records in 8 links\n' })
  t.match(await partitions(), [partition(4), partition(3), partition(2), partition(1), partition(0)])
  const pruned = await cli(['prune', '--keep-months', '2'])
  t.match(pruned, { code: 0, output: new RegExp(`^2 months dropped; the record begins after link 3 and keeps everything from ${month(2).toISOString()}\n$`) }, pruned.output)
  t.match(await partitions(), [partition(2), partition(1), partition(0)])
  t.match(await cli(['verify']), { code: 0, output: 'the record is whole: 16 records in 8 links\n' }, 'with the record of it waiting for its link')
  t.match(await ledger.verify(), { ok: true })
  await ledger.sealer.seal()
  t.match(await ledger.verify(), { ok: true, links: 9, events: 17 })
  const [anchor] = await database.query('select seq, events, lost_links from audit_anchors')
  t.match(anchor, { seq: 3, events: 6, lost_links: ['4'] }, 'the fourth link was beyond the last checkpoint of its month')
  t.same(await database.query('select from audit_chain where seq <= 3 union all select from audit_checkpoints where seq <= 3'), [], 'nothing is left that needs the key of that time')
  t.match(await database.query("select details, principal_kind from audit_events where event = 'audit.pruned'"), [{ principal_kind: 'operator', details: { up_to_link: 3, kept_from: month(2).toISOString() } }])

  t.match(await cli(['prune', '--keep-months', '2']), { code: 0, output: /^0 months dropped; the record begins after link 3 / }, 'once more')
  t.match(await cli(['prune', '--keep-months', '3']), { code: 0, output: `nothing ended before ${month(3).toISOString()}\n` })
  t.equal((await database.query('select from audit_anchors')).length, 1)
  t.match(await cli(['prune', '--keep-months', '1']), { code: 0, output: /^1 months dropped; the record begins after link 5 / })
  t.match(await ledger.verify(), { ok: true })
  t.match(await partitions(), [partition(1), partition(0)])
  t.match(await database.query('select seq from audit_anchors'), [{ seq: '5' }], 'the anchor before has done its duty')
})

t.test('with the record, the key that it needed goes', async (t) => {
  const { cli, ledger, database, env } = await oldRooms(t)
  const keys = async (...args: string[]) => await runCli(['keys', ...args], env).done
  t.match(await keys('rotate', 'system'), { code: 0 })
  await ledger.sealer.seal()
  t.match(await keys('retire'), { code: 0, output: /^0 keys retired\nkey_\w+ is still needed: audit_chain \d/ })
  // Not all of it is old enough here; the rest is taken as if it were.
  t.match(await cli(['prune', '--keep-months', '1']), { code: 0 })
  const [old] = await database.query<{ id: string }>("select id from system_keys where state = 'previous'")
  await database.query('delete from audit_chain where key_id = $1', [old?.id])
  await database.query('delete from audit_unsealed where key_id = $1', [old?.id])
  t.same(await database.query('select from audit_checkpoints where key_id = $1 and seq <= (select max(seq) from audit_anchors)', [old?.id]), [])
  t.same(await database.query('select from audit_anchors where key_id = $1', [old?.id]), [])
})

t.test('a quiet month', async (t) => {
  // Nothing happened for two months: the same checkpoint is the last before either.
  const { cli, ledger } = await oldRooms(t, [4, 1])
  t.match(await cli(['prune', '--keep-months', '3']), { code: 0, output: /^1 months dropped; the record begins after link 1 / })
  t.match(await cli(['prune', '--keep-months', '2']), { code: 0, output: /^1 months dropped; the record begins after link 1 / })
  t.match(await ledger.verify(), { ok: true })
  t.match(await cli(['prune', '--keep-months', '1']), { code: 0, output: /^1 months dropped; the record begins after link 1 / })
  t.match(await ledger.verify(), { ok: true })
  t.match(await cli(['verify']), { code: 0 })
})

t.test('a vault that is younger than what is kept', async (t) => {
  const rooms = await openTestRooms()
  t.teardown(() => rooms.close())
  await rooms.ledger.record(record('x'))
  await rooms.ledger.sealer.seal()
  const env = { DATABASE_URL: rooms.database.serviceUrl, KEYRING_FILE: rooms.keyringFile, RETENTION_DATABASE_URL: rooms.database.serviceUrl.replace('connection_vault_service', 'connection_vault_retention') }
  t.match(await runCli(['audit', 'prune', '--keep-months', '1'], env).done, { code: 0, output: `nothing ended before ${month(1).toISOString()}\n` })
})

t.test('after the anchor every change is found, and so is a forged anchor', async (t) => {
  const first = partition(2)
  const changes: [name: string, statement: string, finding: string][] = [
    ['a record changed', "update audit_events set outcome = 'refused' where request_id = '2a1'", 'events_changed'],
    ['a record removed', "delete from audit_events where request_id = '2b1'", 'events_changed'],
    ['records removed, and their link said to be from before', `update audit_chain set first_at = '2000-01-01' where seq = 5; delete from ${first} where request_id like '2a%'`, 'events_changed'],
    ['a record changed, and its link said to be from before', "update audit_chain set first_at = '2000-01-01', last_at = '2000-01-01' where seq = 5; update audit_events set outcome = 'refused' where request_id = '2a1'", 'events_changed'],
    ['a link said to be from before', "update audit_chain set first_at = '2000-01-01' where seq = 5", 'link_changed'],
    ['a link said to be from later', "update audit_chain set last_at = '2100-01-01' where seq = 5", 'link_changed'],
    ['the first link that is left removed', 'delete from audit_chain where seq = 4', 'link_missing'],
    ['another month dropped, too', `drop table ${first}`, 'events_changed'],
    ['another month dropped with its links', `drop table ${first}; delete from audit_chain where seq <= 6`, 'link_missing'],
    ['the anchor said to keep less', `update audit_anchors set kept_from = '${month(1).toISOString()}'; drop table ${first}`, 'anchor_changed'],
    ['the anchor said to have lost more', "update audit_anchors set lost_links = '{4,5,6}'; delete from audit_events where request_id like '2%'", 'anchor_changed'],
    ['the anchor moved', 'update audit_anchors set seq = 5', 'anchor_changed'],
    ['the anchor removed', 'delete from audit_anchors', 'link_missing'],
    ['a later anchor forged of a checkpoint', `insert into audit_anchors select seq, head_mac, events, '${month(1).toISOString()}', key_id, signature, created_at, '{}' from audit_checkpoints where seq = 5; delete from audit_chain where seq <= 5`, 'anchor_changed'],
    ['a later anchor made of the true one', 'insert into audit_anchors select 5, head_mac, events, kept_from, key_id, signature, created_at, lost_links from audit_anchors', 'anchor_changed'],
    ['a checkpoint said to be of before', "update audit_checkpoints set last_at = '2000-01-01' where seq = 7", 'checkpoint_unmatched'],
    ['the tail cut', "delete from audit_chain where seq > 6; delete from audit_events where request_id like '1%'", 'tail_cut'],
  ]
  for (const [name, statement, finding] of changes) {
    const { ledger, database, retentionUrl } = await oldRooms(t)
    t.match(await pruneAuditAs(retentionUrl, async () => await ledger.anchor(month(2), { principal: { kind: 'operator', id: null, actor: null } })), { seq: 3, months: 2 })
    t.match(await ledger.verify(), { ok: true })
    await database.query(statement)
    const { ok, findings } = await ledger.verify()
    t.equal(ok, false, name)
    t.ok(findings.some((one) => one.kind === finding), `${name}: ${JSON.stringify(findings)}`)
  }
})

t.test('what can’t be verified is not pruned', async (t) => {
  const { cli, database, partitions } = await oldRooms(t)
  const before = await partitions()
  await database.query("update audit_events set outcome = 'refused' where request_id = '4a1'")
  t.match(await cli(['prune', '--keep-months', '2']), { code: 1, output: /^connection-vault: the record was changed: look at `connection-vault audit verify` first, nothing was dropped\n$/ })
  t.same(await partitions(), before)
  t.same(await database.query('select from audit_anchors'), [])
})

t.test('asked for wrongly', async (t) => {
  const { cli, env, database, partitions } = await oldRooms(t)
  const before = await partitions()
  t.match(await runCli(['audit', 'prune', '--keep-months', '2'], env).done, { code: 1, output: /RETENTION_DATABASE_URL is missing: Postgres as a member of connection_vault_retention/ })
  t.match(await cli(['prune', '--keep-months', '2'], { RETENTION_DATABASE_URL: database.serviceUrl }), { code: 1, output: /role of RETENTION_DATABASE_URL may not drop months: it has to be connection_vault_retention/ })
  t.match(await cli(['prune', '--keep-months', '2'], { RETENTION_DATABASE_URL: 'postgresql://nobody:canary@127.0.0.1:1/none' }), { code: 1, output: /^connection-vault: the database of RETENTION_DATABASE_URL does not let anybody in \(ECONNREFUSED\)\n$/ })
  for (const months of ['0', 'two', '99999999999']) t.match(await cli(['prune', '--keep-months', months]), { code: 1, output: /--keep-months takes a number of months/ }, months)
  t.match(await cli(['prune']), { code: 1, output: /--keep-months/ })
  t.same(await partitions(), before)
  t.same(await database.query('select from audit_anchors'), [], 'no anchor without a drop')
})

t.test('the retention role can do nothing else', async (t) => {
  const { database, retentionUrl } = await oldRooms(t)
  const tables = await database.query<{ name: string, rights: string[] }>(`
    select c.relname as name, array_remove(array_agg(distinct r.right_ order by r.right_) filter (where has_table_privilege('connection_vault_retention', c.oid, r.right_)
        or (r.right_ in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') and has_any_column_privilege('connection_vault_retention', c.oid, r.right_))), null) as rights
      from pg_class c cross join unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,MAINTAIN}'::text[]) as r (right_)
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') group by 1`)
  t.ok(tables.length > 40)
  t.same(tables.filter(({ rights }) => (rights ?? []).length > 0), [])
  const functions = await database.query<{ name: string }>("select proname as name from pg_proc where pronamespace = 'public'::regnamespace and has_function_privilege('connection_vault_retention', oid, 'execute') order by 1")
  t.same(functions.map(({ name }) => name), ['prune_audit', 'vault_now'])
  const sequences = await database.query("select from pg_class where relnamespace = 'public'::regnamespace and case when relkind = 'S' then has_sequence_privilege('connection_vault_retention', oid, 'USAGE, SELECT, UPDATE') end")
  t.same(sequences, [])
  const [role] = await database.query(`
    select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, has_schema_privilege(oid, 'public', 'create') as creates,
           exists (select from pg_auth_members where member = oid) as member from pg_roles where rolname = 'connection_vault_retention'`)
  t.same(role, { rolsuper: false, rolcreaterole: false, rolcreatedb: false, rolreplication: false, rolbypassrls: false, creates: false, member: false })
  for (const statement of ['select from audit_events', 'delete from audit_chain', `drop table ${partition(4)}`, 'select from workspace_keys', 'insert into audit_anchors default values', 'select ensure_audit_partitions(3)',
    'create table public.x (a int)', 'set role connection_vault_owner', 'set role connection_vault_service']) await t.rejects(query(retentionUrl, statement), { code: '42501' }, statement)
  await t.rejects(query(retentionUrl, 'select prune_audit(3, $1)', [month(2)]), /there is no such anchor/, 'nor drop what the vault has not signed')
  await database.query(`insert into audit_anchors select seq, head_mac, events, '${month(-1).toISOString()}', key_id, signature, created_at, '{}' from audit_checkpoints where seq = 5`)
  await t.rejects(query(retentionUrl, 'select prune_audit(5, $1)', [month(-1)]), /the current month is kept/)
})

t.test('nobody waits for a month to be dropped', async (t) => {
  const { cli, ledger, database, partitions } = await oldRooms(t)
  const reader = new pg.Client({ connectionString: database.superUrl })
  await reader.connect()
  await reader.query('begin; select from audit_events limit 1')
  const pruning = cli(['prune', '--keep-months', '2'])
  let slowestMs = 0
  let tries = 0
  // At least for as long as its tries are seen, however long the command takes to start.
  for (const startedMs = performance.now(); performance.now() - startedMs < 6_000 || (tries === 0 && performance.now() - startedMs < 40_000);) {
    const before = performance.now()
    await ledger.record(record('meanwhile'))
    slowestMs = Math.max(slowestMs, performance.now() - before)
    tries += (await database.query("select from pg_stat_activity where query like 'select prune_audit%' and wait_event_type = 'Lock' and datname = current_database()")).length
  }
  t.ok(tries > 0, `it was seen to wait for its lock ${tries} times`)
  t.ok(slowestMs < 5_000, `the slowest record took ${Math.round(slowestMs)} ms`)
  t.equal((await partitions()).length, 8)
  await reader.query('commit')
  await reader.end()
  t.match(await pruning, { code: 0, output: /^2 months dropped/ })
  await ledger.sealer.seal()
  t.match(await ledger.verify(), { ok: true })
})

interface Line { readonly cursor: string, readonly id: string, readonly request_id: string, readonly occurred_at: string }
const read = ({ output }: { output: string }) => output.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Line)

t.test('export', async (t) => {
  const { cli, ledger, open } = await oldRooms(t)
  const all = await cli(['export'])
  t.equal(all.code, 0)
  const lines = read(all)
  t.equal(lines.length, 16)
  t.match(lines[0], { cursor: '1.0', event: 'connection.resolved', outcome: 'ok', workspace_id: 'acme', principal_kind: 'service_token', principal_id: 'tok_1', occurred_at: within(4, 100).toISOString(), details: { z: 1 } })
  t.notOk(Object.hasOwn(lines[0] ?? {}, 'batch_id'))
  t.equal(new Set(lines.map(({ id }) => id)).size, 16, 'each once')
  t.same(lines.map(({ occurred_at: at }) => at), lines.map(({ occurred_at: at }) => at).sort(), 'oldest first')
  for (const place of [0, 1, 6, 7, 14]) t.same(read(await cli(['export', '--after', lines[place]?.cursor ?? ''])), lines.slice(place + 1), `after line ${place + 1}`)
  t.same(read(await cli(['export', '--after', lines[15]?.cursor ?? ''])), [])
  t.same(read(await cli(['export', '--from', within(3, 200).toISOString(), '--to', within(2, 200).toISOString()])), lines.slice(6, 10))
  t.same(read(await cli(['export', '--from', '2100-01-01T00:00:00Z'])), [])

  // Committed and not linked yet: it comes with the export after its link.
  await open.transaction(async (tx) => { await ledger.recordIn(tx, record('late')) })
  t.equal(read(await cli(['export'])).length, 16)
  await ledger.sealer.seal()
  t.match(read(await cli(['export', '--after', lines[15]?.cursor ?? ''])), [{ cursor: '9.0', request_id: 'late' }])

  t.match(await cli(['prune', '--keep-months', '2']), { code: 0 })
  t.same(read(await cli(['export', '--after', lines[2]?.cursor ?? ''])).slice(0, 2), lines.slice(8, 10), 'goes on where the record begins now')
  for (const [args, why] of [
    [['--from', 'yesterday'], /--from must be an instant/], [['--to', '2026-01-01'], /--to must be an instant/], [['--after', 'x'], /not the cursor of an exported record/],
    [['--after', '1000.0'], /ahead of the record: the database was restored/],
  ] as const) t.match(await cli(['export', ...args]), { code: 1, output: why }, args.join(' '))
})

t.test('a large record, a slow reader, and one that goes away', async (t) => {
  const { env, database } = await oldRooms(t, [])
  await database.query(`
    insert into audit_events (occurred_at, batch_id, id, event, outcome, principal_kind, details)
      select date_trunc('milliseconds', now()), 'bat_' || lpad((n / 1000)::text, 6, '0'), 'aud_' || lpad(n::text, 9, '0'), 'connection.resolved', 'ok', 'system', jsonb_build_object('filler', repeat('x', 600), 'n', n)
        from generate_series(0, 119999) as n;
    insert into audit_chain (seq, batch_id, events, first_at, last_at, digest, key_id, mac)
      select row_number() over (order by batch_id), batch_id, count(*), min(occurred_at), max(occurred_at), '', 'key_x', '' from audit_events group by batch_id;
    update audit_sealer set head_seq = 120; analyze`)
  // Half of what all of it would take.
  const small = { ...process.env, ...env, NODE_OPTIONS: '--max-old-space-size=96' }
  const child = spawn(process.execPath, [CLI, 'audit', 'export'], { env: small, stdio: ['ignore', 'pipe', 'pipe'] })
  let [bytes, lines, complaints] = [0, 0, '']
  child.stderr.on('data', (chunk: Buffer) => { complaints += chunk.toString() })
  await new Promise((resolve) => { setTimeout(resolve, 2_000) })
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    bytes += chunk.length
    lines += chunk.toString('latin1').split('\n').length - 1
  }
  t.equal(child.exitCode ?? await new Promise((resolve) => { child.once('exit', resolve) }), 0, complaints)
  t.equal(lines, 120_000)
  t.ok(bytes > 80_000_000, `${Math.round(bytes / 1_048_576)} MB`)

  const cut = spawnSync('bash', ['-c', `set -o pipefail; "${process.execPath}" "${CLI}" audit export | head -n 1`], { env: small, encoding: 'utf8' })
  t.equal(cut.status, 141, 'as cat does')
  t.equal(cut.stderr, '')
  t.match(read({ output: cut.stdout }), [{ cursor: '1.0' }])
})
