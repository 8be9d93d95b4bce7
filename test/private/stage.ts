import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalKeyring } from '../../src/crypto/index.ts'
import { migrate, prepareEmbedded, startEmbeddedPostgres } from '../../src/store/index.ts'
import { runCli, startVaultProcess, type VaultProcess } from '../support/process.ts'
import { startProxy, type Proxy } from './proxy.ts'

/** A database, and whatever processes of the vault and of agents a proof asks for. */
export interface Stage {
  startReplicas (env?: readonly Record<string, string>[]): Promise<VaultProcess[]>
  /** A group with a connection that goes through it, and the way for agents to the replicas. */
  openGroup (replicas: readonly VaultProcess[]): Promise<Group>
  stop (): Promise<void>
}

export interface Group {
  readonly proxy: Proxy
  startAgent (env?: Record<string, string>): Promise<AgentProcess>
  invoke (replica: VaultProcess, action: string, body?: object, idempotencyKey?: string): Promise<{ status: number, body: Record<string, unknown> }>
  status (replica: VaultProcess, id: string): Promise<Record<string, unknown>>
  /** What agents of the group have run: `key attempt` each. */
  ran (): string[]
}

export interface AgentProcess {
  readonly child: ChildProcess
  output (): string
}

const WORKSPACE = '/v1/workspaces/private'

/** Moves the clock of a process of Node, and of nothing else. */
export function skewed (minutes: number): Record<string, string> {
  const code = `const D=Date,o=${minutes * 60_000};globalThis.Date=class extends D{constructor(...a){if(a.length===0)super(D.now()+o);else super(...a)}static now(){return D.now()+o}}`
  return { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(code)}` }
}

export async function setStage (): Promise<Stage> {
  const dir = mkdtempSync(join(tmpdir(), 'connection-vault-private-'))
  const cluster = await startEmbeddedPostgres({ dataDir: dir })
  const { owner, service } = await prepareEmbedded(cluster)
  await migrate(owner)
  const keyring = join(dir, 'keyring.json')
  createLocalKeyring(keyring, new Date())
  const env = { DATABASE_URL: service, KEYRING_FILE: keyring, LOG_LEVEL: 'info', SHUTDOWN_SECONDS: '5' }
  const minted = await runCli(['tokens', 'create', '--name', 'private', '--preset', 'ops', '--scopes', 'actions:invoke', '--workspaces', '*', '--environments', '*'], env).done
  const token = /cvt_\w+/.exec(minted.output)?.[0] ?? ''
  const running: { kill (signal: NodeJS.Signals): unknown }[] = []
  let made = 0

  const call = async (replica: VaultProcess, method: string, path: string, body?: object, key?: string) => {
    const response = await fetch(`${replica.urls.internal}${WORKSPACE}${path}`, {
      method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...key !== undefined && { 'idempotency-key': key } }, ...body && { body: JSON.stringify(body) },
    })
    return { status: response.status, body: await response.json() as Record<string, unknown> }
  }

  const openGroup: Stage['openGroup'] = async (replicas) => {
    const [first] = replicas
    if (first === undefined) throw new Error('no replica')
    const name = `group ${++made}`
    const group = (await call(first, 'POST', '/agent-groups', { name, environment: 'sandbox' })).body['id'] as string
    const connection = (await call(first, 'POST', '/connections', { integration: 'private', environment: 'sandbox', name, credentials: {}, config: { group } })).body['id'] as string
    const proxy = await startProxy(replicas.map((replica) => replica.urls.public))
    running.push({ kill: () => { void proxy.close() } })
    const ranFile = join(dir, `${name}.ran`)
    return {
      proxy,
      startAgent: async (more = {}) => {
        const code = (await call(first, 'POST', `/agent-groups/${group}/enrolment-codes`)).body['code'] as string
        const identity = join(dir, `agent-${++made}.json`)
        const child = spawn(process.execPath, [new URL('./agent.ts', import.meta.url).pathname], {
          env: { PATH: process.env['PATH'], VAULT_URL: proxy.url, IDENTITY: identity, CODE: code, RAN: ranFile, ...more }, stdio: ['ignore', 'ignore', 'pipe'],
        })
        running.push(child)
        let output = ''
        child.stderr.on('data', (piece: Buffer) => { output += piece.toString() })
        await until(() => {
          if (child.exitCode !== null) throw new Error(`the agent ended: ${output}`)
          return output.includes('the agent is at work')
        }, 20_000)
        return { child, output: () => output }
      },
      invoke: async (replica, action, body = {}, key) => await call(replica, 'POST', `/connections/${connection}/invoke`, { environment: 'sandbox', action, ...body }, key),
      status: async (replica, id) => (await call(replica, 'GET', `/invocations/${id}`)).body,
      ran: () => existsSync(ranFile) ? readFileSync(ranFile, 'utf8').trim().split('\n') : [],
    }
  }

  return {
    openGroup,
    startReplicas: async (settings = [{}, {}]) => {
      const replicas = await Promise.all(settings.map(async (more) => await startVaultProcess({ ...env, ...more })))
      running.push(...replicas)
      return replicas
    },
    stop: async () => {
      for (const one of running) await one.kill('SIGKILL')
      await cluster.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Throws when it does not come true in time. */
export async function until (what: () => boolean | Promise<boolean>, ms: number): Promise<void> {
  const end = performance.now() + ms
  while (!await what()) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms`)
    await new Promise((resolve) => { setTimeout(resolve, 50) })
  }
}
