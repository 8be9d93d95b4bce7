import { Compile } from 'typebox/schema'
import { openCall, type OpenedCall } from '../encryption.ts'
import { ActionError, type Action, type Actions, type ErrorClass } from './action.ts'
import type { Identity } from './identity.ts'
import type { Letters } from './letters.ts'
import type { Log } from './log.ts'
import { createScrub, toJson, type Scrub } from './scrub.ts'
import { linkSignals } from './signals.ts'

/** A call that the agent holds. */
export interface HeldCall {
  readonly invocationId: string
  readonly action: string
  readonly effect: string
  /** JSON; with `encrypted`, a JWE. */
  readonly input: string
  readonly encrypted: boolean
  readonly attempt: number
}

/** What came of it, as the vault is told. */
export interface Report {
  readonly outcome: 'succeeded' | 'failed' | 'unknown'
  /** JSON. */
  readonly output?: string
  readonly error?: { readonly class: ErrorClass, readonly message: string }
}

export interface ActionRunner {
  /** Runs a call to its end; never throws. Once aborted it answers within seconds, whatever the action does. */
  run (call: HeldCall, signal: AbortSignal): Promise<Report>
}

interface Options {
  readonly actions: Actions
  readonly identity: Pick<Identity, 'encryptionJwk'>
  readonly letters: Letters
  readonly readCredentials: () => Promise<Record<string, string>>
  readonly encryption: 'optional' | 'required'
  readonly log: Log
}

interface Check {
  Check (value: unknown): boolean
  Errors (value: unknown): [boolean, { instancePath: string, message?: string }[]]
}

/** An action that is told to stop has this long to say how it broke off. */
const PATIENCE_MS = 3_000
const MESSAGE_MAX = 2_000
const REFUSALS = {
  expired: failed('input', 'the time of the encrypted input is over, or too long: encrypt it anew'),
  used: failed('conflict', 'the encrypted input was run before: encrypt it anew for another call'),
}
const GIVEN_UP = Symbol('given up')

export function createActionRunner ({ actions, identity, letters, readCredentials, encryption, log }: Options): ActionRunner {
  const checks = new Map(Object.entries(actions).map(([name, { input, output }]) =>
    [name, { input: Compile(input), output: output && Compile(output) as Check }]))

  const attempt = async (call: HeldCall, { action, input, scrub, credentials }: Prepared, signal: AbortSignal): Promise<Report> => {
    const check = checks.get(call.action)
    const wrong = check && describe(check.input, input)
    if (wrong !== undefined) return failed('input', `the input does not fit: ${wrong}`)
    const { signal: stop, release } = linkSignals([signal], action.timeoutMs)
    try {
      const context = { signal: stop, log, credentials, invocationId: call.invocationId, attempt: call.attempt }
      const output = await patiently(Promise.resolve().then(() => action.run(input, context)), stop)
      if (output === GIVEN_UP) return brokenOff(action, 'it was told to stop and did not')
      return present(output, scrub, check?.output)
    } catch (error) {
      return describeFailure(error, { action, scrub, aborted: stop.aborted })
    } finally {
      release()
    }
  }

  const run = async (call: HeldCall, prepared: Prepared, signal: AbortSignal): Promise<Report> => {
    const startedMs = performance.now()
    const report = await attempt(call, prepared, signal)
    logEnd(log, call, { report, durationMs: Math.round(performance.now() - startedMs) })
    return report
  }

  const prepare = async (call: HeldCall, input: unknown): Promise<Prepared | Report> => {
    const action = Object.hasOwn(actions, call.action) ? actions[call.action] : undefined
    if (action === undefined) return failed('not_found', `this agent has no action ${call.action}`)
    try {
      const credentials = await readCredentials()
      return { action, input, credentials, scrub: createScrub(credentials) }
    } catch (error) {
      return failed('config_error', error instanceof Error ? error.message : 'a credential can’t be read')
    }
  }
  const runPlain = async (call: HeldCall, input: unknown, signal: AbortSignal): Promise<Report> => {
    const prepared = await prepare(call, input)
    return 'outcome' in prepared ? prepared : await run(call, prepared, signal)
  }

  const admit = createAdmission(letters, actions)
  return Object.freeze({
    run: async (call: HeldCall, signal: AbortSignal) => {
      if (!call.encrypted) return encryption === 'required' ? failed('input', 'this agent takes encrypted input only') : await runPlain(call, JSON.parse(call.input), signal)
      let opened: OpenedCall
      try {
        opened = await openCall(JSON.parse(call.input), identity.encryptionJwk)
      } catch {
        return failed('input', 'the input is not encrypted to this agent')
      }
      if (opened.action !== call.action) return failed('input', 'the input was encrypted for another action')
      const refused = await admit(opened, call)
      if (refused !== undefined) return refused
      const report = await runPlain(call, opened.input, signal)
      const { outcome, error } = report
      const answer = await opened.answer(error === undefined ? `{"output":${report.output ?? 'null'}}` : JSON.stringify({ error }))
      return { outcome, output: answer, ...error && { error: { class: error.class, message: 'What went wrong is in the encrypted output.' } } }
    },
  })
}

