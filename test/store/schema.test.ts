import t from 'tap'
import { createLog } from '../../src/log.ts'
import { judgeSchema, judgeServiceRole, migrate, MigrationError, openDatabase } from '../../src/store/index.ts'
import { createTestDatabase, query } from '../support/cluster.ts'

const database = await createTestDatabase()
const log = createLog('silent')
t.teardown(() => database.drop())

t.test('the service’s role can’t alter the schema or rewrite the audit', async (t) => {
  const forbidden = [
    'create table x (a int)', 'alter table connections add column x int', 'drop table connections', 'truncate connections', 'create index on connections (name)',
    'update audit_events set outcome = $$x$$', 'delete from audit_events', 'truncate audit_events', 'update audit_chain set events = 0', 'delete from audit_chain',
    'update audit_checkpoints set events = 0', 'delete from audit_checkpoints', 'update credential_versions set hosts = $${}$$', 'update credential_versions set host_config = $${}$$',
    'update credential_versions set field_set = $${}$$', 'update credential_versions set environment = $$live$$', 'update service_tokens set token_hash = $$\\x00$$',
    'update service_tokens set scopes = $${}$$', 'update invocation_results set connection_id = $$x$$', 'delete from service_tokens', 'delete from workspace_keys', 'update workspace_keys set environment = $$live$$', 'delete from keks',
    'update keks set check_value = $$\\x00$$', 'update audit_anchors set events = 0', 'delete from audit_anchors', 'select prune_audit(1, now())',
    'create or replace function vault_now() returns timestamptz language sql as $$ select now() $$', 'set role connection_vault_owner',
    `insert into audit_events_${new Date().toISOString().slice(0, 7).replace('-', '_')} select * from audit_events`,
  ]
  for (const statement of forbidden) {
    await t.rejects(query(database.serviceUrl, statement), { code: '42501' }, statement)
  }
  // On the first of a month, records of the day before may still come: the month before has a partition as well.
  await database.query('select ensure_audit_partitions(3)')
  const [made] = await query<{ made: number }>(database.serviceUrl, 'select ensure_audit_partitions(3) as made')
  t.equal(made?.made, 0, 'but it can see to it that next month has a partition')
  await t.rejects(query(database.serviceUrl, 'select ensure_audit_partitions(1000)'), /1 to 24/)
})

t.test('partitions are made as time goes by', async (t) => {
  const own = await createTestDatabase()
  t.teardown(() => own.drop())
  await own.advance('2 months')
  const [first] = await query<{ made: number }>(own.serviceUrl, 'select ensure_audit_partitions(3) as made')
  t.equal(first?.made, 2)
  const [again] = await query<{ made: number }>(own.serviceUrl, 'select ensure_audit_partitions(3) as made')
  t.equal(again?.made, 0)
})

t.test('migrations', async (t) => {
  t.same(await migrate(database.ownerUrl), [], 'are run once')
  const open = openDatabase({ url: database.serviceUrl, poolSize: 2, log })
  t.teardown(() => open.close())
  t.equal(await judgeSchema(open), undefined)
  t.equal(await judgeServiceRole(open), undefined)
  await database.query("insert into kysely_migration values ('9999_from_the_future', '2099')")
  t.match(await judgeSchema(open), /ahead/)
  await database.query("delete from kysely_migration where name like '9999%' or name = '0001_vault'")
  t.match(await judgeSchema(open), /npm run migrate/)

  const asSuperuser = openDatabase({ url: database.superUrl, poolSize: 2, log })
  t.teardown(() => asSuperuser.close())
  t.match(await judgeServiceRole(asSuperuser), /owns the schema or may rewrite the audit/)
})

t.test('migrating an empty database', async (t) => {
  const bare = await createTestDatabase()
  t.teardown(() => bare.drop())
  await bare.query('drop schema public cascade; create schema public authorization connection_vault_owner')
  const open = openDatabase({ url: bare.serviceUrl, poolSize: 2, log })
  t.teardown(() => open.close())
  t.match(await judgeSchema(open), /npm run migrate/)
  t.same(await migrate(bare.ownerUrl), ['0001_vault', '0002_invocation_results', '0003_open_invocations_from_the_chain', '0004_oauth', '0005_refresh', '0006_events', '0007_integrations', '0008_relay', '0009_relay_invocations', '0010_key_care', '0011_indexes_for_size', '0012_partitions_by_two_at_once', '0013_ended_tokens', '0014_webhook_revisions', '0015_bytes_of_integrations'])
  t.equal(await judgeSchema(open), undefined)
})

t.test('a missing service role is named with what to run', async (t) => {
  const roles = await createTestDatabase()
  t.teardown(() => roles.drop())
  // The role is the whole cluster's and other tests use it: it is hidden from this one owner instead.
  await roles.query('create schema hidden; create table hidden.pg_roles as select * from pg_catalog.pg_roles where rolname <> $$connection_vault_service$$; grant usage on schema hidden to connection_vault_owner; grant select on hidden.pg_roles to connection_vault_owner')
  const error = await t.rejects(migrate(`${roles.ownerUrl}&options=${encodeURIComponent('-c search_path=hidden,pg_catalog,public')}`), /create role connection_vault_service/)
  t.ok(error instanceof MigrationError)
})
