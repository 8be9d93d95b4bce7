import type { Received } from '../provider.ts'

export type Encoding = 'form' | 'json'
export type ClientAuth = 'basic' | 'body'

/** The parameters of a token request; undefined when it is not written in one of these ways, or one stands twice. */
export function readParameters (received: Received, encodings: readonly Encoding[]): URLSearchParams | undefined {
  const type = received.headers['content-type']?.split(';')[0]?.trim()
  if (type === 'application/x-www-form-urlencoded' && encodings.includes('form')) {
    const parameters = new URLSearchParams(received.body)
    return new Set(parameters.keys()).size === parameters.size ? parameters : undefined
  }
  if (type !== 'application/json' || !encodings.includes('json')) return undefined
  const body = readJson(received)
  if (typeof body !== 'object' || body === null) return undefined
  const entries = Object.entries(body).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  return new URLSearchParams(entries)
}

export function readJson (received: Received): unknown {
  try {
    return JSON.parse(received.body) as unknown
  } catch {
    return undefined
  }
}

export interface SentCredentials {
  readonly id: string
  readonly secret: string
  readonly by: ClientAuth
}

export interface ClientAuthRules {
  readonly clientAuth: readonly ClientAuth[]
  /** Names of the parameters in a body. */
  readonly bodyNames?: readonly [string, string]
  /** Whether it decodes what RFC 6749 2.3.1 has encoded before Basic; many providers never do. */
  readonly basicDecoding?: true
}

/** The client id and secret that came, in the one way that is allowed; RFC 6749 2.3: never in two. */
export function readCredentials (received: Received, parameters: URLSearchParams, rules: ClientAuthRules): SentCredentials | undefined {
  const [idName, secretName] = rules.bodyNames ?? ['client_id', 'client_secret']
  const basic = readBasic(received.headers.authorization)
  const secret = parameters.get(secretName)
  if (basic !== undefined) {
    if (secret !== null || !rules.clientAuth.includes('basic')) return undefined
    const [id, password] = rules.basicDecoding ? basic.map(decodeForm) as [string, string] : basic
    const inBody = parameters.get(idName)
    return inBody === null || inBody === id ? { id, secret: password, by: 'basic' } : undefined
  }
  if (secret === null || !rules.clientAuth.includes('body')) return undefined
  return { id: parameters.get(idName) ?? '', secret, by: 'body' }
}

function decodeForm (text: string): string {
  return new URLSearchParams(`x=${text.replaceAll('&', '%26')}`).get('x') ?? ''
}

export function readBasic (authorization: string | undefined): [string, string] | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/=]+)$/.exec(authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : [text.slice(0, colon), text.slice(colon + 1)]
}

export function readBearer (authorization: string | undefined): string | undefined {
  return /^Bearer (\S+)$/.exec(authorization ?? '')?.[1]
}

/** Scopes as a request or an answer writes them. */
export function splitScopes (scopes: string | null, separator: string): string[] {
  return (scopes ?? '').split(separator).map((scope) => scope.trim()).filter((scope) => scope !== '')
}
