import { hostMatches, type Manifest } from '../catalog/index.ts'
import type { SecretFields } from '../crypto/index.ts'
import type { Clock } from '../clock.ts'
import type { Egress, OutgoingRequest, SendFailure, SendResult } from '../egress/index.ts'
import type { BuiltRequest } from './built-request.ts'
import { createCircuit } from './circuit.ts'
import { describeBody, encodeBody, encodePairs } from './encode.ts'
import { createAnswerRoom } from './answer-room.ts'
import { createGate, enterAll, type Leave, type Patience } from './gate.ts'
import { describeAuth, injectAuth, injectBody, PLACEHOLDER, type AuthFields, type InjectedAuth } from './inject-auth.ts'
import { createRedactor } from './redact.ts'
import { shapeResponse, type ShapedResponse } from './shape-response.ts'

/** A credential and where it may go. */
export interface CallCredential extends AuthFields {
  /** Hosts it was sealed for, narrowed by what the connection allows now. */
  readonly hosts: readonly string[]
}

/** One call: whose, of which provider, what, with which credential. */
export interface CallRequest {
  readonly workspaceId: string
  readonly manifest: Manifest
  readonly built: BuiltRequest
  readonly credential: CallCredential
}

export interface CallLimits {
  readonly timeoutMs: number
  readonly maxResponseBytes: number
  readonly signal?: AbortSignal
}

export type CallResult = { readonly kind: 'answered', readonly response: ShapedResponse } | SendFailure

/** A request as a dry run shows it. */
export interface DescribedRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** Where a call waits its turn, and how long. */
export interface Turn extends Patience {
  readonly workspaceId: string
  readonly connectionId: string
  readonly origin: string
  /** What the provider takes from one connection at a time, if it says so. */
  readonly perConnection: number | undefined
}

export interface Calls {
  /** A turn among the calls of one connection, of one workspace to an origin, and of everybody to it; undefined when too many wait, or it does not come in time. */
  takeTurn (turn: Turn): Promise<Leave | undefined>
  /** Puts the credential in, sends, and takes the credential out of the answer. */
  call (request: CallRequest, limits: CallLimits): Promise<CallResult>
}

interface Options {
  readonly egress: Pick<Egress, 'send'>
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly perConnection: number
  readonly perOrigin: number
  readonly maxResponseBytes: number
}

/** What large answers may take of memory before they are parsed. */
const ANSWERS_BYTES = 268_435_456

export function createCalls ({ egress, clock, perConnection, perOrigin, maxResponseBytes }: Options): Calls {
  const connections = createGate()
  const shares = createGate()
  const origins = createGate()
  const answers = createAnswerRoom(Math.max(2, Math.floor(ANSWERS_BYTES / maxResponseBytes)))
  const circuit = createCircuit(clock)

  const send = async (request: OutgoingRequest): Promise<SendResult> => {
    const { origin, host } = request.url
    const pausedMs = circuit.pausedMs(origin)
    if (pausedMs !== undefined) {
      return { kind: 'unreachable', maybeSent: false, detail: `${host} could not be reached several times in a row: calls to it are paused for another ${pausedMs} ms.` }
    }
    const result = await egress.send('provider', request)
    if (result.kind === 'unreachable') circuit.note(origin, false)
    else if (result.kind === 'answer' || result.maybeSent) circuit.note(origin, true)
    return result
  }

  return Object.freeze({
    takeTurn: async (turn: Turn) => await enterAll([
      { gate: connections, name: turn.connectionId, limit: Math.min(turn.perConnection ?? perConnection, perConnection) },
      { gate: shares, name: `${turn.workspaceId} ${turn.origin}`, limit: Math.ceil(perOrigin / 2) },
      { gate: origins, name: turn.origin, limit: perOrigin },
    ], turn),
    call: async ({ workspaceId, manifest, built, credential }: CallRequest, limits: CallLimits): Promise<CallResult> => {
      if (!isHostAllowed(built.url, credential.hosts)) {
        return { kind: 'blocked', maybeSent: false, detail: `${built.url.host} is not a host this credential may go to.` }
      }
      const auth = injectAuth(credential, built.security)
      const room = answers.open(workspaceId)
      try {
        const result = await send({ ...await toOutgoing(built, auth, credential.secrets), ...limits, room })
        if (result.kind !== 'answer') return result
        await room.turn()
        const redactor = createRedactor(credential.secrets, auth.secretValues)
        return { kind: 'answered', response: shapeResponse(manifest, result, redactor) }
      } finally {
        room.leave()
      }
    },
  })
}

/** Whether a credential bound to these hosts may go there. */
export function isHostAllowed (url: URL, hosts: readonly string[]): boolean {
  return hosts.some((pattern) => hostMatches(pattern, url.host))
}

/** What would be sent, with a placeholder for everything secret. */
export function describeRequest (built: BuiltRequest, auth: Pick<AuthFields, 'scheme' | 'config'> & { secretNames: readonly string[] }): DescribedRequest {
  const injected = describeAuth(auth, built.security)
  const placeholders = Object.fromEntries(Object.keys(built.bodyFields).map((name) => [name, PLACEHOLDER]))
  const value = isEmpty(placeholders) ? built.body?.value : { ...built.body?.value as object, ...placeholders }
  const body = built.body === undefined ? undefined : describeBody({ ...built.body, value })
  return {
    method: built.method,
    url: withQuery(built.url, injected.query).href,
    headers: { ...built.headers, ...body && { 'content-type': body.contentType }, ...injected.headers },
    body: body?.shown ?? null,
  }
}

async function toOutgoing (built: BuiltRequest, auth: InjectedAuth, secrets: SecretFields): Promise<Pick<OutgoingRequest, 'method' | 'url' | 'headers' | 'body'>> {
  const encoded = built.body === undefined ? undefined : await encodeBody({ ...built.body, value: injectBody(built, secrets) })
  return {
    method: built.method,
    url: withQuery(built.url, auth.query),
    headers: {
      accept: 'application/json', 'user-agent': 'connection-vault', ...built.headers, ...encoded && { 'content-type': encoded.contentType }, ...auth.headers,
      ...joinCookies(built.headers['cookie'], auth.headers['cookie']),
    },
    ...encoded && { body: encoded.bytes },
  }
}

function isEmpty (value: object): boolean {
  return Object.keys(value).length === 0
}

/** Cookies of the input beside the credential's (RFC 6265, 5.4). */
function joinCookies (input: string | undefined, auth: string | undefined): { cookie?: string } {
  const parts = [input, auth].filter((part) => part !== undefined)
  return parts.length === 0 ? {} : { cookie: parts.join('; ') }
}

/** What is there stays as it is written. */
function withQuery (url: URL, query: Readonly<Record<string, string>>): URL {
  const added = encodePairs(query, 'repeat')
  if (added === '') return url
  const copy = new URL(url)
  copy.search = url.search === '' ? added : `${url.search}&${added}`
  return copy
}
