-- The life of keys: rotation, re-wrapping, the sweep that seals rows again, retirement, destruction;
-- and months of the record that are let go.

alter table keks add column retired_at timestamptz;

-- retired: no row needs the key; its wrapped bytes are erased a minute later, when nobody can be
-- holding a row that it sealed. destroyed: erased at once, with the workspace.
alter table system_keys
  drop constraint system_keys_state_check,
  alter column wrapped drop not null,
  add column wrapped_at timestamptz not null default vault_now(),
  add column replaced_at timestamptz,
  add column ended_at timestamptz,
  add check (state in ('current', 'previous', 'retired')),
  add check (wrapped is not null or state = 'retired'),
  add check ((state = 'current') = (replaced_at is null)),
  add check ((state = 'retired') = (ended_at is not null));
create index system_keys_kek on system_keys (kek_id) where wrapped is not null;

alter table workspace_keys
  drop constraint workspace_keys_state_check,
  alter column wrapped drop not null,
  add column wrapped_at timestamptz not null default vault_now(),
  add column replaced_at timestamptz,
  add column ended_at timestamptz,
  add check (state in ('current', 'previous', 'retired', 'destroyed')),
  add check (wrapped is not null or state in ('retired', 'destroyed')),
  add check ((state = 'current') = (replaced_at is null and ended_at is null)),
  add check ((state in ('retired', 'destroyed')) = (ended_at is not null));
create index workspace_keys_previous on workspace_keys (workspace_id, id) where state = 'previous';
create index workspace_keys_ended on workspace_keys (ended_at) where state = 'retired' and wrapped is not null;
create index workspace_keys_kek on workspace_keys (kek_id, workspace_id, id) where wrapped is not null;
create index workspace_keys_wrapped on workspace_keys (wrapped_at) where wrapped is not null;
create index workspace_keys_age on workspace_keys (created_at) where state = 'current';

-- What a client secret is bound to stands in its own row, as with every other sealed column.
alter table oauth_app_secrets add column environment text check (environment in ('sandbox', 'live'));
update oauth_app_secrets s set environment = a.environment from oauth_apps a where a.workspace_id = s.workspace_id and a.id = s.app_id;
alter table oauth_app_secrets alter column environment set not null;

alter table relay_chunks add column environment text check (environment in ('sandbox', 'live')), add column connection_id text collate "C";
update relay_chunks c set environment = i.environment, connection_id = i.connection_id from relay_invocations i where i.workspace_id = c.workspace_id and i.id = c.invocation_id;
alter table relay_chunks alter column environment set not null, alter column connection_id set not null;
create index relay_chunks_key on relay_chunks (workspace_id, key_id);
create index relay_invocations_input_key on relay_invocations (workspace_id, input_key_id) where input is not null;
create index relay_invocations_result_key on relay_invocations (workspace_id, result_key_id) where result is not null;

-- Global: the one sweep, what it was asked for and how far it is. Any process goes on with it.
create table key_sweep (
  singleton boolean primary key default true check (singleton),
  state text not null default 'idle' check (state in ('idle', 'running')),
  requested_by text,
  requested_at timestamptz,
  finished_at timestamptz,
  -- Current keys made before `rotate_before` are to be replaced, those of the scopes named.
  rotate_before timestamptz,
  rotate_kind text check (rotate_kind in ('system', 'workspace')),
  rotate_workspace text collate "C",
  rotate_environment text check (rotate_environment in ('sandbox', 'live')),
  -- Keys wrapped before it are to be wrapped again, under the current KEK.
  rewrap_before timestamptz,
  rows_per_second integer,
  keys_made bigint not null default 0,
  keys_rewrapped bigint not null default 0,
  rows_total bigint not null default 0,
  rows_done bigint not null default 0,
  rows_failed bigint not null default 0,
  lease_owner text,
  lease_until timestamptz,
  fence bigint not null default 0
);
insert into key_sweep default values;

-- Where the record begins since months of it were let go: the last checkpoint among what went, and
-- the first instant whose records are kept, under the vault's MAC.
create table audit_anchors (
  seq bigint not null,
  head_mac bytea not null,
  events bigint not null,
  kept_from timestamptz not null,
  key_id text collate "C" not null,
  signature bytea not null,
  created_at timestamptz not null default vault_now(),
  -- Links beyond the anchor whose records went with the months. Of all others the records must be there.
  lost_links bigint[] not null,
  -- A quiet month has no checkpoint of its own: two anchors may be at one link.
  primary key (seq, kept_from)
);

-- Drops the months that ended before `kept_from`, with the links up to the anchor. Runs with the
-- owner's rights, and only for the retention role, which can do nothing else.
-- Dropping a partition locks the whole record for a moment, and whoever writes waits behind whoever
-- reads: the long part comes first, and each try at the lock is a short one. Checkpoints and anchors
-- from before say nothing any more, but would keep the keys that signed them from being retired.
create function prune_audit(anchor bigint, kept_from timestamptz) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  parts text[];
  part text;
  tries integer := 0;
begin
  if kept_from > date_trunc('month', public.vault_now() at time zone 'UTC') at time zone 'UTC' then
    raise exception 'the current month is kept';
  end if;
  if not exists (select from public.audit_anchors a where a.seq = anchor and a.kept_from = prune_audit.kept_from) then
    raise exception 'there is no such anchor';
  end if;
  delete from public.audit_chain where seq <= anchor;
  delete from public.audit_checkpoints where seq <= anchor;
  delete from public.audit_anchors a where (a.seq, a.kept_from) < (anchor, prune_audit.kept_from);
  select coalesce(array_agg(c.relname order by c.relname), '{}') into parts
    from pg_class c join pg_inherits i on i.inhrelid = c.oid
   where i.inhparent = 'public.audit_events'::regclass and c.relname ~ '^audit_events_\d{4}_\d{2}$'
     and (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC' <= kept_from;
  while tries >= 0 and cardinality(parts) > 0 loop
    begin
      perform set_config('lock_timeout', '500ms', true);
      foreach part in array parts loop
        execute format('drop table public.%I', part);
      end loop;
      tries := -1;
    exception when lock_not_available then
      tries := tries + 1;
      if tries >= 60 then raise; end if;
      perform pg_sleep(0.5);
    end;
  end loop;
  return cardinality(parts);
end
$$;
revoke all on function prune_audit(bigint, timestamptz) from public;

grant update (retired_at) on keks to connection_vault_service;
grant update (state, kek_id, wrapped, wrapped_at, replaced_at, ended_at) on system_keys, workspace_keys to connection_vault_service;
grant update (sealed, key_id) on invocation_results, relay_chunks to connection_vault_service;
grant select, update on key_sweep to connection_vault_service;
grant select, insert on audit_anchors to connection_vault_service;
grant usage on schema public to connection_vault_retention;
grant execute on function prune_audit(bigint, timestamptz) to connection_vault_retention;
