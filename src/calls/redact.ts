import type { SecretFields } from '../crypto/index.ts'
import { reveal } from '../crypto/reveal.ts'
import { isKeptNumber } from '../json.ts'
import { createNeedle, findEscaped, type Needle, type Span } from './escapes.ts'

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
const NUMBER = /^-?\d+(\.\d+)?$/

/**
 * `sent` are the values as they stood in the request (a whole Basic header). Each value is looked
 * for as it is and in the forms that providers echo: base64, base64url, hex and URL-encoded; it and
 * its base64 also as JSON, HTML, forms and URLs escape them, one within another too.
 */
export function createRedactor (secrets: SecretFields, sent: readonly string[]): Redactor {
  const values = new Set([...Object.values(secrets).map(reveal), ...sent.map(takeBare)].filter(isLong))
  const forms = [...new Set([...[...values].flatMap(spell), ...sent.filter(isLong).flatMap(toBase64)])].sort((a, b) => b.length - a.length)
  const numbers = new Set(forms.filter((form) => NUMBER.test(form)).flatMap(spellNumber))
  const budget = { characters: ESCAPED_CHARACTERS_MAX }
  let made: readonly Needle[] | undefined
  const needles = () => {
    made ??= createNeedles(values)
    return made
  }

  const text = (value: string): string => replaceForms(replaceSpans(value, findEscaped(value, needles, budget)), forms)
  const json = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value)
    if (Array.isArray(value)) return value.map(json)
    if (typeof value === 'number' || isKeptNumber(value)) return numbers.size > 0 && numbers.has(JSON.stringify(value)) ? MARK : value
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [text(name), json(member)]))
  }
  const bytes = (value: Buffer): Buffer => {
    for (const { from, to } of findEscaped(value.toString('latin1'), needles, budget)) value.fill('*', from, to)
    for (const form of forms) {
      for (let at = value.indexOf(form); at >= 0; at = value.indexOf(form, at)) value.fill('*', at, at += Buffer.byteLength(form))
    }
    return value
  }
  const lowered = (value: string): string => replaceForms(value, forms.filter((form) => form.length <= value.length).map((form) => form.toLowerCase()))
  return Object.freeze({ text, lowered, json, bytes })
}

function isLong (value: string): boolean {
  return value.length >= LENGTH_MIN
}

/** A header's value without its scheme. */
function takeBare (value: string): string {
  const bare = value.slice(value.indexOf(' ') + 1)
  return isLong(bare) ? bare : value
}

function spell (value: string): string[] {
  const hex = Buffer.from(value).toString('hex')
  const percent = encodeURIComponent(value)
  const lower = percent.replace(/%../g, (byte) => byte.toLowerCase())
  return [value, JSON.stringify(value).slice(1, -1), percent, lower, ...toBase64(value), hex, hex.toUpperCase()]
}

function toBase64 (value: string): string[] {
  const buffer = Buffer.from(value)
  const base64 = buffer.toString('base64')
  return [base64, base64.replace(/=+$/, ''), buffer.toString('base64url')]
}

/** As it is written, and as whoever takes it for a number would write it. */
function spellNumber (digits: string): string[] {
  return [digits, JSON.stringify(Number(digits))].filter(isLong)
}

/** Base64 is escaped as well, where it has a slash or a plus. What reads as a short text would be found by chance. */
function createNeedles (values: ReadonlySet<string>): Needle[] {
  const base64 = [...values].flatMap((value) => toBase64(value).slice(1, 2)).filter((value) => /[+/]/.test(value))
  return [...values, ...base64].map(createNeedle).filter(({ read }) => isLong(read))
}

function replaceForms (value: string, forms: readonly string[]): string {
  let clean = value
  for (const form of forms) if (clean.includes(form)) clean = clean.replaceAll(form, MARK)
  return clean
}

function replaceSpans (value: string, spans: readonly Span[]): string {
  let clean = ''
  let done = 0
  for (const { from, to } of spans) {
    clean += value.slice(done, from) + MARK
    done = to
  }
  return done === 0 ? value : clean + value.slice(done)
}
