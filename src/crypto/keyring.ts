import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { VaultError } from '../errors.ts'
import { newId, type KeyId } from '../ids.ts'
import { KEY_BYTES } from './aead.ts'
import { encodeScope, type KeyScope } from './binding.ts'
import { KeyringError, type KekProvider, type KekSlot, type WrappedKey } from './kek/provider.ts'

/** A tenant's or the vault's own key as the database holds it. */
export interface StoredKey {
  readonly id: KeyId
  readonly kekId: string
  readonly wrapped: WrappedKey
}

/** Where wrapped keys are kept; `store` implements it. */
export interface KeyTable {
  findCurrent (scope: KeyScope): Promise<StoredKey | undefined>
  find (scope: KeyScope, id: KeyId): Promise<StoredKey | undefined>
  /** Adds the key as the scope's current one; false when another process was first. */
  insertCurrent (scope: KeyScope, key: StoredKey): Promise<boolean>
}

/** A known value wrapped by a KEK when it was first used: it tells a wrong KEK from a right one. */
export interface KekCheck {
  readonly kekId: string
  readonly check: WrappedKey
}

export interface KekCheckTable {
  listChecks (): Promise<KekCheck[]>
  insertCheck (check: KekCheck): Promise<void>
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
  /** Throws a KeyringError when a KEK the database needs is missing or is not the same key. */
  checkKeks (): Promise<void>
}

interface KeyringOptions {
  readonly keks: KekProvider
  readonly keys: KeyTable
  readonly checks: KekCheckTable
  /** How long an unwrapped key stays in memory. */
  readonly cacheMs: number
}

const CHECK_CONTEXT = Buffer.from('connection-vault kek check 1')
const CHECK_VALUE = Buffer.alloc(KEY_BYTES, 0x5a)
const CACHED_KEYS_MAX = 50_000

/** Unwraps, makes and remembers the keys that seal. */
export function createKeyring (options: KeyringOptions): Keyring {
  const unwrapped = new LRUCache<string, ScopeKey>({ max: CACHED_KEYS_MAX, ttl: options.cacheMs })
  // Which key is current is asked of the database at each sealing's commit; this only saves the look-up.
  const currentIds = new LRUCache<string, KeyId>({ max: CACHED_KEYS_MAX, ttl: options.cacheMs })

  const unwrap = async (scope: KeyScope, stored: StoredKey): Promise<ScopeKey> => {
    const bytes = await options.keks.unwrap(stored.kekId, stored.wrapped, encodeScope(scope, stored.id))
    if (bytes?.length !== KEY_BYTES) throw new VaultError('integrity_failure', { detail: 'A stored key can’t be unwrapped.' })
    const key = createSecretKey(bytes)
    bytes.fill(0)
    const made = Object.freeze({ id: stored.id, key })
    unwrapped.set(cacheName(scope, stored.id), made)
    return made
  }

  const peek = (scope: KeyScope, id: KeyId) => unwrapped.get(cacheName(scope, id))

  // Callers that miss together wait for one look-up and one unwrapping: a KEK may be far away.
  const underWay = new Map<string, Promise<ScopeKey | undefined>>()
  const once = async <T extends ScopeKey | undefined>(name: string, work: () => Promise<T>): Promise<T> => {
    const running = underWay.get(name) as Promise<T> | undefined ?? work().finally(() => { underWay.delete(name) })
    underWay.set(name, running)
    return await running
  }

  const find = async (scope: KeyScope, id: KeyId): Promise<ScopeKey | undefined> =>
    peek(scope, id) ?? await once(cacheName(scope, id), async () => {
      const stored = await options.keys.find(scope, id)
      return stored && await unwrap(scope, stored)
    })

  const make = async (scope: KeyScope): Promise<StoredKey> => {
    const kekId = options.keks.currentKekId(slotOf(scope))
    await recordKek(options, kekId)
    const bytes = randomBytes(KEY_BYTES)
    const id = newId('key')
    const wrapped = await options.keks.wrap(kekId, bytes, encodeScope(scope, id))
    bytes.fill(0)
    const stored = { id, kekId, wrapped }
    if (await options.keys.insertCurrent(scope, stored)) return stored
    const winner = await options.keys.findCurrent(scope)
    if (winner === undefined) throw new VaultError('internal', { detail: 'A key was neither made nor found.' })
    return winner
  }

  const current = async (scope: KeyScope): Promise<ScopeKey> => {
    const id = currentIds.get(cacheName(scope, 'current'))
    const cached = id && peek(scope, id)
    if (cached) return cached
    return await once(cacheName(scope, 'current'), async () => {
      const stored = await options.keys.findCurrent(scope) ?? await make(scope)
      currentIds.set(cacheName(scope, 'current'), stored.id)
      return peek(scope, stored.id) ?? await unwrap(scope, stored)
    })
  }

  return Object.freeze({ current, find, peek, checkKeks: async () => { await checkKeks(options) } })
}

/** On the first use of a KEK, leaves behind what lets a later start recognise it. */
async function recordKek (options: KeyringOptions, kekId: string): Promise<void> {
  const known = await options.checks.listChecks()
  if (known.some((check) => check.kekId === kekId)) return
  await options.checks.insertCheck({ kekId, check: await options.keks.wrap(kekId, CHECK_VALUE, CHECK_CONTEXT) })
}

async function checkKeks (options: KeyringOptions): Promise<void> {
  for (const { kekId, check } of await options.checks.listChecks()) {
    const value = await options.keks.unwrap(kekId, check, CHECK_CONTEXT)
    if (value === undefined || !value.equals(CHECK_VALUE)) {
      throw new KeyringError(`the KEK ${kekId} of this keyring is not the one the database was sealed under, though it has the same name. Start with the keyring that belongs to this database`)
    }
  }
}

function slotOf (scope: KeyScope): KekSlot {
  return scope.kind === 'system' ? 'system' : scope.environment
}

function cacheName (scope: KeyScope, id: string): string {
  return scope.kind === 'system' ? `system ${id}` : `workspace ${scope.workspaceId} ${scope.environment} ${id}`
}
