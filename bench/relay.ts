import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { median, startServer, type Compared } from './harness.ts'
import { reachStripe, requireOurs, setStage, WORKSPACE, type Stage } from './stage.ts'

/** Calls made one after another, in milliseconds each. */
async function time (stage: Stage, calls: number, body: { url: string, json: object }): Promise<number[]> {
  const times: number[] = []
  for (let call = 0; call < calls; call++) {
    const startedMs = performance.now()
    const response = await fetch(body.url, { method: 'POST', headers: { authorization: `Bearer ${stage.token}`, 'content-type': 'application/json' }, body: JSON.stringify(body.json) })
    const text = await response.text()
    if (response.status !== 200) throw new Error(`${response.status} ${text}`)
    times.push(performance.now() - startedMs)
  }
  return times
}

async function openGroup (stage: Stage): Promise<{ group: string, connection: string, code: string }> {
  const post = async (path: string, json?: object) => {
    const response = await fetch(`${stage.vault.urls.internal}/v1/workspaces/${WORKSPACE}${path}`, {
      method: 'POST', headers: { authorization: `Bearer ${stage.token}`, ...json && { 'content-type': 'application/json' } }, ...json && { body: JSON.stringify(json) },
    })
    return await response.json() as { id: string, code: string }
  }
  const { id: group } = await post('/agent-groups', { name: 'bench', environment: 'sandbox' })
  const { id: connection } = await post('/connections', { integration: 'private', environment: 'sandbox', name: 'private', credentials: {}, config: { group } })
  const { code } = await post(`/agent-groups/${group}/enrolment-codes`)
  return { group, connection, code }
}

/** A call that does nothing, through an agent ÷ a call to a provider that does nothing; medians, one after another. */
export async function compareRelay (options: { rounds: number, seconds: number }): Promise<Compared> {
  const provider = await startServer('./provider.ts', {})
  const stage = await setStage(1, reachStripe(provider.url))
  let agent: ChildProcess | undefined
  try {
    await requireOurs(stage)
    const { connection, code } = await openGroup(stage)
    agent = await startAgent(stage, code)
    const at = (id: string) => `${stage.vault.urls.internal}/v1/workspaces/${WORKSPACE}/connections/${id}/invoke`
    const relayed = { url: at(connection), json: { environment: 'sandbox', action: 'nothing' } }
    const direct = { url: at(stage.ids[0] ?? ''), json: { environment: 'sandbox', action: 'get_balance' } }
    const calls = options.seconds * 50
    await time(stage, calls, direct)
    await time(stage, calls, relayed)
    const rounds: { ours: number, reference: number, p99: number }[] = []
    for (let round = 0; round < options.rounds; round++) {
      const reference = median(await time(stage, calls, direct))
      const ours = await time(stage, calls, relayed)
      rounds.push({ ours: median(ours), reference, p99: ours.toSorted((a, b) => a - b)[Math.floor(calls * 0.99)] ?? NaN })
    }
    const ratios = rounds.map((round) => round.ours / round.reference)
    return {
      ours: median(rounds.map((round) => round.ours)), reference: median(rounds.map((round) => round.reference)), ratio: median(ratios), rounds: ratios,
      p99: median(rounds.map((round) => round.p99)),
    }
  } finally {
    agent?.kill('SIGKILL')
    await stage.stop()
    provider.stop()
  }
}

async function startAgent (stage: Stage, code: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [new URL('./agent.ts', import.meta.url).pathname], {
    env: { ...process.env, VAULT_URL: stage.vault.urls.public, CODE: code }, stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve)
    child.once('exit', (status) => { reject(new Error(`the agent ended with ${status}`)) })
  })
  return child
}

const AGENTS = 1_000
/** Twice as long as each of their waits. */
const HELD_MS = 60_000

/** Memory of a vault in which a thousand agents have waited for a while ÷ memory once they were all there. */
export async function compareIdle (): Promise<Compared> {
  const stage = await setStage(1)
  let agents: ChildProcess | undefined
  try {
    await requireOurs(stage)
    const { group } = await openGroup(stage)
    const ids = Array.from({ length: AGENTS }, (_, index) => `agt_0${String(index).padStart(25, '0')}`)
    const before = memoryOf(stage.vault.pid)
    const child = spawn(process.execPath, [new URL('./idle-agents.ts', import.meta.url).pathname], {
      env: { ...process.env, VAULT_URL: stage.vault.urls.public, AGENTS: ids.join(',') }, stdio: ['pipe', 'pipe', 'inherit'],
    })
    agents = child
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString() })
    const count = (word: string) => text.split(`${word}\n`).length - 1
    const until = async (what: () => boolean) => {
      while (!what()) {
        if (child.exitCode !== null) throw new Error(`the agents ended with ${child.exitCode}`)
        await new Promise((resolve) => { setTimeout(resolve, 100) })
      }
    }
    await until(() => text.includes('\n'))
    await enrol(stage.databaseUrl, { group, ids, key: /^key (\S+)/.exec(text)?.[1] ?? '' })
    child.stdin.write('go\n')
    await until(() => count('held') >= AGENTS)
    await new Promise((resolve) => { setTimeout(resolve, 5_000) })
    const first = memoryOf(stage.vault.pid)
    const answered = count('answered')
    await new Promise((resolve) => { setTimeout(resolve, HELD_MS) })
    const last = memoryOf(stage.vault.pid)
    console.log(`${AGENTS} agents: ${Math.round((count('answered') - answered) / HELD_MS * 1_000)} polls a second; the vault has ${before} MB without them, ${first} MB once they wait, ${last} MB after ${HELD_MS / 1_000} s`)
    return { ours: last, reference: first, ratio: last / first, rounds: [last / first], p99: last }
  } finally {
    agents?.kill('SIGKILL')
    await stage.stop()
  }
}

/** As if each had brought a code. */
async function enrol (databaseUrl: string, { group, ids, key }: { group: string, ids: string[], key: string }): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query('insert into agents (workspace_id, id, group_id, name, public_key) select $1, id, $2, id, $3 from unnest($4::text[]) as id', [WORKSPACE, group, Buffer.from(key, 'base64url'), ids])
  await client.end()
}

function memoryOf (pid: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024)
}
