import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startVaultProcess } from '../test/support/process.ts'
import { measure, median, readMemory, type Compared } from './harness.ts'
import { requireOurs, setStage, WORKSPACE } from './stage.ts'

const BARS = { seconds: 2, memoryMb: 250 }
const RESOLVES_SECONDS = 60

/** Seconds from the command to the first "ready", as a share of what is allowed: with the embedded database that `npm start` has, made before and stopped. */
export async function compareStart ({ rounds }: { rounds: number }): Promise<Compared> {
  const dataDir = mkdtempSync(join(tmpdir(), 'connection-vault-bench-'))
  try {
    // No cache of compiled code, which users do not have either.
    const env = { DATA_DIR: dataDir, NODE_DISABLE_COMPILE_CACHE: '1' }
    await startOnce(env)
    const times: number[] = []
    for (let round = 0; round < rounds; round++) times.push(await startOnce(env))
    return toShare(times, BARS.seconds)
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
}

async function startOnce (env: Record<string, string>): Promise<number> {
  const began = performance.now()
  const vault = await startVaultProcess(env)
  try {
    for (;;) {
      const { ok } = await fetch(`${vault.urls.operations}/readyz`)
      if (ok) break
      await new Promise((resolve) => { setTimeout(resolve, 10) })
    }
    const seconds = (performance.now() - began) / 1_000
    const metrics = await (await fetch(`${vault.urls.operations}/metrics`)).text()
    const since = Number(/^vault_process_start_time_seconds (\S+)$/m.exec(metrics)?.[1])
    if (!(Math.abs(Date.now() / 1_000 - since - seconds) < 2)) throw new Error('the process that answers is not the one that was started')
    return seconds
  } finally {
    await vault.kill('SIGTERM')
  }
}

/** Megabytes that a vault, its database not counted, takes after a minute of resolves, as a share of what is allowed; each round a vault that has just started. */
export async function compareResident ({ rounds }: { rounds: number }): Promise<Compared> {
  const sizes: number[] = []
  for (let round = 0; round < rounds; round++) {
    const stage = await setStage(500)
    try {
      await requireOurs(stage)
      const requests = stage.ids.map((id) => stage.post(`/v1/workspaces/${WORKSPACE}/connections/${id}/resolve`, { environment: 'sandbox' }))
      await measure({ url: stage.vault.urls.internal, requests }, RESOLVES_SECONDS)
      sizes.push(readMemory(stage.vault.pid).now / 1_048_576)
    } finally {
      await stage.stop()
    }
  }
  return toShare(sizes, BARS.memoryMb)
}

function toShare (values: readonly number[], bar: number): Compared {
  return { ours: median(values), reference: bar, ratio: median(values) / bar, rounds: values.map((value) => value / bar), p99: Math.round(Math.max(...values)) }
}
