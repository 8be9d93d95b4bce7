import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

/** The vault's instruments. Labels are bounded: routes, codes, integrations, never ids. */
export type Metrics = ReturnType<typeof createMetrics>

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120]

export function createMetrics () {
  const registers = [new Registry()]
  const [registry] = registers
  // Among them the event loop’s delay since the last scrape: vault_nodejs_eventloop_lag_p50_seconds, _p99_seconds, _max_seconds.
  collectDefaultMetrics({ register: registry as Registry, prefix: 'vault_' })
  const readings: (() => void)[] = []
  const loopUse = new Gauge({ name: 'vault_event_loop_utilization', help: 'Share of the time since the last scrape in which the event loop was at work.', registers })
  let loopBefore = performance.eventLoopUtilization()
  readings.push(() => {
    const now = performance.eventLoopUtilization()
    loopUse.set(performance.eventLoopUtilization(now, loopBefore).utilization)
    loopBefore = now
  })
  const made = Object.freeze({
    registry: registry as Registry,
    /** What only has to be right when it is looked at is read then. */
    onScrape: (read: () => void) => { readings.push(read) },
    /** Everything in Prometheus’ text format. */
    scrape: async () => {
      for (const read of readings) read()
      return await (registry as Registry).metrics()
    },
    work: new Gauge({ name: 'vault_work', help: 'Requests: at work, waiting for a place, waiting for somebody outside, and the places there are.', labelNames: ['listener', 'state'], registers }),
    admissions: new Counter({ name: 'vault_admissions_total', help: 'Requests that asked for a place, by what came of it.', labelNames: ['listener', 'result'], registers }),
    admissionWaits: new Histogram({ name: 'vault_admission_wait_seconds', help: 'Waits for a place, of requests that got one.', labelNames: ['listener'], buckets: SECONDS, registers }),
    pool: new Gauge({ name: 'vault_database_pool', help: 'Connections for transactions that are busy and idle, and callers waiting for one.', labelNames: ['state'], registers }),
    poolWaits: new Histogram({ name: 'vault_database_pool_wait_seconds', help: 'Waits for a connection for a transaction.', buckets: SECONDS, registers }),
    statements: new Gauge({ name: 'vault_database_statements', help: 'Statements on the dedicated connections that are not answered yet.', labelNames: ['pipeline'], registers }),
    databaseSilences: new Counter({ name: 'vault_database_silences_total', help: 'Database connections cut because nothing came back over them.', registers }),
    requests: new Histogram({ name: 'vault_http_request_seconds', help: 'Requests by listener, route and status.', labelNames: ['listener', 'route', 'status'], buckets: SECONDS, registers }),
    droppedConnections: new Counter({ name: 'vault_connections_dropped_total', help: 'Connections closed because a listener had as many as it may.', labelNames: ['listener'], registers }),
    ready: new Gauge({ name: 'vault_ready', help: 'Whether a check passed when /readyz was last asked.', labelNames: ['check'], registers }),
    refusals: new Counter({ name: 'vault_refusals_total', help: 'Requests refused, by code.', labelNames: ['code'], registers }),
    resolves: new Counter({ name: 'vault_resolves_total', help: 'Credentials asked for, by result.', labelNames: ['result'], registers }),
    invocations: new Histogram({ name: 'vault_invocation_seconds', help: 'Actions run, by integration and outcome.', labelNames: ['integration', 'outcome'], buckets: SECONDS, registers }),
    egress: new Counter({ name: 'vault_egress_total', help: 'Outgoing requests by purpose and result.', labelNames: ['purpose', 'result'], registers }),
    integrityFailures: new Counter({ name: 'vault_integrity_failures_total', help: 'Sealed values that failed to open where they were found.', registers }),
    auditFlushes: new Histogram({ name: 'vault_audit_flush_seconds', help: 'Group commits of audit records.', buckets: SECONDS, registers }),
    auditQueue: new Gauge({ name: 'vault_audit_queue', help: 'Audit records waiting for their commit.', registers }),
    auditHead: new Gauge({ name: 'vault_audit_chain_seq', help: 'Last link of the audit chain this process has sealed.', registers }),
    auditLag: new Gauge({ name: 'vault_audit_sealing_lag_seconds', help: 'How long the oldest batch of records has waited for its link.', registers }),
    refreshes: new Counter({ name: 'vault_refreshes_total', help: 'Renewals of tokens, by integration and outcome.', labelNames: ['integration', 'outcome'], registers }),
    refreshSeconds: new Histogram({ name: 'vault_refresh_seconds', help: 'Renewals of tokens, from their claim to their end.', labelNames: ['integration'], buckets: SECONDS, registers }),
    refreshLostLeases: new Counter({ name: 'vault_refresh_lost_leases_total', help: 'Renewals that ended after somebody else could claim the connection.', registers }),
    refreshDue: new Gauge({ name: 'vault_refresh_due', help: 'Connections due to be renewed, counted up to a bound.', registers }),
    refreshOldest: new Gauge({ name: 'vault_refresh_oldest_due_seconds', help: 'How long the first of them has been due.', registers }),
    webhookDeliveries: new Counter({ name: 'vault_webhook_deliveries_total', help: 'Attempts to deliver an event, by result.', labelNames: ['result'], registers }),
    webhookDue: new Gauge({ name: 'vault_webhook_due', help: 'Deliveries of events that are due, counted up to a bound.', registers }),
    webhookOldest: new Gauge({ name: 'vault_webhook_oldest_due_seconds', help: 'How long the first of them has been due.', registers }),
    keys: new Gauge({ name: 'vault_keys', help: 'Keys that wrap or seal something, by what they are for and how they stand.', labelNames: ['slot', 'state'], registers }),
    keyAge: new Gauge({ name: 'vault_key_oldest_seconds', help: 'Age of the oldest current key.', labelNames: ['slot'], registers }),
    kekAge: new Gauge({ name: 'vault_kek_age_seconds', help: 'Time since the current KEK was first used here.', labelNames: ['slot'], registers }),
    rowsToReseal: new Gauge({ name: 'vault_rows_to_reseal', help: 'Sealed values under keys that were replaced.', labelNames: ['table', 'column'], registers }),
    keysElsewhere: new Gauge({ name: 'vault_keys_under_other_keks', help: 'Keys that are not wrapped by the current KEK of their slot.', registers }),
    jobs: new Histogram({ name: 'vault_job_seconds', help: 'Runs of background jobs by result.', labelNames: ['job', 'result'], buckets: SECONDS, registers }),
  })
  // An increase is seen only of what was there before: for alerts on the first of its kind.
  made.webhookDeliveries.inc({ result: 'given_up' }, 0)
  for (const code of ['kek_unavailable', 'database_unavailable'] as const) made.refusals.inc({ code }, 0)
  return made
}
