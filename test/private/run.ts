import assert from 'node:assert/strict'
import type { VaultProcess } from '../support/process.ts'
import { setStage, skewed, until, type Group, type Stage } from './stage.ts'

/**
 * `npm run test:private`: agents, replicas and the line between them as processes that are killed,
 * stopped, cut off and set to the wrong time. Each proof has a group of its own; they run together.
 */
type Pair = readonly [VaultProcess, VaultProcess]

interface Proof {
  readonly name: string
  readonly run: (stage: Stage, pair: Pair) => Promise<string>
}

const seconds = (sinceMs: number) => Math.round((performance.now() - sinceMs) / 100) / 10
const wait = async (ms: number) => { await new Promise((resolve) => { setTimeout(resolve, ms) }) }

const PROOFS: readonly Proof[] = [
  {
    name: 'two replicas: whoever is asked, 100 calls run once each',
    run: async (stage, pair) => {
      const group = await stage.openGroup(pair)
      await group.startAgent()
      await group.startAgent()
      const keys = Array.from({ length: 100 }, (_, index) => `k${index}`)
      const answers = await Promise.all(keys.map(async (key, index) => await group.invoke(pair[index % 2] ?? pair[0], 'post', { input: { key } })))
      assert.deepEqual(answers.map(({ body }) => (body['output'] as { key: string } | undefined)?.key), keys)
      assert.deepEqual(group.ran().sort(), keys.map((key) => `${key} 1`).sort())
      return '100 of 100'
    },
  },
  {
    name: 'an agent killed between claim and result, unsafe: once, and unknown',
    run: async (stage, pair) => {
      const group = await stage.openGroup(pair)
      const { answer, startedMs } = await killWhileRunning(group, pair, 'post')
      await group.startAgent()
      const { status, body } = await answer
      assert.deepEqual([status, body['code']], [502, 'outcome_unknown'])
      await wait(5_000)
      assert.deepEqual(group.ran(), ['x 1'])
      return `told after ${seconds(startedMs)} s`
    },
  },
  {
    name: 'an agent killed between claim and result, idempotent: again, by another',
    run: async (stage, pair) => {
      const group = await stage.openGroup(pair)
      const { answer, startedMs } = await killWhileRunning(group, pair, 'set')
      await group.startAgent()
      const { status, body } = await answer
      assert.deepEqual([status, body['outcome'], body['attempts']], [200, 'succeeded', 2])
      assert.deepEqual(group.ran(), ['x 1', 'x 2'])
      return `answered after ${seconds(startedMs)} s`
    },
  },
  {
    name: 'answers to polls dropped on the wire: offered again within 10 s',
    run: async (stage, pair) => {
      const group = await stage.openGroup(pair)
      await group.startAgent()
      group.proxy.dropWork(1)
      const startedMs = performance.now()
      const { status } = await group.invoke(pair[0], 'post', { input: { key: 'x' }, timeout_ms: 60_000 })
      assert.equal(status, 200)
      assert.equal(group.proxy.dropped, 1)
      assert.deepEqual(group.ran(), ['x 1'])
      assert.ok(performance.now() - startedMs < 10_000, `${seconds(startedMs)} s`)
      return `run after ${seconds(startedMs)} s`
    },
  },
  {
    name: 'a proxy that cuts at 30 s: waits get shorter, calls go on',
    run: async (stage, pair) => {
      const group = await stage.openGroup(pair)
      group.proxy.cutAfter(30_000)
      const agent = await group.startAgent()
      await until(() => agent.output().includes('a wait was cut on the way'), 40_000)
      const startedMs = performance.now()
      assert.equal((await group.invoke(pair[1], 'post', { input: { key: 'x' } })).status, 200)
      assert.ok(!agent.output().includes('could not be asked'), 'it was no reason to back off')
      return `answered after ${seconds(startedMs)} s`
    },
  },
  {
    name: 'clocks ± 5 minutes: an agent ahead, a replica behind, a replica ahead',
    run: async (stage) => {
      const pair = await stage.startReplicas([skewed(-5), skewed(5)]) as unknown as Pair
      const group = await stage.openGroup(pair)
      await group.startAgent(skewed(5))
      await group.startAgent(skewed(-5))
      for (const replica of pair) assert.equal((await group.invoke(replica, 'post', { input: { key: 'x' } })).status, 200)
      return 'enrolled, signed and answered across them'
    },
  },
  {
    name: 'without NOTIFY: the same, a second later',
    run: async (stage) => {
      const pair = await stage.startReplicas([{ DATABASE_NOTIFY: 'off' }, { DATABASE_NOTIFY: 'off' }]) as unknown as Pair
      const group = await stage.openGroup([pair[1]])
      await group.startAgent()
      const startedMs = performance.now()
      assert.equal((await group.invoke(pair[0], 'post', { input: { key: 'x' } })).status, 200)
      assert.ok(performance.now() - startedMs < 5_000)
      return `answered after ${seconds(startedMs)} s`
    },
  },
  {
    name: 'a replica killed while its caller waits: a repeat with its key gets the result from the other',
    run: async (stage, pair) => {
      const [doomed] = await stage.startReplicas([{}])
      assert.ok(doomed)
      const group = await stage.openGroup([pair[0], doomed])
      await group.startAgent()
      const call = async (replica: VaultProcess) => await group.invoke(replica, 'post', { input: { key: 'x', ms: 3_000 }, timeout_ms: 60_000 }, 'the-one')
      const answer = call(doomed).catch(() => undefined)
      await until(() => group.ran().length === 1, 10_000)
      await doomed.kill('SIGKILL')
      assert.equal(await answer, undefined)
      const { status, body } = await call(pair[0])
      assert.deepEqual([status, body['outcome'], body['replayed']], [200, 'succeeded', true])
      assert.deepEqual(group.ran(), ['x 1'])
      return 'succeeded, once'
    },
  },
  {
    name: 'an agent that stands still past its lease: unknown, and its late word counts',
    run: async (stage, pair) => {
      const group = await stage.openGroup(pair)
      const agent = await group.startAgent()
      const answer = group.invoke(pair[0], 'post', { input: { key: 'x', ms: 2_000 }, timeout_ms: 60_000 })
      await until(() => group.ran().length === 1, 10_000)
      agent.child.kill('SIGSTOP')
      const { body } = await answer
      assert.equal(body['code'], 'outcome_unknown')
      const id = body['invocation_id'] as string
      assert.equal(((await group.status(pair[1], id))['problem'] as { code: string }).code, 'outcome_unknown')
      agent.child.kill('SIGCONT')
      await until(async () => (await group.status(pair[1], id))['result'] !== null, 20_000)
      assert.deepEqual(group.ran(), ['x 1'])
      return 'known after all'
    },
  },
]

