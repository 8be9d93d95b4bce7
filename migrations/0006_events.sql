-- What people and programs are told: the feed of events, the webhooks it is sent to, and reminders
-- of credentials that end.

-- Global by nature: one feed for the host product, over all workspaces. A row is written in the
-- transaction of the change it tells of.
create table events (
  id text collate "C" primary key,
  -- In the order of the inserts: those about one connection follow each other under its lock.
  ordinal bigint generated always as identity,
  -- The place in the feed, given after the commit by one process at a time: whoever has read up to
  -- a place will never find something new before it.
  seq bigint unique,
  type text collate "C" not null,
  occurred_at timestamptz not null default vault_now(),
  workspace_id text collate "C",
  environment text check (environment in ('sandbox', 'live')),
  -- The connection, app or webhook it is about.
  subject_id text collate "C" not null,
  data jsonb not null
);
create index events_unpublished on events (ordinal) where seq is null;
create index events_workspace on events (workspace_id, seq) where seq is not null;
create index events_age on events (occurred_at);

-- Where the feed has got to, and up to where it has been cleared. One row.
create table event_feed (
  singleton boolean primary key default true check (singleton),
  last_seq bigint not null default 0,
  cleared_seq bigint not null default 0
);
insert into event_feed default values;

-- Global by nature: endpoints of the host product.
create table webhooks (
  id text collate "C" primary key,
  url text not null,
  description text,
  -- Null: all of them.
  event_types text[],
  environments text[] not null,
  disabled_at timestamptz,
  disabled_reason text,
  -- Since when no delivery has succeeded.
  failing_since timestamptz,
  last_delivered_at timestamptz,
  last_secret_number integer not null default 1,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  updated_by text not null,
  updated_at timestamptz not null default vault_now()
);

create table webhook_secrets (
  webhook_id text collate "C" not null references webhooks on delete cascade,
  id text collate "C" not null,
  number integer not null,
  state text not null check (state in ('current', 'previous')),
  sealed bytea not null,
  key_id text collate "C" not null,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  grace_until timestamptz,
  primary key (webhook_id, id),
  unique (webhook_id, number),
  check ((state = 'previous') = (grace_until is not null))
);
create unique index webhook_secrets_one_current on webhook_secrets (webhook_id) where state = 'current';
create index webhook_secrets_grace on webhook_secrets (grace_until) where state = 'previous';
create index webhook_secrets_key on webhook_secrets (key_id);

create table webhook_deliveries (
  webhook_id text collate "C" not null references webhooks on delete cascade,
  event_id text collate "C" not null references events on delete cascade,
  state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  -- Raised when an attempt begins; only that attempt may write how it ended.
  attempts integer not null default 0,
  queued_at timestamptz not null default vault_now(),
  due_at timestamptz not null default vault_now(),
  last_attempt_at timestamptz,
  last_status integer,
  last_error text,
  primary key (webhook_id, event_id)
);
create index webhook_deliveries_due on webhook_deliveries (webhook_id, due_at) where state = 'pending';
create index webhook_deliveries_event on webhook_deliveries (event_id);

-- When a token ends that nothing but its owner can renew. Null: it is renewed, or does not end.
alter table connections add column ends_at timestamptz;
-- What reminders are about: that, or the end of the day that was entered (UTC), whichever is first.
alter table connections
  add column deadline timestamptz generated always as (least(((expires_on + 1)::timestamp at time zone 'UTC'), ends_at)) stored,
  -- The deadline that was last reminded of, and how many days ahead.
  add column reminded_of timestamptz,
  add column reminded_days integer;
create index connections_deadline on connections (deadline) where deadline is not null;

grant select, insert, delete on events to connection_vault_service;
grant update (seq) on events to connection_vault_service;
grant select, update on event_feed to connection_vault_service;
grant select, insert, update, delete on webhooks, webhook_deliveries to connection_vault_service;
grant select, insert, delete on webhook_secrets to connection_vault_service;
grant update (state, sealed, key_id, grace_until) on webhook_secrets to connection_vault_service;
