-- Raised by every change that somebody makes, for its ETag; not by what becomes of its deliveries.
alter table webhooks add column revision integer not null default 1;
