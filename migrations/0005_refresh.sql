-- Renewing tokens in the background, and what is known of a renewal whose answer was lost.

alter table connections
  -- When the refresh token was last sent without an answer that could be read, and how often in a row.
  add column refresh_lost_at timestamptz,
  add column lost_answers integer not null default 0;

-- Due work is claimed for each provider by itself: one that hangs holds up no other.
drop index connections_refresh;
create index connections_refresh on connections (integration, environment, next_refresh_at) where next_refresh_at is not null;

-- What a token endpoint has answered, sealed before anybody looks into it: whoever claims the
-- connection next reads it before a new request is made.
create table refresh_answers (
  workspace_id text collate "C" not null,
  connection_id text collate "C" not null,
  environment text not null check (environment in ('sandbox', 'live')),
  -- The version whose refresh token was sent.
  version_id text collate "C" not null,
  started_at timestamptz not null,
  sealed bytea not null,
  key_id text collate "C" not null,
  primary key (workspace_id, connection_id),
  foreign key (workspace_id, connection_id) references connections (workspace_id, id) on delete cascade
);
create index refresh_answers_key on refresh_answers (workspace_id, key_id);

-- An app that its provider refuses is left alone for a while: nothing is wrong with its connections.
alter table oauth_apps
  add column broken_since timestamptz,
  add column broken_error text,
  add column paused_until timestamptz;

grant select, insert, update, delete on refresh_answers to connection_vault_service;
