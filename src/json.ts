/** How much structure a JSON text may have before it is parsed. */
export interface JsonLimits {
  readonly depth: number
  /** Members of all objects together. */
  readonly keys: number
  /** Commas: members and elements, together. */
  readonly items: number
}

export type JsonVerdict = 'too_deep' | 'too_many_keys' | 'too_many_items' | undefined

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Judges bytes by counting brackets, colons and commas outside strings: one pass, no allocation, before any parsing. */
export function judgeJson (bytes: Uint8Array, limits: JsonLimits): JsonVerdict {
  let depth = 0
  let keys = 0
  let items = 0
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case QUOTE: at = skipString(bytes, at + 1); break
      case OPEN_ARRAY: case OPEN_OBJECT: if (++depth > limits.depth) return 'too_deep'; break
      case CLOSE_ARRAY: case CLOSE_OBJECT: depth--; break
      case COLON: if (++keys > limits.keys) return 'too_many_keys'; break
      case COMMA: if (++items > limits.items) return 'too_many_items'; break
      default:
    }
  }
  return undefined
}

/** Index of the quote that ends a string. */
function skipString (bytes: Uint8Array, from: number): number {
  let at = from
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at
}

/**
 * Whether every text in a parsed value can be stored and sent: no NUL (Postgres has none in text)
 * and no half of a surrogate pair (it has no UTF-8 form).
 */
export function isStorable (value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0')
  if (Array.isArray(value)) return value.every(isStorable)
  if (value === null || typeof value !== 'object') return true
  return Object.entries(value).every(([name, member]) => isStorable(name) && isStorable(member))
}
