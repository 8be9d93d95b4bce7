import type { Clock } from './clock.ts'
import type { Connections } from './connections/index.ts'
import type { RefusalRecorder } from './http/index.ts'
import type { Keys } from './keys/index.ts'
import type { Events, Ledger } from './ledger/index.ts'
import type { Log } from './log.ts'
import type { Relay } from './relay/index.ts'
import type { Metrics } from './metrics.ts'
import {
  deleteExpiredWebhookSecrets, deriveUses, destroyExpiredAppSecrets, destroyExpiredVersions, ensureAuditPartitions, purgeEnrolments, purgeIdempotencyKeys,
  purgeRelayInvocations,
  purgeSessions, type Database,
} from './store/index.ts'

/** Work that nobody waits for. Every process runs all of it; the database sees to it that none is done twice. */
interface Job {
  readonly name: string
  readonly everyMs: number
  readonly run: () => Promise<unknown>
}

interface Rooms {
  readonly database: Database
  readonly ledger: Ledger
  readonly connections: Pick<Connections, 'scheduler' | 'sessions' | 'revoker' | 'reminder'>
  readonly events: Pick<Events, 'publish' | 'clear' | 'deliverer'>
  readonly relay: Pick<Relay, 'look' | 'sweeper' | 'presence'>
  readonly keys: Pick<Keys, 'sweeper' | 'erase' | 'measure'>
  readonly refusals: RefusalRecorder
}

const BATCH = 500
const LINKS = 5_000
const SESSIONS = 100
const GRANTS = 20
const CLEARED = 5_000
const RELAYED = 100
const ERASED = 100

/** The background loops, one row each. */
export function listJobs ({ database, ledger, connections, events, relay, keys, refusals }: Rooms): readonly Job[] {
  return [
    { name: 'seal-chain', everyMs: 400, run: () => ledger.sealer.seal() },
    { name: 'derive-uses', everyMs: 5_000, run: () => repeat(LINKS, () => database.transaction((tx) => deriveUses(tx, LINKS))) },
    { name: 'recover-invocations', everyMs: 5_000, run: () => repeat(BATCH, () => ledger.recoverInvocations()) },
    { name: 'refresh-tokens', everyMs: 1_000, run: () => connections.scheduler.tick() },
    { name: 'measure-refreshes', everyMs: 15_000, run: () => connections.scheduler.measure() },
    { name: 'publish-events', everyMs: 500, run: () => events.publish() },
    { name: 'deliver-events', everyMs: 500, run: () => events.deliverer.tick() },
    { name: 'measure-deliveries', everyMs: 15_000, run: () => events.deliverer.measure() },
    { name: 'look-for-relayed', everyMs: 1_000, run: () => relay.look() },
    { name: 'sweep-relayed', everyMs: 1_000, run: () => repeat(RELAYED, () => relay.sweeper.run()) },
    { name: 'note-agents', everyMs: 5_000, run: () => repeat(BATCH, () => relay.presence.note()) },
    { name: 'end-tokens', everyMs: 5_000, run: () => repeat(BATCH, () => connections.reminder.end()) },
    { name: 'remind', everyMs: 300_000, run: () => repeat(BATCH, () => connections.reminder.run()) },
    { name: 'destroy-versions', everyMs: 5_000, run: () => repeat(BATCH, () => destroyVersions(database, ledger)) },
    { name: 'destroy-app-secrets', everyMs: 5_000, run: () => database.transaction((tx) => destroyExpiredAppSecrets(tx)) },
    { name: 'delete-webhook-secrets', everyMs: 5_000, run: () => database.transaction((tx) => deleteExpiredWebhookSecrets(tx)) },
    { name: 'end-sessions', everyMs: 5_000, run: () => repeat(SESSIONS, () => connections.sessions.endDue()) },
    { name: 'revoke-grants', everyMs: 5_000, run: () => repeat(GRANTS, () => connections.revoker.run()) },
    { name: 'sweep-keys', everyMs: 1_000, run: () => keys.sweeper.tick() },
    { name: 'erase-keys', everyMs: 15_000, run: () => repeat(ERASED, () => keys.erase()) },
    { name: 'measure-keys', everyMs: 60_000, run: () => keys.measure() },
    { name: 'note-refusals', everyMs: 5_000, run: async () => { refusals.flush() } },
    { name: 'ensure-partitions', everyMs: 3_600_000, run: () => ensureAuditPartitions(database.db) },
    { name: 'clear-events', everyMs: 3_600_000, run: () => repeat(CLEARED, () => events.clear()) },
    { name: 'purge-sessions', everyMs: 3_600_000, run: () => repeat(BATCH, () => database.transaction((tx) => purgeSessions(tx, BATCH))) },
    { name: 'purge-enrolments', everyMs: 3_600_000, run: () => database.transaction((tx) => purgeEnrolments(tx)) },
    { name: 'purge-relayed', everyMs: 3_600_000, run: () => repeat(BATCH, () => database.transaction((tx) => purgeRelayInvocations(tx, BATCH))) },
    { name: 'purge-idempotency-keys', everyMs: 3_600_000, run: () => repeat(BATCH, () => database.transaction((tx) => purgeIdempotencyKeys(tx, BATCH))) },
  ]
}

/** Full batches are followed by the next at once. */
async function repeat (batch: number, work: () => Promise<number>): Promise<void> {
  while (await work() >= batch);
}

async function destroyVersions (database: Database, ledger: Ledger): Promise<number> {
  return await database.transaction(async (tx) => {
    const destroyed = await destroyExpiredVersions(tx, BATCH)
    if (destroyed.length > 0) {
      await ledger.recordIn(tx, ...destroyed.map((version) => ({
        event: 'version.destroyed' as const, outcome: 'ok' as const, principal: { kind: 'system' as const, id: null, actor: null },
        workspaceId: version.workspace_id, environment: version.environment, connectionId: version.connection_id, versionId: version.id,
      })))
    }
    return destroyed.length
  })
}

export interface RunningJobs {
  /** Lets what is under way finish, starts nothing more. */
  stop (): Promise<void>
}

/** Starts every job at once and then at its interval, give or take a tenth, never twice at a time. */
export function startJobs (jobs: readonly Job[], options: { clock: Clock, log: Log, metrics: Pick<Metrics, 'jobs'> }): RunningJobs {
  const { clock, log, metrics } = options
  const stopped = new AbortController()

  const loop = async (job: Job): Promise<void> => {
    while (!stopped.signal.aborted) {
      const startedMs = clock.monotonicMs()
      const result = await job.run().then(() => 'ok', (error: unknown) => {
        log.warn({ err: error, job: job.name }, 'a job failed and will run again')
        return 'failed'
      })
      metrics.jobs.observe({ job: job.name, result }, (clock.monotonicMs() - startedMs) / 1_000)
      // Replicas that started together drift apart.
      await sleep(job.everyMs * (0.9 + Math.random() * 0.2), stopped.signal)
    }
  }
  const loops = jobs.map(loop)
  return Object.freeze({
    stop: async () => {
      stopped.abort()
      await Promise.all(loops)
    },
  })
}

async function sleep (ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms)
    function done () {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
  })
}
