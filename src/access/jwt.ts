import { createRemoteJWKSet, customFetch, decodeJwt, jwtVerify, errors, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { Type, type Static } from 'typebox'
import { VaultError } from '../errors.ts'
import type { Egress } from '../egress/index.ts'
import type { Log } from '../log.ts'
import { compileSchema } from '../schema.ts'
import { PRESETS, SCOPES, toPrincipal, type Grants, type Principal } from './principal.ts'

const closed = { additionalProperties: false } as const
const List = Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })

/** Which tokens of an issuer get which rights. All claims named must have exactly these values. */
const Rule = Type.Object({
  claims: Type.Record(Type.String(), Type.String()),
  preset: Type.Optional(Type.Enum(Object.keys(PRESETS) as (keyof typeof PRESETS)[])),
  scopes: Type.Optional(Type.Array(Type.Enum([...SCOPES]), { minItems: 1 })),
  /** Ids, `*`, or the claim that holds an id or a list of them. */
  workspaces: Type.Union([List, Type.Object({ claim: Type.String() }, closed)]),
  environments: Type.Array(Type.Enum(['sandbox', 'live', '*']), { minItems: 1 }),
}, closed)

const Issuer = Type.Object({
  issuer: Type.String({ minLength: 1 }),
  audience: Type.String({ minLength: 1 }),
  jwks_url: Type.String({ pattern: '^https?://' }),
  algorithms: Type.Optional(Type.Array(Type.Enum(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']), { minItems: 1 })),
  rules: Type.Array(Rule, { minItems: 1 }),
}, closed)

export type TrustedIssuer = Static<typeof Issuer>

const checkIssuers = compileSchema(Type.Array(Issuer))

/** A list of trusted issuers that can't be used; `message` says where. The start ends here. */
export class IssuersError extends Error {}

/** Reads the list of trusted issuers from its JSON text. */
export function parseTrustedIssuers (text: string): TrustedIssuer[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new IssuersError('the list of trusted issuers is not JSON')
  }
  const wrong = checkIssuers(value)
  if (wrong.length > 0) throw new IssuersError(wrong.map((error) => `trusted issuers: ${error.pointer} ${error.message}`).join('\n'))
  const issuers = value as TrustedIssuer[]
  const bare = issuers.flatMap((issuer) => issuer.rules).find((rule) => (rule.preset === undefined) === (rule.scopes === undefined))
  if (bare !== undefined) throw new IssuersError('trusted issuers: each rule needs either a preset or scopes')
  return issuers
}

export interface JwtVerifier {
  /** The caller a JWT names; undefined when it is not accepted: why is for the log, not for strangers. Throws `issuer_unavailable`. */
  verify (token: string): Promise<Principal | undefined>
}

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA']
const CLOCK_TOLERANCE_SECONDS = 5
const FETCH_TIMEOUT_MS = 5_000
const JWKS_MAX_BYTES = 262_144

/** Accepts JWTs (RFC 7519) of the trusted issuers alone, for the audience agreed with each. */
export function createJwtVerifier (issuers: readonly TrustedIssuer[], { egress, log }: { egress: Pick<Egress, 'send'>, log: Pick<Log, 'info'> }): JwtVerifier {
  const known = new Map(issuers.map((issuer) => [issuer.issuer, { issuer, keys: createKeySource(issuer, egress) }]))
  return Object.freeze({
    verify: async (token: string) => {
      const entry = known.get(readIssuer(token) ?? '')
      const judged = entry === undefined ? 'issuer_not_trusted' : await judge(token, entry)
      if (typeof judged !== 'string') return judged
      log.info({ reason: judged }, 'a JWT is not accepted')
      return undefined
    },
  })
}

async function judge (token: string, { issuer, keys }: { issuer: TrustedIssuer, keys: JWTVerifyGetKey }): Promise<Principal | Refusal> {
  const claims = await verifyClaims(token, issuer, keys)
  return typeof claims === 'string' ? claims : judgeClaims(issuer, claims)
}

/** Read before the signature is checked: it only picks the keys to check with. */
function readIssuer (token: string): string | undefined {
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}

/** Why a JWT is not accepted: words of this file, nothing of the token's. */
type Refusal =
  | 'issuer_not_trusted' | 'expired' | 'audience' | 'expiry_missing' | 'subject_missing' | 'subject_unreadable' | 'not_yet_valid' | 'algorithm' | 'key_unknown' | 'signature'
  | 'malformed' | 'no_rule_fits' | 'no_workspace'

const REFUSALS: Readonly<Record<string, Refusal>> = {
  ERR_JWT_EXPIRED: 'expired', ERR_JOSE_ALG_NOT_ALLOWED: 'algorithm', ERR_JWKS_NO_MATCHING_KEY: 'key_unknown', ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'signature',
}
const CLAIMS: Readonly<Record<string, Refusal>> = { aud: 'audience', exp: 'expiry_missing', sub: 'subject_missing', nbf: 'not_yet_valid', iss: 'issuer_not_trusted' }

function refusalOf (error: unknown): Refusal {
  if (error instanceof errors.JWTClaimValidationFailed) return CLAIMS[error.claim] ?? 'malformed'
  return (error instanceof errors.JOSEError ? REFUSALS[error.code] : undefined) ?? 'malformed'
}

async function verifyClaims (token: string, issuer: TrustedIssuer, keys: JWTVerifyGetKey): Promise<JWTPayload | Refusal> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: issuer.issuer,
      audience: issuer.audience,
      algorithms: issuer.algorithms ?? ALGORITHMS,
      requiredClaims: ['exp', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
    })
    // A subject is written down, and shown to people: Postgres can't store a NUL, and nobody can see the others.
    return /\p{Cc}/u.test(payload.sub ?? '') ? 'subject_unreadable' : payload
  } catch (error) {
    if (error instanceof VaultError) throw error
    if (error instanceof errors.JWKSTimeout) throw unavailable(error)
    return refusalOf(error)
  }
}

