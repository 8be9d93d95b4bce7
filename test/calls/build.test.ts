import fc from 'fast-check'
import t from 'tap'
import { buildRawRequest, buildRequest, describeRequest } from '../../src/calls/index.ts'
import { describeBody, encodeBody, encodePairs, type RequestBody } from '../../src/calls/encode.ts'
import { createIntegration } from '../../src/catalog/integration.ts'
import { loadCatalog, type Action, type Manifest } from '../../src/catalog/index.ts'

const catalog = loadCatalog()

function build (id: string, name: string, input: Record<string, unknown>, fields: string[] = []) {
  const integration = catalog.require(id)
  const baseUrl = integration.manifest.servers['sandbox']?.startsWith('{') === true ? 'https://acme.atlassian.net' : integration.manifest.servers['sandbox']?.replace('{region}', 'eu') ?? ''
  return buildRequest(integration.requireAction(name), input, { manifest: integration.manifest, baseUrl, fields, injected: ['authorization'] })
}

const pointers = (work: () => unknown): string[] => {
  try {
    work()
    return []
  } catch (error) {
    return ((error as { details: { errors?: { pointer: string }[] } }).details.errors ?? []).map((one) => one.pointer)
  }
}

t.test('two-level and flat input', async (t) => {
  t.match(build('stripe', 'create_payment_intent', { body: { amount: 1, currency: 'usd' } }).body?.value, { amount: 1, currency: 'usd' })
  t.match(build('stripe', 'create_payment_intent', { amount: 1, currency: 'usd' }).body?.value, { amount: 1, currency: 'usd' })
  const comment = build('jira', 'add_comment', { issueIdOrKey: 'A-1', body: { type: 'doc' } })
  t.match(comment.body?.value, { body: { type: 'doc' } }, 'a property called body, in flat input')
  t.equal(comment.url.pathname, '/rest/api/3/issue/A-1/comment')
  t.match(build('jira', 'add_comment', { path: { issueIdOrKey: 'A-1' }, body: { body: { type: 'doc' } } }).body?.value, { body: { type: 'doc' } })
  t.match(build('alloy', 'create_person', { name_first: 'Ada', anything: 1 }).body?.value, { name_first: 'Ada', anything: 1 }, 'an open body takes what is not declared')

  t.same(pointers(() => build('stripe', 'create_payment_intent', { amount: 'x', currency: 'usd' })), ['/input/body/amount'])
  t.same(pointers(() => build('stripe', 'create_payment_intent', { amount: 1, currency: 'usd', nope: 1 })), ['/input/nope'])
  t.same(pointers(() => build('stripe', 'create_payment_intent', { body: { amount: 1 } })), ['/input/body/currency'])
  t.same(pointers(() => build('stripe', 'create_payment_intent', { body: 'x' })), ['/input/body'])
  t.same(pointers(() => build('stripe', 'get_payment_intent', {})), ['/input/path/intent'])
  t.same(pointers(() => build('stripe', 'get_balance', { x: 1 })), ['/input/x'])
  t.same(pointers(() => build('stripe', 'create_payment_intent', { nope: 1, amount: 'x' })), ['/input/nope', '/input/body/currency', '/input/body/amount'], 'all that is wrong at once')
  t.throws(() => build('stripe', 'get_payment_intent', { id: 'pi_1' }), { code: 'input_invalid', details: { errors: [{ message: 'is not known here: the action takes intent' }, { pointer: '/input/path/intent', message: 'is required' }] } })
})

