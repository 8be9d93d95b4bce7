import type { KeyScope, StoredKey } from '../crypto/index.ts'
import { isVaultError } from '../errors.ts'
import { guard, listKeysToReplace, listKeysToRewrap, replaceKey, storeRewrapped, type RotationFilter, type ScopedKey } from '../store/index.ts'
import type { KeysOptions } from './options.ts'
import type { Meter } from './meter.ts'

const KEYS_AT_ONCE = 16

export const SYSTEM = { kind: 'system', id: null, actor: null } as const

/** Whose a key is, as records say it. */
export function ownerOf (scope: KeyScope) {
  return scope.kind === 'system' ? {} : { workspaceId: scope.workspaceId, environment: scope.environment }
}

/** Replaces keys by new ones. From each one's commit on nobody seals under the old one. */
export async function replaceKeys ({ database, crypto, ledger }: KeysOptions, filter: RotationFilter, meter: Meter): Promise<void> {
  for (;;) {
    const keys = await guard(() => listKeysToReplace(database.db, filter, KEYS_AT_ONCE))
    if (keys.length === 0) break
    const changes = await Promise.all(keys.map(async ({ scope, stored }) => ({ scope, old: stored.id, made: await crypto.makeKey(scope) })))
    const replaced = await database.transaction(async (tx) => {
      const done: typeof changes = []
      for (const change of changes) if (await replaceKey(tx, change.scope, change)) done.push(change)
      const records = done.map(({ scope, old, made }) => (
        { event: 'key.rotated' as const, outcome: 'ok' as const, principal: SYSTEM, ...ownerOf(scope), details: { key_id: made.id, replaces: old } }))
      if (records.length > 0) await ledger.recordIn(tx, ...records)
      return done.length
    })
    crypto.forgetCurrentKeys()
    await meter.count('keysMade', replaced)
  }
  await meter.note({ rotated: true })
}

/** Wraps keys again, under the current KEKs. They stay the same keys: nobody notices. */
export async function rewrapKeys (options: KeysOptions, before: Date, meter: Meter): Promise<void> {
  const { database, ledger } = options
  const unusable: string[] = []
  for (;;) {
    const keys = await guard(() => listKeysToRewrap(database.db, { before, except: unusable, limit: KEYS_AT_ONCE }))
    if (keys.length === 0) break
    const tried = await Promise.all(keys.map(async (key) => ({ key, to: await rewrapOne(options, key) })))
    const changes = tried.flatMap(({ key, to }) => to === undefined ? [] : [{ key, to }])
    unusable.push(...tried.flatMap(({ key, to }) => to === undefined ? [key.stored.id] : []))
    await database.transaction(async (tx) => {
      const done: typeof changes = []
      for (const change of changes) if (await storeRewrapped(tx, change.key, change.to)) done.push(change)
      const records = done.map(({ key: { scope, stored }, to }) => (
        { event: 'key.rewrapped' as const, outcome: 'ok' as const, principal: SYSTEM, ...ownerOf(scope), details: { key_id: to.id, from_kek: stored.kekId, to_kek: to.kekId } }))
      if (records.length > 0) await ledger.recordIn(tx, ...records)
    })
    await meter.count('keysRewrapped', changes.length)
  }
  await meter.note({ rewrapped: before })
}

/** A key that can't be unwrapped is reported and left: the next one may be well. */
async function rewrapOne ({ crypto, log }: KeysOptions, { scope, stored }: ScopedKey): Promise<StoredKey | undefined> {
  try {
    return await crypto.rewrap(scope, stored)
  } catch (error) {
    if (!isVaultError(error, 'integrity_failure')) throw error
    log.error({ key_id: stored.id }, 'a key can’t be unwrapped, and stays under its KEK')
    return undefined
  }
}
