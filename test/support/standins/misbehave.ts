import type { ServerResponse } from 'node:http'

/**
 * How an endpoint goes wrong. `timeout` and `reset` do nothing of what was asked; `lost` and
 * `lost_timeout` do it, and the answer never arrives. `slow_reset` takes half a
 * second to go wrong, `slow` three quarters to go right. In a list each is for one request, `none` among them.
 */
export type Failure =
  | 'none' | 'html502' | 'unavailable' | 'rate_limited' | 'empty200' | 'truncated' | 'huge' | 'redirect' | 'timeout' | 'reset' | 'slow_reset' | 'slow'
  | 'lost' | 'lost_timeout' | 'invalid_client' | 'invalid_grant' | 'unauthorized'

export type Endpoint = 'authorize' | 'token' | 'revoke' | 'after_token' | 'api'
export type Failures = Partial<Record<Endpoint, Failure | Failure[]>>

/** The failure of the next request to an endpoint. */
export function nextFailure (failures: Failures, endpoint: Endpoint): Failure {
  const told = failures[endpoint]
  return (Array.isArray(told) ? told.shift() : told) ?? 'none'
}

/** Goes wrong in ways that are the same at every provider; false when this is none of them. */
export function misbehave (failure: Failure, reply: ServerResponse): boolean {
  switch (failure) {
    case 'html502':
      reply.writeHead(502, { 'content-type': 'text/html' }).end('<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>')
      return true
    case 'unavailable':
      reply.writeHead(503, { 'content-type': 'text/plain', 'retry-after': '3' }).end('Service Unavailable')
      return true
    case 'empty200':
      reply.writeHead(200).end()
      return true
    case 'truncated':
      reply.writeHead(200, { 'content-type': 'application/json' }).end('{"access_token":"')
      return true
    case 'huge':
      reply.writeHead(200, { 'content-type': 'application/json' }).end(`{"access_token":"${'x'.repeat(20_000_000)}"}`)
      return true
    case 'redirect':
      reply.writeHead(307, { location: '/elsewhere' }).end()
      return true
    case 'reset':
      reply.socket?.resetAndDestroy()
      return true
    case 'slow_reset':
      setTimeout(() => { reply.socket?.resetAndDestroy() }, 500)
      return true
    case 'timeout':
      return true
    default:
      return false
  }
}
