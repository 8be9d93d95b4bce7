import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Why a destination is refused; undefined when it is not. The text is for the caller. */
export type GuardVerdict = string | undefined

/** Public addresses that reach a cloud's inside all the same: Azure's wire server. */
const METADATA = new Set(['168.63.129.16'])

/**
 * Whether the vault may connect to an address. Only what is plainly public unicast passes:
 * private, loopback, link-local (cloud metadata), CGNAT, multicast, documentation and every form
 * that embeds an IPv4 address (mapped, 6to4, Teredo, NAT64) is refused, and so is what can't be read.
 * Ranges: the IANA special-purpose address registries (RFC 6890).
 */
export function judgeAddress (address: string): GuardVerdict {
  // isIP: ipaddr.js also reads short spellings such as 1.2.3, which no resolver writes.
  if (isIP(address) === 0) return 'the address can’t be read'
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast' || METADATA.has(parsed.toString())) return 'it leads to an address that is not public'
  // ipaddr.js calls what is assigned to nobody unicast; RFC 4291 gives global unicast as 2000::/3.
  if (parsed.kind() === 'ipv6' && (parsed as ipaddr.IPv6).parts[0] as number >> 13 !== 1) return 'it leads to an address that is not public'
  return undefined
}

/** Operator's exceptions, `host:port` as in a URL. */
export type Exceptions = ReadonlySet<string>

/** What an operator would list to have a refused URL called; undefined where no exception helps. */
export function exceptionFor (url: URL): string | undefined {
  const endpoint = endpointOf(url)
  return judgeUrl(url, new Set([endpoint])) === undefined ? endpoint : undefined
}

/** Whether a URL may be called at all, before its name is resolved. */
export function judgeUrl (url: URL, exceptions: Exceptions): GuardVerdict {
  if (url.username !== '' || url.password !== '') return 'the URL carries a user name or password'
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'only https is called'
  if (exceptions.has(endpointOf(url))) return undefined
  if (url.protocol !== 'https:') return 'plain http is not called'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0) return judgeAddress(host)
  if (!host.includes('.') || /(^|\.)(localhost|local|internal|home\.arpa)\.?$/.test(host)) return 'the name is one of a private network'
  return undefined
}

/** The URL's host and port as exceptions are written. The URL parser has normalised odd spellings of addresses. */
export function endpointOf (url: URL): string {
  return `${url.hostname}:${url.port === '' ? (url.protocol === 'http:' ? '80' : '443') : url.port}`
}
