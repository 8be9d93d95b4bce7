import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** How a stand-in misbehaves. What it answers in its own protocol (`throttled` and such) it adds itself. */
export type Trouble = 'hang' | 'slow' | 'cut' | 'html' | 'proxy_404' | 'flood'

export interface Troubles<Own extends string> {
  /** From now on, or for so many requests. */
  begin (trouble: Trouble | Own, options?: { times?: number, ms?: number }): void
  end (): void
  /** Misbehaves if it is to; false when the request is to be answered as usual. */
  befall (reply: ServerResponse): Promise<boolean>
}

const PAGE = '<html><body><h1>It works!</h1></body></html>'

/** `own` answers in the protocol of the stand-in. */
export function createTroubles<Own extends string> (own: Readonly<Record<Own, (reply: ServerResponse) => void>>): Troubles<Own> {
  let current: { trouble: Trouble | Own, times: number, ms: number } | undefined
  const isOwn = (trouble: string): trouble is Own => Object.hasOwn(own, trouble)
  return {
    begin: (trouble, { times = Infinity, ms = 2_000 } = {}) => { current = { trouble, times, ms } },
    end: () => { current = undefined },
    befall: async (reply) => {
      if (current === undefined || current.times <= 0) return false
      current.times--
      const { trouble, ms } = current
      if (isOwn(trouble)) {
        own[trouble](reply)
        return true
      }
      switch (trouble) {
        case 'hang': return true
        case 'slow':
          await sleep(ms)
          return false
        case 'cut':
          reply.socket?.destroy()
          return true
        case 'html':
          reply.writeHead(200, { 'content-type': 'text/html' }).end(PAGE)
          return true
        case 'proxy_404':
          reply.writeHead(404, { 'content-type': 'text/html' }).end(PAGE)
          return true
        case 'flood':
          reply.writeHead(200, { 'content-type': 'application/json' }).end(`{"data":"${'x'.repeat(1_000_000)}"}`)
          return true
      }
    },
  }
}
