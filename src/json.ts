/** How much structure a JSON text may have before it is parsed. */
export interface JsonLimits {
  readonly depth: number
  /** Members of all objects together. */
  readonly keys: number
  /** Commas: members and elements, together. */
  readonly items: number
  /** Objects and arrays: two bytes of text each can be, and take a hundred of memory. */
  readonly containers: number
}

/** What an answer may have, whoever gives it: a provider or an agent. */
export const ANSWER_LIMITS: JsonLimits = { depth: 200, keys: 500_000, items: 1_000_000, containers: 100_000 }

export type JsonProblem = 'too_deep' | 'too_many_keys' | 'too_many_items' | 'too_many_containers'

export interface JsonMeasures {
  readonly problem?: JsonProblem
  /** Members of all objects, those with the same name included. */
  readonly keys: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Judges bytes by counting brackets, colons and commas outside strings: one pass, no allocation, before any parsing. */
export function measureJson (bytes: Uint8Array, limits: JsonLimits): JsonMeasures {
  let depth = 0
  let keys = 0
  let items = 0
  let containers = 0
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case QUOTE: at = skipString(bytes, at + 1); break
      case OPEN_ARRAY: case OPEN_OBJECT:
        if (++depth > limits.depth) return { problem: 'too_deep', keys }
        if (++containers > limits.containers) return { problem: 'too_many_containers', keys }
        break
      case CLOSE_ARRAY: case CLOSE_OBJECT: depth--; break
      case COLON: if (++keys > limits.keys) return { problem: 'too_many_keys', keys }; break
      case COMMA: if (++items > limits.items) return { problem: 'too_many_items', keys }; break
      default:
    }
  }
  return { keys }
}

/** Members of all objects in a parsed value: fewer than were written when one object has a name twice. */
export function countMembers (value: unknown): number {
  if (value === null || typeof value !== 'object') return 0
  const members: unknown[] = Object.values(value)
  return members.reduce<number>((sum, member) => sum + countMembers(member), Array.isArray(value) ? 0 : members.length)
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

/** JSON with the members of every object in the order of their names: one text for what means the same. */
export function canonicalJson (value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) => member !== null && typeof member === 'object' && !Array.isArray(member) && !isKeptNumber(member)
    ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => a < b ? -1 : 1))
    : member)
}

/** What the language has and its type library does not yet: the source text of a number, and a number kept as text. */
interface ExactJson {
  parse (text: string, reviver: (name: string, value: unknown, context: { readonly source?: string }) => unknown): unknown
  rawJSON (text: string): object
  isRawJSON (value: unknown): boolean
}

const exact = JSON as unknown as ExactJson

/** So many digits in a row, and a number may be more than a double can hold. */
const MANY_DIGITS_OR_EXPONENT = /\d{16}|\d[eE]/

/**
 * Parses JSON as `JSON.parse` does, but keeps numbers that a double can't hold as they were
 * written (`JSON.rawJSON`): upstream ids come in 64 bits.
 */
export function parseExactly (text: string): unknown {
  if (!MANY_DIGITS_OR_EXPONENT.test(text)) return JSON.parse(text)
  return exact.parse(text, (_name, value, { source = '' }) => isInexact(value, source) ? exact.rawJSON(source) : value)
}

/** Whether it is a number that `parseExactly` has kept as it was written. */
export function isKeptNumber (value: unknown): boolean {
  return exact.isRawJSON(value)
}

/** Whether a JSON text has a number that would become another one, or none at all, by being parsed. */
export function hasInexactNumber (text: string): boolean {
  if (!MANY_DIGITS_OR_EXPONENT.test(text)) return false
  let found = false
  exact.parse(text, (_name, value, { source = '' }) => {
    found ||= isInexact(value, source)
    return undefined
  })
  return found
}

/** A whole number that a double does not hold exactly, or a number beyond its range. */
function isInexact (value: unknown, source: string): boolean {
  if (typeof value !== 'number') return false
  return !Number.isFinite(value) || (!Number.isSafeInteger(value) && /^-?\d+$/.test(source))
}

/** Whether a value that was parsed is an object, of whatever members. */
export function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
