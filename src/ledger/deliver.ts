import type { Clock } from '../clock.ts'
import type { Crypto } from '../crypto/index.ts'
import type { Egress, SendResult } from '../egress/index.ts'
import { VaultError } from '../errors.ts'
import { newId, type WebhookId } from '../ids.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import {
  claimDelivery, disableWebhook, findWebhook, guard, listDueWebhooks, markDelivered, markUndelivered, measureDeliveries, type Database, type DeliveryAttempt,
} from '../store/index.ts'
import { presentEvent, type EventMessage } from './event.ts'
import { signWebhook } from './sign-webhook.ts'
import { openSecrets } from './webhook-secrets.ts'
import type { LedgerWriter } from './write.ts'

/** Sends queued events, each webhook with workers of its own: one that hangs takes nobody else's turn. */
export interface Deliverer {
  /** Starts what is due and can be; answers how many workers. What was started goes on by itself. */
  tick (): Promise<number>
  /** Writes the backlog into the metrics. */
  measure (): Promise<void>
  /** Sends one webhook a `webhook.test` now, enabled or not; nothing of it is kept. Throws `not_found`. */
  test (id: WebhookId): Promise<TestDelivery>
  /** Starts nothing more, and resolves when what was started has ended; what takes too long is given up and sent again later. */
  drain (): Promise<void>
}

export interface TestDelivery {
  readonly result: 'delivered' | 'failed'
  readonly status: number | null
  readonly detail: string
  readonly duration_ms: number
}

export interface DelivererOptions {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly crypto: Pick<Crypto, 'open'>
  readonly egress: Pick<Egress, 'send'>
  readonly ledger: Pick<LedgerWriter, 'recordIn'>
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Pick<Metrics, 'webhookDeliveries' | 'webhookDue' | 'webhookOldest'>
}

/** To one webhook at a time, in this process. */
const WORKERS = 8
const TIMEOUT_MS = 15_000
/** Longer than an attempt can take. */
const LEASE_SECONDS = 60
/** What an endpoint answers is not looked at, only that it has answered. */
const ANSWER_BYTES = 65_536
const MEASURED_MAX = 10_000

const GIVE_UP_SECONDS = 3 * 86_400
const DISABLE_AFTER_SECONDS = 5 * 86_400
const GONE = 410
/** How long attempts under way may take while the process stops. */
const PATIENCE_MS = 2_000

export function createDeliverer (options: DelivererOptions): Deliverer {
  const { database, metrics, log } = options
  const workers = new Map<WebhookId, Set<Promise<void>>>()
  const stopping = new AbortController()
  const state = { stopped: false }
  const send = createSend(options, stopping.signal)
  const deliverNext = createDelivery(options, send)

  const work = async (id: WebhookId): Promise<void> => {
    try {
      while (!state.stopped && await deliverNext(id));
    } catch (error) {
      log.warn({ err: error, webhook_id: id }, 'an event could not be delivered and will be tried again')
    }
  }

  const start = (id: WebhookId): void => {
    const running = workers.get(id) ?? new Set()
    workers.set(id, running)
    const worker: Promise<void> = work(id).finally(() => {
      running.delete(worker)
      if (running.size === 0) workers.delete(id)
    })
    running.add(worker)
  }

  return Object.freeze({
    tick: async () => {
      if (state.stopped) return 0
      let started = 0
      for (const { id, due } of await guard(() => listDueWebhooks(database.db, WORKERS))) {
        for (let free = Math.min(due, WORKERS - (workers.get(id)?.size ?? 0)); free > 0; free--, started++) start(id)
      }
      return started
    },
    measure: async () => {
      const { due, oldestSeconds } = await guard(() => measureDeliveries(database.db, MEASURED_MAX))
      metrics.webhookDue.set(due)
      metrics.webhookOldest.set(oldestSeconds)
    },
    test: async (id: WebhookId) => {
      const row = await guard(() => findWebhook(database.db, id))
      if (row === undefined) throw new VaultError('not_found')
      const startedMs = options.clock.monotonicMs()
      const data = { workspace_id: null, environment: null, webhook_id: id }
      const result = await send(row, { id: newId('event'), type: 'webhook.test', timestamp: options.clock.now().toISOString(), data })
      const delivered = isTaken(result)
      const durationMs = Math.round(options.clock.monotonicMs() - startedMs)
      return { result: delivered ? 'delivered' as const : 'failed' as const, status: result.status ?? null, detail: describe(result), duration_ms: durationMs }
    },
    drain: async () => {
      state.stopped = true
      const patience = setTimeout(() => { stopping.abort() }, PATIENCE_MS)
      while (workers.size > 0) await Promise.all([...workers.values()].flatMap((running) => [...running]))
      clearTimeout(patience)
    },
  })
}

