import type { FloodCaller, FloodOrder, FloodResult } from './flood.ts'
import { run } from './harness.ts'
import { WORKSPACE, type Stage } from './stage.ts'

const WARM_UP_SECONDS = 1

/** Runs the load generator that sends when requests are due, in a process of its own. */
export async function flood (stage: Stage, seconds: number, callers: readonly FloodCaller[]): Promise<FloodResult[]> {
  const order: FloodOrder = { url: stage.vault.urls.internal, seconds, warmUpSeconds: WARM_UP_SECONDS, callers }
  return JSON.parse(await run(new URL('./flood.ts', import.meta.url).pathname, JSON.stringify(order))) as FloodResult[]
}

export interface Wanted {
  readonly method: 'GET' | 'POST' | 'PATCH'
  /** In the bench's workspace. */
  readonly path: string
  readonly body?: object
}

/** A request as it goes over the wire. */
export function writeRequest (stage: Stage, { method, path, body }: Wanted, token = stage.token): string {
  const text = body === undefined ? '' : JSON.stringify(body)
  return [
    `${method} /v1/workspaces/${WORKSPACE}/${path} HTTP/1.1`, `host: ${new URL(stage.vault.urls.internal).host}`, `authorization: Bearer ${token}`,
    ...method === 'PATCH' ? ['if-match: *'] : [], ...body === undefined ? [] : ['content-type: application/json'], `content-length: ${text.length}`, '', text,
  ].join('\r\n')
}
