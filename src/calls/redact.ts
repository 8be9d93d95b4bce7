import type { SecretFields } from '../crypto/index.ts'
import { reveal } from '../crypto/reveal.ts'
import { isKeptNumber } from '../json.ts'
import { createNeedle, findEscaped, type Needle, type Span } from './escapes.ts'
import { NUMBER, spell } from './spellings.ts'
import { findWrapped } from './wrapped.ts'

/** Takes a credential out of whatever a provider sends back. */
export interface Redactor {
  text (value: string): string
  /** For what has been put in lower case: names of headers, hosts, media types. */
  lowered (value: string): string
  /** Every text in a JSON value, names of members included, and every number. */
  json (value: unknown): unknown
  /** Bytes are kept in length: a file's structure survives. */
  bytes (value: Buffer): Buffer
}

const MARK = '[redacted]'
/** Shorter values stand in too many answers by chance; replacing them would corrupt those. */
const LENGTH_MIN = 8
/** Of one answer: reading escapes holds up everybody, and an answer with more than this that may hold a credential was made to do so. */
const ESCAPED_CHARACTERS_MAX = 2 ** 20

/**
 * `sent` are the values as they stood in the request (a whole Basic header). Each value is looked
 * for as it is and in the forms that providers echo: base64 and base64url, also of anything longer
 * that holds it and over several lines, hex, and URL-encoded; it and its base64 also as JSON,
 * JavaScript, Markdown, HTML, forms and URLs escape them, one within another too, with octal numbers and as mail is.
 */
export function createRedactor (secrets: SecretFields, sent: readonly string[]): Redactor {
  const values = [...new Set([...Object.values(secrets).map(reveal), ...sent.map(takeBare)].filter(isLong))]
  const spellings = values.map(spell)
  // Every text of every answer is searched for these; the rest is worked out for those that have one.
  const probes = spellings.flatMap((one) => one.probes).filter(isLong)
  const pieces = spellings.flatMap((one) => one.pieces)
  const shortest = probes.reduce((least, { length }) => Math.min(least, length), Infinity)
  const forms = once(() => [...new Set([...probes, ...spellings.flatMap(({ whole }) => whole)])].sort(longestFirst))
  const lowerForms = once(() => probes.map((probe) => probe.toLowerCase()).sort(longestFirst))
  const numbers = once(() => new Set(values.filter((value) => NUMBER.test(value)).flatMap(spellNumber)))
  const needles = once((): Needle[] => [...values, ...spellings.flatMap(({ pieces: inner, whole }) => [...inner, ...whole]).filter((base64) => base64.includes('+') || base64.includes('/'))].map((value) => createNeedle(value, LENGTH_MIN)))
  const wide = once(() => values.map((value) => Buffer.from(value, 'utf16le')))
  const budget = { characters: ESCAPED_CHARACTERS_MAX }

  const text = (value: string): string => {
    if (value.length < LENGTH_MIN) return value
    const clean = replaceSpans(value, findEscaped(value, needles, budget), findWrapped(value, pieces))
    return clean.length >= shortest && probes.some((probe) => clean.includes(probe)) ? replaceForms(clean, forms()) : clean
  }
  const json = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value)
    if (Array.isArray(value)) return value.map(json)
    if (typeof value === 'number' || isKeptNumber(value)) return numbers().size > 0 && numbers().has(JSON.stringify(value)) ? MARK : value
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [text(name), json(member)]))
  }
  const bytes = (value: Buffer): Buffer => {
    for (const { from, to } of [...findEscaped(value, needles, budget), ...findWrapped(value.toString('latin1'), pieces)]) value.fill('*', from, to)
    if (probes.some((probe) => value.includes(probe))) for (const form of forms()) blot(value, Buffer.from(form))
    for (const form of wide()) blot(value, form)
    return value
  }
  const lowered = (value: string): string => value.length < shortest ? value : replaceForms(value, lowerForms())
  return Object.freeze({ text, lowered, json, bytes })
}

function once<T> (make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}

function longestFirst (a: string, b: string): number {
  return b.length - a.length
}

function isLong (value: string): boolean {
  return value.length >= LENGTH_MIN
}

/** A header's value without its scheme. */
function takeBare (value: string): string {
  const bare = value.slice(value.indexOf(' ') + 1)
  return isLong(bare) ? bare : value
}

/** As it is written, and as whoever takes it for a number would write it. */
function spellNumber (digits: string): string[] {
  return [digits, JSON.stringify(Number(digits))].filter(isLong)
}

function replaceForms (value: string, forms: readonly string[]): string {
  let clean = value
  for (const form of forms) if (form.length <= clean.length && clean.includes(form)) clean = clean.replaceAll(form, MARK)
  return clean
}

function blot (value: Buffer, form: Buffer): void {
  for (let at = value.indexOf(form); at >= 0; at = value.indexOf(form, at)) value.fill('*', at, at += form.length)
}

/** None overlap. */
function join (spans: readonly Span[]): Span[] {
  const joined: Span[] = []
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const last = joined.at(-1)
    if (last === undefined || span.from >= last.to) joined.push(span)
    else joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, span.to) }
  }
  return joined
}

function replaceSpans (value: string, escaped: readonly Span[], wrapped: readonly Span[]): string {
  if (escaped.length + wrapped.length === 0) return value
  let clean = ''
  let done = 0
  for (const { from, to } of join([...escaped, ...wrapped])) {
    clean += value.slice(done, from) + MARK
    done = to
  }
  return clean + value.slice(done)
}
