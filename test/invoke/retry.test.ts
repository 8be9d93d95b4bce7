import t from 'tap'
import type { CallResult } from '../../src/calls/index.ts'
import { isDoubtful, judgeRetry, settle, type EndedCall } from '../../src/connections/retry.ts'

const now = new Date('2026-01-31T12:00:00Z')
const ended = (changes: Partial<EndedCall> = {}): EndedCall => ({ repeatable: true, attempts: 1, remainingMs: 30_000, now, jitter: 1, ...changes })
const failed = (kind: 'blocked' | 'unreachable' | 'interrupted' | 'timeout' | 'cancelled' | 'too_large', maybeSent = true): CallResult => ({ kind, maybeSent, detail: '' })
const answered = (status: number, headers: Record<string, string> = {}, errorClass?: 'rate_limited' | 'input'): CallResult => ({
  kind: 'answered', response: { status, headers, requestId: null, output: null, error: errorClass && { class: errorClass, message: '' }, tokenRefused: false, judged: { status, headers, json: undefined } },
})
const full = (headers: Record<string, string> = {}, status = 429) => answered(status, headers, 'rate_limited')

t.test('what is made again, and after how long', async (t) => {
  t.equal(judgeRetry(failed('unreachable', false), ended()), 200)
  t.equal(judgeRetry(failed('unreachable', false), ended({ attempts: 2 })), 400)
  t.equal(judgeRetry(failed('unreachable', false), ended({ jitter: 0 })), 100)
  t.equal(judgeRetry(failed('unreachable', false), ended({ repeatable: false })), 200, 'nothing left, so that even an unsafe call may go again')
  t.equal(judgeRetry(failed('interrupted'), ended()), 200)
  for (const status of [502, 503, 504]) t.equal(judgeRetry(answered(status), ended()), 200)
  t.equal(judgeRetry(answered(503, { 'retry-after': '2' }), ended()), 2_000)
  t.equal(judgeRetry(full({ 'retry-after': '2' }), ended()), 2_000)
  t.equal(judgeRetry(full({ 'retry-after': '0' }), ended()), 0)
  t.equal(judgeRetry(full({ 'retry-after': 'Sat, 31 Jan 2026 12:00:05 GMT' }), ended()), 5_000)
  t.equal(judgeRetry(full({ 'retry-after': 'Sat, 31 Jan 2026 11:00:00 GMT' }), ended()), 0, 'a time that has passed')
  t.equal(judgeRetry(full({ 'retry-after': '2' }, 403), ended()), 2_000, 'what the manifest calls a full provider, whatever its status')
  t.equal(judgeRetry(answered(429, { 'retry-after': '2' }, 'input'), ended()), undefined, 'and not what it calls something else')
})

t.test('what is not', async (t) => {
  for (const kind of ['blocked', 'timeout', 'cancelled', 'too_large'] as const) t.equal(judgeRetry(failed(kind), ended()), undefined, kind)
  for (const status of [200, 302, 400, 401, 403, 404, 409, 422, 500, 501]) t.equal(judgeRetry(answered(status), ended()), undefined, String(status))
  for (const result of [failed('interrupted'), answered(503), full({ 'retry-after': '1' })]) t.equal(judgeRetry(result, ended({ repeatable: false })), undefined, 'unsafe')
  t.equal(judgeRetry(full(), ended()), undefined, 'no time is given')
  t.equal(judgeRetry(full({ 'retry-after': 'soon' }), ended()), undefined)
  t.equal(judgeRetry(full({ 'retry-after': '9999999999' }), ended()), undefined)
  t.equal(judgeRetry(full({ 'retry-after': '30' }), ended()), undefined, 'beyond the deadline')
  t.equal(judgeRetry(answered(503), ended({ remainingMs: 250 })), undefined, 'no time left for an attempt')
  t.equal(judgeRetry(answered(503), ended({ attempts: 3 })), undefined, 'three times is enough')
})

t.test('what several attempts come to', async (t) => {
  const refused = (errorClass: 'rate_limited' | 'provider_unavailable' | 'conflict' | 'input' | undefined): CallResult => ({
    kind: 'answered', response: { status: 503, headers: {}, requestId: null, output: null, error: errorClass && { class: errorClass, message: '' }, tokenRefused: false, judged: { status: 503, headers: {}, json: undefined } },
  })
  t.ok(isDoubtful(failed('interrupted')))
  t.notOk(isDoubtful(failed('unreachable', false)))
  t.notOk(isDoubtful(refused('provider_unavailable')), 'an answer is an answer')
  for (const result of [failed('unreachable', false), failed('blocked', false), refused('rate_limited')]) t.equal(settle(result, { doubtful: false, unsafe: true }), result)
  for (const kind of ['unreachable', 'blocked', 'cancelled'] as const) t.match(settle(failed(kind, false), { doubtful: true, unsafe: true }), { kind, maybeSent: true })
  for (const open of ['rate_limited', 'provider_unavailable', 'conflict'] as const) {
    t.match(settle(refused(open), { doubtful: true, unsafe: true }), { kind: 'interrupted', maybeSent: true, status: 503 }, open)
    t.match(settle(refused(open), { doubtful: true, unsafe: false }), { kind: 'answered' })
  }
  for (const settled of ['input', undefined] as const) t.match(settle(refused(settled), { doubtful: true, unsafe: true }), { kind: 'answered' })
})
