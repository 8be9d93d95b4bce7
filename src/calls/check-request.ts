import { LRUCache } from 'lru-cache'
import { isReservedHeader } from '../catalog/index.ts'
import { VaultError, type FieldError } from '../errors.ts'

/** RFC 4648, 4, with its padding and without line breaks. */
export function isBase64 (text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
}

/**
 * Whether a path, or a value to stand in one, has a segment `.` or `..`, also for servers and proxies that decode it,
 * once or twice, before they look for slashes, that take a backslash for one, or that leave out what follows a `;`.
 */
export function hasDotSegment (path: string): boolean {
  const once = decodeSeparators(path)
  return [path, once, decodeSeparators(once)].some((read) => /(?:^|[/\\])\.{1,2}(?:[/\\;]|$)/.test(read))
}

/** Of what is escaped no more than what a climb is made of: the rest need not be UTF-8. */
function decodeSeparators (path: string): string {
  return path.replace(/%(2e|2f|5c|25|3b)/gi, (_escape, byte: string) => String.fromCharCode(parseInt(byte, 16)))
}

/** The same few servers with every call. */
const servers = new LRUCache<string, { readonly origin: string, readonly path: string }>({ max: 1_000 })

function readServer (baseUrl: string) {
  const known = servers.get(baseUrl)
  if (known !== undefined) return known
  const { origin, pathname } = new URL(baseUrl)
  const server = { origin, path: pathname === '/' ? '' : pathname }
  servers.set(baseUrl, server)
  return server
}

/** Throws `input_invalid` where the path can’t stand below the server’s. */
export function joinUrl (baseUrl: string, path: string, query: string): URL {
  const base = readServer(baseUrl)
  const url = new URL(`${baseUrl}${path}${query === '' ? '' : `?${query}`}`)
  // Belt and braces: whatever the input, it has moved neither the host nor the path below the server's.
  if (url.origin !== base.origin || url.pathname !== `${base.path}${path}` || url.hash !== '') {
    throw invalid([{ pointer: '/path', message: 'can’t be written as a path of this server' }])
  }
  return url
}

/** Headers a caller may set, their names in lower case. Throws `input_invalid`. */
export function checkHeaders (headers: Readonly<Record<string, string>>, injected: readonly string[], at: string): Record<string, string> {
  const errors: FieldError[] = []
  const kept = new Map<string, string>()
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$/.test(name)) errors.push({ pointer: `${at}/${name.slice(0, 100)}`, message: 'is no header’s name' })
    else if (isReservedHeader(name)) errors.push({ pointer: `${at}/${name}`, message: 'can’t be set by a caller' })
    else if (injected.includes(name)) errors.push({ pointer: `${at}/${name}`, message: 'is set by the connection' })
    else if (!/^[\x20-\x7e\t]*$/.test(value)) errors.push({ pointer: `${at}/${name}`, message: 'must be printable ASCII, without line breaks' })
    else kept.set(name, value)
  }
  if (errors.length > 0) throw invalid(errors)
  return Object.fromEntries(kept)
}

export function invalid (errors: readonly FieldError[]): VaultError {
  return new VaultError('input_invalid', { detail: 'The input does not fit.', errors })
}
