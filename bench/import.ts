import { readFileSync } from 'node:fs'
import { median, readMemory, type Compared } from './harness.ts'
import { requireOurs, setStage, WORKSPACE, type Stage } from './stage.ts'

const BARS = { blockMs: 50, memoryMb: 400 }
const MEGABYTE = 1_048_576

interface Measured {
  readonly blockMs: number
  readonly memoryMb: number
}

/** The longest time in which the vault's event loop did nothing else, as a share of what is allowed. */
export async function compareBlocks (options: { rounds: number }): Promise<Compared> {
  return toShare(await importShared(options.rounds), ({ blockMs }) => blockMs, BARS.blockMs)
}

/** By how much the vault's memory grew at most, as a share of what is allowed. */
export async function compareMemory (options: { rounds: number }): Promise<Compared> {
  return toShare(await importShared(options.rounds), ({ memoryMb }) => memoryMb, BARS.memoryMb)
}

function toShare (measured: readonly Measured[], of: (one: Measured) => number, bar: number): Compared {
  const values = measured.map(of)
  return { ours: median(values), reference: bar, ratio: median(values) / bar, rounds: values.map((value) => value / bar), p99: Math.round(Math.max(...values)) }
}

/** What two cases look at is measured once, where they are run together. */
let known: Promise<Measured[]> | undefined

async function importShared (rounds: number): Promise<Measured[]> {
  return await (known ??= importMany(rounds))
}

/** GitHub's document, over HTTP, into a vault that has just started, again and again. */
async function importMany (rounds: number): Promise<Measured[]> {
  const document = readFileSync(new URL('generated/api.github.com.json', import.meta.resolve('@octokit/openapi/package.json')))
  const measured: Measured[] = []
  for (let round = 0; round < rounds; round++) {
    const stage = await setStage(1)
    try {
      await requireOurs(stage)
      measured.push(await importOnce(stage, document))
    } finally {
      await stage.stop()
    }
  }
  return measured
}

async function importOnce (stage: Stage, document: Buffer): Promise<Measured> {
  const send = async (body: Buffer | string) => {
    const response = await fetch(`${stage.vault.urls.internal}/v1/workspaces/${WORKSPACE}/integrations`, {
      method: 'POST', headers: { authorization: `Bearer ${stage.token}`, 'content-type': 'application/json' }, body: body as string,
    })
    return { status: response.status, made: await response.json() as { action_count?: number } }
  }
  // Code that runs for the first time is compiled: that is no part of a document's cost.
  await send('{"openapi": "3.1.0", "paths": {"/a": {"get": {}}}}')
  const before = readMemory(stage.vault.pid).now
  await readLongestBlock(stage)
  const { status, made } = await send(document)
  if (status !== 201 || (made.action_count ?? 0) < 1_000) throw new Error(`the document was not imported: ${status}`)
  const blockMs = await readLongestBlock(stage)
  return { blockMs, memoryMb: (readMemory(stage.vault.pid).peak - before) / MEGABYTE }
}

/** Since it was last asked: the vault's own measure of its event loop, in milliseconds. */
async function readLongestBlock (stage: Stage): Promise<number> {
  const text = await (await fetch(`${stage.vault.urls.operations}/metrics`)).text()
  const seconds = /^vault_nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text)?.[1]
  if (seconds === undefined) throw new Error('the vault does not say how long its event loop was blocked')
  return Number(seconds) * 1_000
}
