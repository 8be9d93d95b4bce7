import type { Log } from './log.ts'

/** A JSON Schema (2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>

/**
 * What making a call twice comes to. `read` changes nothing, `idempotent` is the same twice as once,
 * `unsafe` is neither: the vault hands it out once, and says so when nobody knows how it ended.
 */
export type Effect = 'read' | 'idempotent' | 'unsafe'

/** What an action is given beside its input. */
export interface ActionContext {
  /** Aborted at the deadline, when somebody cancels, and when the agent has to stop. */
  readonly signal: AbortSignal
  readonly log: Log
  /** The values of the agent's credential sources, by their names. Taken out of results and errors. */
  readonly credentials: Readonly<Record<string, string>>
  readonly invocationId: string
  /** How often the call has been handed out, this time included. */
  readonly attempt: number
}

/** Something that callers can have run. */
export interface Action<Input = unknown> {
  readonly effect: Effect
  readonly title?: string
  readonly input: JsonSchema
  readonly output?: JsonSchema
  /** Milliseconds it may take, whatever the caller would wait; none when left out. */
  readonly timeoutMs?: number
  /**
   * Answers something that can be written as JSON; bytes become `{content_type, base64}`. Throws
   * an `ActionError` to say what kind of failure it is; anything else thrown is an `action_failed`.
   */
  run (input: Input, context: ActionContext): unknown
}

// Actions of any input stand in one map; each input has passed the action's own schema.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Actions = Readonly<Record<string, Action<any>>>

/** The kinds of failure that callers of the vault know. */
export type ErrorClass = 'reauthorise' | 'config_error' | 'permission' | 'step_up' | 'input' | 'conflict' | 'not_found' | 'rate_limited' | 'provider_unavailable' | 'action_failed'

/** A failure whose kind is known. `message` goes to the caller. */
export class ActionError extends Error {
  readonly errorClass: ErrorClass
  /** Whether it was broken off where nobody can say if it was done. */
  readonly unknown: boolean

  constructor (errorClass: ErrorClass, message: string, options: { unknown?: boolean, cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.name = 'ActionError'
    this.errorClass = errorClass
    this.unknown = options.unknown ?? false
  }
}

/** Why an agent can't go on. */
export class AgentError extends Error {
  /** For the process: 2 settings, 3 revoked, 4 outdated, 5 enrolment refused. */
  readonly exitCode: number

  constructor (exitCode: 2 | 3 | 4 | 5, message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.name = 'AgentError'
    this.exitCode = exitCode
  }
}
