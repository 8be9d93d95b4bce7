import fc from 'fast-check'
import t from 'tap'
import { ConfigError, describeSettings, readConfig } from '../src/config.ts'
import { ERRORS, isVaultError, VaultError } from '../src/errors.ts'
import { encodeBase32, encodeBase32Word, formatId, idBytes, isId, newId } from '../src/ids.ts'
import { canonicalJson, countMembers, hasInexactNumber, isStorable, measureJson, parseExactly } from '../src/json.ts'
import { createLog } from '../src/log.ts'
import { compileSchema } from '../src/schema.ts'

t.test('ids', async (t) => {
  const ids = Array.from({ length: 500 }, () => newId('connection'))
  t.same(ids.toSorted(), ids, 'ascend, within one millisecond too')
  t.ok(ids.every((id) => isId('connection', id) && !isId('version', id)))
  t.notOk(isId('connection', `${ids[0]}x`))
  t.notOk(isId('connection', (ids[0] ?? '').toUpperCase()))
  t.notOk(isId('connection', `conn_8${'0'.repeat(25)}`), 'beyond 128 bits')
  t.throws(() => idBytes('key', ids[0] ?? ''), TypeError)
  fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => Buffer.from(idBytes('key', formatId('key', bytes))).equals(Buffer.from(bytes))))
  t.equal(encodeBase32(Buffer.from([0xff])), '7z')
  fc.assert(fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes) => encodeBase32Word(Buffer.from(bytes).readUInt32BE()) === encodeBase32(bytes)))
})

