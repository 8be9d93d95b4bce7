import { fillTemplate, mentionsAny, type AuthScheme, type Injection } from '../catalog/index.ts'
import { reveal } from '../crypto/reveal.ts'
import type { SecretFields } from '../crypto/index.ts'
import type { BuiltRequest } from './built-request.ts'

/** What a connection sends with every request. */
export interface AuthFields {
  readonly scheme: AuthScheme
  readonly secrets: SecretFields
  readonly config: Readonly<Record<string, string>>
}

/** Headers and query parameters with the credential in them. Plaintext: it goes to the wire, or to a caller that resolves. */
export interface InjectedAuth {
  readonly headers: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
  /** Those of the values that hold a secret, and not only config (an account id). */
  readonly secretValues: readonly string[]
}

/** Stands for the credential in a dry run. */
export const PLACEHOLDER = '[credential]'

/** The one place where credentials are put into requests: only what the scheme's injections name. */
export function injectAuth (auth: AuthFields, security?: readonly string[]): InjectedAuth {
  return inject(injectionsOf(auth.scheme, security), { config: auth.config, secrets: revealAll(auth.secrets) })
}

/** The same with a placeholder for every part that holds a secret. */
export function describeAuth (auth: Pick<AuthFields, 'scheme' | 'config'> & { secretNames: readonly string[] }, security?: readonly string[]): InjectedAuth {
  const secrets = Object.fromEntries(auth.secretNames.map((name) => [name, PLACEHOLDER]))
  return inject(injectionsOf(auth.scheme, security), { config: auth.config, secrets, masked: true })
}

/** The body with the properties that come from the credential filled in. */
export function injectBody (built: BuiltRequest, secrets: SecretFields): unknown {
  const filled = Object.entries(built.bodyFields).flatMap(([property, field]) => {
    const secret = secrets[field]
    return secret === undefined ? [] : [[property, reveal(secret)] as const]
  })
  return filled.length === 0 ? built.body?.value : { ...built.body?.value as object, ...Object.fromEntries(filled) }
}

function revealAll (secrets: SecretFields): Record<string, string> {
  return Object.fromEntries(Object.entries(secrets).map(([name, secret]) => [name, reveal(secret)]))
}

/** Those that a call asks for: an action of an imported document names the security schemes that it takes. */
function injectionsOf (scheme: AuthScheme, security: readonly string[] | undefined): readonly Injection[] {
  return security === undefined ? scheme.inject : scheme.inject.filter(({ of }) => of !== undefined && security.includes(of))
}

interface Values {
  readonly config: Readonly<Record<string, string>>
  readonly secrets: Readonly<Record<string, string>>
  /** What the secrets are is only a placeholder: no encoding of it is shown, which would look like a credential. */
  readonly masked?: true
}

function inject (injections: readonly Injection[], { config, secrets, masked }: Values): InjectedAuth {
  const values = { ...config, ...secrets }
  // Maps, for a document may name a parameter `__proto__`.
  const headers = new Map<string, string>()
  const query = new Map<string, string>()
  const cookies: string[] = []
  const secretValues: string[] = []
  const put = (into: Map<string, string>, name: string, { template, value }: { template: string, value: string }): void => {
    into.set(name, value)
    if (mentionsAny(template, secrets)) secretValues.push(value)
  }
  for (const injection of injections) {
    const template = 'basic' in injection ? `${injection.basic.username}:${injection.basic.password}` : injection.value
    const value = fillTemplate(template, values)
    if (value === undefined) continue
    // RFC 7617.
    if ('basic' in injection) put(headers, 'authorization', { template, value: `Basic ${masked ? PLACEHOLDER : Buffer.from(value).toString('base64')}` })
    else if ('header' in injection) put(headers, injection.header.toLowerCase(), { template, value })
    else if ('query' in injection) put(query, injection.query, { template, value })
    else {
      // Characters that would end a cookie (RFC 6265, 4.1.1) are escaped as everybody does it.
      cookies.push(`${injection.cookie}=${masked ? value : encodeURIComponent(value)}`)
      put(headers, 'cookie', { template, value: cookies.join('; ') })
    }
  }
  return { headers: Object.fromEntries(headers), query: Object.fromEntries(query), secretValues }
}
