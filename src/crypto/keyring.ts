import { createSecretKey, type KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { VaultError } from '../errors.ts'
import type { KeyId } from '../ids.ts'
import { nameScope, type KeyScope } from './binding.ts'
import type { KeyWrapper, StoredKey } from './key-care.ts'

/** Where wrapped keys are kept; `store` implements it. */
export interface KeyTable {
  findCurrent (scope: KeyScope): Promise<StoredKey | undefined>
  find (scope: KeyScope, id: KeyId): Promise<StoredKey | undefined>
  /** Adds the key as the scope's current one; false when another process was first. */
  insertCurrent (scope: KeyScope, key: StoredKey): Promise<boolean>
  /** Keys that were replaced less than so many seconds ago. */
  listReplaced (scope: KeyScope, withinSeconds: number): Promise<StoredKey[]>
}

export interface ScopeKey {
  readonly id: KeyId
  readonly key: KeyObject
}

export interface Keyring {
  /** The scope's current key, made on first need. */
  current (scope: KeyScope): Promise<ScopeKey>
  /** A key by its id; undefined when the scope has no such key (any more). */
  find (scope: KeyScope, id: KeyId): Promise<ScopeKey | undefined>
  /** `find` without waiting: undefined also when the key is not in memory. */
  peek (scope: KeyScope, id: KeyId): ScopeKey | undefined
  /** The current key of a scope, then those it replaced within a day and an hour: what lives for a day may be theirs. */
  listRecent (scope: KeyScope): Promise<ScopeKey[]>
  /** All keys of a scope that there still are; of a scope that has few. */
  listAll (scope: KeyScope): Promise<ScopeKey[]>
  /** Asks the database again which keys are current: one turned out to be replaced. */
  forgetCurrentKeys (): void
  /** Drops a workspace’s keys from memory. */
  forgetWorkspace (workspaceId: string): void
}

interface KeyringOptions {
  readonly wrapper: KeyWrapper
  readonly keys: KeyTable
  /** How long an unwrapped key stays in memory. */
  readonly cacheMs: number
}

const CACHED_KEYS_MAX = 50_000
/** What is compared with what was stored a day ago, and the hourly purge may be late. */
const RECENT_SECONDS = 25 * 3_600
const RECENT_CACHE_MS = 5_000
const EVER_SECONDS = 100 * 365 * 86_400
/** Longer than a provider's own time-outs: only one that does not keep to them is given up here. What it answers later is remembered all the same. */
const WAIT_MS = 4_000
/** With this much of its time left, a key in use is unwrapped again, while nobody waits for it: an absence of the provider that is shorter goes unnoticed. */
const AHEAD_SHARE = 0.5
/** When that fails, it is not tried again with every use. */
const AHEAD_PAUSE_MS = 1_000

/** Unwraps, makes and remembers the keys that seal. */
export function createKeyring (options: KeyringOptions): Keyring {
  const { keys, wrapper } = options
  const unwrapped = new LRUCache<string, ScopeKey>({ max: CACHED_KEYS_MAX, ttl: options.cacheMs })
  // Which key is current is asked of the database at each sealing's commit; this only saves the look-up.
  const currentIds = new LRUCache<string, KeyId>({ max: CACHED_KEYS_MAX, ttl: options.cacheMs })

  const unwrap = async (scope: KeyScope, stored: StoredKey): Promise<ScopeKey> => {
    const bytes = await wrapper.unwrap(scope, stored)
    const key = createSecretKey(bytes)
    bytes.fill(0)
    const made = Object.freeze({ id: stored.id, key })
    unwrapped.set(nameScope(scope, stored.id), made)
    return made
  }
  const once = createOnce()
  const load = async (scope: KeyScope, id: KeyId): Promise<ScopeKey | undefined> => {
    const stored = await keys.find(scope, id)
    return stored && await unwrap(scope, stored)
  }
  const unwrapAhead = createAhead((name, scope, id) => once(name, () => load(scope, id)))
  const peek = (scope: KeyScope, id: KeyId): ScopeKey | undefined => {
    const name = nameScope(scope, id)
    const found = unwrapped.get(name)
    if (found !== undefined && unwrapped.getRemainingTTL(name) < options.cacheMs * AHEAD_SHARE) unwrapAhead(`${name} ahead`, scope, id)
    return found
  }

  const find = async (scope: KeyScope, id: KeyId): Promise<ScopeKey | undefined> =>
    peek(scope, id) ?? await once(nameScope(scope, id), () => load(scope, id))

  const current = async (scope: KeyScope): Promise<ScopeKey> => {
    const id = currentIds.get(nameScope(scope, 'current'))
    const cached = id && peek(scope, id)
    if (cached) return cached
    return await once(nameScope(scope, 'current'), async () => {
      const stored = await keys.findCurrent(scope) ?? await make(options, scope)
      currentIds.set(nameScope(scope, 'current'), stored.id)
      return peek(scope, stored.id) ?? await unwrap(scope, stored)
    })
  }

  const open = async (scope: KeyScope, stored: StoredKey) => peek(scope, stored.id) ?? await unwrap(scope, stored)
  const recent = createRecent(keys, Math.min(options.cacheMs, RECENT_CACHE_MS), open)
  return Object.freeze({
    current,
    find,
    peek,
    listRecent: async (scope: KeyScope) => {
      const [now, before] = await Promise.all([current(scope), recent.list(scope)])
      return [now, ...before.filter(({ id }) => id !== now.id)]
    },
    listAll: async (scope: KeyScope) => {
      const [now, before] = await Promise.all([current(scope), keys.listReplaced(scope, EVER_SECONDS)])
      return [now, ...await Promise.all(before.filter(({ id }) => id !== now.id).map(async (stored) => await open(scope, stored)))]
    },
    forgetCurrentKeys: () => {
      currentIds.clear()
      recent.clear()
    },
    forgetWorkspace: (workspaceId: string) => {
      currentIds.clear()
      for (const name of [...unwrapped.keys()]) if (name.startsWith(`workspace ${workspaceId} `)) unwrapped.delete(name)
    },
  })
}

/** Callers that miss together wait for one look-up and one unwrapping: a KEK may be far away. */
function createOnce () {
  const underWay = new Map<string, Promise<ScopeKey | undefined>>()
  return async <T extends ScopeKey | undefined>(name: string, work: () => Promise<T>): Promise<T> => {
    const running = underWay.get(name) as Promise<T> | undefined ?? work().finally(() => { underWay.delete(name) })
    underWay.set(name, running)
    return await within(running)
  }
}

async function within<T> (work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    reject(new VaultError('kek_unavailable', { detail: 'The key provider does not answer in time.', retryAfterSeconds: 2 }))
  }, WAIT_MS)
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

