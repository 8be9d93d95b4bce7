-- The vault's first schema. Forward only.
--
-- Roles: the role that runs this owns everything. The service is (a member of) connection_vault_service,
-- which owns nothing: it gets exactly the rights below, and none of them alters a table or touches
-- an audit record once written.
--
-- Every primary key and unique index of a tenant's table begins with workspace_id, no foreign key
-- crosses workspaces, and leases are columns: the schema can be distributed by workspace.

-- Leases, expiry and due times are decided by this clock alone. Tests replace it to move time.
create function vault_now() returns timestamptz
  language sql stable parallel safe
  return statement_timestamp();

-- Global: which KEKs sealed anything here, each with a known value that tells a wrong KEK from a right one.
create table keks (
  kek_id text collate "C" primary key,
  check_value bytea not null,
  created_at timestamptz not null default vault_now()
);

-- Global: the vault's own keys (MACs of the audit chain, fingerprints of requests).
create table system_keys (
  id text collate "C" primary key,
  kek_id text collate "C" not null references keks,
  wrapped bytea not null,
  state text not null default 'current' check (state in ('current', 'previous')),
  created_at timestamptz not null default vault_now()
);
create unique index system_keys_one_current on system_keys ((true)) where state = 'current';

create table workspace_keys (
  workspace_id text collate "C" not null,
  id text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  kek_id text collate "C" not null,
  wrapped bytea not null,
  state text not null default 'current' check (state in ('current', 'previous')),
  created_at timestamptz not null default vault_now(),
  primary key (workspace_id, id)
);
create unique index workspace_keys_one_current on workspace_keys (workspace_id, environment) where state = 'current';

-- Global: callers. '*' stands for every workspace or environment. The token itself is never stored.
create table service_tokens (
  id text collate "C" primary key,
  name text not null,
  token_hash bytea not null unique,
  scopes text[] not null,
  workspaces text[] not null,
  environments text[] not null,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  revoked_by text,
  idempotency_hash bytea unique,
  idempotency_fingerprint bytea,
  check ((idempotency_hash is null) = (idempotency_fingerprint is null))
);

create table connections (
  workspace_id text collate "C" not null,
  id text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  integration text collate "C" not null,
  auth text collate "C" not null,
  name text not null,
  name_key text collate "C" not null,
  health text not null check (health in ('pending', 'active', 'needs_reauth', 'error')),
  health_reason text,
  disabled_at timestamptz,
  config jsonb not null,
  labels jsonb not null,
  allowed_actions text[],
  allowed_hosts text[],
  account_id text,
  account_label text,
  expires_on date,
  current_version text collate "C" not null,
  last_version_number integer not null,
  -- How often the provider refused the current version since it last accepted it.
  refusals integer not null default 0,
  revision bigint not null default 1,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  updated_by text not null,
  updated_at timestamptz not null default vault_now(),
  primary key (workspace_id, id)
);
create unique index connections_name on connections (workspace_id, environment, name_key);

-- One sealed set of secret fields. What the sealing is bound to (environment, field_set, hosts,
-- host_config) is written once: the service may not update those columns.
create table credential_versions (
  workspace_id text collate "C" not null,
  connection_id text collate "C" not null,
  id text collate "C" not null,
  number integer not null,
  environment text not null check (environment in ('sandbox', 'live')),
  state text not null check (state in ('current', 'previous', 'destroyed')),
  field_set text[] not null,
  hosts text[] not null,
  host_config jsonb not null,
  previews jsonb not null,
  sealed bytea,
  key_id text collate "C" not null,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  grace_until timestamptz,
  destroyed_at timestamptz,
  primary key (workspace_id, connection_id, id),
  unique (workspace_id, connection_id, number),
  foreign key (workspace_id, connection_id) references connections (workspace_id, id) on delete cascade,
  check ((state = 'destroyed') = (sealed is null)),
  check ((state = 'previous') = (grace_until is not null)),
  check ((state = 'destroyed') = (destroyed_at is not null))
);
create unique index credential_versions_one_current on credential_versions (workspace_id, connection_id) where state = 'current';
create index credential_versions_grace on credential_versions (grace_until) where state = 'previous';
create index credential_versions_key on credential_versions (workspace_id, key_id) where sealed is not null;

-- Which procedures point at a connection, as the dashboard registered them.
create table connection_references (
  workspace_id text collate "C" not null,
  connection_id text collate "C" not null,
  procedure_id text collate "C" not null,
  step_id text collate "C" not null,
  label text,
  registered_at timestamptz not null default vault_now(),
  primary key (workspace_id, connection_id, procedure_id, step_id),
  foreign key (workspace_id, connection_id) references connections (workspace_id, id) on delete cascade
);

-- Uses seen, derived from the audit records every few seconds. Empty text: the caller did not say.
create table connection_uses (
  workspace_id text collate "C" not null,
  connection_id text collate "C" not null,
  procedure_id text collate "C" not null,
  step_id text collate "C" not null,
  uses bigint not null,
  first_used_at timestamptz not null,
  last_used_at timestamptz not null,
  primary key (workspace_id, connection_id, procedure_id, step_id),
  foreign key (workspace_id, connection_id) references connections (workspace_id, id) on delete cascade
);

