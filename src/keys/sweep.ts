import { claimKeySweep, getKeySweep, guard, releaseKeySweep } from '../store/index.ts'
import type { KeysOptions } from './options.ts'
import { createMeter, LEASE_MS, TurnOver, type Meter } from './meter.ts'
import { replaceKeys, rewrapKeys, SYSTEM } from './replace.ts'
import { resealRows } from './reseal.ts'

/**
 * The one sweep: replaces keys, wraps them again, seals their rows again; whatever was asked for.
 * What is left to do is read off the keys and rows themselves: after any crash it goes on.
 */
export interface KeySweeper {
  /** Goes on with the sweep, if there is one and no other process has it, until it is done or `drain` is called. */
  tick (): Promise<void>
  /** Stops after the batch under way and lets another process go on. */
  drain (): Promise<void>
}

export function createKeySweeper (options: KeysOptions): KeySweeper {
  const { database, owner } = options
  let draining = false
  let running: Promise<void> | undefined
  const isDraining = (): boolean => draining

  const run = async (): Promise<void> => {
    const fence = await guard(() => claimKeySweep(database.db, owner, LEASE_MS))
    if (fence === undefined) return
    const meter = createMeter(options, fence, isDraining)
    try {
      let more = true
      while (more && !isDraining()) more = await step(options, meter)
    } catch (error) {
      if (!(error instanceof TurnOver)) throw error
    } finally {
      if (isDraining()) await releaseKeySweep(database.db, owner)
    }
  }
  return Object.freeze({
    tick: async () => {
      running ??= run().finally(() => { running = undefined })
      await running
    },
    drain: async () => {
      draining = true
      await running?.catch(() => undefined)
    },
  })
}

/** One part of the work; false when there is no more. */
async function step (options: KeysOptions, meter: Meter): Promise<boolean> {
  const { database, ledger } = options
  const sweep = await guard(() => getKeySweep(database.db))
  if (sweep.state !== 'running') return false
  if (sweep.rotate !== undefined) await replaceKeys(options, sweep.rotate, meter)
  else if (sweep.rewrapBefore !== undefined) await rewrapKeys(options, sweep.rewrapBefore, meter)
  else {
    await resealRows(options, meter)
    // Not if more was asked for meanwhile.
    if (await meter.note({ finished: true })) {
      const { rowsDone, rowsFailed, keysMade, keysRewrapped } = await guard(() => getKeySweep(database.db))
      const details = { keys_made: keysMade, keys_rewrapped: keysRewrapped, rows_done: rowsDone, rows_failed: rowsFailed }
      await ledger.record({ event: 'key.swept', outcome: rowsFailed > 0 ? 'failed' : 'ok', principal: SYSTEM, details })
    }
  }
  return true
}
