-- What a million connections, and the record of a year, ask for: test/store/plans.test.ts says which
-- statement needs which index.

-- The record of one environment, and of changes, which are few among uses: neither is to be looked
-- for among all records of a workspace. A use is in the second index never, so that it costs it nothing.
drop index audit_events_workspace;
create index audit_events_environment on audit_events (workspace_id, environment, occurred_at);
create index audit_events_changes on audit_events (workspace_id, event, occurred_at) where event not in ('connection.resolved', 'invoke.started', 'invoke.finished');

-- The latest time of any record up to a checkpoint: it only ever grows along the chain, so that a
-- time is found in it at once.
alter table audit_checkpoints add column last_at timestamptz;
update audit_checkpoints c set last_at = r.last_at from (select seq, max(last_at) over (order by seq) as last_at from audit_chain) as r where r.seq = c.seq;
create index audit_checkpoints_time on audit_checkpoints (last_at, seq);

-- Whether any MAC is under a key, or none any more.
create index audit_chain_key on audit_chain (key_id);
create index audit_checkpoints_key on audit_checkpoints (key_id);

-- What somebody has to look after, among all that is well.
create index connections_attention on connections (workspace_id, id) where health <> 'active' or disabled_at is not null;

create index events_type on events (type, seq) where seq is not null;

-- Whether another connection lives on the same grant.
drop index credential_versions_app;
create index credential_versions_app on credential_versions (app_id, grant_holder) where app_id is not null and state = 'current';
create index connections_account on connections (integration, environment, auth, account_id);
create index pending_links_app on pending_links (app_id) where app_id is not null;

-- Keys of one environment are replaced oldest first, however many the other has.
drop index workspace_keys_age;
create index workspace_keys_age on workspace_keys (environment, created_at) where state = 'current';

-- A partition that is made as a part of its table waits for everybody who reads the record, and
-- everybody who writes to it waits behind: it is made apart, and attached, which nobody waits for.
-- In the first day of a month there is also one for the month before, for processes whose clock is behind.
create or replace function ensure_audit_partitions(months integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  present date := date_trunc('month', public.vault_now() at time zone 'UTC');
  earliest date := date_trunc('month', (public.vault_now() - interval '1 day') at time zone 'UTC');
  first date;
  name text;
  made integer := 0;
begin
  if months not between 1 and 24 then raise exception 'months must be 1 to 24'; end if;
  for first in select generate_series(earliest, present + make_interval(months => months), interval '1 month') loop
    name := 'audit_events_' || to_char(first, 'YYYY_MM');
    if to_regclass('public.' || name) is null then
      begin
        execute format('create table public.%I (like public.audit_events including defaults)', name);
        execute format('alter table public.audit_events attach partition public.%I for values from (%L) to (%L)', name,
          first::timestamp at time zone 'UTC', (first + interval '1 month')::timestamp at time zone 'UTC');
        made := made + 1;
      exception when duplicate_table then
        null; -- another replica was first
      end;
    end if;
  end loop;
  return made;
end
$$;
