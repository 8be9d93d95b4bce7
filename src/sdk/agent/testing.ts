import { createPublicKey, randomBytes, verify } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Actions, ErrorClass } from './action.ts'
import { createAgent, type AgentOptions } from './create-agent.ts'
import type { Log } from './log.ts'

/** What the vault would tell a caller. */
export interface TestResult {
  readonly outcome: 'succeeded' | 'failed' | 'unknown'
  readonly output: unknown
  readonly error?: { readonly class: ErrorClass, readonly message: string }
}

export interface TestAgent {
  /** Runs an action the way a call through the vault runs it, with everything the agent puts around it. Throws a TypeError for an action it has not announced. */
  invoke (action: string, input?: unknown, options?: { timeoutMs?: number }): Promise<TestResult>
  stop (): Promise<void>
}

interface Call {
  readonly id: string
  readonly action: string
  readonly input: string
  readonly leaseToken: string
  readonly timeoutMs: number
  readonly pieces: string[]
  settle (result: TestResult): void
}

interface Announced {
  readonly name: string
  readonly effect: string
}

const SILENT: Log = { info: () => {}, warn: () => {}, error: () => {} }

/**
 * Starts an agent with these actions against a vault that lives in this process, for tests: it
 * enrols, signs, polls, claims and reports over HTTP on 127.0.0.1.
 */
export async function startTestAgent (options: Pick<AgentOptions, 'actions' | 'credentials' | 'concurrency' | 'encryption' | 'log'> & { actions: Actions }): Promise<TestAgent> {
  const broker = createBroker()
  const server = createServer((request, reply) => { void answer(broker, request, reply) })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const dir = await mkdtemp(join(tmpdir(), 'connection-vault-agent-'))
  const agent = createAgent({
    log: SILENT, graceSeconds: 1, ...options, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, identityFile: join(dir, 'identity.json'), enrolmentCode: 'cve_test',
  })
  const work = agent.start()
  await Promise.race([broker.announced, work])
  return {
    invoke: async (action: string, input: unknown = {}, { timeoutMs = 30_000 } = {}) => await broker.invoke(action, JSON.stringify(input), timeoutMs),
    stop: async () => {
      await agent.stop()
      await close(server)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function close (server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => { server.close(resolve) })
}

type Body = Record<string, unknown>
interface Answer { readonly status: number, readonly body?: object }

/** A vault with one group, one agent and no memory. */
function createBroker () {
  const calls = new Map<string, Call>()
  const queue: Call[] = []
  const actions: Announced[] = []
  let wake: () => void = () => {}
  let announce: () => void = () => {}
  const announced = new Promise<void>((resolve) => { announce = resolve })

  const routes: Record<string, (body: Body) => Answer | Promise<Answer>> = {
    ...createLogin(),
    announce: (body) => {
      actions.push(...body['actions'] as Announced[])
      announce()
      return { status: 200, body: { agent_id: AGENT } }
    },
    poll: async (body) => {
      const woken = new Promise<void>((resolve) => { wake = resolve })
      const waited = new Promise((resolve) => { setTimeout(resolve, Number(body['wait_seconds']) * 1_000).unref() })
      if (queue.length === 0) await Promise.race([woken, waited])
      const offered = queue.splice(0, Number(body['capacity'])).map(({ id, leaseToken, action }) => ({ invocation_id: id, lease_token: leaseToken, action }))
      return offered.length === 0 ? { status: 204 } : { status: 200, body: { invocations: offered } }
    },
  }
  const held = createLeases(calls, actions)
  return {
    announced,
    handle: async (path: string, body: Body): Promise<Answer> => {
      const [, id = '', verb = ''] = /^invocations\/([^/]+)\/(\w+)$/.exec(path) ?? []
      const call = calls.get(id)
      if (call === undefined) return await routes[path]?.(body) ?? { status: 404, body: { code: 'not_found' } }
      return body['lease_token'] === call.leaseToken ? held[verb]?.(call, body) ?? { status: 404 } : { status: 409, body: { code: 'lease_lost' } }
    },
    invoke: async (action: string, input: string, timeoutMs: number): Promise<TestResult> => {
      if (!actions.some(({ name }) => name === action)) throw new TypeError(`the agent has not announced ${action}; it has: ${actions.map(({ name }) => name).join(', ')}`)
      return await new Promise((resolve) => {
        const [id, leaseToken] = [`inv_${randomBytes(8).toString('hex')}`, randomBytes(32).toString('base64url')]
        const call: Call = { id, action, input, leaseToken, timeoutMs, pieces: [], settle: resolve }
        calls.set(id, call)
        queue.push(call)
        wake()
      })
    },
  }
}

const AGENT = 'agt_test'

/** Takes any code, and then whoever signs with the key that was brought. */
function createLogin (): Record<'enrol' | 'challenge' | 'token', (body: Body) => Answer> {
  let x = ''
  return {
    enrol: (body) => {
      x = body['public_key'] as string
      return { status: 201, body: { agent_id: AGENT } }
    },
    challenge: () => ({ status: 200, body: { challenge: `cvc.${randomBytes(16).toString('base64url')}` } }),
    token: (body) => {
      const { challenge, signature } = body as { challenge: string, signature: string }
      const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
      const signed = verify(null, Buffer.from(`connection-vault agent token 1\n${challenge}`), key, Buffer.from(signature, 'base64url'))
      return signed ? { status: 200, body: { access_token: 'cva.test', expires_in: 600 } } : { status: 401, body: { code: 'agent_unauthenticated' } }
    },
  }
}

function createLeases (calls: Map<string, Call>, actions: readonly Announced[]): Record<string, (call: Call, body: Body) => Answer> {
  return {
    claim: (call) => {
      const effect = actions.find(({ name }) => name === call.action)?.effect
      const { action, input, timeoutMs } = call
      return { status: 200, body: { action, effect, input, encrypted: false, attempt: 1, deadline_ms: timeoutMs, heartbeat_seconds: 1 } }
    },
    heartbeat: (call) => ({ status: 200, body: { cancel: false, deadline_ms: call.timeoutMs } }),
    chunks: (call, body) => {
      call.pieces[Number(body['number'])] = body['text'] as string
      return { status: 204 }
    },
    result: (call, body) => {
      const { outcome, error, output, chunks } = body as unknown as Pick<TestResult, 'outcome' | 'error'> & { output?: string, chunks?: number }
      const json = chunks === undefined ? output : call.pieces.join('')
      calls.delete(call.id)
      call.settle({ outcome, output: json === undefined ? null : JSON.parse(json), ...error && { error } })
      return { status: 204 }
    },
  }
}

async function answer (broker: ReturnType<typeof createBroker>, request: IncomingMessage, reply: ServerResponse): Promise<void> {
  const pieces: Uint8Array[] = []
  for await (const piece of request as AsyncIterable<Uint8Array>) pieces.push(piece)
  const { status, body } = await broker.handle((request.url ?? '').replace('/v1/agent/', ''), JSON.parse(Buffer.concat(pieces).toString('utf8')) as Body)
  reply.writeHead(status, { 'content-type': 'application/json' }).end(body === undefined ? undefined : JSON.stringify(body))
}
