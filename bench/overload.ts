import { runCli } from '../test/support/process.ts'
import type { FloodResult } from './flood.ts'
import { median, type Compared } from './harness.ts'
import { requireOurs, setStage, type Stage } from './stage.ts'
import { flood, writeRequest } from './wire.ts'

/** What becomes of those who are served, of those who are refused and of a polite caller while one token sends three times what there is room for. */
const TIMES = 3
/** Enough for the commits and look-ups of a process to be full, and within what one caller may have at work. */
const SOCKETS_AT_CAPACITY = 128
/** Twice what one caller may have at work and waiting: without any, callers would wait for each other at home. */
const SOCKETS_IN_FLOOD = 1_024
const POLITE_PER_SECOND = 50
const REFUSED_MS = 100

interface Round {
  readonly capacity: number
  readonly goodput: number
  readonly refusedMs: number
  readonly polite: number
}

/** Served per second in a flood ÷ at capacity. */
export async function compareGoodput (options: { rounds: number, seconds: number }): Promise<Compared> {
  return await judge(options, ({ goodput, capacity }) => ({ ours: goodput, reference: capacity }))
}

/** How long refusals take at p99 ÷ 100 ms. */
export async function compareRefusals (options: { rounds: number, seconds: number }): Promise<Compared> {
  return await judge(options, ({ refusedMs }) => ({ ours: refusedMs, reference: REFUSED_MS }))
}

/** What a polite caller is answered well in a flood, in percent ÷ 100. */
export async function comparePolite (options: { rounds: number, seconds: number }): Promise<Compared> {
  return await judge(options, ({ polite }) => ({ ours: polite * 100, reference: 100 }))
}

/** What three cases look at is measured once, where they are run together. */
let known: Promise<Round[]> | undefined

async function judge (options: { rounds: number, seconds: number }, pick: (round: Round) => { ours: number, reference: number }): Promise<Compared> {
  const rounds = await (known ??= measureRounds(options))
  const picked = rounds.map(pick)
  return {
    ours: median(picked.map(({ ours }) => ours)),
    reference: median(picked.map(({ reference }) => reference)),
    ratio: median(picked.map(({ ours, reference }) => ours / reference)),
    rounds: picked.map(({ ours, reference }) => ours / reference),
    p99: Math.round(median(rounds.map(({ refusedMs }) => refusedMs))),
  }
}

async function measureRounds ({ rounds, seconds }: { rounds: number, seconds: number }): Promise<Round[]> {
  const stage = await setStage(500)
  try {
    await requireOurs(stage)
    const noisy = requestsOf(stage, stage.token)
    const polite = requestsOf(stage, await mint(stage))
    const capacityOf = async () => {
      const [result] = await flood(stage, seconds, [{ name: 'capacity', perSecond: 0, sockets: SOCKETS_AT_CAPACITY, requests: noisy }])
      if (result === undefined || result.refused + result.wrong > 0) throw new Error(`not all answers at capacity were 2xx: ${JSON.stringify(result)}`)
      return result.ok / seconds
    }
    await capacityOf()
    const done: Round[] = []
    for (let round = 0; round < rounds; round++) {
      const capacity = await capacityOf()
      const results = await flood(stage, seconds, [
        { name: 'noisy', perSecond: Math.round(capacity * TIMES), sockets: SOCKETS_IN_FLOOD, requests: noisy },
        { name: 'polite', perSecond: POLITE_PER_SECOND, sockets: 50, requests: polite },
      ])
      console.error(JSON.stringify({ capacity: Math.round(capacity), results }))
      done.push(judgeRound(capacity, results, seconds))
    }
    return done
  } finally {
    await stage.stop()
  }
}

function judgeRound (capacity: number, [noisy, polite]: readonly FloodResult[], seconds: number): Round {
  if (noisy === undefined || polite === undefined) throw new Error('the load generator has lost a caller')
  const wrong = noisy.wrong + polite.wrong
  if (wrong > 0) throw new Error(`${wrong} answers were neither 2xx nor 503 with Retry-After`)
  if (noisy.sent + noisy.unsent < capacity * seconds * TIMES * 0.9) throw new Error(`the load generator came to ${noisy.sent} requests only`)
  if (noisy.refused === 0) throw new Error('nothing was refused: this was no flood')
  return { capacity, goodput: (noisy.ok + polite.ok) / seconds, refusedMs: noisy.refusedMs.p99, polite: polite.ok / polite.sent }
}

function requestsOf (stage: Stage, token: string): string[] {
  return stage.ids.map((id) => writeRequest(stage, { method: 'POST', path: `connections/${id}/resolve`, body: { environment: 'sandbox' } }, token))
}

async function mint (stage: Stage): Promise<string> {
  const { output } = await runCli(['tokens', 'create', '--name', 'polite', '--preset', 'runtime', '--workspaces', '*', '--environments', '*'], stage.settings).done
  return /cvt_\w+/.exec(output)?.[0] ?? ''
}
