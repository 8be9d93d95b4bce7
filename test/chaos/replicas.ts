import type { VaultProcess } from '../support/process.ts'
import type { Stage } from './stage.ts'

/** The processes of one vault, and what is done to them. */
export interface Replicas {
  /** One that is up. */
  pick (): VaultProcess
  /** Whether it was killed or stopped at or after this moment. */
  wasDisturbed (replica: VaultProcess, sinceMs: number): boolean
  /** When processes were killed or stopped, in milliseconds of the epoch. */
  readonly kills: readonly number[]
  readonly pauses: readonly { readonly from: number, to: number }[]
  killOne (): Promise<void>
  /** Longer than a lease. */
  pauseOne (seconds: number): Promise<void>
  stop (): Promise<void>
}

export async function startReplicas (stage: Stage, count: number): Promise<Replicas> {
  const up = await Promise.all(Array.from({ length: count }, async () => await stage.startReplica()))
  const disturbed = new Map<VaultProcess, number>()
  const kills: number[] = []
  const pauses: { from: number, to: number }[] = []
  const paused = new Set<VaultProcess>()
  let next = 0

  const take = (): VaultProcess | undefined => {
    const at = up.findIndex((replica) => !paused.has(replica))
    return up.length < 2 || at < 0 ? undefined : up.splice(at, 1)[0]
  }
  const note = (replica: VaultProcess) => { disturbed.set(replica, performance.now()) }

  return {
    kills,
    pauses,
    pick: () => {
      const replica = up[next++ % up.length]
      if (replica === undefined) throw new Error('no replica is up')
      return replica
    },
    wasDisturbed: (replica, sinceMs) => (disturbed.get(replica) ?? -1) >= sinceMs || paused.has(replica),
    killOne: async () => {
      const replica = take()
      if (replica === undefined) return
      note(replica)
      kills.push(Date.now())
      await replica.kill('SIGKILL')
      up.push(await stage.startReplica())
    },
    pauseOne: async (seconds) => {
      const replica = take()
      if (replica === undefined) return
      note(replica)
      paused.add(replica)
      const pause = { from: Date.now(), to: Date.now() + seconds * 1_000 }
      pauses.push(pause)
      replica.child.kill('SIGSTOP')
      await new Promise((resolve) => { setTimeout(resolve, seconds * 1_000) })
      note(replica)
      replica.child.kill('SIGCONT')
      pause.to = Date.now()
      paused.delete(replica)
      up.push(replica)
    },
    stop: async () => {
      for (const replica of [...up, ...paused]) {
        replica.child.kill('SIGCONT')
        await replica.kill('SIGKILL')
      }
    },
  }
}