t.test('an ambiguous flat name is refused by name', async (t) => {
  const stripe = catalog.require('stripe')
  const twice = { ...stripe.manifest, actions: [{ name: 'twice', title: '', method: 'POST' as const, path: '/x/{id}', effect: 'unsafe' as const, input: { path: { required: ['id'], properties: { id: {} } }, body: { properties: { id: {} } } } }] }
  const options = { manifest: twice, baseUrl: 'https://api.stripe.com', fields: [], injected: [] }
  const action = createIntegration(twice).requireAction('twice')
  t.throws(() => buildRequest(action, { id: 'a' }, options), { code: 'input_invalid', details: { errors: [{ pointer: '/input/id', message: /path and body/ }] } })
  t.equal(buildRequest(action, { path: { id: 'a' }, body: { id: 'b' } }, options).url.pathname, '/x/a')
})

t.test('path values stay one segment', async (t) => {
  const path = (intent: unknown) => build('stripe', 'get_payment_intent', { path: { intent } }).url
  t.equal(path('pi_1').href, 'https://api.stripe.com/v1/payment_intents/pi_1')
  t.equal(path('a/b?c#d%').href, 'https://api.stripe.com/v1/payment_intents/a%2Fb%3Fc%23d%25')
  t.equal(path('foo/bar').pathname, '/v1/payment_intents/foo%2Fbar', 'a slash does not leave its segment')
  for (const intent of ['a..b', 'v1.0', '...', '..a', 'a;b', '.hidden', 'a/.b', '%', '%zz', '%e9']) t.ok(path(intent).pathname.startsWith('/v1/payment_intents/'), intent)
  // Servers and proxies that decode before they look for slashes would take the credential elsewhere.
  const climbs = ['../admin', 'a/../../v1/admin', 'a/..', '..\\admin', 'a\\..\\b', '..%2fadmin', '%2e%2e', '%2E%2e/admin', '%252e%252e%252fadmin', '..;/admin', 'a/./b', '.%5cadmin']
  for (const intent of ['..', '.', '', 'a\nb', '\0', ...climbs]) t.throws(() => path(intent), { code: 'input_invalid' }, JSON.stringify(intent))
  t.throws(() => path(42), { code: 'input_invalid' })
  t.equal(build('wise', 'get_transfer', { transferId: 42 }).url.pathname, '/v1/transfers/42')
})

