import t from 'tap'
import fc from 'fast-check'
import { buildRequest } from '../../src/calls/index.ts'
import { createIntegration } from '../../src/catalog/integration.ts'
import { importDocument, type ImportOptions } from '../../src/catalog/custom-api/import-document.ts'
import { nameOperations } from '../../src/catalog/custom-api/names.ts'
import { judgeManifest } from '../../src/catalog/judge-manifest.ts'
import { Manifest } from '../../src/catalog/manifest.ts'
import { compileSchema } from '../../src/schema.ts'

/** What an OpenAPI document becomes, point by point of the design. */
type Loose = Record<string, unknown>
const SERVERS = [{ url: 'https://api.vendor.dev/v1' }]
const document = (paths: Loose, more: Loose = {}) => ({ openapi: '3.1.0', info: { title: 'Pets', version: '1' }, servers: SERVERS, paths, ...more })
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
const compile = (value: unknown, options: Partial<ImportOptions> = {}) => importDocument(bytes(value), { id: 'pets', ...options })
const checkManifest = compileSchema(Manifest)

/** The manifest, which has to be one, and what builds its requests. */
const build = (value: unknown, options: Partial<ImportOptions> = {}, satisfied: string[] = []) => {
  const { manifest, report } = compile(value, options)
  if (manifest === undefined) throw new Error(JSON.stringify(report))
  const problems = [...checkManifest(manifest), ...judgeManifest(manifest)]
  if (problems.length > 0) throw new Error(JSON.stringify(problems))
  const integration = createIntegration(manifest)
  const baseUrl = manifest.servers['live'] ?? ''
  return {
    manifest, report,
    request: (action: string, input: Loose) => buildRequest(integration.requireAction(action), input, { manifest, baseUrl, fields: [], injected: ['authorization'], satisfied }),
    schema: (action: string) => integration.requireAction(action).schema,
  }
}
const OK = { responses: { 200: { description: 'ok' } } }

t.test('versions, as JSON and as YAML', async (t) => {
  const swagger = {
    swagger: '2.0', info: { title: 'Old', version: '1' }, host: 'api.vendor.dev', basePath: '/v2', schemes: ['https'], securityDefinitions: { key: { type: 'apiKey', in: 'header', name: 'X-Key' } }, security: [{ key: [] }],
    paths: { '/pets': { get: { operationId: 'listPets', parameters: [{ name: 'ids', in: 'query', type: 'array', items: { type: 'integer' }, collectionFormat: 'csv' }], ...OK } } },
  }
  const old = build(swagger, {}, ['key'])
  t.match(old.report, { version: '2.0', actions: [{ name: 'list_pets', effect: 'read' }], skipped: [] })
  t.match(old.report.sha256, /^[0-9a-f]{64}$/)
  t.equal(old.request('list_pets', { query: { ids: [1, 2] } }).url.href, 'https://api.vendor.dev/v2/pets?ids=1,2')
  const yaml = 'openapi: 3.0.3\ninfo: {title: Y, version: "1"}\nservers: [{url: "https://api.vendor.dev"}]\npaths:\n  /a:\n    get: {responses: {"200": {description: ok}}}\n'
  t.match(build(yaml).report, { version: '3.0.3', actions: [{ name: 'get_a' }] })
})

