import { createServer, type IncomingHttpHeaders, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface Heard {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** What a server does with a request it has read. */
export type Behaviour = (reply: ServerResponse, request: IncomingMessage) => void

export interface Misbehaving {
  readonly url: string
  readonly heard: Heard[]
  /** How many connections were opened, and how many of them still are. */
  readonly connections: { opened: number, open: number }
  /** Forgets what it has heard, and does these, one for each request, the last of them from then on. */
  script (...behaviours: Behaviour[]): void
  close (): Promise<void>
}

/** A server on loopback that goes by a script. */
export async function startMisbehaving (tls?: TlsOptions): Promise<Misbehaving> {
  const heard: Heard[] = []
  const connections = { opened: 0, open: 0 }
  let behaviours: Behaviour[] = []
  const listener: RequestListener = (request, reply) => {
    let body = ''
    request.on('error', () => {})
    request.on('data', (piece: Buffer) => { body += piece.toString() })
    request.on('end', () => {
      const next = behaviours[Math.min(heard.length, behaviours.length - 1)]
      heard.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body })
      next?.(reply, request)
    })
  }
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  server.on('connection', (socket) => {
    connections.opened++
    connections.open++
    socket.on('close', () => { connections.open-- })
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard,
    connections,
    script: (...next) => {
      behaviours = next
      heard.length = 0
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    },
  }
}

export const answers = {
  json: (body: unknown, status = 200): Behaviour => (reply) => { reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)) },
  /** As the vault’s own. */
  problem: (status: number, code: string, more: object = {}, headers: Record<string, string> = {}): Behaviour => (reply) => {
    const body = { type: `urn:connection-vault:error:${code}`, title: code, status, code, retryable: false, instance: 'req_1', ...more }
    reply.writeHead(status, { 'content-type': 'application/problem+json', ...headers }).end(JSON.stringify(body))
  },
  html: (status: number): Behaviour => (reply) => { reply.writeHead(status, { 'content-type': 'text/html' }).end('<html>Bad gateway</html>') },
  /** Ends the connection before a byte of the answer. */
  drop: ((reply: ServerResponse) => { reply.destroy() }) satisfies Behaviour,
  dropWithin: ((reply: ServerResponse) => {
    reply.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' }).write('{"half":')
    setTimeout(() => { reply.destroy() }, 20)
  }) satisfies Behaviour,
  hang: (() => {}) satisfies Behaviour,
  /** Says all headers and never ends the body. */
  hangWithin: ((reply: ServerResponse) => { reply.writeHead(200, { 'content-type': 'application/json' }).write('{"half":') }) satisfies Behaviour,
  later: (ms: number, then: Behaviour): Behaviour => (reply, request) => { setTimeout(() => { then(reply, request) }, ms) },
}
