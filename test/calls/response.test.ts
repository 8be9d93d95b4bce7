import fc from 'fast-check'
import t from 'tap'
import { matches, readPointer } from '../../src/predicate.ts'
import { classify } from '../../src/calls/classify.ts'
import { createRedactor } from '../../src/calls/redact.ts'
import { shapeResponse } from '../../src/calls/shape-response.ts'
import { loadCatalog } from '../../src/catalog/index.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'
import { parseExactly } from '../../src/json.ts'

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

t.test('however a credential is escaped, it is taken out, and nothing beside it', async (t) => {
  const ascii = (text: string) => text.replace(/[^\w" ]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const php = (text: string) => JSON.stringify(text).slice(1, -1).replaceAll('/', '\\/')
  const go = (text: string) => JSON.stringify(text).slice(1, -1).replace(/[<>&]/g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`)
  const html = (text: string) => text.replace(/[&<>"']/g, (one) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\'': '&#39;' })[one] ?? '')
  const numbered = (text: string) => text.replace(/\W/g, (one) => `&#x${one.charCodeAt(0).toString(16).toUpperCase()};`)
  const percent = (text: string) => encodeURIComponent(text).replace(/%../g, (byte) => byte.toLowerCase())
  const form = (text: string) => new URLSearchParams({ k: text }).toString().slice(2)
  const layered = { twice: (text: string) => php(php(text)), url: (text: string) => percent(php(text)), page: (text: string) => html(html(go(text))) }
  const escapes = { ascii, php, go, html, numbered, percent, form, ...layered }
  const values = ['Sec ret/"quoted"&key+1', '-----BEGIN KEY-----\nMIIB/+ab\ncd==\n-----END KEY-----\n', 'pa\\new\\"1\\\\x<y>', 'domain\\user1', 'p%2Fquite%25r&amp;s', 'it\'s=a"secret']
  for (const value of values) {
    const one = createRedactor({ key: wrapSecret(value) }, [`Bearer ${value}`])
    for (const [name, escape] of Object.entries(escapes)) {
      const around = { before: '{\\"a\\":\\"b&amp;c%2Fd\\",', after: ',\\"e+f\\"}' }
      t.equal(one.text(around.before + escape(value) + around.after), `${around.before}[redacted]${around.after}`, `${name} of ${value}`)
      const bytes = one.bytes(Buffer.from(`${around.before}${escape(value)}\xff`, 'latin1'))
      t.match(bytes.toString('latin1'), /^\{\\"a\\":\\"b&amp;c%2Fd\\",\*+\xff$/, `${name} of ${value}, in bytes`)
    }
  }
  t.match(redactor.text(`"${[...SECRET].map((one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`), '"[redacted]"', 'with needless escapes')
  t.equal(createRedactor({ key: wrapSecret('a%20b%20c') }, []).text('a b c'), 'a b c', 'what reads as less than 8 characters would be found by chance')
  t.equal(createRedactor({ key: wrapSecret('it\'s/here') }, []).text('100% of R&D &amp; its/here + \\u00e9'), '100% of R&D &amp; its/here + \\u00e9')
  const slow = createRedactor({ key: wrapSecret('\\\\//""&&\\"\\"') }, [])
  for (const piece of ['\\', '%25', '&amp;', '%', '&#0', '\\u0041', '+', '%5c', '\\ud83d', '\\x41', '%C3', '\n', '\\n', '\\\\n', '\\u{41}', '\\u{', '\\101', '=3D', '=\n', `${'A'.repeat(20)}\n`]) {
    const startedMs = performance.now()
    slow.text(piece.repeat(100_000))
    t.ok(performance.now() - startedMs < 2_000, `${piece} without end takes time by its length alone`)
  }
})

t.test('escapes that nobody needs, that only some write, and letters beyond ASCII', async (t) => {
  const hold = (value: string, written: string, name: string) => {
    const one = createRedactor({ key: wrapSecret(value) }, [])
    t.equal(one.text(`<${written}>`), '<[redacted]>', name)
    t.match(one.bytes(Buffer.from(`\xff${written}\xfe`)).toString(), /^\xff\*+\xfe$/, `${name}, in bytes`)
  }
  const key = 'sk-proj-c4nary_0123456789'
  for (const [name, from, to] of [
    ['Markdown', '_', '\\_'], ['percent', '_', '%5F'], ['a number', '_', '&#95;'], ['a name', '_', '&lowbar;'], ['JavaScript', '-', '\\x2d'], ['a needless percent', 'a', '%61'],
    ['a needless percent, twice', 'a', '%2561'], ['a needless number', 'n', '&#110;'], ['a needless number in hex', '4', '&#x34;'], ['a needless number in a page', 'c', '&amp;#99;'],
    ['a needless JavaScript escape', 'y', '\\x79'], ['JavaScript in braces', '-', '\\u{2d}'], ['needless braces', 'y', '\\u{0079}'], ['octal', '_', '\\137'], ['needless octal', 'y', '\\171'],
    ['octal within JSON', '_', '\\\\137'], ['mail', '_', '=5F'], ['mail that breaks lines', 'y', '=\r\ny'], ['mail that breaks lines, with bare ones', 'y', 'y=\n'], ['mail within mail', '_', '=3D5F'],
  ] as const) hold(key, key.replaceAll(from, to), name)
  const words = 'Grüße aus Köln! (2024) 😀'
  const rfc3986 = (text: string) => encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)
  const pairs = [...words].map((one) => one > '~' ? [...Array(one.length).keys()].map((at) => `\\u${one.charCodeAt(at).toString(16).padStart(4, '0')}`).join('') : one).join('')
  for (const [name, written] of [
    ['RFC 3986', rfc3986(words)], ['forms', new URLSearchParams({ k: words }).toString().slice(2)], ['both', rfc3986(rfc3986(words))], ['JSON', pairs], ['JSON within JSON', JSON.stringify(pairs).slice(1, -1)],
    ['numbers', [...words].map((one) => one > '~' ? `&#${one.codePointAt(0)};` : one).join('')], ['names', words.replace('ü', '&uuml;').replace('ß', '&szlig;').replace('ö', '&ouml;')],
    ['one of each', 'Gr%C3%BC\\u00dfe&#32;aus+K&ouml;ln%21 (2024) &#128512;'],
  ] as const) hold(words, written, name)
  hold('pass=word+=41=3d', 'pass=3Dword+=3D41=3D3d', 'mail')
  hold('pass\\101\\137word', 'pass\\134101\\134137word', 'octal')
  hold('Grüße aus Köln', 'Gr\\303\\274\\303\\237e aus K\\303\\266ln', 'octal of what is not ASCII')
  hold('Grüße aus Köln 😀', 'Gr\\u{fc}\\u{DF}e aus K\\u{00f6}ln \\u{1F600}', 'braces of what is not ASCII')
  hold('😀🎉😀🎉', [...'😀🎉😀🎉'].flatMap((one) => [...Buffer.from(one)].map((byte) => `=${byte.toString(16).toUpperCase()}`)).join('').replace('=9F', '=\n=9F'), 'mail of what is not ASCII')
  const digits = createRedactor({ key: wrapSecret('41f-c4na/ry') }, [])
  t.equal(digits.text('k=41f-c4na%2Fry&n=30 =41'), 'k=[redacted]&n=30 =41', 'a form is not read as mail')
  t.equal(createRedactor({ key: wrapSecret('123-c4na/ry') }, []).text('C:\\\\123-c4na\\/ry \\101'), 'C:\\\\[redacted] \\101', 'a name after a backslash is not octal')
  const one = createRedactor({ key: wrapSecret(words) }, [])
  t.equal(one.text('ü😀 %C3%BC 😀+'), 'ü😀 %C3%BC 😀+', 'what is only like it stays')
  t.equal(one.text(`ü😀 ${rfc3986(words)} 😀`), 'ü😀 [redacted] 😀', 'beside letters of more than one unit')
  const utf16 = one.bytes(Buffer.from(`ab${words}ba`, 'utf16le'))
  t.equal(utf16.toString('utf16le').replace(/\u2a2a+/, '*'), 'ab*ba', 'a file in UTF-16')
})

t.test('base64 of what holds a credential, in one line or in many', async (t) => {
  for (const key of ['sk_live_c4nary0123456789', 'c4nary+/=?"value"\n>>>???~~~', 'c4nary€ü0']) {
    const one = createRedactor({ key: wrapSecret(key) }, [`Bearer ${key}`])
    for (const around of [['', ''], ['a', 'b'], ['ab', 'c'], ['abc', ''], ['x-api-key: ', '\r\n'], [`${'long '.repeat(30)}`, ' and longer'.repeat(30)]] as const) {
      const holds = around.join(key)
      for (const buffer of [Buffer.from(holds), Buffer.from(JSON.stringify({ key: holds }))]) {
        const [base64, url] = [buffer.toString('base64'), buffer.toString('base64url')]
        const wrapped = [60, 64, 76].flatMap((width) => ['\n', '\r\n', '\n  ', '\\n', '\\r\\n'].map((end) => base64.replace(new RegExp(`.{${width}}`, 'g'), `$&${end}`)))
        for (const written of [base64, url, base64.replaceAll('/', '\\/'), encodeURIComponent(base64), ...wrapped]) {
          for (const clean of [one.text(`<${written}>`), one.bytes(Buffer.from(`<${written}>`)).toString()]) {
            t.match(clean, /\[redacted\]|\*{10}/)
            const rest = Buffer.from(decodeURIComponent(clean).replace(/\[redacted\]|\*+/, '').replaceAll(/\\[rn]|\\/g, ''), 'base64').toString('latin1')
            t.notMatch(rest, /c4nary|nary|0123|value/, written)
          }
        }
      }
    }
  }
  const one = createRedactor({ key: wrapSecret('sk_live_c4nary0123456789') }, [])
  const mail = Buffer.from('no secret in here at all. '.repeat(40)).toString('base64').replace(/.{76}/g, '$&\r\n')
  t.equal(one.text(mail), mail)
})

t.test('a credential that is a number', async (t) => {
  const digits = createRedactor({ key: wrapSecret('9876543210987'), zero: wrapSecret('0123456789'), long: wrapSecret('98765432109876543210987'), short: wrapSecret('1234567') }, [])
  const json = '[9876543210987,{"n":[123456789,98765432109876543210987]},98765432109876543210988,19876543210987,1234567,-0.5]'
  t.equal(JSON.stringify(digits.json(parseExactly(json))), '["[redacted]",{"n":["[redacted]","[redacted]"]},98765432109876543210988,19876543210987,1234567,-0.5]')
  const written = ['9876543210987.0', '9.876543210987e12', '9876543210987E0']
  t.same(digits.json(parseExactly(`[${written.join()}]`)), ['[redacted]', '[redacted]', '[redacted]'], 'however it is written in JSON')
  t.same(['9.876543210987e12', '9.876543210987E+12', '9876543210987.0'].map((one) => digits.text(one)), ['[redacted]', '[redacted]', '[redacted].0'], 'and in texts')
})

const shape = (id: string, status: number, body: string | Buffer, headers: Record<string, string> = {}) => shapeResponse(
  catalog.require(id).manifest, { kind: 'answer', status, headers: { 'content-type': 'application/json', ...headers }, body: Buffer.from(body as string) }, redactor)

t.test('answers by content type', async (t) => {
  t.match(shape('stripe', 200, '{"id":"pi_1"}', { 'request-id': 'req_9', 'x-internal': 'no', 'retry-after': '3', 'set-cookie': 'a=b', 'x-ratelimit-remaining': '5' }), {
    output: { id: 'pi_1' }, requestId: 'req_9', error: undefined, headers: { 'request-id': 'req_9', 'retry-after': '3', 'x-ratelimit-remaining': '5' },
  })
  for (const [id, name] of [['quickbooks_online', 'intuit_tid'], ['hubspot', 'x-hubspot-correlation-id'], ['github', 'x-github-request-id']] as const) {
    t.match(shape(id, 200, '{}', { [name]: 'req-7' }), { requestId: 'req-7', headers: { [name]: 'req-7' } }, `${id} says which request it was`)
  }
  t.match(shape('plaid', 200, '{"request_id":"HNTDNrA8F1shFEW"}'), { requestId: 'HNTDNrA8F1shFEW' }, 'in the answer itself')
  t.match(shape('plaid', 400, '{"error_code":"INVALID_FIELD","request_id":"HNTDNrA8F1shFEW"}'), { requestId: 'HNTDNrA8F1shFEW', error: {} }, 'above all of a failure')
  t.equal(shape('plaid', 200, JSON.stringify({ request_id: SECRET })).requestId, '[redacted]')
  for (const odd of ['{"request_id":7}', '{"request_id":"a\\u0000b"}', '{"request_id":"\\ud83d"}', '[]', '']) t.equal(shape('plaid', 200, odd).requestId, null, odd)
  t.equal(shape('plaid', 200, JSON.stringify({ request_id: 'r'.repeat(9_999) })).requestId?.length, 200)
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
  const named = shape('stripe', 200, 'x', { 'content-type': 'image/Sk_test_c4nary+/=?value', 'x-ratelimit-sk_test_c4nary+/=?value': '1' })
  t.same([named.output, named.headers], [{ content_type: 'image/[redacted]', base64: 'eA==' }, { 'content-type': 'image/Sk_test_c4nary+/=?value', 'x-ratelimit-[redacted]': '1' }])
  const plain = createRedactor({ key: wrapSecret('SecretKeyAbcd1234') }, [])
  const redirected = shapeResponse(catalog.require('stripe').manifest, { kind: 'answer', status: 302, headers: { location: 'https://SecretKeyAbcd1234.evil.example/' }, body: Buffer.from('') }, plain)
  t.match(redirected, { headers: { location: 'https://[redacted].evil.example/' }, error: { message: /redirects to \[redacted\]\.evil\.example;/ } })
  for (const [body, type] of [[`{"k":${JSON.stringify('a"'.repeat(5))}} and more`, 'application/json'], [`${'['.repeat(300)}${JSON.stringify('a"'.repeat(5))}${']'.repeat(300)}`, 'application/json'], [JSON.stringify('a"'.repeat(5)), 'text/plain']] as const) {
    const quoted = createRedactor({ key: wrapSecret('a"'.repeat(5)) }, [])
    t.match(shapeResponse(catalog.require('stripe').manifest, { kind: 'answer', status: 200, headers: { 'content-type': type }, body: Buffer.from(body) }, quoted).output, '"[redacted]"', body.slice(0, 10))
  }
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
    ['plaid', 400, { error_type: 'INVALID_INPUT', error_code: 'INVALID_ACCESS_TOKEN' }, {}, 'step_up'],
    ['plaid', 400, { error_type: 'ITEM_ERROR', error_code: 'ITEM_NOT_SUPPORTED', error_code_reason: 'OAUTH_CONSENT_EXPIRED' }, {}, 'step_up'],
    ['notion', 409, { code: 'conflict_error' }, {}, 'provider_unavailable'], ['notion', 409, { code: 'another' }, {}, 'conflict'],
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