t.test('whatever the input, the host and the path above it stay', async (t) => {
  const anything = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.stringMatching(/^[./\\%?#@:&=a-z2e]{0,20}$/))
  const ok = (url: URL, prefix: string) => url.origin === 'https://api.stripe.com' && url.pathname.startsWith(prefix) && url.pathname.split('/').length === prefix.split('/').length && url.hash === '' && url.username === ''
  fc.assert(fc.property(anything, anything, (segment, value) => {
    try {
      return ok(build('stripe', 'get_payment_intent', { path: { intent: segment }, query: { expand: [value] } }).url, '/v1/payment_intents/')
    } catch (error) {
      return (error as { code?: string }).code === 'input_invalid'
    }
  }), { numRuns: 3_000 })
  const { manifest } = catalog.require('onfido')
  fc.assert(fc.property(anything, anything, (path, value) => {
    try {
      const { url } = buildRawRequest({ method: 'GET', path: `/${path}`, query: { [value]: value } }, { manifest, baseUrl: 'https://api.eu.onfido.com/v3.6', fields: [], injected: [] })
      return url.origin === 'https://api.eu.onfido.com' && url.pathname.startsWith('/v3.6/') && url.hash === ''
    } catch (error) {
      return (error as { code?: string }).code === 'input_invalid'
    }
  }), { numRuns: 3_000 })
  t.pass('6,000 inputs')
})

t.test('headers from input', async (t) => {
  const built = build('alloy', 'create_evaluation', { header: { 'alloy-entity-type': 'person' }, body: {} })
  t.match(built.headers, { 'alloy-entity-type': 'person' })
  t.same(pointers(() => build('alloy', 'create_evaluation', { header: { 'alloy-entity-token': 'a\r\nX: 1' }, body: {} })), ['/input/header/alloy-entity-token'])
  t.same(pointers(() => build('alloy', 'create_evaluation', { header: { 'alloy-entity-token': '😀' }, body: {} })), ['/input/header/alloy-entity-token'])
  const { manifest } = catalog.require('stripe')
  const raw = (headers: Record<string, string>) => buildRawRequest({ method: 'POST', path: '/v1/x', headers }, { manifest, baseUrl: 'https://api.stripe.com', fields: [], injected: ['authorization', 'stripe-account'] })
  t.match(raw({ 'Stripe-Version': '2026-08-26' }).headers, { 'stripe-version': '2026-08-26' })
  for (const headers of [{ Authorization: 'x' }, { host: 'evil' }, { 'Content-Length': '1' }, { Cookie: 'a=b' }, { 'stripe-account': 'acct_other' }, { 'x y': '1' }, { 'x-a': '1\n2' }]) {
    t.throws(() => raw(headers), { code: 'input_invalid' }, JSON.stringify(headers))
  }
})

t.test('raw paths', async (t) => {
  const { manifest } = catalog.require('onfido')
  const raw = (path: string) => buildRawRequest({ method: 'GET', path }, { manifest, baseUrl: 'https://api.eu.onfido.com/v3.6', fields: [], injected: [] }).url.href
  t.equal(raw('/applicants/1%2F2'), 'https://api.eu.onfido.com/v3.6/applicants/1%2F2')
  for (const path of ['applicants', '//evil.com/x', '/a/../../x', '/a/%2e%2e/x', '/a/./x', '/a?b=1', '/a#b', '/a\\b', '/a b', '/.', '/a/..%2f..%2fadmin', '/a/%2e%2e%2fadmin', '/a%5c..%5cb', '/a/%252e%252e/b', '/a/..;/b']) t.throws(() => raw(path), { code: 'input_invalid' }, path)
})

t.test('encodings', async (t) => {
  t.equal(encodePairs({ a: 1, b: true, c: 'x y&z', d: null, e: undefined, f: [1, 2], g: { h: { i: 'j' } } }, 'brackets'), 'a=1&b=true&c=x%20y%26z&d=&f[0]=1&f[1]=2&g[h][i]=j')
  t.equal(encodePairs({ f: [1, 2], g: { h: 1 } }, 'repeat'), 'f=1&f=2&g=%7B%22h%22%3A1%7D')
  const intent = build('stripe', 'create_payment_intent', { amount: 2000, currency: 'usd', metadata: { order: '6 7' }, payment_method_types: ['card'], automatic_payment_methods: { enabled: true } })
  const described = describeRequest(intent, { scheme: catalog.require('stripe').requireScheme(undefined), config: {}, secretNames: ['secret_key'] })
  t.equal(described.body, 'amount=2000&currency=usd&metadata[order]=6%207&payment_method_types[0]=card&automatic_payment_methods[enabled]=true')
  t.match(described.headers, { authorization: 'Bearer [credential]', 'content-type': 'application/x-www-form-urlencoded' })
  t.equal(build('stripe', 'list_customers', { created: { gte: 1 }, limit: 3 }).url.search, '?created[gte]=1&limit=3')
  t.equal(build('jira', 'get_issue', { issueIdOrKey: 'A-1', fields: ['summary', 'status'] }).url.search, '?fields=summary&fields=status')
  t.equal(build('wise', 'cancel_transfer', { transferId: 1 }).body, undefined, 'no body where none is declared')
  t.same(build('stripe', 'confirm_payment_intent', { path: { intent: 'pi_1' } }).body, { value: {}, encoding: 'form' })
})

t.test('what a credential fills in', async (t) => {
  const filled = build('plaid', 'get_accounts', {}, ['secret', 'access_token'])
  t.same(filled.bodyFields, { access_token: 'access_token' })
  t.match(describeRequest(filled, { scheme: catalog.require('plaid').requireScheme(undefined), config: { client_id: 'id' }, secretNames: ['secret', 'access_token'] }), {
    body: { access_token: '[credential]' }, headers: { 'plaid-client-id': 'id', 'plaid-secret': '[credential]', 'plaid-version': '2020-09-14' },
  })
  t.same(build('plaid', 'get_accounts', { access_token: 'own' }, ['secret', 'access_token']).bodyFields, {}, 'a caller’s own comes first')
  t.same(pointers(() => build('plaid', 'get_accounts', {}, ['secret'])), ['/input/body/access_token'])
})

t.test('what the config fills in', async (t) => {
  const { manifest, requireAction } = catalog.require('wise')
  const wise = (name: string, input: Record<string, unknown>, config: Record<string, string> = { profile_id: '42' }) =>
    buildRequest(requireAction(name), input, { manifest, baseUrl: 'https://api.wise.com', fields: ['api_token'], config, injected: [] })
  const quote = { sourceCurrency: 'EUR', targetCurrency: 'USD' }
  t.match(wise('create_quote', quote), { url: { pathname: '/v3/profiles/42/quotes' }, body: { value: quote } })
  t.match(wise('create_quote', { body: quote }), { url: { pathname: '/v3/profiles/42/quotes' } }, 'of two-level input, too')
  t.match(wise('create_quote', { ...quote, profileId: 7 }), { url: { pathname: '/v3/profiles/7/quotes' } }, 'a caller’s own comes first')
  t.equal(wise('list_transfers', {}).url.search, '?profile=42')
  const recipient = { currency: 'EUR', type: 'iban', accountHolderName: 'Ada', details: {} }
  t.match(wise('create_recipient', recipient).body?.value, { ...recipient, profile: 42 }, 'a number where the input has one')
  t.strictSame(wise('create_recipient', recipient, {}).body?.value, recipient, 'left to Wise')
  t.equal(wise('list_transfers', {}, {}).url.search, '')
  t.same(pointers(() => wise('create_quote', quote, {})), ['/input/path/profileId'])
  t.same(pointers(() => wise('create_quote', quote, { profile_id: '9007199254740993' })), ['/input/path/profileId'], 'not nearly the right one')
})

/** The request of an action that no manifest has. */
function buildOwn (action: Partial<Action>, input: Record<string, unknown>, conventions: Partial<Manifest['conventions']> = {}) {
  const { manifest: stripe } = catalog.require('stripe')
  const definition: Action = { name: 'own', title: '', method: 'POST', path: '/x', effect: 'unsafe', ...action }
  const manifest: Manifest = { ...stripe, conventions: { body: 'json', ...conventions }, actions: [definition] }
  return buildRequest(createIntegration(manifest).requireAction('own'), input, { manifest, baseUrl: 'https://api.stripe.com', fields: [], injected: [] })
}

const text = async (built: ReturnType<typeof buildOwn>) => {
  if (built.body === undefined) return undefined
  const { contentType, bytes } = await encodeBody(built.body)
  return `${contentType} ${Buffer.from(bytes).toString('latin1')}`
}

t.test('envelopes, GraphQL and plain forms', async (t) => {
  const body = { properties: { amount: { type: 'integer' }, tags: { type: 'array' } } }
  t.equal(await text(buildOwn({ envelope: 'payments', input: { body } }, { amount: 1 })), 'application/json {"payments":{"amount":1}}')
  t.equal(await text(buildOwn({ envelope: 'Invoices[]', input: { body } }, { amount: 1 })), 'application/json {"Invoices":[{"amount":1}]}')
  t.equal(await text(buildOwn({ body: 'graphql', graphql: 'query ($amount: Int) { x }', input: { body } }, { amount: 1 })), 'application/json {"query":"query ($amount: Int) { x }","variables":{"amount":1}}')
  t.equal(await text(buildOwn({ body: 'graphql', graphql: '{ x }' }, {})), 'application/json {"query":"{ x }","variables":{}}', 'an operation without variables')
  t.equal(await text(buildOwn({ body: 'form_plain', input: { body } }, { tags: ['a b', 'c&d'], amount: 1 })), 'application/x-www-form-urlencoded tags=a%20b&tags=c%26d&amount=1')
})

t.test('files in a multipart body', async (t) => {
  const action: Partial<Action> = { body: 'multipart', files: ['file'], input: { body: { required: ['file', 'type'], properties: { type: { type: 'string' }, tags: { type: 'array' }, file: { description: 'The document.' } } } } }
  const file = { base64: Buffer.from([0, 255, 13, 10, 45, 45]).toString('base64'), filename: 'a"\r\nb.png', content_type: 'image/png' }
  const built = buildOwn(action, { type: 'passport', tags: ['a', 'b'], file })
  const { contentType, bytes } = await encodeBody(built.body as RequestBody)
  const form = await new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { 'content-type': contentType } }).formData()
  const received = form.get('file') as File
  t.match(received, { name: 'a"\r\nb.png', type: 'image/png' })
  t.same(Buffer.from(await received.arrayBuffer()), Buffer.from([0, 255, 13, 10, 45, 45]), 'byte by byte')
  t.same([form.get('type'), form.getAll('tags')], ['passport', ['a', 'b']])
  t.notMatch(Buffer.from(bytes).toString('latin1'), /filename="a"\r\n/, 'a file’s name writes no header')
  t.match(describeBody(built.body as RequestBody).shown, { type: 'passport', file: { filename: 'a"\r\nb.png', content_type: 'image/png', bytes: 6 } }, 'a dry run shows no content')
  t.same(pointers(() => buildOwn(action, { type: 'x', file: { base64: 'not base64!!' } })), ['/input/body/file/base64'])
  t.same(pointers(() => buildOwn(action, { type: 'x', file: 'text' })), ['/input/body/file'])
  t.same(pointers(() => buildOwn(action, { type: 'x', file: { base64: 'AAAA', content_type: 'a/b\r\nX: 1' } })), ['/input/body/file/content_type'])
})

