import { parseArgs } from 'node:util'
import type { Behaviour } from './authority.ts'
import { judge } from './judge.ts'
import { resolveFor } from './load.ts'
import { startReplicas, type Replicas } from './replicas.ts'
import { setStage, WORKSPACE, type Stage } from './stage.ts'

/**
 * `npm run test:chaos`: tokens that live for seconds, an authorization server that ends a family of
 * tokens at a second use, a line that misbehaves, processes that are killed and stopped, callers all
 * the while. Then it counts; docs/refresh.md says what.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' }, connections: { type: 'string', default: '1000' }, replicas: { type: 'string', default: '3' }, seed: { type: 'string' },
    calm: { type: 'boolean', default: false }, sabotage: { type: 'boolean', default: false },
  },
})
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
const { calm, sabotage } = values
const options = { seconds: Number(values.seconds), connections: Number(values.connections), replicas: Number(values.replicas), calm, sabotage }

const ACCESS_SECONDS = 60
const PAUSE_SECONDS = 35
const STORM: Behaviour = { error500: 0.02, html502: 0.01, cut: 0.01, stallBefore: 0.002, stallAfter: 0.003 }
const CALM: Behaviour = { error500: 0, html502: 0, cut: 0, stallBefore: 0, stallAfter: 0 }

const wait = async (seconds: number) => { await new Promise((resolve) => { setTimeout(resolve, seconds * 1_000) }) }

async function run (): Promise<boolean> {
  console.log(`seed ${seed}, ${options.connections} connections, ${options.replicas} replicas, ${options.seconds} s${options.calm ? ', calm' : ''}`)
  const stage = await setStage({ connections: options.connections, accessSeconds: ACCESS_SECONDS })
  let replicas: Replicas | undefined
  const stop = async () => {
    await replicas?.stop()
    await stage.stop()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { void stop().then(() => { process.exit(1) }) })
  try {
    if (options.sabotage) await spendOne(stage)
    replicas = await startReplicas(stage, options.replicas)
    stage.behave(options.calm ? CALM : STORM, seed)
    const storm = options.calm ? [] : [killNowAndThen(replicas), pauseNowAndThen(replicas)]
    const [load] = await Promise.all([resolveFor(stage, replicas, options.seconds), ...storm])
    stage.behave(CALM, seed)
    await settle(stage, replicas)
    return await judge(stage, { load, replicas, seed })
  } finally {
    await stop()
  }
}

async function killNowAndThen (replicas: Replicas): Promise<void> {
  for (let at = 5; at < options.seconds; at += 8) {
    await wait(6)
    await replicas.killOne()
    await wait(2)
  }
}

async function pauseNowAndThen (replicas: Replicas): Promise<void> {
  for (let at = 2; at + PAUSE_SECONDS <= options.seconds; at += PAUSE_SECONDS) {
    await wait(2)
    await replicas.pauseOne(PAUSE_SECONDS)
  }
}

/** Somebody spends a token behind the vault’s back: the run has to notice. */
async function spendOne (stage: Stage): Promise<void> {
  await fetch(`${stage.authorityUrl}/token`, {
    method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: stage.seeds[0] ?? '' }),
    headers: { authorization: `Basic ${Buffer.from('vault:a-secret-of-the-chaos-run').toString('base64')}` },
  })
}

/** Until leases have ended and what was put off has been tried; then everything that is not given up has to work. */
async function settle (stage: Stage, replicas: Replicas): Promise<void> {
  await wait(options.calm ? 3 : PAUSE_SECONDS)
  const { urls } = replicas.pick()
  for (const id of stage.ids) {
    await fetch(`${urls.internal}/v1/workspaces/${WORKSPACE}/connections/${id}/resolve`, {
      method: 'POST', body: '{"environment":"sandbox"}', headers: { authorization: `Bearer ${stage.token}`, 'content-type': 'application/json' },
    })
  }
}

process.exitCode = await run() ? 0 : 1
