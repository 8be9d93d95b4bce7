import { LRUCache } from 'lru-cache'
import { createShare, type Share } from './places.ts'

/** Whose a request is, before anybody has looked its token up. */
export interface Callers {
  /** Everybody whose token has not been accepted lately: together they are one caller. */
  readonly strangers: Share
  find (authorization: string | undefined): Share
  /** The token was accepted as this caller’s. What comes back is the share it has from now on. */
  know (authorization: string | undefined, id: string): Share
  /** The token was refused. */
  forget (authorization: string | undefined): void
}

/**
 * Of a token that was accepted its last characters are remembered, for as long as it is used: 60
 * random bits or a piece of a signature, too few to be of use to whoever reads them, too many to
 * be hit upon. V8 copies texts as short as this; longer ones would keep the whole header alive.
 */
const TAIL_CHARACTERS = 12
const TOKEN_CHARACTERS_MIN = 32
const KNOWN_MAX = 50_000
const KNOWN_MS = 600_000

export function createCallers (): Callers {
  const strangers = createShare()
  const byTail = new LRUCache<string, Share>({ max: KNOWN_MAX, ttl: KNOWN_MS, ttlResolution: 1_000, updateAgeOnGet: true })
  // One caller may have many tokens, such as a JWT for each of its requests.
  const byId = new LRUCache<string, Share>({ max: KNOWN_MAX })
  return Object.freeze({
    strangers,
    find: (authorization: string | undefined) => {
      const tail = tailOf(authorization)
      return (tail === undefined ? undefined : byTail.get(tail)) ?? strangers
    },
    know: (authorization: string | undefined, id: string) => {
      const tail = tailOf(authorization)
      if (tail === undefined) return strangers
      const share = byId.get(id) ?? createShare()
      byId.set(id, share)
      byTail.set(tail, share)
      return share
    },
    forget: (authorization: string | undefined) => {
      const tail = tailOf(authorization)
      if (tail !== undefined) byTail.delete(tail)
    },
  })
}

function tailOf (authorization: string | undefined): string | undefined {
  return authorization === undefined || authorization.length < TOKEN_CHARACTERS_MIN ? undefined : authorization.slice(-TAIL_CHARACTERS)
}
