-- Connections whose token has ended with nothing to renew it by are looked for every few seconds.
create index connections_ended on connections (ends_at) where ends_at is not null and health = 'active';
