import { LRUCache } from 'lru-cache'
import { isObject } from './json.ts'
import { compileSchema, type SchemaCheck } from './schema.ts'
import { createTimeLimit, OutOfTime } from './time-limit.ts'

/**
 * Schemas that a stranger has written: a document's, or an agent's. They are checked on the thread that serves everybody, so that
 * none of them may take long. Where the work can be told beforehand to be little, a check runs as it is; else against the clock.
 */

/** What is said of a value that could not be checked in time. */
export const TOO_LONG = 'takes too long to check'

const COMPILE_MS = 500
const CHECK_MS = 50
/** A schema that took too long for one value is not run for a while: whoever sends the next could as well send the same again. */
const PAUSE_MS = 10_000
/** What the slow checks of one party may take within as long; those that are quicker than SLOW_MS are any request's work. */
const PARTY_MS = 100
const SLOW_MS = 25
const PARTIES_MAX = 10_000
/** Schema nodes times values, about a microsecond each at the worst: below this nothing is gained by a clock, which costs more. */
const PLAIN_WORK = 20_000

/** Keywords that are shown and not run: a pattern of strangers may take for ever, and formats are lies more often than not. */
const NOT_RUN: ReadonlySet<string> = new Set(['pattern', 'patternProperties', 'format', 'contentEncoding', 'contentMediaType'])
/** Names for a schema that a `$ref` could find it by, within values even, where nothing is taken out of it. */
const IDENTIFIERS: ReadonlySet<string> = new Set(['$id', '$anchor', '$dynamicAnchor', '$recursiveAnchor'])
/** Their members' keys are names, not keywords. */
const NAMED: ReadonlySet<string> = new Set(['properties', '$defs', 'definitions', 'dependentSchemas'])
/** They hold values, not schemas. */
const VALUES: ReadonlySet<string> = new Set(['enum', 'const', 'default', 'examples'])

const limit = createTimeLimit()

/** Those who answer for schemas: what has taken too long is held against all that a party has written, not against one schema. */
export interface Party {
  isPaused (): boolean
  /** For what has just taken so long. */
  charge (tookMs: number): void
}

export function createParty (): Party {
  let [sinceMs, spentMs, pausedUntilMs] = [-Infinity, 0, -Infinity]
  return Object.freeze({
    isPaused: () => performance.now() < pausedUntilMs,
    charge: (tookMs: number) => {
      if (tookMs < SLOW_MS) return
      const nowMs = performance.now()
      if (nowMs - sinceMs > PAUSE_MS) [sinceMs, spentMs] = [nowMs, 0]
      spentMs += tookMs
      if (spentMs >= PARTY_MS) pausedUntilMs = nowMs + PAUSE_MS
    },
  })
}

/** One party for each name. */
export function createParties (): (name: string) => Party {
  const parties = new LRUCache<string, Party>({ max: PARTIES_MAX })
  return (name) => {
    const known = parties.get(name) ?? createParty()
    parties.set(name, known)
    return known
  }
}

/**
 * A check for a schema of a stranger. Throws a TypeError for one that is none, that points anywhere but into itself, or that takes
 * too long to compile. The check answers TOO_LONG for a value that takes too long.
 */
export function compileForeignSchema (schema: object, at = '', party = createParty()): SchemaCheck {
  const check = compile(schema, at, party)
  if (check === undefined) throw new TypeError(`the schema ${TOO_LONG}`)
  return check
}

/** The same, compiled when there is something to check; the check answers TOO_LONG where that takes too long, too. */
export function prepareForeignSchema (build: () => object, at: string, party: Party): SchemaCheck {
  let check: SchemaCheck | undefined
  return (value) => {
    if (check === undefined && !party.isPaused()) check = compile(build(), at, party)
    return check?.(value) ?? [{ pointer: at, message: TOO_LONG }]
  }
}

function compile (schema: object, at: string, party: Party): SchemaCheck | undefined {
  const clean = strip(schema) as object
  const weight = weigh(clean)
  const check = timed(COMPILE_MS, () => compileSchema(clean, at))
  if (check === undefined) {
    // Only one that is given up counts: honest ones are large, too, and compiled once.
    party.charge(COMPILE_MS)
    return undefined
  }
  let refusedUntilMs = -Infinity
  return (value) => {
    if (weight * countUpTo(value, PLAIN_WORK / weight) <= PLAIN_WORK) return check(value)
    const beganMs = performance.now()
    if (beganMs < refusedUntilMs || party.isPaused()) return [{ pointer: at, message: TOO_LONG }]
    const errors = timed(CHECK_MS, () => check(value))
    const endedMs = performance.now()
    party.charge(endedMs - beganMs)
    if (errors === undefined) refusedUntilMs = endedMs + PAUSE_MS
    return errors ?? [{ pointer: at, message: TOO_LONG }]
  }
}

function timed<T> (ms: number, work: () => T): T | undefined {
  try {
    return limit.run(ms, work)
  } catch (error) {
    if (error instanceof OutOfTime) return undefined
    throw error
  }
}

function strip (value: unknown, names = false): unknown {
  if (Array.isArray(value)) return value.map((member) => strip(member))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([key]) => names || !(NOT_RUN.has(key) || IDENTIFIERS.has(key)))
    .map(([key, member]) => [key, !names && VALUES.has(key) ? member : strip(member, !names && NAMED.has(key))]))
}

/** How many schemas there are with every `$ref` followed; infinitely many where one leads back to itself. */
function weigh (root: object): number {
  const known = new Map<object, number>()
  const weightOf = (value: unknown, names = false): number => {
    if (Array.isArray(value)) return value.reduce<number>((sum, member) => sum + weightOf(member), value.length)
    if (!isObject(value)) return 1
    const before = known.get(value)
    if (before !== undefined) return before
    known.set(value, Infinity)
    const weight = Object.entries(value).reduce((sum, [key, member]) => sum + (names ? weightOf(member) : weightOfKeyword(key, member)), 1)
    known.set(value, weight)
    return weight
  }
  const weightOfKeyword = (key: string, member: unknown): number => {
    if (key === '$ref') return weightOf(follow(root, member))
    if (key === '$dynamicRef' || key === '$recursiveRef') throw new TypeError(`${key} is not taken`)
    // Compares each with each.
    if (key === 'uniqueItems') return Infinity
    return VALUES.has(key) ? JSON.stringify(member).length : weightOf(member, NAMED.has(key))
  }
  return weightOf(root)
}

/** What a `$ref` points at (RFC 6901, 6): a schema of the same document, never a value that stands in one. */
function follow (root: object, ref: unknown): unknown {
  if (typeof ref !== 'string' || !/^#(\/|$)/.test(ref)) throw new TypeError('a $ref points elsewhere')
  let [at, names]: [unknown, boolean] = [root, false]
  for (const token of decodeURIComponent(ref).split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name) || (!names && !Array.isArray(at) && VALUES.has(name))) throw new TypeError('a $ref points at no schema')
    names = !names && !Array.isArray(at) && NAMED.has(name)
    at = (at as Record<string, unknown>)[name]
  }
  if (names) throw new TypeError('a $ref points at no schema')
  return at
}

/** How many values there are within a value, itself included; no further than to a bound. */
function countUpTo (value: unknown, most: number): number {
  const rest: unknown[] = [value]
  let count = 0
  while (rest.length > 0 && count <= most) {
    const one = rest.pop()
    count++
    if (typeof one === 'object' && one !== null) for (const member of Object.values(one)) rest.push(member)
  }
  return count
}
