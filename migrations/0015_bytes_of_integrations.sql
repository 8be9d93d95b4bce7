-- What all revisions of a Custom API hold, in bytes of JSON: a workspace may have so many of them. Kept here, since
-- there may be 100,000 revisions to be added up.
alter table integrations add column bytes bigint not null default 0;
update integrations i set bytes =
  (select coalesce(sum(octet_length(head::text) + octet_length(options::text) + octet_length(report::text) + coalesce(octet_length(diff::text), 0)), 0)
   from integration_revisions r where r.workspace_id = i.workspace_id and r.integration_id = i.id)
  + (select coalesce(sum(octet_length(definition::text)), 0) from integration_actions a where a.workspace_id = i.workspace_id and a.integration_id = i.id)
  + (select coalesce(sum(octet_length(schema::text)), 0) from integration_schemas s where s.workspace_id = i.workspace_id and s.integration_id = i.id);
grant update (bytes) on integrations to connection_vault_service;
