import { wrapSecret } from '../crypto/wrap.ts'
import { isKeptNumber, isStorable } from '../json.ts'
import { matches, readFirst, readPointer } from '../predicate.ts'
import { judgeFailure, type FailedAnswer } from './failure.ts'
import type { Hide } from './hide.ts'
import type { GrantKind, GrantOutcome, OAuthProvider, TokenSet } from './provider.ts'
import { parseObject, readBody } from './read-body.ts'

/** A token endpoint's answer as it came. */
export interface TokenAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export interface JudgeContext {
  readonly kind: GrantKind
  /** Takes the secrets of the request out of the provider's words. */
  readonly hide: Hide
  readonly nowMs: number
}

/** No lifetime is taken to be longer: a date so far away is no date. */
const LIFETIME_SECONDS_MAX = 315_360_000
const VALUE_LENGTH_MAX = 2_000
const SCOPES_MAX = 500

/**
 * What an answer of a token endpoint means (RFC 6749, 5.1 and 5.2), whatever the provider has made
 * of the RFC. Never throws. An answer that may have spent the grant, but holds no token that can be
 * read, is `outcome_unknown`.
 */
export function judgeTokenAnswer (provider: OAuthProvider, answer: TokenAnswer, context: JudgeContext): GrantOutcome {
  const json = readBody(answer.body, answer.headers['content-type'])
  const failed: FailedAnswer = { status: answer.status, headers: answer.headers, json, empty: answer.body.length === 0 }
  const success = answer.status >= 200 && answer.status <= 299
  const listed = provider.errors.some(({ when }) => matches(when, failed))
  if (!success || listed || provider.answer.failed?.some((predicate) => matches(predicate, failed)) === true) return judgeFailure(provider, failed, context)
  if (json === undefined) return { kind: 'outcome_unknown', description: `The provider answers ${answer.status} with a body that can’t be read.` }

  const tokens = readTokens(provider, json, context.nowMs)
  if (tokens !== undefined) return { kind: 'granted', tokens }
  // GitHub and others send their errors at HTTP 200.
  if (typeof readPointer(json, '/error') === 'string') return judgeFailure(provider, failed, context)
  return { kind: 'outcome_unknown', description: `The provider answers ${answer.status} without an access token that can be used.` }
}

function readTokens (provider: OAuthProvider, json: object, nowMs: number): TokenSet | undefined {
  const { answer } = provider
  const find = (pointers: readonly string[]) => readFirst(json, pointers)
  const accessToken = find(answer.accessToken ?? ['/access_token'])
  // RFC 6749, appendix A.12 and A.17: visible ASCII and spaces. A space has no place in a bearer's header (RFC 6750, 2.1).
  if (typeof accessToken !== 'string' || !/^[\x21-\x7e]+$/.test(accessToken)) return undefined
  const refreshToken = find(answer.refreshToken ?? ['/refresh_token'])
  const endsAtMs = toNumber(find(answer.expiresAtMs ?? []))
  const expiresInSeconds = toLifetime(find(answer.expiresIn ?? ['/expires_in'])) ??
    (endsAtMs === undefined ? undefined : toLifetime((endsAtMs - nowMs) / 1_000)) ?? provider.accessTokenSeconds ?? undefined
  const config = Object.entries(answer.config ?? {}).map(([name, pointer]) => [name, toText(readPointer(json, pointer))] as const)
  return {
    accessToken: wrapSecret(accessToken),
    refreshToken: typeof refreshToken === 'string' && /^[\x20-\x7e]+$/.test(refreshToken) ? wrapSecret(refreshToken) : undefined,
    expiresInSeconds,
    refreshExpiresInSeconds: toLifetime(find(answer.refreshExpiresIn ?? ['/refresh_token_expires_in'])),
    scopes: toScopes(find(answer.scope ?? ['/scope']), provider.scope.separator),
    config: Object.fromEntries(config.filter((entry): entry is readonly [string, string] => entry[1] !== undefined)),
    account: readAccount(provider, json),
    holder: answer.holder && readClaim(readPointer(json, answer.holder.token), answer.holder.pointer),
  }
}

function readAccount ({ answer: { account } }: OAuthProvider, json: object): TokenSet['account'] {
  const id = account && toText(readFirst(json, account.id))
  if (id === undefined) return undefined
  return { id, label: account?.label === undefined ? null : toText(readFirst(json, account.label)) ?? null }
}

/** Whole seconds; undefined for what says nothing: no number, none left, or less. */
function toLifetime (value: unknown): number | undefined {
  const seconds = Math.floor(Math.min(toNumber(value) ?? 0, LIFETIME_SECONDS_MAX))
  return seconds >= 1 ? seconds : undefined
}

function toNumber (value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,15}(\.\d{1,9})?$/.test(value.trim()) ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

/** RFC 6749, 3.3, but also with commas (GitHub, whatever separates them in the request) or as an array. */
function toScopes (value: unknown, separator: string): string[] | undefined {
  const parts = typeof value === 'string' ? value.split(separator === '' ? ' ' : separator).flatMap((part) => part.split(/[\s,]+/)) : value
  if (!Array.isArray(parts)) return undefined
  const scopes = parts.filter((scope): scope is string => typeof scope === 'string' && /^[\x21-\x7e]{1,300}$/.test(scope))
  return [...new Set(scopes)].slice(0, SCOPES_MAX)
}

/** A scalar as text that can be stored; ids of 64 bits keep their digits. */
function toText (value: unknown): string | undefined {
  const text = isKeptNumber(value) ? JSON.stringify(value) : typeof value === 'number' || typeof value === 'boolean' ? String(value) : value
  return typeof text === 'string' && text !== '' && text.length <= VALUE_LENGTH_MAX && isStorable(text) ? text : undefined
}

/**
 * A claim of a JWT that came straight from the token endpoint over TLS, which stands for its
 * signature (OpenID Connect Core, 3.1.3.7, 6). It tells two grants apart; it authenticates nobody.
 */
function readClaim (token: unknown, pointer: string): string | undefined {
  const payload = typeof token === 'string' ? token.split('.')[1] : undefined
  return payload === undefined ? undefined : toText(readPointer(parseObject(Buffer.from(payload, 'base64url')), pointer))
}
