import { AsyncLocalStorage } from 'node:async_hooks'
import { Agent as HttpAgent, type ClientRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import { endpointOf, judgeUrl, type Exceptions } from './guard.ts'
import { BlockedAddress, guardedLookup, type Resolve } from './pools.ts'
import { describeFailure, flattenHeaders, type SendFailure, type SendResult } from './send.ts'

/** What a client of `node:http` takes as its agent. Only functions: clients that copy their options copy nothing of ours. */
export interface GuardedAgent {
  readonly protocol: string
  readonly defaultPort: number
  addRequest (request: ClientRequest, options: object): void
}

/** How an exchange that another HTTP client made over a guarded agent went. */
export interface WatchedExchange<T> {
  readonly result: { readonly value: T } | { readonly thrown: unknown }
  /** Set when the provider had begun to answer. */
  readonly head?: { readonly status: number, readonly headers: Readonly<Record<string, string>> }
  /** What kept the answer, or its end, away. */
  readonly failure?: SendFailure
}

/**
 * The guard for libraries that bring an HTTP client of their own, under the rules of `send`: every
 * destination judged, names resolved once and pinned, nothing kept open.
 */
export interface GuardedAgents {
  readonly http: GuardedAgent
  readonly https: GuardedAgent
  /** Watches the one request that `run` makes, and ends it after `timeoutMs`. */
  watch<T> (timeoutMs: number, run: () => Promise<T>): Promise<WatchedExchange<T>>
}

interface Watch {
  readonly timeoutMs: number
  sent: boolean
  request?: ClientRequest
  answer?: IncomingMessage
  error?: Error
  expired?: boolean
}

type Create = HttpAgent['createConnection']

/** `note` counts what came of each exchange that was watched. */
export function createGuardedAgents (exceptions: Exceptions, resolve: Resolve, note: (result: SendResult['kind']) => void): GuardedAgents {
  const watches = new AsyncLocalStorage<Watch>()
  // No keep-alive: a connection that the other side is just closing would take a code with it.
  const options = { keepAlive: false, maxSockets: 128 }
  const guard = (agent: HttpAgent, protocol: 'http:' | 'https:'): GuardedAgent => {
    agent.createConnection = guardConnect(agent.createConnection.bind(agent), protocol, { exceptions, resolve })
    return Object.freeze({
      protocol,
      defaultPort: protocol === 'https:' ? 443 : 80,
      addRequest: (request: ClientRequest, requestOptions: object) => {
        const watch = watches.getStore()
        if (watch !== undefined) observe(watch, request, protocol === 'https:' ? 'secureConnect' : 'connect')
        internals(agent).addRequest(request, requestOptions)
      },
    })
  }
  return Object.freeze({
    http: guard(new HttpAgent(options), 'http:'),
    https: guard(new HttpsAgent(options), 'https:'),
    watch: async <T>(timeoutMs: number, run: () => Promise<T>) => {
      const watch: Watch = { timeoutMs, sent: false }
      const exchange = await settle(watch, () => watches.run(watch, run))
      note(exchange.failure?.kind ?? 'answer')
      return exchange
    },
  })
}

async function settle<T> (watch: Watch, run: () => Promise<T>): Promise<WatchedExchange<T>> {
  let timer: NodeJS.Timeout | undefined
  const expiry = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      watch.expired = true
      const error = new Error('given up')
      watch.request?.destroy(error)
      reject(error)
    }, watch.timeoutMs)
  })
  try {
    const value = await Promise.race([run(), expiry])
    return { result: { value }, ...headOf(watch) }
  } catch (thrown) {
    // A client throws for a status it does not like, too: then the whole answer is there.
    const whole = watch.expired !== true && watch.answer?.complete === true
    return { result: { thrown }, ...headOf(watch), ...!whole && { failure: failureOf(watch) } }
  } finally {
    clearTimeout(timer)
  }
}

/** Every new connection is judged here: it is where a client can't get around it. */
function guardConnect (connect: Create, protocol: string, { exceptions, resolve }: { exceptions: Exceptions, resolve: Resolve }): Create {
  return (options, callback) => {
    const host = options.host ?? ''
    const url = URL.parse(`${protocol}//${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${options.port}`)
    // A Unix socket or a name no URL can have would not pass the guard at all.
    const refused = url === null || options.socketPath != null ? 'it has no host' : judgeUrl(url, exceptions)
    if (url === null || refused !== undefined) {
      const fail = callback as ((error: Error) => void) | undefined
      fail?.(new BlockedAddress(refused ?? 'it has no host'))
      return undefined
    }
    // Options of a request may bring a look-up of their own.
    const { lookup: _lookup, ...rest } = options
    return connect(exceptions.has(endpointOf(url)) ? rest : { ...rest, lookup: guardedLookup(resolve) }, callback)
  }
}

function observe (watch: Watch, request: ClientRequest, connected: 'connect' | 'secureConnect'): void {
  watch.request = request
  request.once('socket', (socket: Socket) => { socket.once(connected, () => { watch.sent = true }) })
  request.once('response', (answer: IncomingMessage) => { watch.answer = answer })
  request.once('error', (error) => { watch.error ??= error })
  if (watch.expired === true) request.destroy(new Error('given up'))
}

function headOf ({ answer }: Watch): Pick<WatchedExchange<unknown>, 'head'> {
  return answer?.statusCode === undefined ? {} : { head: { status: answer.statusCode, headers: flattenHeaders(answer.headers) } }
}

/** Only what is known of the exchange counts: what the client has thrown may hold the request. */
function failureOf (watch: Watch): SendFailure {
  const status = watch.answer?.statusCode !== undefined && { status: watch.answer.statusCode }
  if (watch.expired === true) return { kind: 'timeout', maybeSent: watch.sent, detail: `No complete answer within ${watch.timeoutMs} ms.`, ...status }
  if (watch.request === undefined) return { kind: 'blocked', maybeSent: false, detail: 'The request can’t be written as HTTP.' }
  return { ...describeFailure(watch.error ?? new Error('interrupted'), watch.sent), ...status }
}

/** What `http.Agent` has and its types don't say. */
function internals (agent: HttpAgent): { addRequest (request: ClientRequest, options: object): void } {
  return agent as unknown as ReturnType<typeof internals>
}
