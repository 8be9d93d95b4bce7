-- Private connections: agents inside customers' networks, and who may be one.

create table agent_groups (
  workspace_id text collate "C" not null,
  id text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  name text not null,
  name_key text collate "C" not null,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  primary key (workspace_id, id)
);
create unique index agent_groups_name on agent_groups (workspace_id, environment, name_key);

-- Permissions to become an agent, each for one. The code itself is shown once.
create table enrolment_codes (
  workspace_id text collate "C" not null,
  code_hash bytea not null,
  group_id text collate "C" not null,
  expires_at timestamptz not null,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  primary key (workspace_id, code_hash),
  foreign key (workspace_id, group_id) references agent_groups (workspace_id, id) on delete cascade
);
-- Whoever brings a code does not know its workspace.
create index enrolment_codes_hash on enrolment_codes (code_hash);
create index enrolment_codes_age on enrolment_codes (expires_at);

create table agents (
  workspace_id text collate "C" not null,
  id text collate "C" not null,
  group_id text collate "C" not null,
  name text not null,
  -- Ed25519 (RFC 8032), 32 bytes.
  public_key bytea not null,
  sdk_version text,
  protocol_version integer,
  host text,
  -- What it can run, as it said itself.
  actions json not null default '[]',
  announced_at timestamptz,
  last_seen_at timestamptz,
  revoked_at timestamptz,
  revoked_by text,
  enrolled_at timestamptz not null default vault_now(),
  primary key (workspace_id, id),
  foreign key (workspace_id, group_id) references agent_groups (workspace_id, id) on delete cascade
);
create index agents_group on agents (workspace_id, group_id);
create index agents_id on agents (id);

-- Challenges that were answered: none is answered twice.
create table used_challenges (
  workspace_id text collate "C" not null,
  agent_id text collate "C" not null,
  nonce bytea not null,
  expires_at timestamptz not null,
  primary key (workspace_id, agent_id, nonce),
  foreign key (workspace_id, agent_id) references agents (workspace_id, id) on delete cascade
);
create index used_challenges_age on used_challenges (expires_at);

grant select, insert, delete on agent_groups, enrolment_codes, agents, used_challenges to connection_vault_service;
-- Locking a group until a commit needs the right to update something of it.
grant update (name, name_key) on agent_groups to connection_vault_service;
grant update (sdk_version, protocol_version, host, actions, announced_at, last_seen_at, revoked_at, revoked_by) on agents to connection_vault_service;
