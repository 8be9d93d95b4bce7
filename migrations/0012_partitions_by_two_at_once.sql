-- Two sessions that make the same partition at the same time both find that it is missing. The second one to create it waits for the
-- first and then fails on the index of the catalogue's own table, which is no duplicate_table.
create or replace function ensure_audit_partitions(months integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  present date := date_trunc('month', public.vault_now() at time zone 'UTC');
  earliest date := date_trunc('month', (public.vault_now() - interval '1 day') at time zone 'UTC');
  first date;
  name text;
  made integer := 0;
begin
  if months not between 1 and 24 then raise exception 'months must be 1 to 24'; end if;
  for first in select generate_series(earliest, present + make_interval(months => months), interval '1 month') loop
    name := 'audit_events_' || to_char(first, 'YYYY_MM');
    if to_regclass('public.' || name) is null then
      begin
        execute format('create table public.%I (like public.audit_events including defaults)', name);
        execute format('alter table public.audit_events attach partition public.%I for values from (%L) to (%L)', name,
          first::timestamp at time zone 'UTC', (first + interval '1 month')::timestamp at time zone 'UTC');
        made := made + 1;
      exception when duplicate_table or unique_violation then
        null; -- another session was first: before the look, or since
      end;
    end if;
  end loop;
  return made;
end
$$;
