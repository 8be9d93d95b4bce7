import { VaultError } from './errors.ts'

/**
 * What an editor read: a revision, any that there is, one that no revision is, or nothing in
 * particular. From `If-Match` (RFC 9110, 13.1.1), of which one tag is understood.
 */
export type Expected = number | 'any' | 'none' | undefined

/** A strong entity tag (RFC 9110, 8.8.3). */
export function formatEtag (revision: number): string {
  return `"${revision}"`
}

/** What an `If-Match` names. A weak tag never matches, nor does one that is not the vault's. */
export function readIfMatch (header: string | undefined): Expected {
  if (header === undefined) return undefined
  if (header === '*') return 'any'
  const revision = /^"([1-9]\d{0,8})"$/.exec(header)?.[1]
  return revision === undefined ? 'none' : Number(revision)
}

/** Throws `etag_mismatch` unless what there is, if anything, is what its editor read. */
export function requireRevision (is: number | undefined, expected: Expected): void {
  if (expected === undefined || (expected === 'any' ? is !== undefined : is === expected)) return
  throw new VaultError('etag_mismatch', { detail: is === undefined ? 'There is none by now.' : `It is at revision ${is} by now.` })
}
