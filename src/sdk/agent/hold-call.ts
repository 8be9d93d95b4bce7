import { setTimeout as delay } from 'node:timers/promises'
import { ActionError, AgentError } from './action.ts'
import type { Log } from './log.ts'
import type { ActionRunner, HeldCall, Report } from './run-action.ts'
import { linkSignals } from './signals.ts'
import { RefusedError, type Wire } from './wire.ts'

interface Holding {
  readonly offer: { readonly invocation_id: string, readonly lease_token: string }
  readonly runner: ActionRunner
  readonly log: Log
}

interface Claim {
  readonly action: string
  readonly effect: string
  readonly input: string
  readonly encrypted: boolean
  readonly attempt: number
  readonly deadline_ms: number
  readonly heartbeat_seconds: number
}

/** The vault keeps an offer for 8 s. */
const CLAIM_FOR_MS = 7_500
/** A result is the only truth about a call: it is worth repeating for as long as somebody may wait for it. */
const REPORT_FOR_MS = 600_000
const INLINE_BYTES = 1_048_576
const RESULT_BYTES = 32 * 1_048_576
/** Statuses that say what was sent can't be taken, whenever. */
const UNFIT: ReadonlySet<number> = new Set([400, 413])
/** A UTF-16 unit takes three bytes at most. */
const PIECE_LENGTH = Math.floor(INLINE_BYTES / 3)

/** Claims a call, runs it under heartbeats, and reports what came of it. Never throws. */
export async function holdCall (wire: Wire, { offer, runner, log }: Holding, hardStop: AbortSignal): Promise<void> {
  const { invocation_id: invocationId, lease_token: leaseToken } = offer
  const send = async (verb: string, more: object = {}) => await wire.send(`invocations/${invocationId}/${verb}`, { lease_token: leaseToken, ...more })
  try {
    const claim = await insist(async () => await send('claim') as Claim, CLAIM_FOR_MS)
    const stop = new AbortController()
    const heartbeats = beat(claim, { send, stop, log })
    const { action, effect, input, encrypted, attempt } = claim
    const call: HeldCall = { invocationId, action, effect, input, encrypted, attempt }
    const { signal, release } = linkSignals([stop.signal, hardStop])
    const report = await runner.run(call, signal).finally(() => {
      heartbeats.end()
      release()
    })
    await reportResult(send, report)
  } catch (error) {
    const lost = error instanceof RefusedError && (error.code === 'lease_lost' || error.status === 404)
    log[lost ? 'info' : 'error']({ invocation_id: invocationId, error: error instanceof Error ? error.message : String(error) }, lost ? 'a call is no longer this agent’s' : 'a call could not be seen through')
  }
}

type Send = (verb: string, more?: object) => Promise<unknown>

/** Keeps the lease, and stops the action at its deadline or when it is cancelled. */
function beat (claim: Claim, { send, stop, log }: { send: Send, stop: AbortController, log: Log }): { end: () => void } {
  const why = (message: string) => { stop.abort(new ActionError('provider_unavailable', message)) }
  let deadline = setTimeout(() => { why('its time is over') }, claim.deadline_ms)
  let under = false
  const pulse = setInterval(() => {
    if (under) return
    under = true
    send('heartbeat').then((answer) => {
      const { cancel, deadline_ms: deadlineMs } = answer as { cancel: boolean, deadline_ms: number }
      clearTimeout(deadline)
      deadline = setTimeout(() => { why('its time is over') }, deadlineMs)
      if (cancel) why('it was cancelled')
    }, (error: unknown) => {
      if (error instanceof AgentError || (error instanceof RefusedError && error.code === 'lease_lost')) why('the call is no longer this agent’s')
      else log.warn({ error: error instanceof Error ? error.message : String(error) }, 'a heartbeat did not arrive')
    }).finally(() => { under = false })
  }, claim.heartbeat_seconds * 1_000)
  return {
    end: () => {
      clearTimeout(deadline)
      clearInterval(pulse)
    },
  }
}

/** A report that the vault does not take is told as a failure: it has an end, and says which. */
async function reportResult (send: Send, report: Report): Promise<void> {
  const bytes = Buffer.byteLength(report.output ?? '')
  if (bytes > RESULT_BYTES) {
    await sendReport(send, withoutOutput(report, `It was run, but its output has ${bytes} bytes, and ${RESULT_BYTES} are the most.`))
    return
  }
  try {
    await sendReport(send, report)
  } catch (error) {
    if (!(error instanceof RefusedError) || report.output === undefined || !UNFIT.has(error.status)) throw error
    await sendReport(send, withoutOutput(report, `It was run, but its output is refused: ${error.message}`))
  }
}

/** That nobody knows how it ended stays so. */
function withoutOutput ({ outcome }: Report, message: string): Report {
  return { outcome: outcome === 'unknown' ? 'unknown' : 'failed', error: { class: 'action_failed', message } }
}

async function sendReport (send: Send, report: Report): Promise<void> {
  const { output, ...rest } = report
  if (output === undefined || Buffer.byteLength(output) <= INLINE_BYTES) {
    await insist(async () => await send('result', report), REPORT_FOR_MS)
    return
  }
  const pieces = cut(output)
  for (const [number, text] of pieces.entries()) await insist(async () => await send('chunks', { number, text }), REPORT_FOR_MS)
  await insist(async () => await send('result', { ...rest, chunks: pieces.length }), REPORT_FOR_MS)
}

/** Pieces of at most a MiB each, none of which ends within a surrogate pair. */
function cut (text: string): string[] {
  const pieces: string[] = []
  for (let at = 0; at < text.length;) {
    const end = at + PIECE_LENGTH
    const unit = text.charCodeAt(end - 1)
    const next = end < text.length && unit >= 0xd800 && unit < 0xdc00 ? end - 1 : end
    pieces.push(text.slice(at, next))
    at = next
  }
  return pieces
}

/** Again after what passes, until it is done or the time is over. Throws what does not pass. */
async function insist<T> (work: () => Promise<T>, forMs: number): Promise<T> {
  const untilMs = performance.now() + forMs
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      const passes = !(error instanceof AgentError) && !(error instanceof RefusedError && error.status < 500 && error.status !== 429)
      const waitMs = Math.max(200, Math.random() * Math.min(10_000, 500 * 2 ** tries))
      if (!passes || performance.now() + waitMs > untilMs) throw error
      await delay(waitMs)
    }
  }
}
