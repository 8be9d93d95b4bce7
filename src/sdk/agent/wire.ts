import { AgentError } from './action.ts'
import { createExchange } from './exchange.ts'
import type { Identity } from './identity.ts'
import { linkSignals } from './signals.ts'

/** What the vault answered to a request that it refused. */
export class RefusedError extends Error {
  readonly status: number
  readonly code: string
  /** What it says to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor (status: number, problem: { code?: string, detail?: string, title?: string }, retryAfterMs: number | undefined) {
    super(`the vault answers ${status}: ${problem.detail ?? problem.title ?? problem.code ?? 'nothing more'}`)
    this.name = 'RefusedError'
    this.status = status
    this.code = problem.code ?? ''
    this.retryAfterMs = retryAfterMs
  }
}

interface Sending {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface Wire {
  /** Makes the identity one of the group that the code is for. Throws an AgentError when the code is refused. */
  enrol (code: string, of: { identity: Identity, name: string }): Promise<{ agentId: string }>
  /**
   * One request as this agent, its token renewed as needed. Undefined for an answer without a body.
   * Throws an AgentError when it is revoked or outdated, a RefusedError for any other refusal, and
   * what a socket throws.
   */
  send (path: string, body: object, options?: Sending): Promise<unknown>
  /** Sends with this identity from now on. */
  become (identity: Identity): void
}

const BASE = '/v1/agent'
const TIMEOUT_MS = 20_000
/** A token is renewed when this part of its life is over. */
const RENEW_AT = 0.8

/** Throws an AgentError for an address that is neither https nor on this machine. */
export function createWire (url: string): Wire {
  const exchange = createExchange(parseAddress(url))
  let identity: Identity | undefined
  let token: { text: string, untilMs: number } | undefined

  const post = async (path: string, body: object, options: Sending & { bearer?: string } = {}): Promise<unknown> => {
    const { signal, release } = linkSignals([options.signal], options.timeoutMs ?? TIMEOUT_MS)
    const { status, headers, text } = await exchange(`${BASE}/${path}`, {
      headers: options.bearer === undefined ? {} : { authorization: `Bearer ${options.bearer}` }, body: JSON.stringify(body), signal,
    }).finally(release)
    if (status >= 200 && status < 300) return text === '' ? undefined : parse(text)
    const wait = Number(headers['retry-after'] ?? NaN)
    throw new RefusedError(status, (parse(text) ?? {}), Number.isNaN(wait) ? undefined : wait * 1_000)
  }

  const renew = async (): Promise<string> => {
    if (identity?.agentId === undefined) throw new AgentError(2, 'the agent is not enrolled')
    const { challenge } = await post('challenge', { agent_id: identity.agentId }) as { challenge: string }
    const answer = await post('token', { challenge, signature: identity.signChallenge(challenge) }).catch((error: unknown) => {
      if (error instanceof RefusedError && error.code === 'agent_unauthenticated') throw new AgentError(3, 'the vault does not know this agent: its group may be gone', { cause: error })
      throw error
    }) as { access_token: string, expires_in: number }
    token = { text: answer.access_token, untilMs: performance.now() + answer.expires_in * 1_000 * RENEW_AT }
    return token.text
  }
  let renewing: Promise<string> | undefined
  const bearer = async (): Promise<string> => {
    if (token !== undefined && performance.now() < token.untilMs) return token.text
    renewing ??= renew().finally(() => { renewing = undefined })
    return await renewing
  }

  return Object.freeze({
    become: (next: Identity) => { identity = next },
    enrol: async (code: string, of: { identity: Identity, name: string }) => {
      const { publicKey, encryptionKey } = of.identity
      try {
        const answer = await post('enrol', { code, public_key: publicKey, encryption_key: encryptionKey, name: of.name }) as { agent_id?: unknown } | undefined
        if (typeof answer?.agent_id !== 'string') throw new AgentError(2, 'what answers there is not the vault: the url has to be its public address')
        return { agentId: answer.agent_id }
      } catch (error) {
        if (!(error instanceof RefusedError) || error.code !== 'enrolment_refused') throw error
        throw new AgentError(5, `${error.message} A code is good for one agent and 15 minutes: make another.`)
      }
    },
    send: async (path: string, body: object, options: Sending = {}) => {
      try {
        return await post(path, body, { ...options, bearer: await bearer() })
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error
        if (error.code === 'agent_revoked') throw new AgentError(3, 'the agent has been revoked: enrol it anew, with a new identity file', { cause: error })
        if (error.status === 426) throw new AgentError(4, `upgrade this agent: ${error.message}`, { cause: error })
        if (error.status !== 401) throw error
        token = undefined
        return await post(path, body, { ...options, bearer: await bearer() })
      }
    },
  })
}

function parseAddress (text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url?.hostname ?? '')
  if (url === undefined || !(url.protocol === 'https:' || (url.protocol === 'http:' && loopback))) throw new AgentError(2, 'the url of the vault has to be https')
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
