import { setTimeout as wait } from 'node:timers/promises'
import type { Replicas } from '../chaos/replicas.ts'
import { WORKSPACE, type Stage } from '../chaos/stage.ts'
import type { SeededRow } from './seed.ts'

const WORKERS = 8
const PAUSE_MS = 8
const PATIENCE_MS = 15_000

export interface Load {
  /** Begins a new span of time; latencies of resolves are kept by span. */
  mark (span: string): void
  stop (): Promise<void>
  readonly answers: { resolve: number, invoke: number, create: number }
  /** Answers that were not what a caller wants, but for those that a killed process did not give. */
  readonly errors: readonly { readonly id: string, readonly said: string }[]
  readonly cut: () => number
  p99 (span: string): number
}

/** Callers who resolve, invoke and create, at any replica that is up, until they are told to stop. */
export function startLoad (stage: Stage, replicas: Replicas, rows: readonly SeededRow[]): Load {
  const latencies = new Map<string, number[]>()
  const answers = { resolve: 0, invoke: 0, create: 0 }
  const errors: { id: string, said: string }[] = []
  const ending = new AbortController()
  let [span, cut, made] = ['before', 0, 0]
  const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T

  const kinds = {
    resolve: () => Math.random() < 0.3
      ? { path: `${WORKSPACE}/connections/${pick(stage.ids)}/resolve`, body: { environment: 'sandbox' }, wanted: 200 }
      : (({ workspaceId, id }) => ({ path: `${workspaceId}/connections/${id}/resolve`, body: { environment: 'sandbox' }, wanted: 200 }))(pick(rows)),
    invoke: () => ({ path: `${WORKSPACE}/connections/${pick(stage.ids)}/invoke`, body: { environment: 'sandbox', action: 'me' }, wanted: 200 }),
    create: () => ({
      path: `${pick(rows).workspaceId}/connections`, wanted: 201,
      body: { integration: 'keyed', environment: 'sandbox', name: `made ${++made}`, credentials: { api_key: `key-${made}-0000000000000000` } },
    }),
  }
  const ask = async (kind: keyof typeof kinds): Promise<void> => {
    const [replica, began, { path, body, wanted }] = [replicas.pick(), performance.now(), kinds[kind]()]
    try {
      const answer = await fetch(`${replica.urls.internal}/v1/workspaces/${path}`, {
        method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS),
        headers: { authorization: `Bearer ${stage.token}`, 'content-type': 'application/json' },
      })
      const text = await answer.text()
      if (answer.status !== wanted) errors.push({ id: path.split('/')[2] ?? '', said: `${span} ${kind} ${answer.status} ${text.slice(0, 200)}` })
      else {
        answers[kind]++
        if (kind === 'resolve') latencies.set(span, [...latencies.get(span) ?? [], performance.now() - began])
      }
    } catch (error) {
      if (replicas.wasDisturbed(replica, began)) cut++
      else errors.push({ id: '', said: `${span} ${kind} ${String(error)}` })
    }
  }
  const kindOf = (turn: number): keyof typeof kinds => turn % 20 === 0 ? 'create' : turn % 5 === 0 ? 'invoke' : 'resolve'
  const workers = Promise.all(Array.from({ length: WORKERS }, async (_, worker) => {
    for (let turn = worker; !ending.signal.aborted; turn++) {
      await ask(kindOf(turn))
      await wait(PAUSE_MS)
    }
  }))
  return {
    answers,
    errors,
    cut: () => cut,
    mark: (next) => { span = next },
    stop: async () => {
      ending.abort()
      await workers
    },
    p99: (of) => {
      const sorted = (latencies.get(of) ?? []).toSorted((a, b) => a - b)
      return sorted[Math.floor(sorted.length * 0.99)] ?? NaN
    },
  }
}
