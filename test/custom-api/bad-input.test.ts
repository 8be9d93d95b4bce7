import t from 'tap'
import fc from 'fast-check'
import { ImportError, importDocument, requireSound } from '../../src/catalog/index.ts'
import { createIntegration } from '../../src/catalog/integration.ts'

/** Documents that are wrong, hostile, or no documents: each ends with words, none with a crash or a long wait. */
type Loose = Record<string, unknown>
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
const read = (value: unknown) => importDocument(bytes(value), { id: 'bad' })
const OK = { responses: { 200: { description: 'ok' } } }
const base = (more: Loose = {}) => ({ openapi: '3.1.0', info: { title: 'B', version: '1' }, servers: [{ url: 'https://api.vendor.dev' }], paths: { '/a': { get: OK } }, ...more })

t.test('what is refused, and why', async (t) => {
  const bomb = `a0: &a0 [x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, level) => `a${level + 1}: &a${level + 1} [${`*a${level},`.repeat(9)}]\n`).join('')}openapi: 3.1.0\n`
  const deep = `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`
  const refused: [what: string, value: unknown, pointer: string, why: RegExp][] = [
    ['nothing', '', '', /not an object|neither/], ['a list', '[]', '', /not an object/], ['a number', '42', '', /not an object/], ['a page', '<html><body>Not found</body></html>', '', /not an object|neither/],
    ['half of it', '{"openapi": "3.1.0", "paths": {', '', /neither JSON nor YAML/], ['tabs', 'openapi: 3.0.0\n\tpaths:\n', '', /neither JSON nor YAML/],
    ['a name twice', JSON.stringify(base()).replace('"paths"', '"paths":{},"paths"'), '', /same name twice/], ['a name twice, deep', JSON.stringify(base()).replace('"title"', '"title":"A","t\\u0069tle"'), '', /same name twice/],
    ['a name twice in YAML', 'openapi: 3.0.0\npaths: {}\npaths: {}\n', '', /neither JSON nor YAML: Map keys must be unique/], ['two documents', 'openapi: 3.0.0\n---\nopenapi: 3.0.0\n', '', /neither JSON nor YAML: .*multiple documents/],
    ['another thing', { name: 'package', version: '1.0.0' }, '', /neither `openapi` nor `swagger`/], ['a version of old', { swagger: '1.2' }, '/openapi', /version 1\.2/],
    ['a version to come', { openapi: '4.0.0' }, '/openapi', /version 4\.0\.0/], ['no version', { openapi: {} }, '', /neither/],
    ['no paths', base({ paths: {} }), '/paths', /no operations/], ['paths of no kind', base({ paths: 'all' }), '/paths', /no operations/], ['only hooks', { ...base(), paths: undefined, webhooks: { a: { post: OK } } }, '/paths', /no operations/],
    ['an alias bomb', bomb, '', /aliases|alias|nodes/i], ['a knot', 'openapi: 3.1.0\npaths: &p\n  /a: *p\n', '', /holds itself|alias/i], ['a shaft', deep, '', /levels deep|neither/],
    ['a file', base({ components: { schemas: { A: { $ref: 'file:///etc/passwd' } } } }), '', /file:\/\/\/etc\/passwd/], ['a neighbour', base({ components: { schemas: { A: { $ref: './other.yaml#/A' } } } }), '', /\.\/other\.yaml#\/A/],
    ['metadata', base({ paths: { '/a': { $ref: 'http://169.254.169.254/latest/meta-data' } } }), '', /169\.254\.169\.254/],
    ['50,000 operations', base({ paths: Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`/${index}`, { get: {} }])) }), '/paths', /more than 20000 operations/],
  ]
  for (const [what, value, pointer, why] of refused) {
    const began = process.cpuUsage().user
    t.throws(() => read(value), { pointer, message: why, constructor: ImportError }, what)
    t.ok(process.cpuUsage().user - began < 10_000_000, `${what}: soon`)
  }
  t.throws(() => importDocument(Buffer.alloc(30 * 1_048_576, 0x20), { id: 'bad' }), { message: /larger than 25 MB/ })
  t.throws(() => importDocument(Buffer.from([0x7b, 0xff, 0xfe]), { id: 'bad' }), { message: /not UTF-8/ })
  t.notMatch(JSON.stringify(t.throws(() => read('password: hunter2\n  - x: [')) ?? {}), /hunter2/, 'words of the document stay out of the message')
})

t.test('choices for names that no operation has', async (t) => {
  const { report } = importDocument(bytes(base({ paths: { '/a': { get: { ...OK, operationId: 'getA' } } } })), { id: 'bad', effects: { get_a: 'unsafe', get_b: 'read' }, select: { names: ['get_a', 'get_c'] } })
  t.match(report.warnings.filter((one) => one.startsWith('No operation')), ['No operation is called get_b, get_c: what was chosen for it has no effect.'])
  t.match(report.actions, [{ name: 'get_a', effect: 'unsafe' }])
})

