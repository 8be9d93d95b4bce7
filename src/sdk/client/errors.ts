import type { OperationName } from './calls.ts'
import type { ErrorCode } from './operations.ts'

interface About {
  readonly operation: OperationName
  readonly attempts: number
  readonly retryable: boolean
  readonly mayHaveArrived: boolean
}

/** Whatever keeps a call from its answer. Holds no token, no input and no answer. */
export class VaultError extends Error {
  /** The operation of the contract. */
  readonly operation: OperationName
  /** How often it was tried. */
  readonly attempts: number
  /** Whether the same call may be made again later, without asking first what became of this one. */
  readonly retryable: boolean
  /** Whether the vault may have got the request. False: nothing has happened. */
  readonly mayHaveArrived: boolean

  constructor (message: string, about: About) {
    super(message)
    this.name = 'VaultError'
    this.operation = about.operation
    this.attempts = about.attempts
    this.retryable = about.retryable
    this.mayHaveArrived = about.mayHaveArrived
  }
}

/** A place in the request, and what is wrong there. */
export interface FieldError {
  readonly pointer: string
  readonly message: string
}

/** A problem document (RFC 9457) of the vault, as far as it was one. */
export interface Problem {
  readonly code: string
  readonly status: number
  readonly title: string
  readonly detail?: string | undefined
  readonly retryable: boolean
  readonly instance?: string | undefined
  readonly errors?: readonly FieldError[] | undefined
  /** Whatever else it has, for example `in_use`. */
  readonly extensions: Readonly<Record<string, unknown>>
}

/** The vault has said no. What each code means is in docs/errors.md. */
export class VaultApiError extends VaultError {
  /** Stable. A newer vault may have codes that this version does not list. */
  readonly code: ErrorCode | (string & {})
  readonly status: number
  readonly detail: string | undefined
  readonly errors: readonly FieldError[]
  /** Leads an operator to the log of the vault. */
  readonly requestId: string | undefined
  /** How long the vault asks to wait. */
  readonly retryAfterMs: number | undefined
  /** Other members of the problem, by their names. */
  readonly extensions: Readonly<Record<string, unknown>>

  constructor (problem: Problem, about: Pick<About, 'operation' | 'attempts'> & { retryAfterMs?: number | undefined }) {
    const { code, status, title, detail, retryable, instance, errors = [], extensions } = problem
    super(`${code}: ${detail ?? title}${instance === undefined ? '' : ` (${instance})`}`, { ...about, retryable, mayHaveArrived: true })
    this.name = 'VaultApiError'
    this.code = code
    this.status = status
    this.detail = detail
    this.errors = errors
    this.requestId = instance
    this.retryAfterMs = about.retryAfterMs
    this.extensions = extensions
  }
}

/** No answer in time. */
export class VaultTimeoutError extends VaultError {
  readonly timeoutMs: number

  constructor (timeoutMs: number, about: About) {
    super(`no answer within ${timeoutMs} ms`, about)
    this.name = 'VaultTimeoutError'
    this.timeoutMs = timeoutMs
  }
}

/**
 * `unreachable`: nothing was sent. `untrusted`: nor here, TLS came to nothing or the certificate does not fit. `broken`: the connection
 * ended before the answer did. `redirected`: to elsewhere, where nothing was sent. `not_the_vault`: something on the way
 * answered. `too_large`: the answer is larger than `maxAnswerBytes`.
 */
export type ConnectionFailure = 'unreachable' | 'untrusted' | 'broken' | 'redirected' | 'not_the_vault' | 'too_large'

const MESSAGES: Readonly<Record<ConnectionFailure, string>> = {
  unreachable: 'the vault could not be reached',
  untrusted: 'no TLS connection that can be trusted',
  broken: 'the connection broke before the answer had ended',
  redirected: 'the answer is a redirect, which is not followed',
  not_the_vault: 'the answer is not one of the vault',
  too_large: 'the answer is larger than maxAnswerBytes',
}

/** There was no answer of the vault. */
export class VaultConnectionError extends VaultError {
  readonly reason: ConnectionFailure
  /** What the socket says, for example `ECONNREFUSED`, where the runtime tells. */
  readonly code: string | undefined
  /** Of what answered instead of the vault. */
  readonly status: number | undefined

  constructor (failure: { reason: ConnectionFailure, code?: string | undefined, status?: number | undefined }, about: About) {
    const { reason, code, status } = failure
    super([MESSAGES[reason], ...status === undefined ? [] : [`HTTP ${status}`], ...code === undefined ? [] : [code]].join(', '), about)
    this.name = 'VaultConnectionError'
    this.reason = reason
    this.code = code
    this.status = status
  }
}