function judgeClaims (issuer: TrustedIssuer, claims: JWTPayload): Principal | Refusal {
  const rule = issuer.rules.find((candidate) => Object.entries(candidate.claims).every(([name, value]) => claims[name] === value))
  if (rule === undefined) return 'no_rule_fits'
  const workspaces = Array.isArray(rule.workspaces) ? rule.workspaces : readWorkspaces(claims[rule.workspaces.claim])
  const grants: Grants = { scopes: rule.scopes ?? PRESETS[rule.preset as keyof typeof PRESETS], workspaces, environments: rule.environments }
  return workspaces.length === 0 ? 'no_workspace' : toPrincipal('jwt', `${issuer.issuer}#${claims.sub}`, grants)
}

/** A claim is the issuer's word about one tenant: it can't say "all of them". */
function readWorkspaces (claim: unknown): string[] {
  return [claim].flat().filter((value): value is string => typeof value === 'string' && value !== '' && value !== '*')
}

function createKeySource (issuer: TrustedIssuer, egress: Pick<Egress, 'send'>): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(issuer.jwks_url), {
    cacheMaxAge: 600_000,
    cooldownDuration: 30_000,
    [customFetch]: async (url) => {
      const result = await egress.send('issuer', { method: 'GET', url: new URL(url), headers: { accept: 'application/json' }, timeoutMs: FETCH_TIMEOUT_MS, maxResponseBytes: JWKS_MAX_BYTES })
      if (result.kind !== 'answer' || result.status !== 200) throw unavailable(undefined)
      return new Response(new Uint8Array(result.body), { status: 200, headers: { 'content-type': 'application/json' } })
    },
  })
}

function unavailable (cause: unknown): VaultError {
  return new VaultError('issuer_unavailable', { detail: 'The issuer’s keys can’t be fetched.', retryAfterSeconds: 5, cause })
}
