import { hostMatches, type Manifest } from '../catalog/index.ts'
import type { SecretFields } from '../crypto/index.ts'
import type { Egress, OutgoingRequest, SendFailure } from '../egress/index.ts'
import type { BuiltRequest } from './build-request.ts'
import { encodeBody } from './encode.ts'
import { describeAuth, injectAuth, injectBody, PLACEHOLDER, type AuthFields, type InjectedAuth } from './inject-auth.ts'
import { createRedactor } from './redact.ts'
import { shapeResponse, type ShapedResponse } from './shape-response.ts'

/** A credential and where it may go. */
export interface CallCredential extends AuthFields {
  /** Hosts it was sealed for, narrowed by what the connection allows now. */
  readonly hosts: readonly string[]
}

/** One call: of which provider, what, with which credential. */
export interface CallRequest {
  readonly manifest: Manifest
  readonly built: BuiltRequest
  readonly credential: CallCredential
}

export interface CallLimits {
  readonly timeoutMs: number
  readonly maxResponseBytes: number
  readonly signal?: AbortSignal
}

export type CallResult = { readonly kind: 'answered', readonly response: ShapedResponse } | SendFailure

/** A request as a dry run shows it. */
export interface DescribedRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

export interface Calls {
  /** Puts the credential in, sends, and takes the credential out of the answer. */
  call (request: CallRequest, limits: CallLimits): Promise<CallResult>
}

export function createCalls (options: { egress: Pick<Egress, 'send'> }): Calls {
  return Object.freeze({
    call: async ({ manifest, built, credential }: CallRequest, limits: CallLimits): Promise<CallResult> => {
      if (!isHostAllowed(built.url, credential.hosts)) {
        return { kind: 'blocked', maybeSent: false, detail: `${built.url.host} is not a host this credential may go to.` }
      }
      const auth = injectAuth(credential)
      const result = await options.egress.send('provider', { ...toOutgoing(built, auth, credential.secrets), ...limits })
      if (result.kind !== 'answer') return result
      const redactor = createRedactor(credential.secrets, sentSecrets(credential, auth))
      return { kind: 'answered', response: shapeResponse(manifest, result, redactor) }
    },
  })
}

/** Whether a credential bound to these hosts may go there. */
export function isHostAllowed (url: URL, hosts: readonly string[]): boolean {
  return hosts.some((pattern) => hostMatches(pattern, url.host))
}

/** What would be sent, with a placeholder for everything secret. */
export function describeRequest (built: BuiltRequest, auth: Pick<AuthFields, 'scheme' | 'config'> & { secretNames: readonly string[] }): DescribedRequest {
  const injected = describeAuth(auth)
  const placeholders = Object.fromEntries(Object.keys(built.bodyFields).map((name) => [name, PLACEHOLDER]))
  const body = built.body === undefined ? null : { ...built.body.value as object, ...placeholders }
  const encoded = built.body === undefined ? undefined : encodeBody(body, built.body.encoding)
  return {
    method: built.method,
    url: withQuery(built.url, injected.query).href,
    headers: { ...built.headers, ...encoded && { 'content-type': encoded.contentType }, ...injected.headers },
    body: built.body?.encoding === 'form' ? encoded?.bytes.toString() : body,
  }
}

function toOutgoing (built: BuiltRequest, auth: InjectedAuth, secrets: SecretFields): Pick<OutgoingRequest, 'method' | 'url' | 'headers' | 'body'> {
  const encoded = built.body === undefined ? undefined : encodeBody(injectBody(built, secrets), built.body.encoding)
  return {
    method: built.method,
    url: withQuery(built.url, auth.query),
    headers: { accept: 'application/json', 'user-agent': 'connection-vault', ...built.headers, ...encoded && { 'content-type': encoded.contentType }, ...auth.headers },
    ...encoded && { body: encoded.bytes },
  }
}

function withQuery (url: URL, query: Readonly<Record<string, string>>): URL {
  const entries = Object.entries(query)
  if (entries.length === 0) return url
  const copy = new URL(url)
  for (const [name, value] of entries) copy.searchParams.append(name, value)
  return copy
}

/** Header and query values that carry a secret, and not those that only carry config (an account id). */
function sentSecrets (credential: CallCredential, auth: InjectedAuth): string[] {
  const masked = describeAuth({ ...credential, secretNames: Object.keys(credential.secrets) })
  const differing = (part: 'headers' | 'query') => Object.entries(auth[part]).filter(([name, value]) => masked[part][name] !== value).map(([, value]) => value)
  return [...differing('headers'), ...differing('query')]
}
