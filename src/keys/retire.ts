import { kekProviderOf, KEK_SLOTS, type KeyScope } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { KeyId } from '../ids.ts'
import {
  countRowsUnder, eraseKey, guard, listKeysToErase, listPreviousKeys, lockKey, markKey, retireKek,
  type OwnedKey, type RowCount, type Tx,
} from '../store/index.ts'
import type { KeysOptions } from './options.ts'
import { ownerOf, SYSTEM } from './replace.ts'
import type { KeyCaller } from './rotate.ts'

/** What became of keys that were replaced. */
export interface Retirement {
  readonly retired: number
  /** Some of those that are still needed, and by what. */
  readonly kept: readonly { readonly keyId: KeyId, readonly workspaceId: string | null, readonly rows: readonly RowCount[] }[]
}

const PAGE = 100
const KEPT_SHOWN = 100
/** No request that read a row before its key was retired is still under way: statements and transactions end within ten seconds. */
const ERASE_AFTER_SECONDS = 60

export function createRetirement ({ database, crypto, ledger, log, columns }: KeysOptions) {
  const count = async (tx: Tx, scope: KeyScope, id: KeyId) =>
    await countRowsUnder(tx, columns, { kind: scope.kind, workspaceId: scope.kind === 'system' ? '' : scope.workspaceId, id })

  const retireOne = async (scope: KeyScope, id: KeyId, caller: KeyCaller): Promise<readonly RowCount[] | 'gone'> => await database.transaction(async (tx) => {
    if (await lockKey(tx, scope, id) !== 'previous') return 'gone'
    const rows = await count(tx, scope, id)
    if (rows.length > 0) return rows
    await markKey(tx, { scope, id }, 'retired')
    await ledger.recordIn(tx, { event: 'key.retired', outcome: 'ok', principal: caller.principal, requestId: caller.requestId, ...ownerOf(scope), details: { key_id: id } })
    return []
  })

  return {
    /** Retires every replaced key that no row needs any more. */
    retire: async (caller: KeyCaller): Promise<Retirement> => {
      const kept: Retirement['kept'][number][] = []
      let retired = 0
      for (let after: OwnedKey | undefined; ;) {
        const keys = await guard(() => listPreviousKeys(database.db, { after, limit: PAGE }))
        for (const key of keys) {
          const scope: KeyScope = key.environment === null ? { kind: 'system' } : { kind: 'workspace', workspaceId: key.workspaceId, environment: key.environment }
          const rows = await retireOne(scope, key.id, caller)
          if (rows === 'gone') continue
          if (rows.length === 0) retired++
          else if (kept.length < KEPT_SHOWN) kept.push({ keyId: key.id, workspaceId: key.environment === null ? null : key.workspaceId, rows })
        }
        after = keys.findLast(({ kind }) => kind === 'workspace')
        if (after === undefined) return { retired, kept }
      }
    },
    /** Says that a KEK is no longer needed. Throws `key_in_use` while it wraps a key or is to wrap new ones, `not_found`. */
    retireKek: async (kekId: string, caller: KeyCaller): Promise<void> => {
      const slots = KEK_SLOTS.filter((slot) => crypto.currentKekId(slot) === kekId)
      if (slots.length > 0) throw new VaultError('key_in_use', { detail: `${kekId} is the current KEK of ${slots.join(', ')}.` })
      await database.transaction(async (tx) => {
        const end = await retireKek(tx, kekId)
        if (end === 'unknown') throw new VaultError('not_found')
        if (end === 'in_use') throw new VaultError('key_in_use', { detail: `${kekId} still wraps keys: rotate the KEK first.` })
        await ledger.recordIn(tx, { event: 'kek.retired', outcome: 'ok', principal: caller.principal, requestId: caller.requestId, details: { kek_id: kekId, provider: kekProviderOf(kekId) } })
      })
    },
    /**
     * Erases keys that were retired a minute ago, if they are still not needed: a value that was
     * copied in the moment of the retirement brings its key back. Answers how many it looked at.
     */
    erase: async (): Promise<number> => {
      const due = await guard(() => listKeysToErase(database.db, ERASE_AFTER_SECONDS, PAGE))
      for (const { scope, stored: { id } } of due) {
        await database.transaction(async (tx) => {
          if (await lockKey(tx, scope, id) !== 'retired') return
          const rows = await count(tx, scope, id)
          if (rows.length > 0) {
            log.warn({ key_id: id }, 'a retired key is needed after all, and waits for the next sweep')
            await markKey(tx, { scope, id }, 'previous')
            return
          }
          await eraseKey(tx, scope, id)
          await ledger.recordIn(tx, { event: 'key.erased', outcome: 'ok', principal: SYSTEM, ...ownerOf(scope), details: { key_id: id } })
        })
      }
      return due.length
    },
  }
}
