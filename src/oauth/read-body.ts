import { measureJson, parseExactly } from '../json.ts'

const LIMITS = { depth: 16, keys: 1_000, items: 5_000, containers: 1_000 }
const FORM_FIELDS_MAX = 100

/** A token endpoint's body as an object; undefined when it is none: empty, HTML, a list, too complex. */
export function readBody (body: Uint8Array, contentType = ''): object | undefined {
  return parseObject(body) ?? (/^\s*(application\/x-www-form-urlencoded|text\/plain)\b/i.test(contentType) ? parseForm(body) : undefined)
}

export function parseObject (bytes: Uint8Array): object | undefined {
  if (bytes.length === 0 || measureJson(bytes, LIMITS).problem !== undefined) return undefined
  try {
    const value = parseExactly(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** GitHub and some older servers answer in the form they were asked in. */
function parseForm (bytes: Uint8Array): object | undefined {
  const text = Buffer.from(bytes).toString('utf8').trim()
  if (!/^[\w.-]+=[^\s<>{}]*$/.test(text)) return undefined
  const fields = [...new URLSearchParams(text)]
  return fields.length <= FORM_FIELDS_MAX ? Object.fromEntries(fields) : undefined
}
