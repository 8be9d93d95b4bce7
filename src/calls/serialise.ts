import type { Style } from '../catalog/index.ts'

/** How a value is written: `style` and `explode` of an OpenAPI parameter, or a media type instead of them. */
export interface Writing {
  readonly style: Style
  readonly explode: boolean
  readonly allow_reserved?: true
  readonly media_type?: string
}

type Escape = (text: string) => string

/** Unreserved characters stay as they are (RFC 3986, 2.3); `encodeURIComponent` leaves five more. */
function escapeAll (text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** Reserved characters stay, but for those that would end the query or begin another parameter. */
function escapeSome (text: string): string {
  return encodeURI(text).replaceAll('%5B', '[').replaceAll('%5D', ']').replace(/[#&+]/g, encodeURIComponent)
}

const asIs: Escape = (text) => text

/** A path parameter (RFC 6570: simple, label `{.x}` or matrix `{;x}` expansion). */
export function writePath (name: string, value: unknown, how: Writing): string {
  if (how.media_type !== undefined) return escapeAll(writeMedia(value, how.media_type))
  const key = escapeAll(name)
  if (how.style === 'label') return `.${join(value, { ...how, separator: how.explode ? '.' : ',', escape: escapeAll })}`
  if (how.style !== 'matrix') return join(value, { ...how, separator: ',', escape: escapeAll })
  if (!how.explode || !isCompound(value)) return named(';', key, join(value, { ...how, separator: ',', escape: escapeAll }))
  if (Array.isArray(value)) return value.map((member) => named(';', key, escapeAll(text(member)))).join('')
  return Object.entries(value).map(([member, one]) => named(';', escapeAll(member), escapeAll(text(one)))).join('')
}

/** RFC 6570, 3.2.7: without a value the name stands alone. */
function named (prefix: string, name: string, value: string): string {
  return value === '' ? `${prefix}${name}` : `${prefix}${name}=${value}`
}

/** The pairs of a query or form parameter, escaped: `name=value` each. */
export function writeQuery (name: string, value: unknown, how: Writing): string[] {
  const escape = how.allow_reserved === true ? escapeSome : escapeAll
  const key = escapeAll(name)
  const pair = (at: string, one: string) => `${at}=${one}`
  if (how.media_type !== undefined) return [pair(key, escape(writeMedia(value, how.media_type)))]
  if (how.style === 'deepObject' && isCompound(value)) return writeDeep(key, value, escape)
  if (!isCompound(value)) return [pair(key, escape(text(value)))]
  if (!how.explode) return [pair(key, join(value, { explode: false, separator: SEPARATORS[how.style] ?? ',', escape }))]
  if (Array.isArray(value)) return value.map((member) => pair(key, escape(text(member))))
  return Object.entries(value).map(([member, one]) => pair(escapeAll(member), escape(text(one))))
}

/** Escaped themselves: neither may stand in a query as it is. */
const SEPARATORS: Readonly<Partial<Record<Style, string>>> = { spaceDelimited: '%20', pipeDelimited: '%7C' }

/** `a[b][c]=d`: the specification has one level of an object, and everybody who goes deeper does it so; lists as PHP, Rails and qs read them. */
function writeDeep (key: string, value: object, escape: Escape): string[] {
  const members: [string, unknown][] = Array.isArray(value)
    ? value.map((member: unknown, index) => [isCompound(member) ? String(index) : '', member])
    : Object.entries(value)
  return members.flatMap(([name, member]) => {
    const at = `${key}%5B${escapeAll(name)}%5D`
    return isCompound(member) ? writeDeep(at, member, escape) : [`${at}=${escape(text(member))}`]
  })
}

/** A header parameter: simple style, nothing escaped. */
export function writeHeader (value: unknown, how: Writing): string {
  return how.media_type === undefined ? join(value, { ...how, separator: ',', escape: asIs }) : writeMedia(value, how.media_type)
}

/** A cookie parameter: form style. Lists and objects go as one cookie, whatever `explode` says: `&` can't separate cookies. */
export function writeCookie (name: string, value: unknown, how: Writing): string {
  const written = how.media_type === undefined ? join(value, { explode: false, separator: ',', escape: escapeAll }) : escapeAll(writeMedia(value, how.media_type))
  return `${name}=${written}`
}

function join (value: unknown, how: { explode: boolean, separator: string, escape: Escape }): string {
  const { explode, separator, escape } = how
  if (Array.isArray(value)) return value.map((member) => escape(text(member))).join(separator)
  if (!isCompound(value)) return escape(text(value))
  return Object.entries(value).map(([name, member]) => `${escape(name)}${explode ? '=' : separator}${escape(text(member))}`).join(separator)
}

function isCompound (value: unknown): value is object {
  return value !== null && typeof value === 'object'
}

/** A single value. What the styles can't express, such as an object in a list, goes as JSON. */
function text (value: unknown): string {
  if (value === null || value === undefined) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function writeMedia (value: unknown, mediaType: string): string {
  return typeof value === 'string' && !/\bjson\b/.test(mediaType) ? value : JSON.stringify(value)
}
