-- Idempotent invocations: who is running one now, and what it came to.

-- Set while an invocation with this key is under way, and renewed by its process: a time in the
-- past is the time at which that process was last known to live. Null for what is no invocation
-- and for one that has come to its end.
alter table idempotency_keys add column held_until timestamptz;

-- What the caller was told, sealed: it can hold anything the provider answered. Kept as long as its key.
create table invocation_results (
  workspace_id text collate "C" not null,
  invocation_id text collate "C" not null,
  connection_id text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  sealed bytea not null,
  key_id text collate "C" not null,
  created_at timestamptz not null default vault_now(),
  primary key (workspace_id, invocation_id)
);
create index invocation_results_age on invocation_results (created_at);
create index invocation_results_key on invocation_results (workspace_id, key_id);

grant select, insert, delete on invocation_results to connection_vault_service;
