import type { AnswerClass, ErrorClass, Manifest } from '../catalog/index.ts'
import type { Answer } from '../egress/index.ts'
import { ANSWER_LIMITS, isStorable, measureJson, parseExactly } from '../json.ts'
import { readPointer, type JudgedAnswer } from '../predicate.ts'
import { classify, wasCarriedOut } from './classify.ts'
import type { Redactor } from './redact.ts'

/** A provider's answer as a caller gets it: nothing of the credential in it. */
export interface ShapedResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly requestId: string | null
  /** Parsed JSON, text, `{content_type, base64}` for other bytes, null for none. */
  readonly output: unknown
  readonly error: { readonly class: ErrorClass, readonly message: string } | undefined
  /** The provider refuses the token, and another one may do. */
  readonly tokenRefused: boolean
  /** The provider says that it has carried the call out before: which one it was stands in the output. */
  readonly carriedOut?: boolean
  /** For the predicates of test requests. */
  readonly judged: JudgedAnswer
}

const HEADERS = /^(content-type|location|link|retry-after|etag|last-modified|x-total-count|(x-)?rate-?limit.*)$/
const MESSAGE_MAX = 1_000
const REQUEST_ID_MAX = 200

export function shapeResponse (manifest: Manifest, answer: Answer, redactor: Redactor): ShapedResponse {
  const type = (answer.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  const { json, output, broken } = readBody(answer.body, type, redactor)
  const judged = { status: answer.status, headers: answer.headers, json }
  const named = classify(manifest, judged)
  const { request_id_header: requestIdHeader, response_headers: further = [] } = manifest.conventions
  const allowed = Object.entries(answer.headers).filter(([name]) => HEADERS.test(name) || name === requestIdHeader || further.includes(name))
  const headers = Object.fromEntries(allowed.map(([name, value]) => [redactor.lowered(name), redactor.text(value)]))
  return {
    status: answer.status,
    headers,
    requestId: (requestIdHeader === undefined ? undefined : headers[requestIdHeader]) ?? readRequestId(manifest, json, redactor),
    output,
    error: judgeError({ manifest, judged, redactor, named, broken }, type),
    tokenRefused: named === 'refresh_then_retry',
    carriedOut: named === 'conflict' && wasCarriedOut(manifest, judged),
    judged,
  }
}

/** What the answer's body calls the request. */
function readRequestId ({ conventions: { request_id_pointer: pointer } }: Manifest, json: unknown, redactor: Redactor): string | null {
  const found = pointer === undefined ? undefined : readPointer(json, pointer)
  const text = typeof found === 'string' ? redactor.text(found).slice(0, REQUEST_ID_MAX) : undefined
  // It goes on record.
  return text !== undefined && isStorable(text) ? text : null
}

interface ReadBody {
  readonly json?: unknown
  readonly output: unknown
  /** It is not the JSON that it says it is. */
  readonly broken?: true
}

function readBody (body: Buffer, type: string, redactor: Redactor): ReadBody {
  if (body.length === 0) return { output: null }
  if (/^application\/(.*\+)?json$/.test(type) || type === 'text/json') {
    const { problem } = measureJson(body, ANSWER_LIMITS)
    // Parsed, it would take a large multiple of its size: it is left to its caller whether that is worth it.
    if (problem !== undefined && problem !== 'too_deep') return { output: redactor.text(body.toString('utf8')) }
    const json = problem === undefined ? parseJson(body) : undefined
    return json === undefined ? { output: redactor.text(body.toString('utf8')), broken: true } : { json, output: redactor.json(json) }
  }
  if (type === '' || type.startsWith('text/') || /\b(xml|javascript|x-www-form-urlencoded|graphql|yaml|csv)$/.test(type)) {
    return { output: redactor.text(body.toString('utf8')) }
  }
  return { output: { content_type: redactor.lowered(type), base64: redactor.bytes(body).toString('base64') } }
}

function parseJson (body: Buffer): unknown {
  try {
    return parseExactly(body.toString('utf8'))
  } catch {
    return undefined
  }
}

interface Judgement {
  readonly manifest: Manifest
  readonly judged: JudgedAnswer
  readonly redactor: Redactor
  readonly named: AnswerClass | undefined
  readonly broken: true | undefined
}

function judgeError (of: Judgement, type: string): ShapedResponse['error'] {
  const { named, broken } = of
  if (named !== undefined) return { class: named === 'refresh_then_retry' ? 'reauthorise' : named, message: findMessage(of) }
  if (broken) return { class: 'provider_unavailable', message: 'The provider announced JSON and sent something else.' }
  if (type === 'text/html') return { class: 'provider_unavailable', message: 'The provider answered with a web page where data was expected.' }
  return undefined
}

function findMessage ({ manifest, judged, redactor }: Judgement): string {
  if (judged.status >= 300 && judged.status < 400) {
    const host = URL.parse(judged.headers['location'] ?? '')?.host
    return `The provider redirects${host === undefined ? '' : ` to ${redactor.lowered(host)}`}; redirects are not followed, so that the credential stays with its host.`
  }
  for (const pointer of manifest.error_message ?? []) {
    const found = readPointer(judged.json, pointer)
    if (typeof found === 'string' && found !== '') return redactor.text(found).slice(0, MESSAGE_MAX)
  }
  return `The provider answered with status ${judged.status}.`
}
