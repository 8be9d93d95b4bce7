import { matches, readPointer, type JudgedAnswer } from '../predicate.ts'
import type { Hide } from './hide.ts'
import type { GrantKind, GrantOutcome, OAuthProvider } from './provider.ts'

/** An answer that is no success, by its status or by its body. */
export interface FailedAnswer extends JudgedAnswer {
  readonly empty: boolean
}

export const DESCRIPTION_LENGTH_MAX = 300
const ERROR_LENGTH_MAX = 100
const RETRY_AFTER_SECONDS_MAX = 86_400

type FailureKind = 'rejected' | 'config_error' | 'try_later'

const CLASSES = { reauthorise: 'rejected', config_error: 'config_error', try_later: 'try_later' } as const

/** RFC 6749, 4.1.2.1 and 5.2; RFC 8628, 3.5; `redirect_uri_mismatch` is what several providers call it. */
const CODES: ReadonlyMap<string, FailureKind> = new Map<string, FailureKind>([
  ['invalid_grant', 'rejected'],
  ['invalid_client', 'config_error'], ['unauthorized_client', 'config_error'], ['unsupported_grant_type', 'config_error'],
  ['invalid_scope', 'config_error'], ['redirect_uri_mismatch', 'config_error'],
  ['temporarily_unavailable', 'try_later'], ['server_error', 'try_later'], ['slow_down', 'try_later'],
])

/** An answer that is not clearly about the grant never ends a connection: only a code, which a person can get anew, is given up. */
const UNCLEAR: Readonly<Record<GrantKind, FailureKind>> = { code: 'rejected', refresh: 'try_later', client_credentials: 'config_error' }

const DESCRIPTIONS = ['/error_description', '/error_message', '/error/message', '/message', '/detail']
const ERRORS = ['/error', '/error/code', '/error/type', '/code', '/error_code']

/** What a failed token request means. */
export function judgeFailure (provider: OAuthProvider, answer: FailedAnswer, context: { kind: GrantKind, hide: Hide, nowMs: number }): GrantOutcome {
  const { status, headers } = answer
  const code = readText(answer.json, ERRORS)
  const kind = classOf(provider, answer) ?? classOfStatus(status, code) ?? classOfUnclear(answer, context.kind)
  const error = context.hide(code ?? `http_${status}`, ERROR_LENGTH_MAX)
  const description = context.hide(readText(answer.json, DESCRIPTIONS) ?? '', DESCRIPTION_LENGTH_MAX)
  const silent = `The provider answers ${status}${code === undefined ? '' : ` (${error})`} and gives no ${code === undefined ? '' : 'other '}reason.`
  const failure = { error, description: description === '' ? silent : description, status }
  return kind === 'try_later' ? { kind, ...failure, retryAfterSeconds: readRetryAfter(headers['retry-after'], context.nowMs) } : { kind, ...failure }
}

function classOf (provider: OAuthProvider, answer: FailedAnswer): FailureKind | undefined {
  const listed = provider.errors.find(({ when }) => matches(when, answer))
  return listed && CLASSES[listed.class]
}

function classOfStatus (status: number, code: string | undefined): FailureKind | undefined {
  // A provider in trouble says things it does not mean. A redirect carries nothing out, and is not followed.
  if (status === 429 || status === 408 || status === 425 || status >= 500 || (status >= 300 && status <= 399)) return 'try_later'
  return CODES.get(code ?? '')
}

function classOfUnclear ({ status, json, empty }: FailedAnswer, kind: GrantKind): FailureKind {
  // RFC 6749, 5.2: 401 is for clients that don't authenticate. But an unknown code may mean the grant, and HTML may be a proxy's.
  const silent = empty || (json !== undefined && readText(json, ERRORS) === undefined)
  if (status === 401 && (kind !== 'refresh' || silent)) return 'config_error'
  return UNCLEAR[kind]
}

function readText (json: unknown, pointers: readonly string[]): string | undefined {
  return pointers.map((pointer) => readPointer(json, pointer)).find((value): value is string => typeof value === 'string' && value.trim() !== '')
}

/** RFC 9110, 10.2.3: seconds or a date. */
function readRetryAfter (value: string | undefined, nowMs: number): number | undefined {
  const text = value?.trim() ?? ''
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Math.ceil((Date.parse(text) - nowMs) / 1_000)
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), RETRY_AFTER_SECONDS_MAX) : undefined
}