t.test('names', async (t) => {
  const long = 'a'.repeat(90)
  const { report } = compile(document({
    '/one': { get: { operationId: 'getHTTPStatus', ...OK }, post: { operationId: 'get_http_status', ...OK } },
    '/pets/{petId}': { get: { ...OK } }, '/long': { get: { operationId: long, ...OK } }, '/宠物': { get: { operationId: '宠物', ...OK } },
    '/proto': { get: { operationId: '__proto__', ...OK }, post: { operationId: 'constructor', ...OK } }, '/digit': { get: { operationId: '2fa', ...OK } },
    '/control': { get: { operationId: 'a\u0000b\nc', ...OK } },
  }))
  const names = report.actions.map(({ name }) => name)
  t.match(names, [/^get_http_status_[0-9a-f]{8}$/, /^get_http_status_[0-9a-f]{8}$/, 'get_pets_pet_id', /^a{55}_[0-9a-f]{8}$/, 'get', 'proto', 'constructor', 'n2fa', 'a_b_c'])
  t.equal(new Set(names).size, names.length)

  const operation = fc.record({ key: fc.string({ minLength: 1 }), operationId: fc.option(fc.oneof(fc.string(), fc.constantFrom('get', 'list pets', 'listPets', 'x'.repeat(80), `${'x'.repeat(80)}y`)), { nil: undefined }) })
  const operations = fc.uniqueArray(operation, { selector: ({ key }) => key, maxLength: 60 })
  fc.assert(fc.property(operations, (list) => {
    const given = nameOperations(list)
    const values = [...given.values()]
    const turned = nameOperations(list.toReversed())
    return given.size === list.length && new Set(values).size === values.length && values.every((name) => /^[a-z][a-z0-9_]{0,63}$/.test(name)) && [...given].every(([key, name]) => turned.get(key) === name)
  }))
})

t.test('input', async (t) => {
  const pets = build(document({
    '/pets/{petId}.json': {
      parameters: [{ name: 'petId', in: 'path', required: true, schema: { type: 'string' } }, { name: 'limit', in: 'query', schema: { type: 'string' } }],
      put: {
        operationId: 'put', parameters: [{ name: 'limit', in: 'query', required: true, schema: { type: 'integer', maximum: 10 } }, { name: 'Authorization', in: 'header', schema: { type: 'string' } },
          { name: 'X-Trace', in: 'header', schema: { type: 'string', pattern: '(a+)+$' } }, { name: 'theme', in: 'cookie', schema: { type: 'string' } }],
        requestBody: { required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } } } }, ...OK,
      },
    },
    '/things/{id}:archive': { post: { operationId: 'archive', ...OK } },
  }, {
    components: { schemas: { Pet: { type: 'object', required: ['id', 'name'], properties: { id: { type: 'integer', readOnly: true }, name: { type: 'string' }, parent: { $ref: '#/components/schemas/Pet' } } } } },
  }))
  t.match(pets.schema('put'), {
    required: ['path', 'query', 'body'],
    properties: { query: { properties: { limit: { type: 'integer' } }, required: ['limit'] }, header: { properties: { 'X-Trace': { type: 'string', pattern: '(a+)+$' } } }, body: { $ref: '#/$defs/Pet' } },
    $defs: { Pet: { required: ['name'], properties: { name: { type: 'string' }, parent: { $ref: '#/$defs/Pet' } } } },
  })
  t.notMatch(JSON.stringify(pets.schema('put')), /Authorization|readOnly|"id"/, 'what auth owns and what only answers have is no input')
  const built = pets.request('put', { path: { petId: 'a b' }, query: { limit: 5 }, header: { 'X-Trace': `${'a'.repeat(40)}!` }, cookie: { theme: 'dark' }, body: { name: 'Rex' } })
  t.match(built, { method: 'PUT', headers: { 'x-trace': /^a+!$/, cookie: 'theme=dark' }, body: { value: { name: 'Rex' }, encoding: 'json', contentType: 'application/json' } })
  t.equal(built.url.href, 'https://api.vendor.dev/v1/pets/a%20b.json?limit=5')
  t.equal(pets.request('archive', { path: { id: 7 } }).url.href, 'https://api.vendor.dev/v1/things/7:archive')
  const wrong: [Loose, RegExp][] = [
    [{ path: { petId: 'x' }, query: { limit: 'five' }, body: {} }, /\/input\/query\/limit/], [{ path: { petId: 'x' }, query: { limit: 11 }, body: {} }, /\/input\/query\/limit/],
    [{ path: { petId: 'x' }, body: {} }, /\/input\/query/], [{ path: { petId: '' }, query: { limit: 1 }, body: {} }, /\/input\/path\/petId/],
    [{ path: { petId: 'x' }, query: { limit: 1, other: 1 }, body: {} }, /\/input\/query\/other/], [{ path: { petId: 'x' }, query: { limit: 1 } }, /\/input\/body/],
    [{ path: { petId: 'x' }, query: { limit: 1 }, body: {}, header: { 'X-Trace': 'a\r\nX-Evil: 1' } }, /\/input\/header\/x-trace/], [{ petId: 'x', limit: 'x' }, /\/input\/body/],
  ]
  for (const [input, pointer] of wrong) t.throws(() => pets.request('put', input), { code: 'input_invalid', details: { errors: [{ pointer }] } }, JSON.stringify(input))
  t.throws(() => pets.request('put', { petId: 'x' }), { code: 'input_invalid', details: { errors: [{ pointer: '/input/body' }, { pointer: '/input/query/limit' }] } }, 'each that is missing, by its name')
  t.doesNotThrow(() => pets.request('put', { path: { petId: 'x' }, query: { limit: 1 }, body: { name: 5 } }), 'bodies are not checked: documents are wrong about them')
  const strict = build(document({ '/a': { post: { operationId: 'a', requestBody: { content: { 'application/json': { schema: { type: 'object', required: ['n'] } } } }, ...OK } } }), { strict: true })
  t.throws(() => strict.request('a', { body: {} }), { code: 'input_invalid', details: { errors: [{ pointer: '/input/body/n' }] } }, 'unless somebody asks for it')
})

