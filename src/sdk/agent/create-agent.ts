import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { ActionError, AgentError, type Actions } from './action.ts'
import { createCredentialReader, type CredentialSources } from './credentials.ts'
import { holdCall } from './hold-call.ts'
import { noteEnrolled, openIdentity, type Identity } from './identity.ts'
import { openLetters } from './letters.ts'
import { jsonLog, type Log } from './log.ts'
import { createActionRunner } from './run-action.ts'
import { VERSION } from './version.ts'
import { createWire, RefusedError, type Wire } from './wire.ts'

export interface AgentOptions {
  /** The vault's public address. */
  readonly url: string
  /** Where the agent keeps who it is; made, with keys that only its owner can read, when it is not there. Beside it (`.letters`) it notes which encrypted calls it has run. */
  readonly identityFile: string
  /** Needed once, where the identity is not enrolled yet. */
  readonly enrolmentCode?: string | undefined
  readonly actions: Actions
  readonly credentials?: CredentialSources
  /** How the agent is listed; the host's name when left out. */
  readonly name?: string | undefined
  /** Calls it runs at a time (10). */
  readonly concurrency?: number | undefined
  /** How long calls that are running may take to end once the agent is stopped (30). */
  readonly graceSeconds?: number | undefined
  /** `required`: refuse input that the vault could read. */
  readonly encryption?: 'optional' | 'required' | undefined
  readonly log?: Log | undefined
}

export interface Agent {
  /** Enrols, announces and works until it is stopped. Throws an AgentError when it can't go on. */
  start (): Promise<void>
  /** As `start`, for a program that is nothing else: an AgentError becomes a line in the log and the process's exit code. */
  run (): Promise<void>
  /** Takes no more calls, lets those that run end, and reports them. `start` and `run` return then. */
  stop (): Promise<void>
}

const PROTOCOL = 1
const WAIT_SECONDS = { most: 50, least: 5 }
/** A wait that broke off after this long was cut by something on the way that does not like long waits. */
const CUT_MIN_MS = 5_000
const BACKOFF_MS = { first: 1_000, most: 60_000 }
/** The vault’s answer to a poll comes before the wait is over; this is for the way. */
const POLL_MARGIN_MS = 10_000

interface Offer {
  readonly invocation_id: string
  readonly lease_token: string
  readonly action: string
}

/** An agent: asks the vault for calls, runs them here, and says what came of them. */
export function createAgent (options: AgentOptions): Agent {
  const { log = jsonLog, concurrency = 10, graceSeconds = 30 } = options
  const stopping = new AbortController()
  const hardStop = new AbortController()
  const running = new Set<Promise<void>>()
  let finished: Promise<void> | undefined

  const work = async (): Promise<void> => {
    requireActions(options.actions)
    const wire = createWire(options.url)
    const pace = createPace(stopping.signal)
    const identity = await pace.insist(async () => await enrol(wire, options, log), log)
    if (identity === undefined) return
    const letters = await openLetters(`${options.identityFile}.letters`)
    const readCredentials = createCredentialReader(options.credentials ?? {})
    await readCredentials().catch((error: unknown) => { log.warn({ error: describe(error), ...sourceOf(error) }, 'all actions will fail until this credential can be read') })
    const runner = createActionRunner({ actions: options.actions, identity, letters, readCredentials, encryption: options.encryption ?? 'optional', log })
    const announcement = announce(options)
    const stopped = aborted(stopping.signal)
    await pace.insist(async () => { await wire.send('announce', announcement, { signal: stopping.signal }) }, log)
    log.info({ agent_id: identity.agentId, encryption_key: identity.encryptionKey, actions: Object.keys(options.actions) }, 'the agent is at work')
    while (!stopping.signal.aborted) {
      if (running.size >= concurrency) {
        await Promise.race([...running, stopped])
        continue
      }
      const offers = await pace.poll(wire, concurrency - running.size, log)
      for (const offer of offers) {
        const held = holdCall(wire, { offer, runner, log }, hardStop.signal).finally(() => { running.delete(held) })
        running.add(held)
      }
    }
  }

  const settle = async (): Promise<void> => {
    const timer = setTimeout(() => { hardStop.abort(new ActionError('provider_unavailable', 'the agent is stopping')) }, graceSeconds * 1_000)
    await Promise.allSettled([...running])
    clearTimeout(timer)
  }
  const start = async (): Promise<void> => {
    if (finished !== undefined) throw new AgentError(2, 'an agent is started once')
    finished = work().catch((error: unknown) => {
      if (!stopping.signal.aborted || error instanceof AgentError) throw error
    }).finally(settle)
    await finished
  }
  return Object.freeze({
    start,
    run: async () => {
      await start().catch((error: unknown) => {
        if (!(error instanceof AgentError)) throw error
        log.error({}, error.message)
        process.exitCode = error.exitCode
      })
    },
    stop: async () => {
      stopping.abort()
      await finished?.catch(() => undefined)
    },
  })
}