t.test('what is left out, and why', async (t) => {
  const circle = { type: 'object', properties: { again: { $ref: '#/components/schemas/Circle' } }, allOf: [{ $ref: '#/components/schemas/Circle' }] }
  const { manifest, report } = read(base({
    paths: {
      '/fine': { post: { operationId: 'fine', requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Circle' } } } } } },
      '/round': { get: { $ref: '#/paths/~1round/get' } }, '/params': { get: { operationId: 'params', parameters: [null, 7, { name: 5, in: 'query' }, { name: 'x', in: 'body' }, { name: 'Authorization', in: 'header' }] } },
      '/loop': { get: { parameters: [{ $ref: '#/components/parameters/Loop' }] } },
      '/../up': { get: OK }, '/{a}/{a}': { get: OK }, '/open{': { get: OK }, '/a b': { get: OK }, '/x?y={z}': { get: OK },
      '/twice/a': { get: { operationId: 'same', ...OK } }, '/twice/b': { get: { operationId: 'same' } }, '/odd': { get: 'yes', put: null, post: [] }, 'x-more': { get: OK },
      '/proto': { post: { operationId: 'proto', requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Proto' } } } }, parameters: [{ name: 'constructor', in: 'query', schema: { type: 'string' } }, { name: 'toString', in: 'query', schema: { type: 'string' } }] } },
    },
    components: {
      schemas: { Circle: circle, Proto: JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string"},"constructor":{"type":"string"}}}') as Loose }, parameters: { Loop: { $ref: '#/components/parameters/Loop' } },
    },
  }))
  t.strictSame(report.actions.map(({ name }) => name).filter((name) => !name.startsWith('same_')), ['fine', 'params', 'get_a_a', 'proto'])
  t.equal(report.actions.length + report.skipped.length, report.operations)
  t.match(report.skipped, [
    { pointer: '/paths/~1loop/get', reason: /parameters\/Loop, which leads nowhere/ }, { pointer: '/paths/~1..~1up/get', reason: /leads out/ }, { reason: /can’t be read/ }, { reason: /can’t be read/ },
    { reason: /parameter in its query/ }, { pointer: '/paths/~1round/get', reason: /~1round\/get, which leads nowhere/ },
  ])
  const integration = createIntegration(manifest ?? t.bailout('no manifest') as never)
  t.strictSame(integration.requireAction('proto').check({ query: { constructor: 'a', toString: 'b' }, body: JSON.parse('{"__proto__":"x"}') }), [])
  t.strictSame(integration.requireAction('fine').check({ body: { again: {} } }), [])
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
})

/** Rich enough that every reader of the importer has work. */
const RICH: readonly Loose[] = [
  base({
    info: { title: 'Rich', version: '1', contact: { url: 'https://docs.vendor.dev' } }, externalDocs: { url: 'https://docs.vendor.dev' }, security: [{ key: [] }, { machine: ['read'] }],
    servers: [{ url: 'https://{region}.vendor.dev/{base}', variables: { region: { enum: ['eu', 'us'], default: 'eu' }, base: { default: 'v1' } } }, { url: 'https://sandbox.vendor.dev', description: 'Sandbox' }],
    tags: [{ name: 'pets' }],
    paths: {
      '/pets/{id}': {
        parameters: [{ $ref: '#/components/parameters/Id' }], servers: [{ url: 'https://files.vendor.dev' }],
        get: { operationId: 'getPet', tags: ['pets'], summary: 'Get', description: 'Long', parameters: [{ name: 'filter', in: 'query', style: 'deepObject', explode: true, schema: { type: 'object', properties: { a: { type: 'string' } } } }, { name: 'c', in: 'cookie', content: { 'application/json': { schema: { type: 'object' } } } }], ...OK },
        put: { operationId: 'putPet', security: [], requestBody: { required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } }, 'multipart/form-data': { schema: { type: 'object', properties: { file: { type: 'string', format: 'binary' } } } } } }, ...OK },
        post: { requestBody: { content: { 'application/x-www-form-urlencoded': { schema: { type: 'object', properties: { a: { type: 'array', items: { type: 'integer' } } } }, encoding: { a: { style: 'form', explode: false } } } } } },
      },
    },
    components: {
      parameters: { Id: { name: 'id', in: 'path', required: true, schema: { type: 'string', minLength: 1, pattern: '^a' } } },
      schemas: { Pet: { type: ['object', 'null'], required: ['id', 'name'], properties: { id: { type: 'integer', readOnly: true }, name: { enum: ['a', 'b'] }, parent: { $ref: '#/components/schemas/Pet' } }, additionalProperties: { oneOf: [{ type: 'string' }, { not: { const: 1 } }] } } },
      securitySchemes: { key: { type: 'apiKey', in: 'header', name: 'X-Key' }, machine: { type: 'oauth2', flows: { clientCredentials: { tokenUrl: 'https://auth.vendor.dev/t', scopes: { read: '' } } } }, basic: { type: 'http', scheme: 'basic' } },
    },
  }),
  {
    swagger: '2.0', info: { title: 'Old', version: '1' }, host: 'api.vendor.dev', basePath: '/v2', schemes: ['https'], consumes: ['application/json'], securityDefinitions: { o: { type: 'oauth2', flow: 'application', tokenUrl: 'https://auth.vendor.dev/t', scopes: { a: 'b' } }, b: { type: 'basic' } }, security: [{ o: ['a'] }],
    parameters: { Limit: { name: 'limit', in: 'query', type: 'integer', format: 'int32' } },
    paths: {
      '/pets': { get: { parameters: [{ $ref: '#/parameters/Limit' }, { name: 'ids', in: 'query', type: 'array', items: { type: 'string' }, collectionFormat: 'multi' }], ...OK }, post: { parameters: [{ in: 'body', name: 'body', required: true, schema: { $ref: '#/definitions/Pet' } }], ...OK } },
      '/upload': { post: { consumes: ['multipart/form-data'], parameters: [{ in: 'formData', name: 'file', type: 'file' }, { in: 'formData', name: 'note', type: 'string' }], ...OK } },
    },
    definitions: { Pet: { type: 'object', properties: { name: { type: 'string' } } } },
  },
  {
    openapi: '3.0.3', info: { title: 'Middle', version: '1' }, servers: [{ url: '/v1' }],
    paths: { '/a': { get: { parameters: [{ name: 'n', in: 'query', schema: { type: 'integer', nullable: true, minimum: 1, exclusiveMinimum: true } }], ...OK }, patch: { requestBody: { content: { 'application/json': { schema: { allOf: [{ type: 'object' }], example: { a: 1 } } }, 'text/xml': {} } }, ...OK } } },
  },
]

const strange = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, -1, 1e308, '', 'x', '{', '{}', '#', '#/', '#/paths', '//', 'https://', '__proto__', '\u0000', '\ud800', [], {}, [null], [[]], { $ref: '#' }, { $ref: '#/components/schemas/Pet' }, { $ref: 5 }, { type: 'array' }, [{}], { '': {} }),
  fc.jsonValue(),
)

