import type { FastifyReply, FastifyRequest } from 'fastify'
import { issuedFields, judgeConfig, type Field } from '../../catalog/index.ts'
import type { Way } from '../../connections/index.ts'
import { VaultError } from '../../errors.ts'
import type { SessionRow } from '../../store/index.ts'

/** A form or a query as a browser sends it. */
export type Posted = Readonly<Record<string, string>>

/** Names of fields in forms begin with this, so that none can be taken for another part of the form. */
const FIELD = 'field.'

/** The single values of a form or query; what stands twice, or is too long for anything here, is left out. */
export function entriesOf (value: unknown): Posted {
  if (value === null || typeof value !== 'object') return {}
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1].length <= 16_384))
}

/** Fields that a person enters for this way in. */
export function fieldsToEnter ({ scheme }: Way): Field[] {
  const issued = issuedFields(scheme)
  return scheme.fields.filter((field) => !issued.has(field.name))
}

export function fieldName (field: string): string {
  return `${FIELD}${field}`
}

/** What was entered, secret and not. */
export function readFields (way: Way, form: Posted): { credentials: Posted, config: Posted } {
  const read = (secret: boolean) => Object.fromEntries(fieldsToEnter(way).filter((field) => field.secret === secret).flatMap((field) => {
    const value = form[fieldName(field.name)]?.trim()
    return value === undefined || value === '' ? [] : [[field.name, value]]
  }))
  return { credentials: read(true), config: read(false) }
}

/** Config that a provider has to be told before its own page. Throws `config_invalid` with each place. */
export function judgeLinkConfig (way: Way, session: SessionRow, entered: Posted): Posted {
  const fields = fieldsToEnter(way).filter((field) => !field.secret)
  const defaults = fields.flatMap((field) => field.default === undefined ? [] : [[field.name, field.default]])
  const config: Posted = { ...Object.fromEntries(defaults) as Posted, ...entered }
  const missing = fields.filter((field) => field.required !== false && config[field.name] === undefined).map((field) => ({ pointer: `/config/${field.name}`, message: 'is required' }))
  const errors = [...missing, ...judgeConfig(way.scheme, session.environment, config)]
  if (errors.length > 0) throw new VaultError('config_invalid', { errors })
  return config
}

/** Parameters of an error redirect are anybody's text. */
export function bounded (text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text.replaceAll(/[^\P{C}]/gu, ' ').slice(0, 300)
}

export function without (posted: Posted, names: readonly string[]): Posted {
  return Object.fromEntries(Object.entries(posted).filter(([name]) => !names.includes(name)))
}

/**
 * Whether a form was sent by a page of another site, or of a neighbour. A browser that says where a request is from is
 * believed; older ones name the origin, which is `null` from a page without referrer, such as ours.
 */
export function isForeign ({ headers }: FastifyRequest, publicUrl: string): boolean {
  const { origin } = headers
  const site = headers['sec-fetch-site']
  if (origin !== undefined && origin !== 'null' && origin !== new URL(publicUrl).origin) return true
  return site !== undefined && site !== 'same-origin' && site !== 'none'
}

/** Longer than a session and its confirmation. */
const COOKIE_SECONDS = 2_400

/**
 * The browser's half of the binding, and the link it came by, so that the page after a provider's
 * redirect knows its own address. `__Host-`: set by this host alone, over TLS (RFC 6265bis, 4.1.3).
 */
export function setBinding (reply: FastifyReply, session: SessionRow, { secret, token }: { secret: string, token: string }): void {
  reply.setCookie(cookieName(session.id), `${secret}.${token}`, { path: '/', httpOnly: true, secure: true, sameSite: 'lax', maxAge: COOKIE_SECONDS })
}

export function readBinding (request: FastifyRequest, sessionId: string): { secret: string | undefined, token: string | undefined } {
  const [secret, token] = request.cookies[cookieName(sessionId)]?.split('.') ?? []
  return { secret, token }
}

function cookieName (sessionId: string): string {
  return `__Host-connect-${sessionId}`
}
