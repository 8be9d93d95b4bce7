import { createAddress, type Address } from './address.ts'
import type { CallOptions, OperationName } from './calls.ts'
import { VaultApiError, VaultConnectionError, VaultTimeoutError, type VaultError } from './errors.ts'
import { exchange, type Fetch, type Outcome, type Request } from './exchange.ts'
import { OPERATIONS } from './operations.ts'
import { chooseWait, isRepeatable, judgeRetry, pause } from './retry.ts'

export interface ClientOptions {
  /** Of the vault’s internal listener, with the path prefix, if there is one. */
  readonly url: string
  /** A service token or a JWT of a trusted issuer. Either this or `getToken`. */
  readonly token?: string | undefined
  /** Asked before each attempt, and again when the vault has refused what it gave. Keeps its own cache. */
  readonly getToken?: (() => string | Promise<string>) | undefined
  /** Instead of the runtime’s `fetch`, for example undici’s with a dispatcher. */
  readonly fetch?: Fetch | undefined
  /** Milliseconds for one attempt: 30,000. Invoke and request wait 10,000 longer than their `timeout_ms`, unless this is said for the call. */
  readonly timeoutMs?: number | undefined
  /** Milliseconds for a whole call, its repeats and waits included: 60,000, or one attempt where that is longer. */
  readonly deadlineMs?: number | undefined
  /** Repeats of what is safe to repeat: 2. */
  readonly retries?: number | undefined
  /** The largest answer that is read: 64 MiB. */
  readonly maxAnswerBytes?: number | undefined
  /** Told of each request once it is over. What it throws is lost. */
  readonly onRequest?: ((event: RequestEvent) => void) | undefined
}

/** One attempt: ids and numbers, nothing secret. */
export interface RequestEvent {
  readonly operation: OperationName
  readonly attempt: number
  readonly durationMs: number
  /** Missing where there was no answer. */
  readonly status: number | undefined
  /** A code of docs/errors.md, `timeout`, or why there was no answer of the vault. */
  readonly failure: string | undefined
  readonly requestId: string | undefined
  /** How long it waits before it tries again; undefined when it does not. */
  readonly retryInMs: number | undefined
}

/** What any call may say; not every operation takes all of it. */
export type AnyOptions = CallOptions & { readonly idempotencyKey?: string | undefined, readonly ifMatch?: string | undefined }
export type Caller = (name: OperationName, input?: object, options?: AnyOptions) => Promise<unknown>

const DEFAULTS = { timeoutMs: 30_000, deadlineMs: 60_000, retries: 2, maxAnswerBytes: 64 * 1_048_576 }
/** How long the vault works on a call when it is not told, and what the way back may take. */
const INVOKE_MS = { usual: 30_000, way: 10_000 }
const NONE: AnyOptions = {}
const TIMER_MAX_MS = 2 ** 31 - 1

interface Call {
  readonly name: OperationName
  readonly repeatable: boolean
  readonly options: AnyOptions
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly retries: number
  prepare (token: string): Request
}

/** Calls operations by their names. Throws a TypeError for settings or inputs that can’t be sent. */
export function createCaller (client: ClientOptions): Caller {
  const base = parseUrl(client.url)
  if ((client.token === undefined) === (client.getToken === undefined)) throw new TypeError('createClient needs either token or getToken')
  const { token } = client
  const getToken = client.getToken ?? (() => token ?? '')
  if (token !== undefined) requireHeader('token', token)
  const send: Fetch = client.fetch ?? (async (url, init) => await fetch(url, init))
  const own = readLimits(client)
  const limits = { ...DEFAULTS, ...own }
  const addresses = new Map<OperationName, Address>()

  return async (name, given = {}, options = NONE) => {
    let address = addresses.get(name)
    if (address === undefined) addresses.set(name, address = createAddress(name))
    const plan = { options, limits: options === NONE ? limits : { ...limits, ...readLimits(options) }, deadlineMs: options.deadlineMs ?? own.deadlineMs }
    const call = planCall({ name, address, base }, given as Readonly<Record<string, unknown>>, plan)
    return await carryOut(call, { getToken, maxAnswerBytes: limits.maxAnswerBytes, send, onRequest: client.onRequest })
  }
}

interface Plan {
  readonly options: AnyOptions
  readonly limits: typeof DEFAULTS
  /** Where the call or the client says one: then it holds, however long one attempt may take. */
  readonly deadlineMs: number | undefined
}

