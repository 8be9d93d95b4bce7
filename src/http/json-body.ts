import type { FastifyInstance, FastifyRequest } from 'fastify'
import { VaultError } from '../errors.ts'
import { countMembers, hasInexactNumber, isStorable, measureJson, type JsonProblem } from '../json.ts'

const LIMITS = { depth: 64, keys: 10_000, items: 50_000, containers: 50_000 }

const TOO_COMPLEX: Readonly<Record<JsonProblem, string>> = {
  too_deep: `It is nested deeper than ${LIMITS.depth} levels.`,
  too_many_keys: `It has more than ${LIMITS.keys} members.`,
  too_many_items: `It has more than ${LIMITS.items} elements.`,
  too_many_containers: `It has more than ${LIMITS.containers} objects and arrays.`,
}

/** Escapes that can make a text which has no place in Postgres: only bodies with one are looked through again. */
const SUSPICIOUS = /\\u(0000|[dD][89a-fA-F])/

/**
 * The only body the vault reads: JSON in UTF-8, judged by its bytes before it is parsed. Runs
 * after authentication, so that strangers can't make it work at all.
 */
export function acceptJsonOnly (app: FastifyInstance): void {
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  // Refuses `__proto__` and `constructor.prototype`, wherever they stand.
  const parse = app.getDefaultJsonParser('error', 'error') as (request: FastifyRequest, text: string, done: (error: Error | null, body?: unknown) => void) => void
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request: FastifyRequest, body: Buffer, done: (error: Error | null, body?: unknown) => void) => {
    // POSTs without a body often come with the content type all the same.
    if (body.length === 0) { done(null, undefined); return }
    const { problem, keys } = measureJson(body, LIMITS)
    if (problem !== undefined) { done(new VaultError('body_too_complex', { detail: TOO_COMPLEX[problem] })); return }
    let text: string
    try {
      text = utf8.decode(body)
    } catch {
      done(new VaultError('body_not_json', { detail: 'The body is not valid UTF-8.' }))
      return
    }
    parse(request, text, (error, value) => {
      const wrong = error === null ? judgeParsed(text, value, keys) : judgeUnparsed(error)
      if (wrong === undefined) done(null, value)
      else done(new VaultError('body_not_json', { detail: wrong }))
    })
  })
}

function judgeUnparsed ({ message }: Error): string {
  return /prototype/.test(message) ? 'An object in the body has a name that objects have of their own (`__proto__`, `constructor`).' : 'The body is not valid JSON.'
}

/** What valid JSON can say and the vault would not pass on as it was said. */
function judgeParsed (text: string, value: unknown, keys: number): string | undefined {
  if (SUSPICIOUS.test(text) && !isStorable(value)) return 'A text in the body holds NUL or half of a surrogate pair.'
  if (countMembers(value) !== keys) return 'An object in the body has the same name twice.'
  if (hasInexactNumber(text)) return 'A number in the body is too large to be held exactly: send it as a text, if the provider takes one.'
  return undefined
}
