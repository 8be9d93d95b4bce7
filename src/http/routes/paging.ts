import { VaultError } from '../../errors.ts'
import { isId, type IdKind } from '../../ids.ts'

/** A page of one more row than asked for: that row says that there is a next page, and is left out. */
export function pageOf<T> (rows: readonly T[], limit: number, keyOf: (row: T) => readonly string[]): { items: readonly T[], next: string | null } {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, next: rows.length > limit && last !== undefined ? Buffer.from(keyOf(last).join(' ')).toString('base64url') : null }
}

/** What a cursor of ours holds: instants, places in a feed or ids, of the kinds expected. Throws `request_invalid`. */
export function readCursor (cursor: string, kinds: readonly (IdKind | 'instant' | 'place')[]): string[] {
  const parts = Buffer.from(cursor, 'base64url').toString('utf8').split(' ')
  const fits = parts.length === kinds.length && kinds.every((kind, index) => {
    const part = parts[index] ?? ''
    if (kind === 'place') return /^(0|[1-9]\d{0,14})$/.test(part)
    return kind === 'instant' ? isInstant(part) : isId(kind, part)
  })
  if (!fits) throw new VaultError('request_invalid', { detail: 'The cursor can’t be read.', errors: [{ pointer: '/query/cursor', message: 'must be a `next_cursor` of this list' }] })
  return parts
}

function isInstant (text: string): boolean {
  const instant = new Date(text)
  return !Number.isNaN(instant.getTime()) && instant.toISOString() === text
}
