import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { Agent, buildConnector } from 'undici'
import { judgeAddress, type Exceptions } from './guard.ts'

/** Resolves a name to all its addresses, as `dns.lookup` with `all: true`. */
export type Resolve = (hostname: string, callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void) => void

/** The name resolved to an address that is never called; the connection is not made. */
export class BlockedAddress extends Error {}

const CONNECT_TIMEOUT_MS = 10_000
const SOCKETS_PER_ORIGIN = 128

export const resolveBySystem: Resolve = (hostname, callback) => { systemLookup(hostname, { all: true, verbatim: true }, callback) }

/**
 * Keep-alive pools, one for each origin. Each new connection resolves its name once, checks every
 * address of the answer and connects to those addresses: a name that changes its answer between
 * check and connect (rebinding) gains nothing.
 */
export function createPools (exceptions: Exceptions, resolve: Resolve): Agent {
  const options = { timeout: CONNECT_TIMEOUT_MS, allowH2: false }
  const direct = buildConnector(options)
  const guarded = buildConnector({ ...options, lookup: guardedLookup(resolve) })
  return new Agent({
    connections: SOCKETS_PER_ORIGIN,
    pipelining: 1,
    keepAliveTimeout: 30_000,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (target, callback) => {
      const port = target.port === '' ? (target.protocol === 'http:' ? '80' : '443') : target.port
      const connect = exceptions.has(`${target.hostname}:${port}`) ? direct : guarded
      connect(target, callback)
    },
  })
}

/** A look-up for `net.connect` that fails when any address of the answer is not public. What it gives is what is connected to. */
export function guardedLookup (resolve: Resolve): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, (error, addresses) => {
      if (error !== null) { callback(error, ''); return }
      const [first] = addresses
      if (first === undefined || addresses.some(({ address }) => judgeAddress(address) !== undefined)) {
        callback(new BlockedAddress('the name leads to an address that is not public'), '')
      } else if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}
