import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request as a provider stand-in received it. */
export interface Received {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly bytes: Buffer
}

export type Answer = (received: Received, reply: ServerResponse) => void | Promise<void>

/** A provider on loopback that speaks real HTTP, keeps what it receives, and answers as it is told. */
export interface Provider {
  readonly url: string
  /** `host:port`, as the operator's list of exceptions has it. */
  readonly endpoint: string
  readonly received: Received[]
  /** What it does from now on. */
  answer: Answer
  /** Cuts every connection and refuses new ones, or listens again on the same port. */
  setReachable (reachable: boolean): Promise<void>
  close (): Promise<void>
}

export async function startProvider (answer: Answer): Promise<Provider> {
  const received: Received[] = []
  const listener: RequestListener = (request, reply) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const bytes = Buffer.concat(chunks)
      const one = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body: bytes.toString('utf8'), bytes }
      received.push(one)
      void provider.answer(one, reply)
    })
  }
  const server = createServer(listener)
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  const stop = async () => {
    const stopped = new Promise((resolve) => { server.close(resolve) })
    server.closeAllConnections()
    await stopped
  }
  const provider: Provider = {
    url: `http://127.0.0.1:${port}`,
    endpoint: `127.0.0.1:${port}`,
    received,
    answer,
    setReachable: async (reachable) => {
      if (reachable === server.listening) return
      if (reachable) await new Promise<void>((resolve) => { server.listen(port, '127.0.0.1', resolve) })
      else await stop()
    },
    close: async () => { if (server.listening) await stop() },
  }
  return provider
}

/** Answers with JSON. */
export function json (reply: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  reply.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}
