/**
 * Access: who is calling, and what they may do.
 *
 * Invariants
 * - A token is stored as its hash and nothing of it is remembered for more than half a second.
 * - What a caller may not see does not exist for it: the answer is that of a missing object.
 * - A JWT counts only for its issuer, audience and algorithms; its rights are the operator's rules.
 */
import type { Macs } from '../crypto/index.ts'
import type { Clock } from '../clock.ts'
import type { Egress } from '../egress/index.ts'
import type { Log } from '../log.ts'
import type { Database } from '../store/index.ts'
import { createAuthenticator, type Authenticator } from './authenticate.ts'
import { createJwtVerifier, type TrustedIssuer } from './jwt.ts'
import { createTokens, type Tokens } from './tokens.ts'

export { IssuersError, parseTrustedIssuers, type TrustedIssuer } from './jwt.ts'
export { requirePermission, type Permission } from './policy.ts'
export { ALL, PRESETS, SCOPES, type Preset, type Principal, type Scope } from './principal.ts'
export type { CreatedToken, TokenRequest } from './tokens.ts'

export type Access = Pick<Authenticator, 'authenticate'> & { readonly tokens: Tokens }

export function createAccess (options: { database: Database, macs: Macs, egress: Egress, issuers: readonly TrustedIssuer[], clock: Clock, log: Log }): Access {
  const { database, macs, issuers, clock } = options
  const { authenticate, revoked } = createAuthenticator({ database, jwt: createJwtVerifier(issuers, options) })
  return Object.freeze({
    authenticate,
    tokens: createTokens({ database, macs, clock, revoked }),
  })
}
