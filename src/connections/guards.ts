import { VaultError } from '../errors.ts'
import type { Environment } from '../ids.ts'
import type { UsableRow } from '../store/index.ts'

/**
 * Whether a connection may be used in this run. In order: the caller sees its environment, the
 * run's environment is the connection's, it is enabled, finished, and not known to be refused.
 */
export function requireUsable (row: UsableRow | undefined, run: { environment: Environment, visible: readonly Environment[] }): UsableRow {
  if (row === undefined || !run.visible.includes(row.environment)) throw new VaultError('not_found')
  if (row.environment !== run.environment) {
    throw new VaultError('environment_mismatch', { detail: `This is a ${row.environment} connection and the run is ${run.environment}.` })
  }
  if (row.disabled_at !== null) throw new VaultError('connection_disabled')
  if (row.health === 'pending') throw new VaultError('connection_pending')
  if (row.health === 'needs_reauth' || row.health === 'error') {
    throw new VaultError('connection_needs_reauth', { detail: REASONS[row.health_reason ?? ''] ?? 'The provider refuses the stored credential.' })
  }
  return row
}

const REASONS: Readonly<Record<string, string>> = {
  credential_refused: 'The provider has refused the credential repeatedly. Rotate the connection.',
}

/** `stale_usable`: it expires sooner than was asked for. A pasted credential can't be renewed here, so what is left of it is served. */
export type Freshness = 'fresh' | 'stale_usable'

export function judgeFreshness (expiresAt: Date | null, now: Date, minTtlSeconds: number): Freshness {
  return expiresAt === null || expiresAt.getTime() - now.getTime() > minTtlSeconds * 1_000 ? 'fresh' : 'stale_usable'
}

/** The end of the day a pasted credential is said to expire on, UTC. */
export function expiryOf (expiresOn: string | null): Date | null {
  return expiresOn === null ? null : new Date(Date.parse(`${expiresOn}T00:00:00Z`) + 86_400_000)
}
