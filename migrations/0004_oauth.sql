-- OAuth: the apps registered with providers, permissions to link an account, links that wait to be
-- confirmed, grants that wait to be revoked, and what a refresh has to remember.

-- Global where workspace_id is empty: the vault's own app, offered to every workspace. A
-- workspace's own app wins over it.
create table oauth_apps (
  workspace_id text collate "C" not null,
  id text collate "C" not null,
  integration text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  client_id text not null,
  -- Scopes to ask for, by auth scheme; those of the manifest where there are none.
  scopes jsonb not null,
  last_secret_number integer not null,
  revision bigint not null default 1,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  updated_by text not null,
  updated_at timestamptz not null default vault_now(),
  primary key (workspace_id, id)
);
create unique index oauth_apps_place on oauth_apps (workspace_id, integration, environment);
-- A callback knows the app by its id alone. Not unique: a unique index would have to begin with workspace_id.
create index oauth_apps_id on oauth_apps (id);

-- Client secrets. During a rotation the one before stays valid until its grace ends.
create table oauth_app_secrets (
  workspace_id text collate "C" not null,
  app_id text collate "C" not null,
  id text collate "C" not null,
  number integer not null,
  state text not null check (state in ('current', 'previous', 'destroyed')),
  hosts text[] not null,
  preview text not null,
  sealed bytea,
  key_id text collate "C" not null,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  grace_until timestamptz,
  destroyed_at timestamptz,
  primary key (workspace_id, app_id, id),
  unique (workspace_id, app_id, number),
  foreign key (workspace_id, app_id) references oauth_apps (workspace_id, id) on delete cascade,
  check ((state = 'destroyed') = (sealed is null)),
  check ((state = 'previous') = (grace_until is not null)),
  check ((state = 'destroyed') = (destroyed_at is not null))
);
create unique index oauth_app_secrets_one_current on oauth_app_secrets (workspace_id, app_id) where state = 'current';
create index oauth_app_secrets_grace on oauth_app_secrets (grace_until) where state = 'previous';
create index oauth_app_secrets_key on oauth_app_secrets (workspace_id, key_id) where sealed is not null;

-- One short-lived permission to link an account in a browser. Neither the token of its URL nor the
-- cookie or the code that follow from it are stored, only their hashes.
create table connect_sessions (
  workspace_id text collate "C" not null,
  id text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  -- open: nobody has come yet; bound: to the browser that came first; confirming: linked, and waiting for the host to say for whom.
  state text not null default 'open' check (state in ('open', 'bound', 'confirming', 'completed', 'ended')),
  ended_reason text,
  integrations text[] not null,
  name text not null,
  labels jsonb not null,
  actor text not null,
  return_url text,
  confirmation text not null check (confirmation in ('required', 'none')),
  -- Set when a connection is to be linked anew.
  reconnect_id text collate "C",
  allow_account_change boolean not null,
  token_hash bytea not null,
  cookie_hash bytea,
  attempts integer not null default 0,
  expires_at timestamptz not null,
  completion_hash bytea,
  confirm_until timestamptz,
  connection_id text collate "C",
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  primary key (workspace_id, id),
  check ((state = 'confirming') = (completion_hash is not null)),
  check ((state = 'ended') = (ended_reason is not null))
);
create index connect_sessions_token on connect_sessions (token_hash);
create index connect_sessions_due on connect_sessions (coalesce(confirm_until, expires_at)) where state in ('open', 'bound', 'confirming');
create index connect_sessions_age on connect_sessions (created_at);

