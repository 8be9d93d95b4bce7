/** Makes a provider's words fit to be kept: printable, bounded, and without what they are to hide. */
export type Hide = (text: string, lengthMax: number) => string

const MARK = '[hidden]'
/** A piece of a secret this long is hidden, too: providers cut what they echo. */
const FRAGMENT_LENGTH = 12
/** More is never looked at: it only makes a few hundred characters. */
const READ_LENGTH = 4_000

/**
 * `secrets` are the plaintexts of one request. Each is looked for, without regard to case, as it is
 * and in the forms in which it travels or is echoed: base64, base64url, hex, URL- and form-encoded,
 * escaped as in JSON.
 */
export function createHide (secrets: readonly string[]): Hide {
  // Made when something is to be said at all: most answers give tokens and no words.
  let fragments: ReadonlyMap<number, ReadonlySet<string>> | undefined
  return (text, lengthMax) => {
    fragments ??= fragmentsOf(secrets)
    // What can't be printed goes first: a secret with a control character in it would not be recognised.
    const printable = text.slice(0, READ_LENGTH).toWellFormed().replaceAll(/[\p{C}\p{Z}\s]+/gu, ' ').trim()
    return cut(maskFragments(printable, fragments), lengthMax)
  }
}

/** By their length. */
function fragmentsOf (secrets: readonly string[]): Map<number, Set<string>> {
  const fragments = new Map<number, Set<string>>()
  for (const form of secrets.flatMap(spell).map(lowerCase)) {
    const size = Math.min(FRAGMENT_LENGTH, form.length)
    const known = fragments.get(size) ?? new Set<string>()
    fragments.set(size, known)
    for (let at = 0; at + size <= form.length; at++) known.add(form.slice(at, at + size))
  }
  return fragments
}

function maskFragments (text: string, fragments: ReadonlyMap<number, ReadonlySet<string>>): string {
  const lower = lowerCase(text)
  const covered = new Uint8Array(text.length)
  for (const [size, known] of fragments) {
    for (let at = 0; at + size <= text.length; at++) if (known.has(lower.slice(at, at + size))) covered.fill(1, at, at + size)
  }
  let masked = ''
  for (let at = 0; at < text.length; at++) {
    if (covered[at] === 0) masked += text.charAt(at)
    else if (at === 0 || covered[at - 1] === 0) masked += MARK
  }
  return masked
}

/** Position by position: `toLowerCase` of a whole text may change its length. */
function lowerCase (text: string): string {
  const lower = text.toLowerCase()
  return lower.length === text.length ? lower : text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
}

function cut (text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 1).toWellFormed()}…`
}

function spell (secret: string): string[] {
  const buffer = Buffer.from(secret)
  return [
    secret, secret.trim(), encodeURIComponent(secret.toWellFormed()), formEncode(secret), new URLSearchParams([['', secret]]).toString().slice(1),
    buffer.toString('base64').replace(/=+$/, ''), buffer.toString('base64url'), buffer.toString('hex'), JSON.stringify(secret).slice(1, -1),
  ].filter((form) => form !== '')
}

/**
 * As RFC 6749, 2.3.1 wants client id and secret in a Basic header (appendix B). What needs no
 * escape gets none: a provider that forgets to decode still reads most secrets.
 */
export function formEncode (value: string): string {
  return encodeURIComponent(value.toWellFormed()).replaceAll('%20', '+').replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** `Authorization` of a client (RFC 7617), without the word Basic. */
export function basicCredentials (clientId: string, clientSecret: string): string {
  return Buffer.from(`${formEncode(clientId)}:${formEncode(clientSecret)}`).toString('base64')
}
