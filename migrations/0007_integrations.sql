-- Custom APIs: integrations that a workspace has made of OpenAPI documents.

create table integrations (
  workspace_id text collate "C" not null,
  id text collate "C" not null,
  -- The newest; older ones stay for those who name them.
  revision integer not null,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  updated_by text not null,
  updated_at timestamptz not null default vault_now(),
  primary key (workspace_id, id)
);

-- Written once. `json`, not `jsonb`: what was compiled is kept to the byte, and read as a whole.
create table integration_revisions (
  workspace_id text collate "C" not null,
  integration_id text collate "C" not null,
  revision integer not null,
  -- The manifest without its actions and schemas.
  head json not null,
  -- What was asked of the import, for the next one and for people.
  options json not null,
  -- Where the document was fetched from.
  source_url text,
  sha256 text collate "C" not null,
  title text not null,
  version text not null,
  actions integer not null,
  -- Operations that are no actions, servers, warnings.
  report json not null,
  -- Against the revision before; null for the first.
  diff json,
  created_by text not null,
  created_at timestamptz not null default vault_now(),
  primary key (workspace_id, integration_id, revision),
  foreign key (workspace_id, integration_id) references integrations (workspace_id, id) on delete cascade
);

create table integration_actions (
  workspace_id text collate "C" not null,
  integration_id text collate "C" not null,
  revision integer not null,
  name text collate "C" not null,
  ordinal integer not null,
  definition json not null,
  -- Schemas that its parameters, and its body, point at.
  parameter_refs text[] not null,
  body_refs text[] not null,
  primary key (workspace_id, integration_id, revision, name),
  foreign key (workspace_id, integration_id, revision) references integration_revisions (workspace_id, integration_id, revision) on delete cascade
);

create table integration_schemas (
  workspace_id text collate "C" not null,
  integration_id text collate "C" not null,
  revision integer not null,
  name text collate "C" not null,
  schema json not null,
  refs text[] not null,
  primary key (workspace_id, integration_id, revision, name),
  foreign key (workspace_id, integration_id, revision) references integration_revisions (workspace_id, integration_id, revision) on delete cascade
);

-- The revision that decided a connection's authentication and hosts: a newer one does not move a
-- credential. Null for integrations that every workspace has; the keys then ask for nothing.
alter table connections
  add column integration_revision integer,
  add foreign key (workspace_id, integration, integration_revision) references integration_revisions (workspace_id, integration_id, revision);
create index connections_integration on connections (workspace_id, integration, integration_revision) where integration_revision is not null;
alter table pending_links
  add column integration_revision integer,
  add foreign key (workspace_id, integration, integration_revision) references integration_revisions (workspace_id, integration_id, revision);
create index pending_links_integration on pending_links (workspace_id, integration, integration_revision) where integration_revision is not null;

grant select, insert, delete on integrations, integration_revisions, integration_actions, integration_schemas to connection_vault_service;
grant update (revision, updated_by, updated_at) on integrations to connection_vault_service;