function planCall (to: { name: OperationName, address: Address, base: string }, input: Readonly<Record<string, unknown>>, plan: Plan): Call {
  const { options, limits } = plan
  const { name, address: { method, has, fill }, base } = to
  const { path, body } = fill(input)
  const key = options.idempotencyKey ?? makeKey(name)
  const headers: Record<string, string> = { accept: 'application/json, application/problem+json' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (key !== undefined) headers['idempotency-key'] = requireHeader('idempotencyKey', key)
  if (options.ifMatch !== undefined) headers['if-match'] = requireHeader('ifMatch', options.ifMatch)
  if (options.actor !== undefined) headers['x-actor'] = requireHeader('actor', options.actor)
  const worksMs = Number(input['timeout_ms'] ?? INVOKE_MS.usual)
  const invokes = (name === 'invokeAction' && input['mode'] !== 'async') || name === 'sendRequest'
  const timeoutMs = invokes && options.timeoutMs === undefined ? worksMs + INVOKE_MS.way : limits.timeoutMs
  return {
    name, options, timeoutMs,
    repeatable: isRepeatable(name, { input, key, etag: options.ifMatch }),
    deadlineMs: plan.deadlineMs ?? Math.max(limits.deadlineMs, timeoutMs),
    retries: limits.retries,
    prepare: (token) => ({ url: base + path, method, body, has, token, headers: { ...headers, authorization: `Bearer ${token}` } }),
  }
}

/** A call to a provider would be kept for a day. A second enrolment code does no harm, and the replay of the first would be without it. */
const UNASKED: ReadonlySet<OperationName> = new Set(['invokeAction', 'sendRequest', 'createEnrolmentCode'])

/** What creates something is safe to repeat under a key. */
function makeKey (name: OperationName): string | undefined {
  return 'key' in OPERATIONS[name] && !UNASKED.has(name) ? crypto.randomUUID() : undefined
}

interface Means {
  readonly getToken: () => string | Promise<string>
  readonly send: Fetch
  readonly maxAnswerBytes: number
  readonly onRequest: ClientOptions['onRequest']
}

async function carryOut (call: Call, means: Means): Promise<unknown> {
  const { options: { signal }, timeoutMs, deadlineMs, repeatable } = call
  const startedMs = performance.now()
  let refused: string | undefined
  let mayHaveArrived = false
  for (let attempt = 1, retried = 0; ; attempt++) {
    const token = requireHeader('token', await means.getToken())
    const attemptedMs = performance.now()
    const leftMs = Math.max(1, startedMs + deadlineMs - attemptedMs)
    const bounds = { fetch: means.send, timeoutMs: Math.min(timeoutMs, leftMs), maxAnswerBytes: means.maxAnswerBytes, signal }
    const outcome = await exchange(call.prepare(token), bounds)
    // A token may have been replaced between two askings: what was refused is asked for once more.
    const anew = isRefusal(outcome) && refused === undefined && token !== await renewed(means, token)
    const waitMs = anew || outcome.kind === 'answer' ? 0 : chooseWait(retried + 1, 'retryAfterMs' in outcome ? outcome.retryAfterMs : undefined)
    const inTime = performance.now() - startedMs + waitMs < deadlineMs
    const again = anew || (retried < call.retries && inTime && judgeRetry(outcome, repeatable))
    if (means.onRequest !== undefined) {
      const durationMs = performance.now() - attemptedMs
      tell(means.onRequest, { operation: call.name, attempt, durationMs, ...describe(outcome), retryInMs: again ? waitMs : undefined })
    }
    if (outcome.kind === 'answer') return outcome.body
    mayHaveArrived ||= arrived(outcome)
    if (!again) throw toError(outcome, { operation: call.name, attempts: attempt, mayHaveArrived, repeatable, timeoutMs: Math.round(bounds.timeoutMs) })
    if (anew) refused = token
    else retried++
    await pause(waitMs, signal)
  }
}

function isRefusal (outcome: Outcome): boolean {
  return outcome.kind === 'problem' && outcome.problem.code === 'unauthenticated'
}

async function renewed ({ getToken }: Means, token: string): Promise<string> {
  try {
    return await getToken()
  } catch {
    return token
  }
}

function arrived (outcome: Outcome): boolean {
  if (outcome.kind === 'failure') return outcome.reason !== 'unreachable' && outcome.reason !== 'untrusted'
  return true
}

function toError (outcome: Exclude<Outcome, { kind: 'answer' }>, about: { operation: OperationName, attempts: number, mayHaveArrived: boolean, repeatable: boolean, timeoutMs: number }): VaultError {
  const { operation, attempts, mayHaveArrived, repeatable } = about
  switch (outcome.kind) {
    case 'problem': return new VaultApiError(outcome.problem, { operation, attempts, retryAfterMs: outcome.retryAfterMs })
    case 'timeout': return new VaultTimeoutError(about.timeoutMs, { operation, attempts, mayHaveArrived, retryable: repeatable })
    case 'failure': return new VaultConnectionError(outcome, { operation, attempts, mayHaveArrived, retryable: judgeRetry(outcome, repeatable) && (repeatable || !mayHaveArrived) })
  }
}

function describe (outcome: Outcome): Pick<RequestEvent, 'status' | 'failure' | 'requestId'> {
  switch (outcome.kind) {
    case 'answer': return { status: outcome.status, failure: undefined, requestId: outcome.requestId }
    case 'problem': return { status: outcome.status, failure: outcome.problem.code, requestId: outcome.problem.instance }
    case 'timeout': return { status: undefined, failure: 'timeout', requestId: undefined }
    case 'failure': return { status: outcome.status, failure: outcome.reason, requestId: undefined }
  }
}

function tell (listener: (event: RequestEvent) => void, event: RequestEvent): void {
  try {
    listener(event)
  } catch {
    // Whoever watches must not break what is watched.
  }
}

function parseUrl (text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const plain = url !== undefined && /^https?:$/.test(url.protocol) && [url.username, url.password, url.search, url.hash].every((part) => part === '')
  if (!plain) throw new TypeError('url has to be an http or https URL without credentials, query and fragment')
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

/** The value stays out of the message: it may be the token. */
function requireHeader (name: string, value: unknown): string {
  if (typeof value !== 'string' || !/^[\x20-\x7e]+$/.test(value)) throw new TypeError(`${name} has to be a text of printable ASCII`)
  return value
}

function readLimits (given: { readonly [Name in keyof typeof DEFAULTS]?: number | undefined }): Partial<typeof DEFAULTS> {
  const read: { -readonly [Name in keyof typeof DEFAULTS]?: number } = {}
  for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
    const value = given[name]
    if (value === undefined) continue
    if (!(value >= (name === 'retries' ? 0 : 1) && value <= TIMER_MAX_MS)) throw new TypeError(`${name} can’t be ${String(value)}`)
    read[name] = value
  }
  return read
}