type Ahead = (name: string, scope: KeyScope, id: KeyId) => void

/** Fetches a key whose time is nearly over: where the provider is slow or away for a while, only those wait for it who have not used its keys lately. */
function createAhead (load: (...of: Parameters<Ahead>) => Promise<unknown>): Ahead {
  const tried = new LRUCache<string, true>({ max: CACHED_KEYS_MAX, ttl: AHEAD_PAUSE_MS })
  return (name, scope, id) => {
    if (tried.has(name)) return
    tried.set(name, true)
    load(name, scope, id).catch(() => undefined)
  }
}

/** Keys that were replaced a short time ago, remembered for a moment. */
function createRecent (keys: KeyTable, cacheMs: number, unwrap: (scope: KeyScope, stored: StoredKey) => Promise<ScopeKey>) {
  const known = new LRUCache<string, Promise<ScopeKey[]>>({ max: 100, ttl: cacheMs })
  const look = async (scope: KeyScope): Promise<ScopeKey[]> => {
    const replaced = await keys.listReplaced(scope, RECENT_SECONDS)
    return await Promise.all(replaced.map(async (stored) => await unwrap(scope, stored)))
  }
  return {
    list: async (scope: KeyScope): Promise<ScopeKey[]> => {
      const name = nameScope(scope, 'replaced')
      const looked = known.get(name) ?? look(scope)
      known.set(name, looked)
      looked.catch(() => { known.delete(name) })
      return await looked
    },
    clear: () => { known.clear() },
  }
}

async function make ({ keys, wrapper }: KeyringOptions, scope: KeyScope): Promise<StoredKey> {
  const stored = await wrapper.makeKey(scope)
  if (await keys.insertCurrent(scope, stored)) return stored
  const winner = await keys.findCurrent(scope)
  if (winner === undefined) throw new VaultError('internal', { detail: 'A key was neither made nor found.' })
  return winner
}
