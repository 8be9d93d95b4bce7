import type { CallerOrder } from './caller.ts'
import { CONNECTIONS, run, summarise, type Compared, type Measure } from './harness.ts'
import { requireOurs, setStage, WORKSPACE } from './stage.ts'

/** Resolves by the client ÷ by a bare `fetch` without timeout, retry or check: one program, one vault, in turn. */
export async function compareClient (options: { rounds: number, seconds: number }): Promise<Compared> {
  const stage = await setStage(500)
  try {
    await requireOurs(stage)
    const { token, ids, vault: { urls } } = stage
    const order: CallerOrder = { url: urls.internal, token, workspace: WORKSPACE, ids, connections: CONNECTIONS, seconds: options.seconds }
    const rounds: { ours: Measure, reference: Measure }[] = []
    while (rounds.length < options.rounds) rounds.push(JSON.parse(await run('./caller.ts', JSON.stringify(order))) as { ours: Measure, reference: Measure })
    return summarise(rounds)
  } finally {
    await stage.stop()
  }
}