async function enrol (wire: Wire, options: AgentOptions, log: Log): Promise<Identity> {
  const identity = await openIdentity(options.identityFile)
  if (identity.agentId === undefined) {
    if (options.enrolmentCode === undefined || options.enrolmentCode === '') throw new AgentError(2, 'the agent is not enrolled: give it an enrolment code')
    const { agentId } = await wire.enrol(options.enrolmentCode, { identity, name: options.name ?? hostname() })
    log.info({ agent_id: agentId }, 'the agent is enrolled')
    const enrolled = await noteEnrolled(options.identityFile, agentId)
    wire.become(enrolled)
    return enrolled
  }
  wire.become(identity)
  return identity
}

/** Before an enrolment code is used up. Programs without types leave things out. */
function requireActions (actions: Actions): void {
  for (const [name, { input, run }] of Object.entries(actions as Readonly<Record<string, Partial<Actions[string]>>>)) {
    if (typeof input !== 'object') throw new AgentError(2, `the action ${name} has no input: give it a JSON Schema, {} for any`)
    if (typeof run !== 'function') throw new AgentError(2, `the action ${name} has no run`)
  }
}

function announce ({ actions }: AgentOptions): object {
  return {
    sdk_version: VERSION, protocol_version: PROTOCOL, host: hostname().slice(0, 255),
    actions: Object.entries(actions).map(([action, { title, effect, input, output }]) =>
      ({ name: action, ...title !== undefined && { title }, effect, input, ...output && { output } })),
  }
}

async function aborted (signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => { signal.addEventListener('abort', () => { resolve() }, { once: true }) })
}

/** Asks as often as is welcome: waits longer after each failure, and shorter where waits are cut on the way. */
function createPace (signal: AbortSignal) {
  let failures = 0
  let waitSeconds = WAIT_SECONDS.most

  const backOff = async (error: unknown, log: Log): Promise<void> => {
    failures++
    const asked = error instanceof RefusedError ? error.retryAfterMs : undefined
    // Full jitter: agents that lost the vault together do not come back together.
    const waitMs = asked ?? Math.max(BACKOFF_MS.first, Math.random() * Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** failures))
    log.warn({ error: describe(error), wait_ms: Math.round(waitMs) }, 'the vault could not be asked')
    await delay(Math.min(waitMs, BACKOFF_MS.most), undefined, { signal }).catch(() => undefined)
  }
  return {
    /** Undefined when it was stopped before it was done. */
    insist: async <T>(work: () => Promise<T>, log: Log): Promise<T | undefined> => {
      while (!signal.aborted) {
        try {
          const done = await work()
          failures = 0
          return done
        } catch (error) {
          if (error instanceof AgentError) throw error
          const lasting = error instanceof RefusedError && error.status < 500 && ![401, 408, 429].includes(error.status)
          if (lasting) throw new AgentError(2, error.message, { cause: error })
          await backOff(error, log)
        }
      }
      return undefined
    },
    poll: async (wire: Wire, capacity: number, log: Log): Promise<readonly Offer[]> => {
      const startedMs = performance.now()
      try {
        const body = { capacity: Math.min(capacity, 100), wait_seconds: waitSeconds }
        const answer = await wire.send('poll', body, { timeoutMs: waitSeconds * 1_000 + POLL_MARGIN_MS, signal }) as { invocations: Offer[] } | undefined
        failures = 0
        return answer?.invocations ?? []
      } catch (error) {
        if (error instanceof AgentError) throw error
        if (signal.aborted) return []
        const lastedMs = performance.now() - startedMs
        const onTheWay = !(error instanceof RefusedError) || error.status === 502 || error.status === 504 || error.status === 408
        if (onTheWay && lastedMs >= CUT_MIN_MS && lastedMs < waitSeconds * 1_000) {
          waitSeconds = Math.max(WAIT_SECONDS.least, Math.floor(lastedMs / 1_000 * 0.8))
          log.info({ wait_seconds: waitSeconds }, 'a wait was cut on the way: the next are shorter')
        } else await backOff(error, log)
        return []
      }
    },
  }
}

function sourceOf (error: unknown): { source?: string } {
  return error instanceof Error && typeof error.cause === 'string' ? { source: error.cause } : {}
}

function describe (error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message === '' ? (error as NodeJS.ErrnoException).code ?? error.name : error.message
}