t.test('paths with slashes, and other hosts', async (t) => {
  const file = (path: string) => buildOwn({ method: 'GET', effect: 'read', path: '/repos/{repo}/contents/{+path}', input: { path: { required: ['repo', 'path'], properties: { repo: { type: 'string' }, path: { type: 'string' } } } } }, { repo: 'a/b', path }).url.pathname
  t.equal(file('docs/a b.md'), '/repos/a%2Fb/contents/docs/a%20b.md')
  for (const path of ['../x', 'a/../b', 'a//b', '/a', 'a/', '.', '']) t.throws(() => file(path), { code: 'input_invalid' }, path)
  t.equal(buildOwn({ server: 'https://files.stripe.com', path: '/v1/files', input: { body: {} } }, {}).url.href, 'https://files.stripe.com/v1/files')
  const { manifest } = catalog.require('onfido')
  const raw = (more: object) => buildRawRequest({ method: 'POST', path: '/x', ...more }, { manifest, baseUrl: 'https://api.eu.onfido.com/v3.6', fields: [], injected: [] })
  t.equal(raw({ host: 'sdk.onfido.com' }).url.href, 'https://sdk.onfido.com/x', 'from the root of that host')
  for (const host of ['evil.com/x', 'a@evil.com', 'evil.com#', 'https://evil.com', '']) t.throws(() => raw({ host }), { code: 'input_invalid' }, host)
  t.equal(await text(raw({ encoding: 'form', body: { a: [1] } })), 'application/x-www-form-urlencoded a[0]=1')
  t.match(await text(raw({ encoding: 'multipart', body: { file: { base64: 'AAAA', filename: 'x' }, note: { base64: 'no file!' } } })), /^multipart\/form-data; boundary=/)
  for (const body of [[1], 'x', 1, null]) t.throws(() => raw({ encoding: 'multipart', body }), { code: 'input_invalid' }, JSON.stringify(body))
})
