import { fillTemplate, type AuthScheme } from '../catalog/index.ts'
import { reveal } from '../crypto/reveal.ts'
import type { SecretFields } from '../crypto/index.ts'
import type { BuiltRequest } from './build-request.ts'

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
export function injectAuth (auth: AuthFields): InjectedAuth {
  return inject(auth.scheme, { ...auth.config, ...revealAll(auth.secrets) })
}

/** The same with a placeholder for every part that holds a secret. */
export function describeAuth (auth: Pick<AuthFields, 'scheme' | 'config'> & { secretNames: readonly string[] }): InjectedAuth {
  return inject(auth.scheme, { ...auth.config, ...Object.fromEntries(auth.secretNames.map((name) => [name, PLACEHOLDER])) }, true)
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

function inject (scheme: AuthScheme, values: Readonly<Record<string, string>>, masked = false): InjectedAuth {
  const headers: Record<string, string> = {}
  const query: Record<string, string> = {}
  for (const injection of scheme.inject) {
    if ('basic' in injection) {
      const pair = fillTemplate(`${injection.basic.username}:${injection.basic.password}`, values)
      // RFC 7617. A dry run shows no encoded placeholder, which would look like a credential.
      if (pair !== undefined) headers['authorization'] = `Basic ${masked ? PLACEHOLDER : Buffer.from(pair).toString('base64')}`
      continue
    }
    const value = fillTemplate(injection.value, values)
    if (value === undefined) continue
    if ('header' in injection) headers[injection.header.toLowerCase()] = value
    else query[injection.query] = value
  }
  return { headers, query }
}
