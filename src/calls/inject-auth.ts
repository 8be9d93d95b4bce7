import { fillTemplate, type AuthScheme, type Injection } from '../catalog/index.ts'
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
}

/** Stands for the credential in a dry run. */
export const PLACEHOLDER = '[credential]'

/** The one place where credentials are put into requests: only what the scheme's injections name. */
export function injectAuth (auth: AuthFields, security?: readonly string[]): InjectedAuth {
  return inject(injectionsOf(auth.scheme, security), { ...auth.config, ...revealAll(auth.secrets) })
}

/** The same with a placeholder for every part that holds a secret. */
export function describeAuth (auth: Pick<AuthFields, 'scheme' | 'config'> & { secretNames: readonly string[] }, security?: readonly string[]): InjectedAuth {
  return inject(injectionsOf(auth.scheme, security), { ...auth.config, ...Object.fromEntries(auth.secretNames.map((name) => [name, PLACEHOLDER])) }, true)
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

function inject (injections: readonly Injection[], values: Readonly<Record<string, string>>, masked = false): InjectedAuth {
  const headers: Record<string, string> = {}
  const query: Record<string, string> = {}
  const cookies: string[] = []
  for (const injection of injections) {
    if ('basic' in injection) {
      const pair = fillTemplate(`${injection.basic.username}:${injection.basic.password}`, values)
      // RFC 7617. A dry run shows no encoded placeholder, which would look like a credential.
      if (pair !== undefined) headers['authorization'] = `Basic ${masked ? PLACEHOLDER : Buffer.from(pair).toString('base64')}`
      continue
    }
    const value = fillTemplate(injection.value, values)
    if (value === undefined) continue
    if ('header' in injection) headers[injection.header.toLowerCase()] = value
    else if ('query' in injection) query[injection.query] = value
    // Characters that would end a cookie (RFC 6265, 4.1.1) are escaped as everybody does it.
    else cookies.push(`${injection.cookie}=${masked ? value : encodeURIComponent(value)}`)
  }
  return { headers: { ...headers, ...cookies.length > 0 && { cookie: cookies.join('; ') } }, query }
}
