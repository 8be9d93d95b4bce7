import { LRUCache } from 'lru-cache'
import { hashBearerToken, sameDigest, sha256 } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { findUsableToken, type Database } from '../store/index.ts'
import { toPrincipal, type Principal } from './principal.ts'
import type { JwtVerifier } from './jwt.ts'

/** A revoked token stops working everywhere within a second, also where no word of it arrives: nothing is remembered longer than this. */
const REMEMBERED_MS = 500
/** By this much the age of what is remembered may be off: a timer that ran every millisecond would cost more than it saves. */
const REMEMBERED_OFF_MS = 50
const REMEMBERED_MAX = 20_000
/** Longer than any token the vault issues and any JWT within reason. */
const LENGTH_MAX = 8_192

export interface Authenticator {
  /** Who sends this bearer token. Throws `unauthenticated`, `issuer_unavailable` or `database_unavailable`. */
  authenticate (bearer: string): Promise<Principal>
  /** A token has been revoked: here, and wherever the word arrives, every one is asked for anew. */
  revoked (): void
}

/** Tells the other processes that a token has been revoked. */
const WORD = 'token-revoked'

export function createAuthenticator ({ database, jwt: verifier }: { database: Pick<Database, 'reads' | 'signals'>, jwt: JwtVerifier }): Authenticator {
  const remembered = new LRUCache<string, Promise<Principal | undefined>>({
    max: REMEMBERED_MAX, ttl: REMEMBERED_MS - REMEMBERED_OFF_MS, ttlResolution: REMEMBERED_OFF_MS,
  })

  // They are known by hashes, and whoever revokes has an id; all are looked up again within half a second as it is.
  const forget = (): void => { remembered.clear() }
  database.signals.listen((word) => {
    if (word !== WORD) return false
    forget()
    return true
  })

  const findByToken = async (hash: Buffer): Promise<Principal | undefined> => {
    const row = await findUsableToken(database.reads, hash)
    if (row === undefined || !sameDigest(row.token_hash, hash)) return undefined
    return toPrincipal('service_token', row.id, row)
  }

  /** Callers that arrive together share one look-up; a failed one is not remembered. */
  const remember = (name: string, find: () => Promise<Principal | undefined>): Promise<Principal | undefined> => {
    const known = remembered.get(name)
    if (known !== undefined) return known
    const found = find()
    remembered.set(name, found)
    found.catch(() => { if (remembered.peek(name) === found) remembered.delete(name) })
    return found
  }

  return Object.freeze({
    revoked: () => {
      forget()
      database.signals.spread(WORD)
    },
    authenticate: async (bearer: string) => {
      if (bearer.length > LENGTH_MAX) throw unauthenticated('The token is too long.')
      if (!bearer.startsWith('cvt_')) {
        const jwt = await remember(sha256(bearer).toString('base64'), () => verifier.verify(bearer))
        if (jwt === undefined) throw unauthenticated('The token is not accepted.')
        return jwt
      }
      const hash = hashBearerToken(bearer)
      if (hash === undefined) throw unauthenticated('The token is mistyped: its checksum does not fit.')
      const principal = await remember(hash.toString('base64'), () => findByToken(hash))
      if (principal === undefined) throw unauthenticated('The token is unknown, expired or revoked.')
      return principal
    },
  })
}

function unauthenticated (detail: string): VaultError {
  return new VaultError('unauthenticated', { detail })
}
