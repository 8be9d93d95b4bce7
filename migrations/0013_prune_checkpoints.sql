-- Checkpoints and anchors from before what is let go say nothing any more, but would keep the
-- vault's own keys, under which they were signed, from ever being retired.

create or replace function prune_audit(anchor bigint, kept_from timestamptz) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  parts text[];
  part text;
  tries integer := 0;
begin
  if kept_from > date_trunc('month', public.vault_now() at time zone 'UTC') at time zone 'UTC' then
    raise exception 'the current month is kept';
  end if;
  if not exists (select from public.audit_anchors a where a.seq = anchor and a.kept_from = prune_audit.kept_from) then
    raise exception 'there is no such anchor';
  end if;
  delete from public.audit_chain where seq <= anchor;
  delete from public.audit_checkpoints where seq <= anchor;
  delete from public.audit_anchors a where (a.seq, a.kept_from) < (anchor, prune_audit.kept_from);
  select coalesce(array_agg(c.relname order by c.relname), '{}') into parts
    from pg_class c join pg_inherits i on i.inhrelid = c.oid
   where i.inhparent = 'public.audit_events'::regclass and c.relname ~ '^audit_events_\d{4}_\d{2}$'
     and (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC' <= kept_from;
  while tries >= 0 and cardinality(parts) > 0 loop
    begin
      perform set_config('lock_timeout', '500ms', true);
      foreach part in array parts loop
        execute format('drop table public.%I', part);
      end loop;
      tries := -1;
    exception when lock_not_available then
      tries := tries + 1;
      if tries >= 60 then raise; end if;
      perform pg_sleep(0.5);
    end;
  end loop;
  return cardinality(parts);
end
$$;