type Send = (to: { readonly id: WebhookId, readonly url: string }, message: EventMessage) => Promise<SendResult>

function createSend ({ database, crypto, egress, clock }: DelivererOptions, signal: AbortSignal): Send {
  return async (to, message) => {
    const secrets = await openSecrets(database.db, crypto, to.id)
    const body = JSON.stringify(message)
    return await egress.send('webhook', {
      method: 'POST', url: new URL(to.url), body: Buffer.from(body), timeoutMs: TIMEOUT_MS, maxResponseBytes: ANSWER_BYTES, signal,
      headers: { 'content-type': 'application/json', 'user-agent': 'connection-vault', ...signWebhook(secrets, { id: message.id, at: clock.now(), body }) },
    })
  }
}

/** Cut off or not: with its status the endpoint has said that it took it. */
function isTaken ({ status = 0 }: SendResult): boolean {
  return status >= 200 && status <= 299
}

/** Sends the event that has been due for longest, once; false when none is. */
function createDelivery ({ database, ledger, metrics }: DelivererOptions, send: Send): (id: WebhookId) => Promise<boolean> {
  const fail = async (of: DeliveryAttempt, result: SendResult): Promise<void> => {
    const status = result.status ?? null
    const retrySeconds = planDelivery(of.number, readRetryAfter(result), Math.random())
    await database.transaction(async (tx) => {
      const { failingSeconds, gaveUp } = await markUndelivered(tx, of, { status, error: describe(result), retrySeconds, giveUpSeconds: GIVE_UP_SECONDS })
      metrics.webhookDeliveries.inc({ result: gaveUp ? 'given_up' : 'failed' })
      const reason = status === GONE ? 'gone' : failingSeconds >= DISABLE_AFTER_SECONDS ? 'failing' : undefined
      if (reason === undefined || !await disableWebhook(tx, of.webhookId, { reason, by: 'system' })) return
      const principal = { kind: 'system' as const, id: null, actor: null }
      await ledger.recordIn(tx, { event: 'webhook.disabled', outcome: 'ok', reason, principal, details: { webhook_id: of.webhookId } })
    })
  }

  return async (id) => {
    const claimed = await guard(() => claimDelivery(database.db, id, LEASE_SECONDS))
    if (claimed === undefined) return false
    const result = await send({ id, url: claimed.url }, presentEvent(claimed.event))
    // Given up by this process, which is stopping: no failure of the endpoint, and another takes it when the lease ends.
    if (result.kind === 'cancelled') return false
    if (!isTaken(result)) {
      await fail(claimed, result)
      return true
    }
    await database.transaction(async (tx) => { await markDelivered(tx, claimed, result.status ?? 0) })
    metrics.webhookDeliveries.inc({ result: 'delivered' })
    return true
  }
}

const DELAYS_SECONDS = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800] as const
const LONGEST_SECONDS = 28_800
/** A delay is up to this much longer or shorter, so that what failed together is not tried together. */
const JITTER = 0.2
const RETRY_AFTER_SECONDS_MAX = 86_400

/** How many seconds after a failed attempt, the first is 1, the next is made; not before the endpoint's own word. */
export function planDelivery (attempt: number, retryAfterSeconds: number, random: number): number {
  const delay = (DELAYS_SECONDS[attempt - 1] ?? LONGEST_SECONDS) * (1 + JITTER * (2 * random - 1))
  return Math.max(delay, Math.min(retryAfterSeconds, RETRY_AFTER_SECONDS_MAX))
}

/** Only as a number of seconds (RFC 9110, 10.2.3); a date would need the endpoint's clock. */
function readRetryAfter (result: SendResult): number {
  const text = result.kind === 'answer' ? result.headers['retry-after'] ?? '' : ''
  return /^\d{1,7}$/.test(text) ? Number(text) : 0
}

const WORDS: Readonly<Record<Exclude<SendResult['kind'], 'answer'>, string>> = {
  blocked: 'The address is not one that the vault calls.',
  unreachable: 'The endpoint can’t be reached.',
  interrupted: 'The connection broke before the endpoint had answered.',
  timeout: `No answer within ${TIMEOUT_MS / 1_000} seconds.`,
  cancelled: 'The attempt was given up.',
  too_large: 'The answer is too large.',
}

function describe (result: SendResult): string {
  if (result.kind !== 'answer') return WORDS[result.kind]
  return result.status >= 300 && result.status < 400 ? `Answered ${result.status}; redirects are not followed.` : `Answered ${result.status}.`
}
