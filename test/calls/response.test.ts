import fc from 'fast-check'
import t from 'tap'
import { matches, readPointer } from '../../src/predicate.ts'
import { classify } from '../../src/calls/classify.ts'
import { createRedactor } from '../../src/calls/redact.ts'
import { shapeResponse } from '../../src/calls/shape-response.ts'
import { loadCatalog } from '../../src/catalog/index.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'

const catalog = loadCatalog()
const SECRET = 'sk_test_c4nary+/=?value'
const redactor = createRedactor({ key: wrapSecret(SECRET), short: wrapSecret('abc') }, [`Bearer ${SECRET}`, `Basic ${Buffer.from(`user:${SECRET}`).toString('base64')}`])

t.test('whatever form a credential comes back in, it is taken out', async (t) => {
  const forms = [
    SECRET, `Bearer ${SECRET}`, encodeURIComponent(SECRET), Buffer.from(SECRET).toString('base64'), Buffer.from(SECRET).toString('base64url'), Buffer.from(SECRET).toString('hex'),
    Buffer.from(SECRET).toString('hex').toUpperCase(), `Basic ${Buffer.from(`user:${SECRET}`).toString('base64')}`, `${SECRET}${SECRET}`,
  ]
  for (const form of forms) {
    const text = redactor.text(`before ${form} after`)
    t.match(text, /^before .*\[redacted\].* after$/)
    for (const other of forms) t.notOk(text.includes(other), other)
  }
  t.same(redactor.json({ [SECRET]: [SECRET, { deep: `x${SECRET}y` }], n: 1, b: null }), { '[redacted]': ['[redacted]', { deep: 'x[redacted]y' }], n: 1, b: null })
  t.equal(redactor.text('abcabc'), 'abcabc', 'values shorter than 8 characters would corrupt answers')
  const bytes = redactor.bytes(Buffer.concat([Buffer.from([0, 255]), Buffer.from(SECRET), Buffer.from([1])]))
  t.equal(bytes.length, SECRET.length + 3)
  t.notOk(bytes.includes(SECRET))
  fc.assert(fc.property(fc.stringMatching(/^[\x21-\x7e]{8,60}$/), fc.string(), fc.string(), (secret, before, after) => {
    const one = createRedactor({ key: wrapSecret(secret) }, [])
    return !one.text(before + secret + after).replaceAll('[redacted]', '\u0001').includes(secret)
  }), { numRuns: 1_000 })
})

const shape = (id: string, status: number, body: string | Buffer, headers: Record<string, string> = {}) => shapeResponse(
  catalog.require(id).manifest, { kind: 'answer', status, headers: { 'content-type': 'application/json', ...headers }, body: Buffer.from(body as string) }, redactor)

t.test('answers by content type', async (t) => {
  t.match(shape('stripe', 200, '{"id":"pi_1"}', { 'request-id': 'req_9', 'x-internal': 'no', 'retry-after': '3', 'set-cookie': 'a=b', 'x-ratelimit-remaining': '5' }), {
    output: { id: 'pi_1' }, requestId: 'req_9', error: undefined, headers: { 'request-id': 'req_9', 'retry-after': '3', 'x-ratelimit-remaining': '5' },
  })
  t.notOk('set-cookie' in shape('stripe', 200, '{}', { 'set-cookie': 'a=b' }).headers)
  t.equal(shape('stripe', 204, '').output, null)
  t.equal(shape('stripe', 200, '<a/>', { 'content-type': 'application/xml' }).output, '<a/>')
  t.equal(shape('stripe', 200, 'plain', { 'content-type': 'text/plain; charset=utf-8' }).output, 'plain')
  t.same(shape('stripe', 200, Buffer.from([0, 1, 255]), { 'content-type': 'application/pdf' }).output, { content_type: 'application/pdf', base64: 'AAH/' })
  t.same(shape('stripe', 200, '{"a":1}', { 'content-type': 'application/vnd.api+json' }).output, { a: 1 })
  t.match(shape('stripe', 200, '<html>', { 'content-type': 'text/html' }), { error: { class: 'provider_unavailable', message: /web page/ } })
  t.match(shape('stripe', 200, '{"half":', {}), { output: '{"half":', error: { class: 'provider_unavailable', message: /announced JSON/ } })
  t.match(shape('stripe', 200, '['.repeat(100_000), {}), { error: { class: 'provider_unavailable' } }, 'JSON nested without end is not parsed')
  t.same(JSON.stringify(shape('stripe', 200, '{"__proto__":{"polluted":1}}').output), '{"__proto__":{"polluted":1}}')
  t.equal(({} as { polluted?: number }).polluted, undefined)
})