t.test('settings', async (t) => {
  const config = readConfig('serve', {})
  t.equal(config.internalPort, 8080)
  t.equal(config.internalHost, '127.0.0.1')
  t.equal(config.databaseUrl, undefined)
  t.equal(readConfig('serve', { INTERNAL_PORT: '' }).internalPort, 8080, 'empty counts as absent')

  const refused = (env: Record<string, string>) => {
    try {
      readConfig('serve', env)
      return ''
    } catch (error) {
      return error instanceof ConfigError ? error.message : 'another error'
    }
  }
  t.match(refused({ NODE_ENV: 'production' }), /DATABASE_URL is missing.*\n.*KEYRING_FILE is missing/s, 'production says all that is missing at once')
  t.equal(refused({ NODE_ENV: 'production', DATABASE_URL: 'postgresql://h/d', KEYRING_FILE: '/k' }), '')
  t.equal(readConfig('operate', { NODE_ENV: 'production' }).nodeEnv, 'production', 'verbs that prepare production run before that')
  t.match(refused({ NODE_ENV: 'prod' }), /NODE_ENV must be one of/)
  t.match(refused({ INTERNAL_PORT: '80.5', LOG_LEVEL: 'loud' }), /INTERNAL_PORT.*\n.*LOG_LEVEL/s)
  t.match(refused({ PUBLIC_PORT: '65536' }), /0 to 65535/)
  t.match(refused({ TLS_CERT_FILE: '/c' }), /go together/)
  t.match(refused({ TLS_CLIENT_CA_FILE: '/c' }), /needs TLS_CERT_FILE/)
  t.match(refused({ EGRESS_ALLOW_PROVIDER: 'vault.internal' }), /host:port/)
  t.match(refused({ EGRESS_ALLOW_PROVIDER: 'https://a:1' }), /host:port/)
  for (const debug of ['http', 'net,tls', 'undici', 'HTTP', 'ht*', '*']) t.match(refused({ NODE_DEBUG: debug }), /NODE_DEBUG would print credentials/, debug)
  t.equal(refused({ NODE_DEBUG: 'timer' }), '')
  for (const debug of ['*', 'simple-oauth2*', 'simple-oauth2:client', 'a, simple-oauth2:request-options', 'app:* s*', '*,-simple-oauth2*', 'simple-*:client']) {
    t.match(refused({ DEBUG: debug }), /^DEBUG would print credentials/, debug)
  }
  for (const debug of ['', 'app:*', '-simple-oauth2*', 'simple-oauth3*']) t.equal(refused({ DEBUG: debug }), '', debug)
  t.same([...readConfig('serve', { EGRESS_ALLOW_PROVIDER: ' 127.0.0.1:4010 ,[::1]:80' }).egressAllowProvider], ['127.0.0.1:4010', '[::1]:80'])
  for (const line of describeSettings().split('\n')) t.match(line, /^(#.*)?$/, 'every line of .env.example is a comment')
})

t.test('errors', async (t) => {
  for (const [code, { status, title, meaning }] of Object.entries(ERRORS)) {
    t.match(code, /^[a-z_]+$/)
    t.ok(status >= 400 && status < 600 && title.length > 0 && meaning.length > 0, code)
  }
  const error = new VaultError('not_found')
  t.ok(isVaultError(error) && isVaultError(error, 'not_found') && !isVaultError(error, 'internal') && !isVaultError(new Error('x')))
})

t.test('JSON is judged before it is parsed', async (t) => {
  const limits = { depth: 3, keys: 3, items: 5, containers: 4 }
  const judge = (text: string) => measureJson(Buffer.from(text), limits).problem
  t.equal(judge('[[[]]]'), undefined)
  t.equal(judge('[[[[]]]]'), 'too_deep')
  t.equal(judge('{"a":{"b":{"c":1}}}'), undefined)
  t.equal(judge('{"a":1,"b":2,"c":3,"d":4}'), 'too_many_keys')
  t.equal(judge('[1,2,3,4,5,6,7]'), 'too_many_items')
  t.equal(judge('[[],{},[]]'), undefined)
  t.equal(judge('[[],{},[],{}]'), 'too_many_containers')
  t.equal(judge('"[[[[[[:::::,,,,,,"'), undefined, 'what stands in a string does not count')
  t.equal(judge('"\\"[[[[[["'), undefined)
  t.equal(judge('"\\\\"[[[['), 'too_deep')
  t.equal(judge('"never closed'), undefined)
  const wide = { depth: 9, keys: 1e6, items: 1e6, containers: 1e6 }
  fc.assert(fc.property(fc.json({ maxDepth: 4 }), (text) => measureJson(Buffer.from(text), wide).problem === undefined))
  const deep = Buffer.from('['.repeat(1_000_000))
  t.equal(measureJson(deep, limits).problem, 'too_deep')

  t.ok(isStorable({ a: ['x', 1, null, true, '😀'] }))
  t.notOk(isStorable({ a: ['\0'] }))
  t.notOk(isStorable({ '\ud800': 1 }))
  t.notOk(isStorable('\udc00'))
})

t.test('JSON that says less than it seems to', async (t) => {
  t.equal(countMembers(JSON.parse('{"a":{"b":1},"c":[{"d":1},2]}')), 4)
  t.equal(countMembers(JSON.parse('{"a":1,"a":2}')), 1, 'one of two is gone')
  const wide = { depth: 99, keys: 1e6, items: 1e6, containers: 1e6 }
  fc.assert(fc.property(fc.json({ maxDepth: 4 }), (text) => measureJson(Buffer.from(text), wide).keys === countMembers(JSON.parse(text))))

  for (const text of ['12345678901234567', '{"a":[-9007199254740993]}', '1e999', '-1E400']) t.ok(hasInexactNumber(text), text)
  for (const text of ['9007199254740991', '1e10', '0.1', '0.12345678901234567890', '"12345678901234567890"', '1.5e300', '{"e1":"1e999"}']) t.notOk(hasInexactNumber(text), text)
})

t.test('numbers of others are kept as they were written', async (t) => {
  const text = '{"id":12345678901234567890,"list":[1.5,1e999,{"small":1}]}'
  t.equal(JSON.stringify(parseExactly(text)), text)
  t.same(parseExactly('{"a":1}'), { a: 1 })
  t.equal(canonicalJson({ b: [{ d: 1, c: 2 }], a: undefined, e: parseExactly('12345678901234567890') }), '{"b":[{"c":2,"d":1}],"e":12345678901234567890}')
})

t.test('schema errors name places and rules', async (t) => {
  const check = compileSchema({
    type: 'object', required: ['a'], additionalProperties: false, properties: { a: { type: 'string', pattern: '^x' }, b: { enum: ['p', 'q'] }, c: { const: 1 } },
  }, '/in')
  t.same(check({ a: 'xy' }), [])
  t.same(check({}), [{ pointer: '/in/a', message: 'is required' }])
  t.match(check({ a: 'secret-value', 'x/y~z': 1 }), [{ pointer: '/in/x~1y~0z', message: 'is not known here' }, { pointer: '/in/a' }])
  t.match(check({ a: 'x', b: 'r', c: 2 }), [{ pointer: '/in/b', message: 'must be one of ["p","q"]' }, { pointer: '/in/c', message: 'must be 1' }])
  t.notMatch(JSON.stringify(check({ a: 'secret-value', b: 'secret-value' })), /secret-value/)
  t.equal(check(Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`k${index}`, 1]))).length <= 20, true)
})

t.test('the log is an allow-list', async (t) => {
  const lines: string[] = []
  const log = createLog('trace', { write: (line) => { lines.push(line) } })
  const leaky = Object.assign(new Error('canary in the message'), { code: '23505', detail: 'canary in the detail', headers: { authorization: 'canary' } })
  log.info({ request_id: 'req_1', secret: 'canary', body: { nested: 'canary' }, status: 200, route: { canary: 1 } }, 'said')
  log.error({ err: leaky }, 'failed')
  log.error({ err: new VaultError('internal', { cause: leaky }) }, 'failed')
  const text = lines.join('')
  t.notMatch(text, /canary/)
  t.match(JSON.parse(lines[0] ?? ''), { level: 'info', request_id: 'req_1', status: 200, msg: 'said' })
  t.match(text, /23505/)
  t.match(text, /VaultError\(internal\).*< Error\(23505\)/)
})
