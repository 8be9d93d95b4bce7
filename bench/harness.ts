import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Request } from 'autocannon'

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
const WARM_UP_SECONDS = 5

/** Runs the load generator in its own process. Throws when a single answer was not 2xx. */
export async function measure (load: Load, seconds: number): Promise<Measure> {
  const text = await run('./load.ts', JSON.stringify({ ...load, connections: CONNECTIONS, seconds }))
  const result = JSON.parse(text) as Measure & { ok: number, failed: number }
  if (result.failed > 0 || result.ok === 0) throw new Error(`${result.failed} of ${result.ok + result.failed} answers of ${load.url} were not 2xx`)
  return result
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

/** Two loads in turn, after a warm-up: the ratio of each round, and the medians. */
export async function compare (ours: Load, reference: Load, options: { rounds: number, seconds: number }): Promise<Compared> {
  await measure(reference, WARM_UP_SECONDS)
  await measure(ours, WARM_UP_SECONDS)
  const rounds: { ours: Measure, reference: Measure }[] = []
  for (let round = 0; round < options.rounds; round++) {
    // Who goes first alternates: a machine that warms up or slows down favours nobody.
    const first = round % 2 === 0 ? await measure(reference, options.seconds) : undefined
    const mine = await measure(ours, options.seconds)
    rounds.push({ ours: mine, reference: first ?? await measure(reference, options.seconds) })
  }
  return summarise(rounds)
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