-- A browser's way to a provider and back. One a session: a second tab replaces the first.
create table oauth_states (
  workspace_id text collate "C" not null,
  session_id text collate "C" not null,
  id text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  state_hash bytea not null,
  integration text collate "C" not null,
  auth text collate "C" not null,
  config jsonb not null,
  app_owner text collate "C" not null,
  app_id text collate "C" not null,
  scopes text[] not null,
  -- The PKCE verifier.
  sealed bytea,
  key_id text collate "C",
  expires_at timestamptz not null,
  primary key (workspace_id, session_id),
  foreign key (workspace_id, session_id) references connect_sessions (workspace_id, id) on delete cascade,
  check ((sealed is null) = (key_id is null))
);
create index oauth_states_hash on oauth_states (state_hash);
create index oauth_states_key on oauth_states (workspace_id, key_id) where sealed is not null;

-- What a browser has brought and nobody has confirmed yet. It is no connection: nothing that
-- resolves or invokes looks here. `choosing`: the person has yet to say which of several accounts;
-- sealed then for no host at all.
create table pending_links (
  workspace_id text collate "C" not null,
  session_id text collate "C" not null,
  connection_id text collate "C" not null,
  id text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  stage text not null check (stage in ('choosing', 'confirming')),
  integration text collate "C" not null,
  auth text collate "C" not null,
  config jsonb not null,
  choices jsonb not null,
  field_set text[] not null,
  hosts text[] not null,
  host_config jsonb not null,
  previews jsonb not null,
  sealed bytea not null,
  key_id text collate "C" not null,
  app_owner text collate "C",
  app_id text collate "C",
  granted_scopes text[],
  grant_holder text,
  account_id text,
  account_label text,
  token_expires_at timestamptz,
  refresh_expires_at timestamptz,
  created_at timestamptz not null default vault_now(),
  primary key (workspace_id, session_id),
  foreign key (workspace_id, session_id) references connect_sessions (workspace_id, id) on delete cascade
);
create index pending_links_key on pending_links (workspace_id, key_id);

-- Grants that are nobody's any more, kept sealed until the provider has been told.
create table revocations (
  workspace_id text collate "C" not null,
  id text collate "C" not null,
  connection_id text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  reason text not null,
  integration text collate "C" not null,
  auth text collate "C" not null,
  config jsonb not null,
  purpose text not null,
  owner_id text collate "C" not null,
  version_id text collate "C" not null,
  field_set text[] not null,
  hosts text[] not null,
  host_config jsonb not null,
  sealed bytea not null,
  key_id text collate "C" not null,
  app_owner text collate "C" not null,
  app_id text collate "C" not null,
  account_id text,
  grant_holder text,
  attempts integer not null default 0,
  due_at timestamptz not null default vault_now(),
  created_at timestamptz not null default vault_now(),
  primary key (workspace_id, id)
);
create index revocations_due on revocations (due_at);
create index revocations_key on revocations (workspace_id, key_id);

-- Which grant a version is of, and until when it is good. Null for what was pasted.
alter table credential_versions
  add column app_owner text collate "C",
  add column app_id text collate "C",
  add column granted_scopes text[],
  add column grant_holder text,
  add column token_expires_at timestamptz,
  add column refresh_expires_at timestamptz,
  add constraint credential_versions_app check ((app_owner is null) = (app_id is null));
create index credential_versions_app on credential_versions (app_id) where app_id is not null and state = 'current';

-- Who refreshes the credential now. Every change of the credential moves the fence, so that a
-- refresh that comes late can tell; the lease is by the database's clock.
alter table connections
  add column lease_owner text,
  add column lease_until timestamptz,
  add column fence bigint not null default 0,
  add column refresh_started_at timestamptz,
  add column refresh_failures integer not null default 0,
  add column last_refreshed_at timestamptz,
  add column next_refresh_at timestamptz;
create index connections_refresh on connections (next_refresh_at) where next_refresh_at is not null;

grant select, insert, update, delete on oauth_apps, connect_sessions, pending_links, revocations to connection_vault_service;
grant select, insert, delete on oauth_app_secrets, oauth_states to connection_vault_service;
grant update (state, sealed, key_id, grace_until, destroyed_at) on oauth_app_secrets to connection_vault_service;
grant update (sealed, key_id) on oauth_states to connection_vault_service;