t.test('what a provider echoes of the credential is gone from every part', async (t) => {
  const shaped = shape('stripe', 401, JSON.stringify({ error: { message: `Invalid API Key provided: ${SECRET}` } }), { 'request-id': SECRET, location: `https://x/?k=${encodeURIComponent(SECRET)}` })
  t.notMatch(JSON.stringify({ ...shaped, judged: undefined }), /c4nary/)
  t.match(shaped.error, { class: 'reauthorise', message: 'Invalid API Key provided: [redacted]' })
})

t.test('redirects are told, not followed', async (t) => {
  t.match(shape('stripe', 302, '', { location: 'https://evil.example/steal' }), { status: 302, error: { class: 'config_error', message: /redirects to evil\.example/ } })
})

t.test('failures by class', async (t) => {
  const table: [id: string, status: number, body: unknown, headers: Record<string, string>, expected: string | undefined][] = [
    ['stripe', 401, {}, {}, 'reauthorise'], ['stripe', 402, { error: { type: 'card_error' } }, {}, 'input'], ['stripe', 403, {}, {}, 'permission'],
    ['stripe', 400, { error: { type: 'idempotency_error' } }, {}, 'conflict'], ['stripe', 400, { error: { type: 'invalid_request_error' } }, {}, 'input'],
    ['stripe', 404, {}, {}, 'not_found'], ['stripe', 429, {}, {}, 'rate_limited'], ['stripe', 500, {}, {}, 'provider_unavailable'], ['stripe', 418, {}, {}, 'input'],
    ['plaid', 400, { error_type: 'INVALID_INPUT', error_code: 'INVALID_API_KEYS' }, {}, 'reauthorise'], ['plaid', 400, { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' }, {}, 'step_up'],
    ['plaid', 429, { error_type: 'RATE_LIMIT_EXCEEDED' }, {}, 'rate_limited'], ['plaid', 500, { error_type: 'API_ERROR' }, {}, 'provider_unavailable'], ['plaid', 400, { error_type: 'INVALID_REQUEST' }, {}, 'input'],
    ['wise', 403, {}, { 'x-2fa-approval': 'token', 'x-2fa-approval-result': 'REJECTED' }, 'step_up'], ['wise', 403, {}, {}, 'permission'], ['wise', 422, {}, {}, 'input'],
    ['alloy', 409, {}, {}, 'conflict'], ['onfido', 410, {}, {}, 'not_found'], ['onfido', 422, {}, {}, 'input'], ['jira', 404, {}, {}, 'not_found'], ['jira', 503, {}, {}, 'provider_unavailable'],
    ['stripe', 200, { error: { type: 'idempotency_error' } }, {}, undefined], ['plaid', 200, { accounts: [] }, {}, undefined],
  ]
  for (const [id, status, json, headers, expected] of table) t.equal(classify(catalog.require(id).manifest, { status, headers, json }), expected, `${id} ${status} ${JSON.stringify(json)}`)
  t.ok(matches({ pointer: '/ok', is: [false] }, { status: 200, headers: {}, json: { ok: false } }))
  t.notOk(matches({ pointer: '/ok', is: [false] }, { status: 200, headers: {}, json: { ok: true } }))
  t.equal(readPointer({ 'a/b': { '~': [1, 2] } }, '/a~1b/~0/1'), 2)
  t.equal(readPointer({}, '/constructor'), undefined)
  t.equal(readPointer({}, '/__proto__/x'), undefined)
})
