import type { Stage } from './stage.ts'
import { query, WORKSPACE } from './stage.ts'
import type { Replicas } from './replicas.ts'

export interface LoadResult {
  readonly resolves: number
  /** Errors although a token was valid from before the question until after the answer. */
  readonly errors: readonly string[]
  /** Errors while there was no valid token: nothing better could be answered. */
  readonly withoutToken: number
  /** Questions that went to a replica that was killed or stopped meanwhile. */
  readonly cut: number
  readonly latenciesMs: readonly number[]
}

const WORKERS = 12
const PATIENCE_MS = 14_000

/** Callers who resolve at random, at any replica that is up. */
export async function resolveFor (stage: Stage, replicas: Replicas, seconds: number): Promise<LoadResult> {
  const end = performance.now() + seconds * 1_000
  const result = { resolves: 0, errors: [] as string[], withoutToken: 0, cut: 0, latenciesMs: [] as number[] }
  const ask = async (): Promise<void> => {
    const replica = replicas.pick()
    const id = stage.ids[Math.floor(Math.random() * stage.ids.length)] ?? ''
    const [beganAt, began] = [new Date(), performance.now()]
    try {
      const answer = await fetch(`${replica.urls.internal}/v1/workspaces/${WORKSPACE}/connections/${id}/resolve`, {
        method: 'POST', body: '{"environment":"sandbox"}', signal: AbortSignal.timeout(PATIENCE_MS),
        headers: { authorization: `Bearer ${stage.token}`, 'content-type': 'application/json' },
      })
      const text = await answer.text()
      if (answer.status === 200) {
        result.resolves++
        result.latenciesMs.push(performance.now() - began)
      } else if (await hadToken(stage, id, { from: beganAt, to: new Date() })) result.errors.push(`${id} ${answer.status} ${text.slice(0, 200)}`)
      else result.withoutToken++
    } catch (error) {
      if (replicas.wasDisturbed(replica, began)) result.cut++
      else result.errors.push(`${id} ${String(error)}`)
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, async () => {
    while (performance.now() < end) {
      await ask()
      await new Promise((resolve) => { setTimeout(resolve, 20) })
    }
  }))
  return result
}

/** Whether one version's token was there before the question and lasted beyond the answer. */
async function hadToken (stage: Stage, id: string, { from, to }: { from: Date, to: Date }): Promise<boolean> {
  const rows = await query(stage.owner, 'select 1 from credential_versions where connection_id = $1 and created_at < $2 and token_expires_at > $3', [id, from, to])
  return rows.length > 0
}
