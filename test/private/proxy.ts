import { createServer, request as send, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What lies between an agent and the vault, and does not always carry what it is given. */
export interface Proxy {
  readonly url: string
  /** How many answers to polls that held work were dropped. */
  readonly dropped: number
  /** Drops the next answers that hold work, as if the line broke after the vault had sent them. */
  dropWork (count: number): void
  /** Cuts every request that has had no answer after this long. */
  cutAfter (ms: number): void
  close (): Promise<void>
}

/** Each request goes to the next of the targets. */
export async function startProxy (targets: readonly string[]): Promise<Proxy> {
  const state = { next: 0, dropped: 0, toDrop: 0, cutMs: 0 }
  const server = createServer((request, reply) => {
    const target = new URL(request.url ?? '', targets[state.next++ % targets.length])
    const onward = send(target, { method: request.method, headers: { ...request.headers, host: target.host } })
    const timer = state.cutMs === 0 ? undefined : setTimeout(() => { request.socket.destroy() }, state.cutMs)
    reply.once('close', () => { onward.destroy() })
    onward.on('error', () => { request.socket.destroy() })
    onward.on('response', (answer) => {
      void collect(answer).then((bytes) => {
        clearTimeout(timer)
        if (state.toDrop > 0 && request.url === '/v1/agent/poll' && answer.statusCode === 200) {
          state.toDrop--
          state.dropped++
          request.socket.destroy()
          return
        }
        reply.writeHead(answer.statusCode ?? 502, answer.headers).end(bytes)
      }, () => { request.socket.destroy() })
    })
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get dropped () { return state.dropped },
    dropWork: (count) => { state.toDrop = count },
    cutAfter: (ms) => { state.cutMs = ms },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    },
  }
}

async function collect (answer: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of answer as AsyncIterable<Buffer>) pieces.push(piece)
  return Buffer.concat(pieces)
}