t.test('references that lead nowhere are named', async (t) => {
  const to = (place: string) => ({ $ref: `#/components/${place}` })
  const body = { content: { 'application/json': { schema: to('schemas/Gone') } } }
  const { report, manifest } = compile(document({
    '/parameter': { get: { parameters: [to('parameters/Gone')], ...OK } },
    '/shared': { parameters: [to('parameters/Aside')], get: OK },
    '/body': { post: { requestBody: to('requestBodies/Gone'), ...OK } },
    '/item': to('pathItems/Gone'),
    '/schema': { post: { operationId: 'send', requestBody: body, ...OK }, get: { parameters: [{ name: 'x', in: 'query', schema: to('schemas/Deep') }], ...OK } },
  }, { components: { parameters: { Aside: to('parameters/Lost') }, schemas: { Deep: { type: 'object', properties: { y: to('schemas/Lost') } } } } }))
  t.match(report, {
    operations: 6, actions: [{ name: 'get_schema' }, { name: 'send' }],
    skipped: [
      { pointer: '/paths/~1parameter/get', reason: /parameters refers to #\/components\/parameters\/Gone,/ }, { pointer: '/paths/~1shared/get', reason: /parameters\/Lost/ },
      { pointer: '/paths/~1body/post', reason: /body refers to #\/components\/requestBodies\/Gone,/ }, { pointer: '/paths/~1item', reason: /pathItems\/Gone/ },
    ],
    warnings: [/no authentication/, /no sandbox/, /#\/components\/schemas\/Gone, #\/components\/schemas\/Lost/],
  })
  t.strictSame(manifest && checkManifest(manifest), [])
  const old = { swagger: '2.0', info: { title: 'Old', version: '1' }, host: 'api.vendor.dev', schemes: ['https'] }
  t.match(compile({ ...old, paths: { '/a': { get: { parameters: [{ $ref: '#/parameters/gone' }], ...OK } } } }).report, { skipped: [{ pointer: '/paths/~1a/get', reason: /parameters\/gone/ }] })
  t.match(compile(document({ '/item': to('pathItems/Gone') })), { manifest: undefined, report: { operations: 1, skipped: [{}] } })
})

t.test('nothing of the input reaches the host or the credential', async () => {
  const { request } = build(document({ '/{a}/x/{b}': { get: { operationId: 'get', parameters: [{ name: 'q', in: 'query', schema: {} }, { name: 'X-H', in: 'header', schema: {} }], ...OK } } }))
  fc.assert(fc.property(fc.string(), fc.string(), fc.jsonValue(), fc.string(), (a, b, q, h) => {
    try {
      const built = request('get', { path: { a, b }, query: { q }, header: { 'X-H': h } })
      return built.url.origin === 'https://api.vendor.dev' && built.url.pathname.startsWith('/v1/') && built.url.pathname.split('/').length === 5 && built.headers['authorization'] === undefined && built.url.hash === ''
    } catch (error) {
      return (error as { code?: string }).code === 'input_invalid'
    }
  }))
})

t.test('bodies', async (t) => {
  const content = (type: string, schema: Loose = { type: 'object' }, encoding?: Loose) => ({ requestBody: { content: { [type]: { schema, ...encoding && { encoding } } } }, ...OK })
  const { request, schema } = build(document({
    '/form': { post: { operationId: 'form', ...content('application/x-www-form-urlencoded', { type: 'object' }, { deep: { style: 'deepObject', explode: true } }) } },
    '/text': { post: { operationId: 'text', ...content('text/plain', { type: 'string' }) } }, '/xml': { post: { operationId: 'xml', ...content('application/xml') } },
    '/raw': { post: { operationId: 'raw', ...content('application/octet-stream', { type: 'string', format: 'binary' }) } },
    '/upload': { post: { operationId: 'upload', ...content('multipart/form-data', { type: 'object', properties: { file: { type: 'string', format: 'binary' }, note: { type: 'string' } } }) } },
    '/merge': { patch: { operationId: 'merge', ...content('application/merge-patch+json') } },
    '/many': { post: { operationId: 'many', requestBody: { content: { 'text/csv': { schema: {} }, 'application/json': { schema: {} } } }, ...OK } },
    '/get': { get: { operationId: 'get', ...content('application/json') } },
    '/list': { post: { operationId: 'list', ...content('application/json', { type: 'array' }) } },
  }))
  t.match(request('form', { body: { a: 1, list: ['x', 'y'], deep: { b: { c: 2 } }, object: { d: 3 } } }).body, { value: 'a=1&list=x&list=y&deep%5Bb%5D%5Bc%5D=2&object=%7B%22d%22%3A3%7D', contentType: 'application/x-www-form-urlencoded' })
  t.match(request('text', { body: 'hello' }).body, { value: 'hello', contentType: 'text/plain' })
  t.match(request('xml', { body: '<a/>' }).body, { value: '<a/>', contentType: 'application/xml' })
  t.match(request('raw', { body: { base64: 'AAEC' } }).body, { encoding: 'binary', contentType: 'application/octet-stream' })
  t.match(request('upload', { body: { file: { base64: 'AAEC', filename: 'a.bin' }, note: 'n' } }).body, { encoding: 'multipart', files: ['file'] })
  t.match(request('merge', { body: { a: null } }).body, { contentType: 'application/merge-patch+json', encoding: 'json' })
  t.match(request('many', { body: {} }).body, { contentType: 'application/json' }, 'JSON where the caller does not say')
  t.match(request('many', { body: 'a,b', content_type: 'text/csv' }).body, { contentType: 'text/csv', value: 'a,b' })
  t.equal(request('get', {}).body, undefined, 'a GET has none, whatever the document says')
  t.match(request('list', { body: [1, 2] }).body, { value: [1, 2] })
  t.match(schema('many'), { properties: { content_type: { enum: ['application/json', 'text/csv'] } } })
  for (const [action, body] of [['text', {}], ['raw', 'x'], ['raw', { base64: '!' }], ['form', 'x'], ['upload', { file: 'x' }], ['upload', []]] as const) t.throws(() => request(action, { body }), { code: 'input_invalid' }, `${action} ${JSON.stringify(body)}`)
  t.throws(() => request('many', { body: {}, content_type: 'text/html' }), { code: 'input_invalid' })
})

t.test('servers', async (t) => {
  t.match(compile(document({ '/a': { get: OK } }, { servers: [{ url: 'https://10.0.0.1/v1' }] })).report.warnings, [/no authentication/, /^No server of the document can be used \(https:\/\/10\.0\.0\.1\/v1: it leads to an address that is not public\)/, /./])
  const at = (servers: Loose[] | undefined, options: Partial<ImportOptions> = {}) => compile({ ...document({ '/a': { get: OK } }), servers }, options)
  for (const url of ['http://localhost:3000', 'https://127.0.0.1/', 'https://169.254.169.254/latest', 'https://10.1.2.3', 'https://api.example.com', 'https://your-domain.atlassian.net', '/v1', 'https://intranet/', 'ftp://files.vendor.dev',
    'https://user:pw@api.vendor.dev/', 'https://api.vendor.dev/?key=1']) {
    const { manifest, report } = at([{ url }])
    t.match(manifest, { servers: { live: /^https:\/\/\{api_host\}/, sandbox: /^https:\/\/\{api_host\}/ }, hosts: ['*'], auth: [{ fields: [{ name: 'api_host', secret: false }] }] }, `${url}: the connection has to say`)
    t.strictSame(manifest?.auth[0]?.fields[0]?.default, undefined, url)
    t.match(report.servers, [{ url, problem: /./ }], url)
    t.match(report.warnings, [/declares no authentication/, /name a server/, /no sandbox/])
  }
  t.match(at([{ url: '/v1/' }]).manifest?.servers, { live: 'https://{api_host}/v1' })
  t.match(at([{ url: 'http://localhost:8080/api' }]).manifest?.servers, { live: 'https://{api_host}/api' })
  t.match(at(undefined).manifest?.servers, { live: 'https://{api_host}' })
  t.match(at([{ url: '/v1' }], { base: 'https://docs.vendor.dev/openapi.json' }).manifest, { servers: { live: 'https://docs.vendor.dev/v1' } })
  t.match(at([{ url: 'http://api.vendor.dev/' }]).manifest, { servers: { live: 'https://api.vendor.dev' }, separation: 'none' }, 'plain http is made https')
  t.match(at([{ url: 'https://api.vendor.dev' }, { url: 'https://sandbox.vendor.dev' }]).manifest, { servers: { live: 'https://api.vendor.dev', sandbox: 'https://sandbox.vendor.dev' }, separation: 'host' })
  t.match(at(undefined, { servers: { sandbox: 'https://test.vendor.dev/api' } }).manifest, { environments: ['sandbox'], servers: { sandbox: 'https://test.vendor.dev/api' } })
  t.throws(() => at(undefined, { servers: { live: 'https://localhost' } }), { message: 'can’t be used with the server https://localhost, which is a placeholder: say where the API is' })
  const templated = at([{ url: 'https://{region}.vendor.dev/{base}', variables: { region: { enum: ['eu', 'us'], default: 'eu' }, base: { default: 'v3' } } }]).manifest
  t.match(templated, { hosts: ['*.vendor.dev'], servers: { live: 'https://{region}.vendor.dev/{base}' }, auth: [{ fields: [{ name: 'region', secret: false, enum: ['eu', 'us'], default: 'eu' }, { name: 'base', default: 'v3' }] }] })
  const label = at([{ url: 'https://{tenant}.vendor.dev' }]).manifest?.auth[0]?.fields[0]
  for (const evil of ['evil.com/', 'a.b', 'x/../', 'evil.com#', 'a@b', 'a:80', '']) t.notOk(new RegExp(label?.pattern ?? '').test(evil), `a label is no ${JSON.stringify(evil)}`)
  t.match(at([{ url: 'https://{host}' }]).manifest, { hosts: ['*'], auth: [{ fields: [{ name: 'host', secret: false }] }] })
  const own = compile(document({ '/a': { servers: [{ url: 'https://files.vendor.dev' }], get: OK }, '/b': { get: { servers: [{ url: 'http://localhost' }], ...OK } }, '/c': { get: { servers: [{ url: 'https://{cell}.vendor.dev', variables: { cell: { default: 'c1' } } }], ...OK } } }))
  t.match(own.manifest, { also_hosts: ['files.vendor.dev', 'c1.vendor.dev'], actions: [{ server: 'https://files.vendor.dev' }, { server: 'https://c1.vendor.dev' }] })
  t.match(own.report.skipped, [{ pointer: '/paths/~1b/get', reason: /its own server/ }])
  const again = compile({ ...document({ '/a': { get: { servers: [{ url: 'https://cluster.local/' }], ...OK } } }), servers: [{ url: '//cluster.local' }] })
  t.match(again.manifest, { servers: { live: 'https://{api_host}' }, actions: [{ server: undefined }] }, 'the document’s server, said again')
  t.equal(build(document({ '/a/{id}/b/{id}': { get: { operationId: 'twice', ...OK } } })).request('twice', { path: { id: 'x/y' } }).url.pathname, '/v1/a/x%2Fy/b/x%2Fy', 'a parameter that stands twice')
})

t.test('authentication', async (t) => {
  const components = {
    securitySchemes: {
      key: { type: 'apiKey', in: 'query', name: 'api_key' }, session: { type: 'apiKey', in: 'cookie', name: 'sid' }, token: { type: 'http', scheme: 'Bearer' }, login: { type: 'http', scheme: 'basic' },
      machine: { type: 'oauth2', flows: { clientCredentials: { tokenUrl: 'https://auth.vendor.dev/token', scopes: { read: '' } } } }, person: { type: 'oauth2', flows: { authorizationCode: { authorizationUrl: 'https://x', tokenUrl: 'https://y', scopes: {} } } },
      tls: { type: 'mutualTLS' }, digest: { type: 'http', scheme: 'digest' },
    },
  }
  const one = (security: unknown) => ({ get: { security, ...OK } })
  const { manifest, report, request } = build(document({
    '/either': one([{ key: [] }, { token: [] }]), '/both': one([{ key: [], session: [] }]), '/open': one([]), '/basic': one([{ login: [] }]), '/machine': one([{ machine: ['read'] }]), '/person': one([{ person: [] }]),
    '/tls': one([{ tls: [] }]), '/or_tls': one([{ tls: [] }, { digest: [] }, { key: [] }]),
  }, { components }), {}, ['token'])
  t.strictSame(manifest.auth.map(({ id }) => id).sort(), ['key', 'key_and_session', 'login', 'machine', 'none', 'person', 'token'])
  t.match(report.skipped, [{ pointer: '/paths/~1tls/get', reason: /tls, which can’t be connected/ }])
  t.match(report.warnings, [/tls is of the type "mutualTLS"/, /digest is HTTP digest/])
  const scheme = (id: string) => manifest.auth.find((one) => one.id === id)
  t.match(scheme('key_and_session'), { fields: [{ name: 'key', secret: true }, { name: 'session', secret: true }], inject: [{ query: 'api_key', value: '{key}', of: 'key' }, { cookie: 'sid', value: '{session}', of: 'session' }] })
  t.match(scheme('login')?.fields, [{ secret: true }, { secret: true }], 'some take their key as the name')
  t.match(scheme('machine'), { oauth: { grant: 'client_credentials', token_url: 'https://auth.vendor.dev/token', scopes: { default: ['read'] } } })
  t.match(scheme('person'), { inject: [{ header: 'Authorization', value: 'Bearer {person}' }] }, 'an access token is pasted')
  t.strictSame(request('get_either', {}).security, ['token'], 'the first that the connection has')
  t.strictSame(request('get_open', {}).security, [])
  t.throws(() => request('get_basic', {}), { code: 'action_not_allowed', details: { detail: /login; the connection was made for token/ } })
  const unnamed = compile(document({ '/a': one([{ nothing: [] }]), '/b': one([{ nothing: [], key: [] }]) }, { components }))
  t.match(unnamed.report, { skipped: [], warnings: [/tls/, /digest/, /does not declare: nothing/] }, 'a name without a scheme')
  t.strictSame(unnamed.manifest?.actions.map(({ binding }) => binding?.security), [[[]], [['key']]])
  const alike = compile(document({ '/a': one([{ bearerAuth: [] }]), '/b': one([{ bearer_auth: [] }]), '/c': one([{ machine: [], 'client-id': [] }]) }, {
    components: { securitySchemes: { bearerAuth: { type: 'http', scheme: 'bearer' }, bearer_auth: { type: 'http', scheme: 'bearer' }, machine: components.securitySchemes.machine, 'client-id': { type: 'apiKey', in: 'header', name: 'Client-Id' } } },
  }))
  t.strictSame([checkManifest(alike.manifest), alike.manifest && judgeManifest(alike.manifest)], [[], []], 'names that are one word here')
  t.match(alike.report.auth, [{ id: 'bearer_auth', fields: ['bearer_auth'] }, { id: /^bearer_auth_[0-9a-f]{8}$/, fields: [/^bearer_auth_[0-9a-f]{8}$/] }, { fields: ['client_id', 'client_secret', 'access_token', /^client_id_[0-9a-f]{8}$/] }])
  const undeclared = document({ '/a': { get: { parameters: [{ name: 'X-Key', in: 'header', schema: { type: 'string' } }], ...OK } } })
  t.match(compile(undeclared).report, { auth: [{ id: 'none' }], warnings: [/declares no authentication/, /./] })
  const stated = build(undeclared, { auth: { type: 'api_key', in: 'header', name: 'X-Key' } })
  t.match(stated.manifest.auth, [{ inject: [{ header: 'X-Key', value: '{api_key}' }] }])
  t.strictSame(stated.schema('get_a')['properties'], {}, 'the credential is no input')
  t.match(build(undeclared, { auth: { type: 'basic' } }).manifest.auth, [{ inject: [{ basic: {} }] }])
})

t.test('what is chosen, and what effect it has', async (t) => {
  const value = document({ '/a': { get: { tags: ['x'], operationId: 'a', ...OK }, post: { operationId: 'search', ...OK } }, '/b/c': { delete: { operationId: 'c', ...OK } } })
  const names = (select: ImportOptions['select']) => compile(value, { select }).report.actions.map(({ name }) => name)
  t.strictSame(names({ tags: ['x'] }), ['a'])
  t.strictSame(names({ paths: ['/b'] }), ['c'])
  t.strictSame(names({ names: ['search'], paths: ['/b'] }), ['search', 'c'])
  t.match(compile(value, { select: { tags: ['none'] } }), { manifest: undefined, report: { actions: [], skipped: { length: 3 } } })
  t.match(compile(value, { effects: { search: 'read' } }).report.actions, [{ effect: 'read' }, { name: 'search', effect: 'read' }, { effect: 'idempotent' }])
  t.match(compile(document({ '/c': { get: { operationId: 'constructor', ...OK } } }), { effects: {} }).report.actions, [{ name: 'constructor', effect: 'read' }])
  const all = compile(document({ '/m': Object.fromEntries(['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'].map((method) => [method, OK])) })).report.actions
  t.strictSame(all.map(({ method, effect }) => `${method} ${effect}`), ['GET read', 'PUT idempotent', 'POST unsafe', 'DELETE idempotent', 'OPTIONS read', 'HEAD read', 'PATCH unsafe', 'TRACE read'])
})
