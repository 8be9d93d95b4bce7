/**
 * OAuth: the apps, and the protocol. How tokens are asked for, renewed and revoked, and what providers' answers mean.
 *
 * Invariants
 * - A grant is sent once: nothing here retries, follows a redirect, or stores a token.
 * - Every answer and every failure becomes one of a few outcomes; no error object of a library gets out.
 * - What an outcome says in words is bounded, printable, and holds no secret of the request.
 * - Only a clear word about the grant itself gives it up; an answer that may have spent it is `outcome_unknown`.
 * - A client secret is sealed for the hosts of its provider's token and revocation endpoints, and sent to no other.
 */
import type { Clock } from '../clock.ts'
import type { Crypto } from '../crypto/index.ts'
import type { Egress } from '../egress/index.ts'
import type { Ledger } from '../ledger/index.ts'
import type { Database } from '../store/index.ts'
import { createOAuthApps, type OAuthApps } from './apps.ts'
import { createBrowserFlow, type BrowserFlow } from './client.ts'
import { createGrants, type Grants } from './grants.ts'
import { TIMEOUT_MS } from './limits.ts'
import { createRevoker, type Revoker } from './revoke.ts'

export { APP_SECRET_COLUMN, type AppCaller, type AppSettings, type OAuthApps } from './apps.ts'
export { BrokenClientError } from './client.ts'
export { CLIENT_ID, type GrantOutcome, type OAuthClient, type OAuthProvider, type RevokeOutcome, type TokenSet } from './provider.ts'

export type OAuthProtocol = BrowserFlow & Grants & Revoker

export type OAuth = OAuthProtocol & { readonly apps: OAuthApps }

/** `timeoutMs` bounds each request, the last byte of its answer included. */
export function createOAuthProtocol (options: { egress: Pick<Egress, 'send' | 'agents'>, clock: Pick<Clock, 'now'>, timeoutMs?: number }): OAuthProtocol {
  const parts = { timeoutMs: TIMEOUT_MS, ...options }
  return Object.freeze({ ...createBrowserFlow(parts), ...createGrants(parts), ...createRevoker(parts) })
}

export function createOAuth (options: {
  database: Pick<Database, 'db' | 'transaction'>, crypto: Crypto, ledger: Ledger, egress: Egress, clock: Clock,
}): OAuth {
  return Object.freeze({ ...createOAuthProtocol(options), apps: createOAuthApps(options) })
}
