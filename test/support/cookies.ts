interface Cookie {
  readonly name: string
  readonly value: string
  readonly path: string
  readonly sameSite: 'strict' | 'lax' | 'none'
  readonly httpOnly: boolean
  readonly secure: boolean
  readonly expires: number
}

/** A cookie that a browser would not keep, or not as it was meant. */
export class CookieRefused extends Error {}

/**
 * Cookies as a browser keeps them (RFC 6265bis), for servers on loopback. Each port counts as a
 * host of its own, since it stands for one; Secure is honoured there, as browsers do on loopback.
 */
export class CookieJar {
  readonly #hosts = new Map<string, Map<string, Cookie>>()

  /** Keeps what an answer sets. Throws where a browser would silently keep nothing. */
  keep (url: URL, lines: readonly string[]): void {
    for (const line of lines) {
      const cookie = parseCookie(url, line)
      const jar = this.#hosts.get(url.host) ?? new Map<string, Cookie>()
      this.#hosts.set(url.host, jar)
      const key = `${cookie.name};${cookie.path}`
      if (cookie.expires <= Date.now()) jar.delete(key)
      else jar.set(key, cookie)
    }
  }

  /** What goes with a request. From another site Strict stays away, and Lax from all but a navigation by GET. */
  header (url: URL, from: { crossSite: boolean, method: string }): string | undefined {
    const sent = this.at(url).filter(({ sameSite }) => !from.crossSite || sameSite === 'none' || (sameSite === 'lax' && from.method === 'GET'))
    return sent.length === 0 ? undefined : sent.map(({ name, value }) => `${name}=${value}`).join('; ')
  }

  /** Cookies that the path would get, the most specific first. */
  at (url: URL): Cookie[] {
    return [...this.#hosts.get(url.host)?.values() ?? []]
      .filter(({ path, expires }) => expires > Date.now() && pathMatches(url.pathname, path))
      .sort((a, b) => b.path.length - a.path.length)
  }
}

function parseCookie (url: URL, line: string): Cookie {
  const [pair = '', ...rest] = line.split(';').map((part) => part.trim())
  const equals = pair.indexOf('=')
  if (equals < 1) throw new CookieRefused(`no cookie: ${line}`)
  const attributes = new Map(rest.map((part) => {
    const at = part.indexOf('=')
    return at < 0 ? [part.toLowerCase(), ''] : [part.slice(0, at).toLowerCase(), part.slice(at + 1)]
  }))
  const name = pair.slice(0, equals)
  const path = attributes.get('path')
  const secure = attributes.has('secure')
  const sameSite = (attributes.get('samesite') ?? 'lax').toLowerCase()
  if (name.startsWith('__Host-') && !(secure && path === '/' && !attributes.has('domain'))) {
    throw new CookieRefused(`${name} needs Secure and Path=/ and may not have Domain`)
  }
  if (name.startsWith('__Secure-') && !secure) throw new CookieRefused(`${name} needs Secure`)
  if (secure && url.protocol !== 'https:' && !isLoopback(url)) throw new CookieRefused(`${name} is Secure and came over http`)
  if (sameSite === 'none' && !secure) throw new CookieRefused(`${name} is SameSite=None and not Secure`)
  if (attributes.has('domain') && attributes.get('domain') !== url.hostname) throw new CookieRefused(`${name} is for another domain`)
  if (pair.length > 4_096) throw new CookieRefused(`${name} is too long`)
  const maxAge = attributes.get('max-age')
  const expires = attributes.get('expires')
  return {
    name,
    value: pair.slice(equals + 1),
    path: path?.startsWith('/') === true ? path : url.pathname.replace(/\/[^/]*$/, '') || '/',
    sameSite: sameSite === 'strict' || sameSite === 'none' ? sameSite : 'lax',
    httpOnly: attributes.has('httponly'),
    secure,
    expires: maxAge !== undefined ? Date.now() + Number(maxAge) * 1_000 : expires !== undefined ? Date.parse(expires) : Infinity,
  }
}

function isLoopback (url: URL): boolean {
  return /^(127(\.\d+){3}|localhost|\[::1\])$/.test(url.hostname)
}

function pathMatches (path: string, pattern: string): boolean {
  return path === pattern || (path.startsWith(pattern) && (pattern.endsWith('/') || path[pattern.length] === '/'))
}
