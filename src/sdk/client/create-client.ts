import type { Answer, Input, Item, ListName, Operations, OperationName, OptionsOf } from './calls.ts'
import { conceal } from './conceal.ts'
import { createCaller, type Caller, type ClientOptions } from './create-caller.ts'
import { VaultApiError, VaultError, VaultTimeoutError } from './errors.ts'
import { readProblem } from './exchange.ts'
import { OPERATIONS } from './operations.ts'
import { chooseWait, pause } from './retry.ts'

/** A credential in plain text. `credentials` and `request` are there, but not enumerable: what prints or logs the object does not show them. */
export type Credential = Answer<'resolveConnection'>

/** Of one connection among several. */
export type Resolved =
  | { readonly connection_id: string, readonly credential: Credential, readonly error?: undefined }
  | { readonly connection_id: string, readonly error: VaultApiError, readonly credential?: undefined }

type InvokeInput = Input<'invokeAction'>
type Outcome = Answer<'invokeAction'>

/** What a call came to. The provider, or the agent, answered; whether it did what was asked is `outcome`. */
export type Invocation = Extract<Outcome, { readonly outcome: string }>
/** What would be sent. */
export type DryRun = Extract<Outcome, { readonly dry_run: true }>
/** The call waits for an agent: ask with `invocation` or `waitFor`. */
export type Accepted = Extract<Outcome, { readonly state: 'queued' }>
export type InvocationStatus = Answer<'getInvocation'>

type Asks<T, More> = Omit<T, keyof More> & More

/** What a program that runs procedures needs. */
interface Runtime {
  /** The credential of a connection, ready to use in `request`. Never kept here: a rotation holds from the next call on. */
  resolve (input: Input<'resolveConnection'>, options?: OptionsOf<'resolveConnection'>): Promise<Credential>
  /** Those of any number of connections, in the order of their ids, each with its credential or its error. Rejects when a request as a whole fails. */
  resolveMany (input: Input<'resolveConnections'>, options?: OptionsOf<'resolveConnections'>): Promise<Resolved[]>
  /** Runs an action without seeing the credential. Give it an `idempotencyKey`, one for each step of a run: then a repeat is safe. */
  invoke (input: Asks<InvokeInput, { readonly mode: 'async' }>, options?: OptionsOf<'invokeAction'>): Promise<Accepted>
  invoke (input: Asks<InvokeInput, { readonly dry_run: true }>, options?: OptionsOf<'invokeAction'>): Promise<DryRun>
  invoke (input: Asks<InvokeInput, { readonly mode?: 'sync', readonly dry_run?: false }>, options?: OptionsOf<'invokeAction'>): Promise<Invocation>
  /** Where any of them is possible. */
  invoke (input: InvokeInput, options?: OptionsOf<'invokeAction'>): Promise<Outcome>
  /** Makes a call that the catalog has no action for, to the connection’s hosts. */
  request (input: Asks<Input<'sendRequest'>, { readonly dry_run: true }>, options?: OptionsOf<'sendRequest'>): Promise<DryRun>
  request (input: Asks<Input<'sendRequest'>, { readonly dry_run?: false }>, options?: OptionsOf<'sendRequest'>): Promise<Invocation>
  /** Where a call is that an agent makes, and what came of it. */
  invocation (input: Input<'getInvocation'>, options?: OptionsOf<'getInvocation'>): Promise<InvocationStatus>
  /** Asks until it has ended, through outages of the vault. `deadlineMs` is for the whole wait (an hour), then it rejects with a VaultTimeoutError and the call goes on. */
  waitFor (input: Input<'getInvocation'>, options?: OptionsOf<'getInvocation'>): Promise<InvocationStatus>
  /** The items of a list, page after page, for `for await`. */
  each<Name extends ListName> (name: Name, input: Omit<Input<Name>, 'cursor'>, options?: OptionsOf<Name>): AsyncGenerator<Item<Name>, void, undefined>
}

/** These have functions above that say more. */
type Wrapped = 'resolveConnection' | 'resolveConnections' | 'invokeAction' | 'sendRequest' | 'getInvocation'
const WRAPPED: ReadonlySet<string> = new Set<Wrapped>(['resolveConnection', 'resolveConnections', 'invokeAction', 'sendRequest', 'getInvocation'])

/** The functions of a runtime, then every other operation of the contract by its id. */
export type Client = Readonly<Runtime> & Omit<Operations, Wrapped>

const BATCH = { size: 100, atOnce: 4 }
const WAIT_MS = { first: 200, most: 5_000, whole: 3_600_000 }

/** A client of one vault, for as long as the process lasts. Connections are kept by the runtime’s `fetch`. */
export function createClient (options: ClientOptions): Client {
  const call = createCaller(options)
  const runtime: { [Name in keyof Runtime]: unknown } = {
    resolve: async (input: Input<'resolveConnection'>, given?: OptionsOf<'resolveConnection'>) => conceal(await call('resolveConnection', input, given) as Credential),
    resolveMany: async (input: Input<'resolveConnections'>, given?: OptionsOf<'resolveConnections'>) => await resolveMany(call, input, given),
    invoke: async (input: InvokeInput, given?: OptionsOf<'invokeAction'>) => await call('invokeAction', input, given),
    request: async (input: Input<'sendRequest'>, given?: OptionsOf<'sendRequest'>) => await call('sendRequest', input, given),
    invocation: async (input: Input<'getInvocation'>, given?: OptionsOf<'getInvocation'>) => await call('getInvocation', input, given),
    waitFor: async (input: Input<'getInvocation'>, given?: OptionsOf<'getInvocation'>) => await waitFor(call, input, given),
    each: (name: ListName, input: object, given?: object) => listAll(call, { name, input }, given),
  }
  const others = (Object.keys(OPERATIONS) as OperationName[]).filter((name) => !WRAPPED.has(name))
    .map((name) => [name, async (input?: object, given?: object) => await call(name, input, given)])
  return Object.freeze({ ...runtime, ...Object.fromEntries(others) as object }) as Client
}