/** Says why a letter is not run. */
function createAdmission (letters: Letters, actions: Actions): (opened: OpenedCall, call: HeldCall) => Promise<Report | undefined> {
  return async ({ id, expiresAtMs }, { invocationId, action }) => {
    try {
      const why = await letters.admit({ id, expiresAtMs, invocationId, once: actions[action]?.effect === 'unsafe' })
      return why && REFUSALS[why]
    } catch {
      return failed('config_error', 'this agent can’t write down what it has run')
    }
  }
}

interface Prepared {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly action: Action<any>
  readonly input: unknown
  readonly credentials: Readonly<Record<string, string>>
  readonly scrub: Scrub
}

/** Without the message, which is for whoever called: a log is for more eyes than that. */
function logEnd (log: Log, call: HeldCall, { report: { outcome, error }, durationMs }: { report: Report, durationMs: number }): void {
  const fields = { invocation_id: call.invocationId, action: call.action, outcome, ...error && { error_class: error.class }, duration_ms: durationMs }
  log[outcome === 'succeeded' ? 'info' : 'warn'](fields, 'an action has ended')
}

/** Waits for the action, and for a while longer once it is to stop. */
async function patiently (work: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const givenUp = new Promise<typeof GIVEN_UP>((resolve) => {
    const arm = () => { timer = setTimeout(() => { resolve(GIVEN_UP) }, PATIENCE_MS) }
    if (signal.aborted) arm()
    else signal.addEventListener('abort', arm, { once: true })
  })
  try {
    return await Promise.race([work, givenUp])
  } finally {
    clearTimeout(timer)
  }
}

/** What an action answered. It has run: whatever is wrong with its answer says so. */
function present (output: unknown, scrub: Scrub, check: Check | undefined): Report {
  let json: string
  try {
    json = toJson(output, scrub)
  } catch (error) {
    return failed('action_failed', `It was run, but its output can’t be written as JSON: ${scrub.text(error instanceof Error ? error.message : '')}`)
  }
  const wrong = check && describe(check, JSON.parse(json))
  return wrong === undefined ? { outcome: 'succeeded', output: json } : failed('action_failed', `It was run, but its output is not what was announced: ${wrong}`)
}

function describeFailure (error: unknown, { action, scrub, aborted }: { action: Pick<Action, 'effect'>, scrub: Scrub, aborted: boolean }): Report {
  const message = toMessage(scrub.text(error instanceof Error ? error.message : String(error)))
  if (error instanceof ActionError) return error.unknown ? brokenOff(action, message) : failed(error.errorClass, message)
  // Half done, as far as anybody knows.
  return aborted ? brokenOff(action, message) : failed('action_failed', message)
}

/** Only of what is not harmless to repeat is it important that nobody knows. */
function brokenOff ({ effect }: Pick<Action, 'effect'>, message: string): Report {
  return effect === 'unsafe' ? { outcome: 'unknown', error: { class: 'action_failed', message } } : failed('provider_unavailable', message)
}

function failed (errorClass: ErrorClass, message: string): Report {
  return { outcome: 'failed', error: { class: errorClass, message: toMessage(message) } }
}

/** As the vault can keep it: without NULs and halves of surrogate pairs, which a cut makes as well. */
function toMessage (text: string): string {
  return Buffer.from(text.slice(0, MESSAGE_MAX)).toString('utf8').replaceAll('\0', '\ufffd')
}

/** Where a value does not fit, without the value; undefined when it does. */
function describe (check: Check, value: unknown): string | undefined {
  if (check.Check(value)) return undefined
  const [, errors] = check.Errors(value)
  return errors.slice(0, 5).map((error) => `${error.instancePath || '/'} ${error.message ?? 'does not fit'}`).join('; ')
}