async function killWhileRunning (group: Group, pair: Pair, action: string) {
  const agent = await group.startAgent()
  const startedMs = performance.now()
  const answer = group.invoke(pair[0], action, { input: { key: 'x', ms: action === 'post' ? 60_000 : 2_000 }, timeout_ms: 90_000 })
  await until(() => group.ran().length === 1, 10_000)
  agent.child.kill('SIGKILL')
  return { answer, startedMs }
}

async function prove (stage: Stage, pair: Pair, proof: Proof): Promise<boolean> {
  try {
    console.log(`ok      ${proof.name}: ${await proof.run(stage, pair)}`)
    return true
  } catch (error) {
    console.log(`FAILED  ${proof.name}: ${error instanceof Error ? error.stack ?? error.message : String(error)}`)
    return false
  }
}

const stage = await setStage()
try {
  const pair = await stage.startReplicas() as unknown as Pair
  const only = process.argv[2]
  const chosen = PROOFS.filter(({ name }) => only === undefined || name.includes(only))
  const results = await Promise.all(chosen.map(async (proof) => await prove(stage, pair, proof)))
  const held = results.filter(Boolean).length
  console.log(`${held} of ${results.length} proofs hold`)
  process.exitCode = held === results.length && held > 0 ? 0 : 1
} finally {
  await stage.stop()
}
