import { createBearerToken, sha256, type Macs, type Fingerprint } from '../crypto/index.ts'
import type { Clock } from '../clock.ts'
import { VaultError, type FieldError } from '../errors.ts'
import { ENVIRONMENTS, isWorkspaceId, newId, type TokenId } from '../ids.ts'
import {
  findTokenByIdempotency, guard, insertToken, isUniqueViolation, listTokens, revokeToken, type Database, type TokenRow, type Tx,
} from '../store/index.ts'
import { ALL, PRESETS, SCOPES, type Preset, type Scope } from './principal.ts'

export interface TokenRequest {
  readonly name: string
  readonly preset?: Preset | undefined
  /** In place of a preset, or beside it. */
  readonly scopes?: readonly Scope[] | undefined
  readonly workspaces: readonly string[]
  readonly environments: readonly string[]
  readonly expiresAt?: Date | undefined
}

export interface CreatedToken {
  readonly row: TokenRow
  /** Shown this once; undefined when an earlier request with the same idempotency key made it. */
  readonly token: string | undefined
}

interface CreateOptions {
  readonly by: string
  /** The caller's Idempotency-Key, made unique by whose it is. */
  readonly idempotencyKey?: string | undefined
  /** Commits together with the token. */
  readonly record: (tx: Tx, row: TokenRow) => Promise<void>
}

export interface Tokens {
  /** Throws `request_invalid` for a grant that would let nobody do anything, or what does not exist. */
  create (request: TokenRequest, options: CreateOptions): Promise<CreatedToken>
  list (page: { before?: TokenId, limit: number }): Promise<TokenRow[]>
  /** Throws `not_found`. Revoking again changes nothing. */
  revoke (id: TokenId, options: { by: string, record: (tx: Tx, row: TokenRow) => Promise<void> }): Promise<TokenRow>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly macs: Macs
  readonly clock: Clock
  /** Called once a revocation is committed: what is remembered of tokens is no longer good. */
  readonly revoked: () => void
}

export function createTokens (options: Options): Tokens {
  const { database, macs, clock } = options

  const replay = async (hash: Buffer, fingerprint: Fingerprint): Promise<CreatedToken | undefined> => {
    const earlier = await findTokenByIdempotency(database.db, hash)
    if (earlier === undefined) return undefined
    if (!fingerprint.matches(earlier.fingerprint)) throw new VaultError('idempotency_conflict', { detail: 'This key was used with another body.' })
    return { row: earlier.token, token: undefined }
  }

  const insert = async (request: TokenRequest, how: CreateOptions, idempotency?: { hash: Buffer, fingerprint: Fingerprint }): Promise<CreatedToken> => {
    const { token, hash } = createBearerToken()
    const row = await database.transaction(async (tx) => {
      const inserted = await insertToken(tx, {
        id: newId('token'), name: request.name, token_hash: hash, scopes: listScopes(request), workspaces: listOrAll(request.workspaces),
        environments: listOrAll(request.environments), created_by: how.by, expires_at: request.expiresAt ?? null,
        idempotency_hash: idempotency?.hash ?? null, idempotency_fingerprint: idempotency?.fingerprint.bytes ?? null,
      })
      await how.record(tx, inserted)
      return inserted
    })
    return { row, token }
  }

  return Object.freeze({
    create: async (request: TokenRequest, how: CreateOptions) => {
      requireSound(request, clock.now())
      if (how.idempotencyKey === undefined) return await insert(request, how)
      const hash = sha256(how.idempotencyKey)
      const fingerprint = await macs.fingerprint(JSON.stringify(request))
      const before = await replay(hash, fingerprint)
      if (before !== undefined) return before
      try {
        return await insert(request, how, { hash, fingerprint })
      } catch (error) {
        if (!isUniqueViolation(error, 'service_tokens_idempotency_hash_key')) throw error
        return await replay(hash, fingerprint) ?? await insert(request, how, { hash, fingerprint })
      }
    },
    list: async (page: { before?: TokenId, limit: number }) => await guard(() => listTokens(database.db, page)),
    revoke: async (id: TokenId, how: { by: string, record: (tx: Tx, row: TokenRow) => Promise<void> }) => {
      const { row } = await database.transaction(async (tx) => {
        const found = await revokeToken(tx, id, how.by)
        if (found === undefined) throw new VaultError('not_found')
        // Once is enough on record, too.
        if (found.revoked) await how.record(tx, found.row)
        return found
      })
      options.revoked()
      return row
    },
  })
}

function requireSound (request: TokenRequest, now: Date): void {
  const judge = (pointer: string, fits: boolean, message: string): FieldError[] => fits ? [] : [{ pointer, message }]
  const errors = [
    ...judge('/name', request.name.trim() !== '', 'must not be empty'),
    ...judge('/scopes', request.preset !== undefined || (request.scopes ?? []).length > 0, 'are required, or a preset'),
    ...judge('/scopes', (request.scopes ?? []).every((scope) => SCOPES.includes(scope)), `must be among: ${SCOPES.join(', ')}`),
    ...judge('/workspaces', request.workspaces.length > 0 && request.workspaces.every((id) => id === ALL || isWorkspaceId(id)), 'must be ids of 1 to 64 letters, digits, _ or -, or *'),
    ...judge('/environments', request.environments.length > 0 && request.environments.every((name) => [ALL, ...ENVIRONMENTS].includes(name)), `must be among: ${ENVIRONMENTS.join(', ')}, *`),
    ...judge('/expires_at', request.expiresAt === undefined || request.expiresAt > now, 'must be in the future'),
  ]
  if (errors.length > 0) throw new VaultError('request_invalid', { detail: errors.map(({ pointer, message }) => `${pointer.slice(1)} ${message}`).join('; '), errors })
}

function listScopes (request: TokenRequest): Scope[] {
  return [...new Set([...request.preset === undefined ? [] : PRESETS[request.preset], ...request.scopes ?? []])].sort()
}

function listOrAll (values: readonly string[]): string[] {
  return values.includes(ALL) ? [ALL] : [...new Set(values)].sort()
}
