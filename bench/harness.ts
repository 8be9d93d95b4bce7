import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Request } from 'autocannon'
import type { LoadOrder, TurnResult } from './load.ts'

export interface Measure {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

export interface Load {
  readonly url: string
  readonly requests: Request[]
  /** Each connection has a part of the requests to itself; else all send all, and the same ones at the same time. */
  readonly spread?: true
}

export const CONNECTIONS = 32
/** Until what is hot is compiled. */
const WARM_UP_SECONDS = 4
const TURN_SECONDS = 1

/** Runs the load generator in its own process. Throws when a single answer was not 2xx. */
export async function measure (load: Load, seconds: number): Promise<Measure> {
  const [result] = await take({ loads: [load], turns: [0], seconds })
  if (result === undefined) throw new Error('the load generator has lost a turn')
  return result
}

async function take (order: Omit<LoadOrder, 'connections'>): Promise<TurnResult[]> {
  const results = JSON.parse(await run('./load.ts', JSON.stringify({ ...order, connections: CONNECTIONS }))) as TurnResult[]
  for (const [at, { ok, failed }] of results.entries()) {
    if (failed > 0 || ok === 0) throw new Error(`${failed} of ${ok + failed} answers of ${order.loads[order.turns[at] ?? 0]?.url ?? 'nobody'} were not 2xx`)
  }
  return results
}

/** Runs a script of this folder in a process of its own: an order in, what it has printed out. */
export async function run (script: string, input: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [new URL(script, import.meta.url).pathname], { stdio: ['pipe', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString() })
    child.on('error', reject).on('close', (code) => { if (code === 0) resolve(text); else reject(new Error(`${script} ended with ${code}`)) })
    child.stdin.end(input)
  })
}

/** Starts a server of ours and waits for the URL it prints: the port is the system's choice, so the process is the one asked. */
export async function startServer (script: string, env: Record<string, string>): Promise<{ url: string, stop: () => void }> {
  const child = spawn(process.execPath, [new URL(script, import.meta.url).pathname], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => { resolve(chunk.toString().trim()) })
    child.once('exit', (code) => { reject(new Error(`${script} ended with ${code}`)) })
  })
  return { url, stop: () => { child.kill() } }
}

export function median (values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}

export interface Compared {
  readonly ours: number
  readonly reference: number
  readonly ratio: number
  readonly rounds: readonly number[]
  readonly p99: number
}

/**
 * Two loads in turn, after a warm-up: the ratio of each round, and the medians. A round has as many
 * turns of either as it has seconds; what else the machine does meanwhile it does to both.
 */
export async function compare (ours: Load, reference: Load, { rounds, seconds }: { rounds: number, seconds: number }): Promise<Compared> {
  await measure(reference, WARM_UP_SECONDS)
  await measure(ours, WARM_UP_SECONDS)
  // Who goes first alternates: a machine that warms up or slows down favours nobody.
  const turns = Array.from({ length: rounds * seconds }, (_, pair) => pair % 2 === 0 ? [1, 0] : [0, 1]).flat()
  const results = await take({ loads: [ours, reference], turns, seconds: TURN_SECONDS })
  const ofRound = (round: number, load: number): Measure => {
    const from = round * seconds * 2
    const some = results.filter((_, at) => at >= from && at < from + seconds * 2 && turns[at] === load)
    const middle = (pick: (one: Measure) => number) => median(some.map(pick))
    return { perSecond: some.reduce((sum, { perSecond }) => sum + perSecond, 0) / some.length, p50: middle(({ p50 }) => p50), p99: middle(({ p99 }) => p99) }
  }
  return summarise(Array.from({ length: rounds }, (_, round) => ({ ours: ofRound(round, 0), reference: ofRound(round, 1) })))
}

/** The ratio of each round, and the medians. */
export function summarise (rounds: readonly { ours: Measure, reference: Measure }[]): Compared {
  return {
    ours: median(rounds.map((round) => round.ours.perSecond)),
    reference: median(rounds.map((round) => round.reference.perSecond)),
    ratio: median(rounds.map((round) => round.ours.perSecond / round.reference.perSecond)),
    rounds: rounds.map((round) => round.ours.perSecond / round.reference.perSecond),
    p99: median(rounds.map((round) => round.ours.p99)),
  }
}

/** Resident bytes of a process, now and at most so far (Linux: proc(5)). */
export function readMemory (pid: number): { now: number, peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const read = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1_024
  return { now: read('VmRSS'), peak: read('VmHWM') }
}
