-- Open invocations are derived from the audit chain, as uses are: written and deleted in every
-- commit, these rows cost Postgres almost as much as the records themselves.

-- One row: up to which link of the chain open_invocations has been brought. What the version
-- before this one has opened is in the table already, and its ends come later in the chain.
create table open_invocations_cursor (
  singleton boolean primary key default true check (singleton),
  seq bigint not null default 0
);
insert into open_invocations_cursor (seq) select coalesce(max(seq), 0) from audit_chain;
grant select, update on open_invocations_cursor to connection_vault_service;