create table idempotency_keys (
  workspace_id text collate "C" not null,
  key_hash bytea not null,
  fingerprint bytea not null,
  resource_id text collate "C" not null,
  created_at timestamptz not null default vault_now(),
  primary key (workspace_id, key_hash)
);
create index idempotency_keys_age on idempotency_keys (created_at);

-- Invocations on their way: written with their `invocation.started` record, deleted with their
-- `invocation.finished` one. What is past its deadline here died with its process.
create table open_invocations (
  workspace_id text collate "C" not null,
  id text collate "C" not null,
  connection_id text collate "C" not null,
  version_id text collate "C" not null,
  environment text not null,
  details jsonb not null,
  context jsonb,
  deadline_at timestamptz not null,
  primary key (workspace_id, id)
);
create index open_invocations_deadline on open_invocations (deadline_at);

-- Global by nature: the record of every use and change, partitioned by month. Written once.
create table audit_events (
  occurred_at timestamptz not null,
  batch_id text collate "C" not null,
  id text collate "C" not null,
  event text not null,
  outcome text not null,
  reason text,
  workspace_id text collate "C",
  environment text,
  connection_id text collate "C",
  version_id text collate "C",
  invocation_id text collate "C",
  principal_kind text not null,
  principal_id text,
  actor text,
  request_id text,
  context jsonb,
  details jsonb
) partition by range (occurred_at);
-- No primary key: the chain covers how many records a batch has and what they say, and checking a
-- key of three texts would cost Postgres a seventh of the time of every commit.
create index audit_events_batch on audit_events (batch_id);
create index audit_events_workspace on audit_events (workspace_id, occurred_at);
create index audit_events_connection on audit_events (workspace_id, connection_id, occurred_at) where connection_id is not null;

-- Batches of records that were committed together, with their MAC, waiting for a link of the chain.
create table audit_unsealed (
  batch_id text collate "C" primary key,
  events integer not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  digest bytea not null,
  key_id text collate "C" not null,
  mac bytea not null,
  committed_at timestamptz not null default vault_now()
);

-- One link for each batch: its MAC covers the batch's digest and the link before.
create table audit_chain (
  seq bigint primary key,
  batch_id text collate "C" not null unique,
  events integer not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  digest bytea not null,
  key_id text collate "C" not null,
  mac bytea not null,
  sealed_at timestamptz not null default vault_now()
);

-- Signed heads of the chain, also written to the log, where an intruder in the database can't cut them.
create table audit_checkpoints (
  seq bigint primary key,
  head_mac bytea not null,
  events bigint not null,
  key_id text collate "C" not null,
  signature bytea not null,
  created_at timestamptz not null default vault_now()
);

-- One row: who seals the chain now and where its head is.
create table audit_sealer (
  singleton boolean primary key default true check (singleton),
  lease_owner text,
  lease_until timestamptz,
  fence bigint not null default 0,
  head_seq bigint not null default 0,
  head_mac bytea not null default ''::bytea,
  events bigint not null default 0
);
insert into audit_sealer default values;

-- One row: up to which link of the chain connection_uses has been added up.
create table uses_cursor (
  singleton boolean primary key default true check (singleton),
  seq bigint not null default 0
);
insert into uses_cursor default values;

-- Makes the partitions of this month and the next ones. Runs with the owner's rights, so that the
-- service can call it without being able to create anything else.
create function ensure_audit_partitions(months integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  first date;
  made integer := 0;
begin
  if months not between 1 and 24 then raise exception 'months must be 1 to 24'; end if;
  for ahead in 0 .. months loop
    first := (date_trunc('month', public.vault_now() at time zone 'UTC') + make_interval(months => ahead))::date;
    if to_regclass(format('public.audit_events_%s', to_char(first, 'YYYY_MM'))) is null then
      begin
        execute format(
          'create table public.%I partition of public.audit_events for values from (%L) to (%L)',
          'audit_events_' || to_char(first, 'YYYY_MM'),
          first::timestamp at time zone 'UTC',
          (first + interval '1 month')::timestamp at time zone 'UTC');
        made := made + 1;
      exception when duplicate_table then
        null; -- another replica was first
      end;
    end if;
  end loop;
  return made;
end
$$;
revoke all on function ensure_audit_partitions(integer) from public;
select ensure_audit_partitions(3);

grant usage on schema public to connection_vault_service;
grant execute on function vault_now(), ensure_audit_partitions(integer) to connection_vault_service;
grant select, insert on keks, system_keys, workspace_keys to connection_vault_service;
-- FOR SHARE on a key's row, to hold it current until the commit, needs the right to update something of it.
grant update (state) on system_keys, workspace_keys to connection_vault_service;
grant select, insert on service_tokens to connection_vault_service;
grant update (revoked_at, revoked_by, idempotency_hash, idempotency_fingerprint) on service_tokens to connection_vault_service;
grant select, insert, update, delete on connections, connection_references, connection_uses, idempotency_keys, open_invocations to connection_vault_service;
grant select, insert, delete on credential_versions to connection_vault_service;
grant update (state, sealed, key_id, grace_until, destroyed_at) on credential_versions to connection_vault_service;
grant select, insert on audit_events, audit_chain, audit_checkpoints to connection_vault_service;
grant select, insert, delete on audit_unsealed to connection_vault_service;
grant select, update on audit_sealer, uses_cursor to connection_vault_service;
