import type { SecretFields } from '../crypto/index.ts'
import { reveal } from '../crypto/reveal.ts'
import { isKeptNumber } from '../json.ts'

/** Takes a credential out of whatever a provider sends back. */
export interface Redactor {
  text (value: string): string
  /** Every text in a JSON value, names of members included. */
  json (value: unknown): unknown
  /** Bytes are kept in length: a file's structure survives. */
  bytes (value: Buffer): Buffer
}

const MARK = '[redacted]'
/** Shorter values stand in too many answers by chance; replacing them would corrupt those. */
const LENGTH_MIN = 8

/**
 * `sent` are the values as they stood in the request (a whole Basic header). Each value is looked
 * for as it is and in the forms that providers echo: base64, base64url, hex and URL-encoded.
 */
export function createRedactor (secrets: SecretFields, sent: readonly string[]): Redactor {
  const values = new Set([...Object.values(secrets).map(reveal), ...sent, ...sent.map((value) => value.slice(value.indexOf(' ') + 1))])
  const forms = [...new Set([...values].filter((value) => value.length >= LENGTH_MIN).flatMap(spell))].sort((a, b) => b.length - a.length)

  const text = (value: string): string => {
    let clean = value
    for (const form of forms) if (clean.includes(form)) clean = clean.replaceAll(form, MARK)
    return clean
  }
  const json = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value)
    if (Array.isArray(value)) return value.map(json)
    if (value === null || typeof value !== 'object' || isKeptNumber(value)) return value
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [text(name), json(member)]))
  }
  const bytes = (value: Buffer): Buffer => {
    for (const form of forms) {
      for (let at = value.indexOf(form); at >= 0; at = value.indexOf(form, at)) value.fill('*', at, at += Buffer.byteLength(form))
    }
    return value
  }
  return Object.freeze({ text, json, bytes })
}

function spell (value: string): string[] {
  const buffer = Buffer.from(value)
  const base64 = buffer.toString('base64')
  const hex = buffer.toString('hex')
  return [value, encodeURIComponent(value), base64, base64.replace(/=+$/, ''), buffer.toString('base64url'), hex, hex.toUpperCase()]
}