/** A document with some of its values replaced, somewhere. */
function mutate (value: unknown, places: readonly number[], replacements: readonly unknown[]): unknown {
  let total = 0
  JSON.stringify(value, (_key, member: unknown) => {
    total++
    return member
  })
  const chosen = new Map(places.map((place, index) => [1 + place % (total - 1), replacements[index % replacements.length]]))
  let at = 0
  const visit = (member: unknown): unknown => {
    const here = at++
    if (chosen.has(here)) return chosen.get(here)
    if (Array.isArray(member)) return member.map(visit)
    return member !== null && typeof member === 'object' ? Object.fromEntries(Object.entries(member).map(([key, one]) => [key, visit(one)])) : member
  }
  return visit(value)
}

t.test('wrong types everywhere', async () => {
  const places = fc.array(fc.nat(100_000), { minLength: 1, maxLength: 4 })
  const replacements = fc.array(strange, { minLength: 1, maxLength: 4 })
  fc.assert(fc.property(fc.constantFrom(...RICH), places, replacements, (document, where, what) => {
    const value = mutate(document, where, what)
    try {
      const imported = read(value)
      const manifest = requireSound(imported)
      if (imported.report.actions.length + imported.report.skipped.length !== imported.report.operations) return false
      if (manifest === undefined) return true
      const integration = createIntegration(manifest)
      for (const { name } of manifest.actions) {
        JSON.stringify(integration.requireAction(name).schema)
        integration.requireAction(name).check({ path: { id: 'a' }, body: {} })
      }
      return true
    } catch (error) {
      if (error instanceof ImportError) return true
      throw error
    }
  }), { numRuns: 4_000 })
})

t.test('any text at all', async () => {
  const words = fc.array(fc.constantFrom('openapi: ', '3.1.0', '\n', '  ', 'paths:', '/a:', 'get:', '&a', '*a', '{', '}', '[', ']', '"', '|', '>', '- ', '!!js/function ', '!<tag> ', '? ', '%YAML 1.2\n---\n', '#', '\t', '\u0000', 'ref: ', '<<: '), { maxLength: 30 }).map((parts) => parts.join(''))
  fc.assert(fc.property(fc.oneof(words, fc.string()), (text) => {
    try {
      read(text)
      return true
    } catch (error) {
      return error instanceof ImportError
    }
  }), { numRuns: 1_500 })
})
