-- Calls that agents make: each waits in the queue of its group until an agent takes it.

alter table agents add column encryption_key bytea;
alter table agent_groups add column online boolean not null default false;

create table relay_invocations (
  workspace_id text collate "C" not null,
  id text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  group_id text collate "C" not null,
  connection_id text collate "C" not null,
  version_id text collate "C" not null,
  action text collate "C" not null,
  effect text not null check (effect in ('read', 'idempotent', 'unsafe')),
  -- queued: nobody has its input, although it may be on offer; claimed: an agent has it.
  state text not null default 'queued' check (state in ('queued', 'claimed', 'ended')),
  -- expired: never claimed. timeout: claimed, no result in time, harmless to repeat. unknown: the same, but not harmless.
  outcome text check (outcome in ('succeeded', 'failed', 'unknown', 'timeout', 'expired', 'cancelled')),
  -- Who asked, and where: its end is put on record for them, by whichever process it reaches.
  asked_by json not null,
  -- Of its idempotency key, which is let go if nothing was done.
  key_hash bytea,
  encrypted boolean not null,
  input bytea,
  input_key_id text collate "C",
  result bytea,
  result_key_id text collate "C",
  -- Pieces of a result that is too large for one row.
  chunks integer not null default 0,
  error json,
  -- One offer at a time; whoever claims it becomes the holder.
  offer_hash bytea,
  offered_to text collate "C",
  offer_until timestamptz,
  claim_hash bytea,
  agent_id text collate "C",
  lease_until timestamptz,
  claims integer not null default 0,
  -- A result of the present holder is here.
  answered boolean not null default false,
  cancel_requested_at timestamptz,
  queue_until timestamptz not null,
  run_ms integer not null,
  deadline_at timestamptz not null,
  created_at timestamptz not null default vault_now(),
  claimed_at timestamptz,
  ended_at timestamptz,
  primary key (workspace_id, id),
  foreign key (workspace_id, group_id) references agent_groups (workspace_id, id) on delete cascade,
  check ((state = 'ended') = (ended_at is not null)),
  check ((state = 'ended') = (outcome is not null))
);
create index relay_invocations_queue on relay_invocations (workspace_id, group_id, id) where state = 'queued';
create index relay_invocations_held on relay_invocations (workspace_id, agent_id) where state = 'claimed';
create index relay_invocations_lease on relay_invocations (lease_until) where state = 'claimed';
create index relay_invocations_waiting on relay_invocations (queue_until) where state = 'queued';
create index relay_invocations_age on relay_invocations (ended_at) where state = 'ended';

create table relay_chunks (
  workspace_id text collate "C" not null,
  invocation_id text collate "C" not null,
  -- Which of the invocation's claims sent it.
  claim integer not null,
  number integer not null,
  bytes integer not null,
  sealed bytea not null,
  key_id text collate "C" not null,
  primary key (workspace_id, invocation_id, claim, number),
  foreign key (workspace_id, invocation_id) references relay_invocations (workspace_id, id) on delete cascade
);

grant select, insert, delete on relay_invocations, relay_chunks to connection_vault_service;
grant update (state, outcome, input, input_key_id, result, result_key_id, chunks, error, offer_hash, offered_to, offer_until, claim_hash, agent_id, lease_until, claims, answered,
  cancel_requested_at, queue_until, deadline_at, claimed_at, ended_at) on relay_invocations to connection_vault_service;
grant update (online) on agent_groups to connection_vault_service;
