/**
 * Rows for every table that grows, as a vault that has run for months would have them, by the ten
 * thousand. They are for plans alone: what is sealed in them does not open. Connections come from
 * `seedMany`; of everything else the n-th belongs to workspace n modulo 300.
 */
export const FILLED_WORKSPACES = 300

const ws = `'seed_' || lpad((n % ${FILLED_WORKSPACES})::text, 7, '0')`
const id = (prefix: string) => `'${prefix}_' || lpad(n::text, 26, '0')`
const hash = 'sha256(n::text::bytea)'
/** An eightieth in the last five minutes, the rest up to so many days ago. */
const ago = (days: number) => `vault_now() - case when n % 80 = 0 then random() * interval '5 minutes' else random() * interval '${days} days' end`

/** Ids of the examples that the cases use: all of workspace 0. */
export const exampleId = (prefix: string, n = FILLED_WORKSPACES): string => `${prefix}_${String(n).padStart(26, '0')}`

export const FILL_TABLES = `
insert into service_tokens (id, name, token_hash, scopes, workspaces, environments, created_by, created_at, idempotency_hash, idempotency_fingerprint)
  select ${id('tok')}, 'n', ${hash}, '{}', '{*}', '{*}', 'fill', vault_now() - interval '1 hour', case when n % 50 = 0 then ${hash} end, case when n % 50 = 0 then ${hash} end from generate_series(1, 3000) n;
insert into idempotency_keys (workspace_id, key_hash, fingerprint, resource_id, created_at, held_until)
  select ${ws}, ${hash}, ${hash}, ${id('inv')}, vault_now() - random() * interval '24 hours 3 minutes', null from generate_series(1, 20000) n;
insert into invocation_results (workspace_id, invocation_id, connection_id, environment, sealed, key_id, created_at)
  select ${ws}, ${id('inv')}, 'conn_x', 'live', ${hash}, 'key_' || n % 500, vault_now() - random() * interval '24 hours 3 minutes' from generate_series(1, 20000) n;
insert into open_invocations (workspace_id, id, connection_id, version_id, environment, details, deadline_at)
  select ${ws}, ${id('inv')}, 'conn_x', 'ver_x', 'live', '{}', vault_now() + (n % 100 - 1) * interval '1 second' from generate_series(1, 500) n;

insert into oauth_apps (workspace_id, id, integration, environment, client_id, scopes, last_secret_number, created_by, updated_by)
  select ${ws}, ${id('app')}, 'int' || n / ${FILLED_WORKSPACES}, 'live', 'c', '{}', 2, 'fill', 'fill' from generate_series(1, 20000) n;
insert into oauth_app_secrets (workspace_id, app_id, id, number, state, hosts, preview, sealed, key_id, created_by, environment)
  select ${ws}, ${id('app')}, ${id('ver')}, 2, 'current', '{}', '', ${hash}, 'key_' || n % 500, 'fill', 'live' from generate_series(1, 20000) n;
insert into oauth_app_secrets (workspace_id, app_id, id, number, state, hosts, preview, sealed, key_id, created_by, environment, grace_until)
  select ${ws}, ${id('app')}, 'ver_old' || n, 1, 'previous', '{}', '', ${hash}, 'key_' || n % 500, 'fill', 'live', vault_now() + (n - 5) * interval '1 minute' from generate_series(1, 1500) n;
insert into connect_sessions (workspace_id, id, environment, state, ended_reason, integrations, name, labels, actor, confirmation, allow_account_change, token_hash, expires_at, created_by, created_at)
  select ${ws}, ${id('cs')}, 'live', case when n % 40 = 0 then 'open' else 'ended' end, case when n % 40 = 0 then null else 'expired' end, '{}', 'n', '{}', 'a', 'none', false, ${hash},
         made + interval '30 minutes', 'fill', made from (select n, ${ago(1)} as made from generate_series(1, 20000) n) as s;
insert into oauth_states (workspace_id, session_id, id, environment, state_hash, integration, auth, config, app_owner, app_id, scopes, sealed, key_id, expires_at)
  select ${ws}, ${id('cs')}, ${id('ver')}, 'live', ${hash}, 'i', 'oauth', '{}', '', 'app', '{}', ${hash}, 'key_' || n % 500, vault_now() from generate_series(1, 20000) n;
insert into pending_links (workspace_id, session_id, connection_id, id, environment, stage, integration, auth, config, choices, field_set, hosts, host_config, previews, sealed, key_id, app_owner, app_id, grant_holder, account_id)
  select ${ws}, ${id('cs')}, ${id('conn')}, ${id('ver')}, 'live', 'confirming', 'i', 'oauth', '{}', '[]', '{}', '{}', '{}', '{}', ${hash}, 'key_' || n % 500, '', ${id('app')}, 'h' || n, 'a' || n
    from generate_series(1, 20000) n;
insert into revocations (workspace_id, id, connection_id, environment, reason, integration, auth, config, purpose, owner_id, version_id, field_set, hosts, host_config, sealed, key_id, app_owner, app_id, due_at)
  select ${ws}, ${id('rev')}, 'conn_x', 'live', 'deleted', 'i', 'oauth', '{}', 'connection-credential', 'conn_x', 'ver_x', '{}', '{}', '{}', ${hash}, 'key_' || n % 500, '', 'app', vault_now() + (n - 30) * interval '1 minute'
    from generate_series(1, 20000) n;
insert into refresh_answers (workspace_id, connection_id, environment, version_id, started_at, sealed, key_id)
  select workspace_id, id, environment, current_version, vault_now(), 'x', 'key_' || row_number() over () % 500 from connections where next_refresh_at is not null limit 20000;

insert into webhooks (id, url, environments, created_by, updated_by) select ${id('wh')}, 'https://example.com', '{sandbox,live}', 'fill', 'fill' from generate_series(1, 5) n;
insert into webhook_secrets (webhook_id, id, number, state, sealed, key_id, created_by) select ${id('wh')}, ${id('ver')}, 1, 'current', ${hash}, 'key_system', 'fill' from generate_series(1, 5) n;
insert into events (id, seq, type, occurred_at, workspace_id, environment, subject_id, data)
  select ${id('evt')}, case when n <= 30000 then n end, case when n % 500 = 0 then 'connection.deleted' else 'connection.updated' end, vault_now() - (30020 - n) * interval '90 seconds', ${ws}, 'live', 'conn_x', '{}'
    from generate_series(1, 30020) n;
update event_feed set last_seq = 30000;
insert into webhook_deliveries (webhook_id, event_id, state, due_at)
  select 'wh_' || lpad((n % 5 + 1)::text, 26, '0'), ${id('evt')}, case when n % 1000 < 5 then 'pending' when n % 1000 < 20 then 'failed' else 'delivered' end, vault_now() - interval '1 minute' from generate_series(1, 30000) n;

insert into integrations (workspace_id, id, revision, created_by, updated_by) select ${ws}, ${id('int')}, 1, 'fill', 'fill' from generate_series(1, 3000) n;
insert into integration_revisions (workspace_id, integration_id, revision, head, options, sha256, title, version, actions, report, created_by)
  select ${ws}, ${id('int')}, 1, '{}', '{}', 'x', 't', '1', 1, '{}', 'fill' from generate_series(1, 3000) n;
insert into integration_actions (workspace_id, integration_id, revision, name, ordinal, definition, parameter_refs, body_refs)
  select ${ws}, ${id('int')}, 1, 'action_' || a, a, '{"title":"t"}', '{s_1}', '{}' from generate_series(1, 3000) n, generate_series(1, 5) a;
insert into integration_schemas (workspace_id, integration_id, revision, name, schema, refs)
  select ${ws}, ${id('int')}, 1, 's_' || a, '{}', '{}' from generate_series(1, 3000) n, generate_series(1, 5) a;

insert into agent_groups (workspace_id, id, environment, name, name_key, online, created_by) select ${ws}, ${id('grp')}, 'live', 'g' || n, 'g' || n, n % 2 = 0, 'fill' from generate_series(1, 3000) n;
insert into agents (workspace_id, id, group_id, name, public_key, announced_at, last_seen_at)
  select ${ws}, ${id('agt')}, ${id('grp')}, 'a', ${hash}, vault_now(), vault_now() - n % 2 * interval '1 hour' from generate_series(1, 3000) n;
insert into enrolment_codes (workspace_id, code_hash, group_id, expires_at, created_by) select ${ws}, ${hash}, ${id('grp')}, vault_now() + (n - 30) * interval '1 minute', 'fill' from generate_series(1, 3000) n;
insert into used_challenges (workspace_id, agent_id, nonce, expires_at) select ${ws}, ${id('agt')}, ${hash}, vault_now() + (n - 30) * interval '1 second' from generate_series(1, 3000) n;
insert into relay_invocations (workspace_id, id, environment, group_id, connection_id, version_id, action, effect, state, outcome, asked_by, encrypted, input, input_key_id, result, result_key_id, offer_hash, claim_hash,
    offered_to, agent_id, lease_until, queue_until, run_ms, deadline_at, ended_at)
  select ${ws}, ${id('inv')}, 'live', 'grp_' || lpad(((n - 1) % 3000 + 1)::text, 26, '0'), 'conn_x', 'ver_x', 'a', 'read', state, case when state = 'ended' then 'succeeded' end, '{}', false,
         case when state <> 'ended' then ${hash} end, 'key_' || n % 500, case when state = 'ended' then ${hash} end, 'key_' || n % 500, ${hash}, ${hash}, 'agt_x', 'agt_x',
         case when state = 'claimed' then vault_now() + (n % 60 - 1) * interval '1 second' end, vault_now() + (n % 60 - 1) * interval '1 second', 30000, vault_now() + interval '1 minute', case when state = 'ended' then vault_now() - random() * interval '24 hours 3 minutes' end
    from (select n, case when n % 100 < 2 then 'queued' when n % 100 < 4 then 'claimed' else 'ended' end as state from generate_series(1, 20000) n) as r;
insert into relay_chunks (workspace_id, invocation_id, claim, number, bytes, sealed, key_id, environment, connection_id)
  select ${ws}, ${id('inv')}, 1, 1, 32, ${hash}, 'key_' || n % 500, 'live', 'conn_x' from generate_series(1, 20000) n;

insert into workspace_keys (workspace_id, environment, id, kek_id, wrapped, state, created_at, wrapped_at, replaced_at, ended_at)
  select ${ws}, 'live', 'key_' || n, (select min(kek_id) from keks), case when n <= 1600 then ${hash} end, case when n <= 500 then 'previous' else 'retired' end, vault_now() - interval '400 days', vault_now() - interval '400 days', vault_now() - interval '1 hour', case when n > 500 then vault_now() - case when n > 1600 then interval '1 hour' else interval '1 second' end end
    from generate_series(1, 3000) n;

do $$
declare first timestamptz;
begin
  for back in 1 .. 3 loop
    first := (date_trunc('month', vault_now() at time zone 'UTC') - make_interval(months => back)) at time zone 'UTC';
    execute format('create table if not exists audit_events_%s partition of audit_events for values from (%L) to (%L)', to_char(first at time zone 'UTC', 'YYYY_MM'), first, (first at time zone 'UTC' + interval '1 month') at time zone 'UTC');
  end loop;
end $$;
insert into audit_events (occurred_at, batch_id, id, event, outcome, workspace_id, environment, connection_id, version_id, invocation_id, principal_kind, request_id, context, details)
  select vault_now() - (200000 - n) * interval '36 seconds', 'bat_' || lpad((n / 10)::text, 26, '0'), ${id('aud')},
         case when n % 2000 < ${FILLED_WORKSPACES} and n % 10 = 0 then 'connection.updated' when n % 9 = 0 then 'invoke.started' when n % 9 = 1 then 'invoke.finished' else 'connection.resolved' end,
         'ok', case when n % 2 = 0 then 'seed_0000000' else ${ws} end, case when n > 199000 and n % 100 = 0 then 'sandbox' else 'live' end, 'conn_' || n % 30000, 'ver_x', case when n % 9 < 2 then 'inv_' || n / 9 end, 'service_token', 'req_x', '{"procedure_id":"p"}', '{}' from generate_series(1, 200000) n;
insert into audit_chain (seq, batch_id, events, first_at, last_at, digest, key_id, mac, sealed_at)
  select n, 'bat_' || lpad(n::text, 26, '0'), 10, at, at + interval '324 seconds', 'x', 'key_system', 'x', at + interval '325 seconds' from (select n, vault_now() - (200000 - n * 10) * interval '36 seconds' as at from generate_series(1, 20000) n) as c;
insert into audit_checkpoints (seq, head_mac, events, key_id, signature, created_at, last_at)
  select n * 4, 'x', n * 40, 'key_system', 'x', at, at from (select n, vault_now() - (200000 - n * 40) * interval '36 seconds' + interval '324 seconds' as at from generate_series(1, 5000) n) as c;
update audit_sealer set head_seq = 20000, events = 200000;
update uses_cursor set seq = 19900;
update open_invocations_cursor set seq = 19900;
`