async function resolveMany (call: Caller, input: Input<'resolveConnections'>, options?: OptionsOf<'resolveConnections'>): Promise<Resolved[]> {
  const ids = [...new Set(input.connection_ids)]
  const batches: string[][] = []
  for (let at = 0; at < ids.length; at += BATCH.size) batches.push(ids.slice(at, at + BATCH.size))
  const found = new Map<string, Resolved>()
  const ask = async (asked: readonly string[]): Promise<void> => {
    try {
      const { results } = await call('resolveConnections', { ...input, connection_ids: asked }, options) as Answer<'resolveConnections'>
      for (const id of asked) found.set(id, toResolved(results.find((one) => one.connection_id === id) ?? { connection_id: id }))
    } catch (error) {
      // An id that can be none would keep all others of its request from their answers.
      const unfit = listUnfit(error, asked, input.connection_ids)
      if (unfit.length === 0) throw error
      for (const one of unfit) found.set(one.connection_id, one)
    }
  }
  const work = async (): Promise<void> => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      for (let left: readonly string[] = batch; left.length > 0; left = left.filter((id) => !found.has(id))) await ask(left)
    }
  }
  const workers = Array.from({ length: Math.min(BATCH.atOnce, batches.length) }, async () => {
    await work().catch((error: unknown) => {
      batches.length = 0
      throw error
    })
  })
  await Promise.all(workers)
  return input.connection_ids.map((id) => found.get(id) ?? toResolved({ connection_id: id }))
}

/** The ids that a refusal is about, each with its own part of it, under its place in the caller's list. */
function listUnfit (error: unknown, asked: readonly string[], all: readonly string[]): Resolved[] {
  if (!(error instanceof VaultApiError) || error.code !== 'request_invalid') return []
  const { code, status, detail, retryable, requestId: instance, extensions, operation, attempts } = error
  return error.errors.flatMap(({ pointer, message }) => {
    const id = asked[Number(/^\/connection_ids\/(\d+)$/.exec(pointer)?.[1] ?? NaN)]
    if (id === undefined) return []
    const errors = [{ pointer: `/connection_ids/${all.indexOf(id)}`, message }]
    return [{ connection_id: id, error: new VaultApiError({ code, status, title: '', detail, retryable, instance, errors, extensions }, { operation, attempts }) }]
  })
}

function toResolved ({ connection_id, credential, problem }: Answer<'resolveConnections'>['results'][number]): Resolved {
  if (credential !== undefined) return { connection_id, credential: conceal(credential) }
  const read = readProblem(problem, problem?.status ?? 500) ?? { code: 'internal', status: 500, title: 'The answer lacks this connection', retryable: false, extensions: {} }
  return { connection_id, error: new VaultApiError(read, { operation: 'resolveConnections', attempts: 1 }) }
}

async function waitFor (call: Caller, input: Input<'getInvocation'>, options: OptionsOf<'getInvocation'> = {}): Promise<InvocationStatus> {
  const { deadlineMs = WAIT_MS.whole, signal } = options
  const startedMs = performance.now()
  for (let attempt = 1; ; attempt++) {
    const leftMs = startedMs + deadlineMs - performance.now()
    if (leftMs <= 0) throw new VaultTimeoutError(deadlineMs, { operation: 'getInvocation', attempts: attempt - 1, retryable: true, mayHaveArrived: true })
    let askedToWaitMs: number | undefined
    try {
      const status = await call('getInvocation', input, { ...options, deadlineMs: Math.max(1, Math.min(leftMs, 60_000)) }) as InvocationStatus
      if (status.state === 'ended') return status
    } catch (error) {
      if (!(error instanceof VaultError && error.retryable)) throw error
      askedToWaitMs = error instanceof VaultApiError ? error.retryAfterMs : undefined
    }
    const waitMs = askedToWaitMs === undefined ? Math.min(WAIT_MS.most, WAIT_MS.first * 1.5 ** (attempt - 1)) : chooseWait(attempt, askedToWaitMs)
    await pause(Math.max(0, Math.min(waitMs, startedMs + deadlineMs - performance.now())), signal)
  }
}

async function * listAll (call: Caller, of: { name: ListName, input: object }, options?: object): AsyncGenerator<unknown, void, undefined> {
  const { list } = OPERATIONS[of.name]
  for (let cursor: string | undefined; ;) {
    const page = await call(of.name, { ...of.input, cursor }, options) as Record<string, unknown>
    yield * page[list] as unknown[]
    const next = page['next_cursor']
    if (typeof next !== 'string') return
    cursor = next
  }
}
