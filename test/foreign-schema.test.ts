import t from 'tap'
import { compileForeignSchema, createParties, prepareForeignSchema, TOO_LONG } from '../src/foreign-schema.ts'

/** Schemas that were written by people one does not know, some of whom mean harm. */
const chain = (levels: number, last: object) => ({
  $ref: '#/$defs/d0',
  $defs: Object.fromEntries(Array.from({ length: levels + 1 }, (_, at) => [`d${at}`, at === levels ? last : { allOf: [{ $ref: `#/$defs/d${at + 1}` }, { $ref: `#/$defs/d${at + 1}` }] }])),
})
const timeOf = (work: () => unknown): number => {
  const began = performance.now()
  work()
  return performance.now() - began
}

t.test('what an honest schema says is checked', async (t) => {
  const check = compileForeignSchema({
    type: 'object', required: ['id'], additionalProperties: false,
    properties: { id: { type: 'integer' }, pattern: { type: 'string' }, default: { $ref: '#/$defs/pattern' }, kind: { enum: ['a', { pattern: 'kept' }] } }, $defs: { pattern: { type: 'boolean' } },
  }, '/input')
  t.same(check({ id: 1, pattern: 'x', default: true, kind: { pattern: 'kept' } }), [])
  t.match(check({ pattern: 'x' }), [{ pointer: '/input/id', message: 'is required' }])
  t.match(check({ id: 1, default: 'x' }), [{ pointer: '/input/default' }])
  t.match(check({ id: 1, kind: {} }), [{ pointer: '/input/kind' }])
  const tree = compileForeignSchema({ $ref: '#/definitions/node', definitions: { node: { type: 'object', properties: { left: { $ref: '#/definitions/node' }, value: { type: 'number' } } } } })
  t.same(tree({ left: { left: { value: 1 } } }), [], 'one that leads back to itself')
  t.match(tree({ left: { left: { value: 'one' } } }), [{ pointer: '/left/left/value' }])
  const distinct = compileForeignSchema({ type: 'array', uniqueItems: true })
  t.same([distinct([1, 2]), distinct([1, 1]).length], [[], 1])
})

t.test('work that doubles with every level is ended', async (t) => {
  const check = compileForeignSchema(chain(45, { type: 'object' }), '/input')
  t.ok(timeOf(() => { t.same(check({}), [{ pointer: '/input', message: TOO_LONG }]) }) < 1_000)
  t.ok(timeOf(() => { t.same(check({}), [{ pointer: '/input', message: TOO_LONG }]) }) < 20, 'and not begun again at once')
  t.same(compileForeignSchema(chain(5, { type: 'object' }))({}), [], 'few levels are no harm')
})

t.test('work that doubles with every level of the value is ended', async (t) => {
  const check = compileForeignSchema({ type: 'object', allOf: [{ properties: { a: { $ref: '#' } } }, { properties: { a: { $ref: '#' } } }] })
  let value: object = {}
  for (let level = 0; level < 60; level++) value = { a: value }
  t.same(check({ a: {} }), [])
  t.ok(timeOf(() => { t.same(check(value), [{ pointer: '', message: TOO_LONG }]) }) < 1_000)
})

t.test('one that leads back to itself at once', async (t) => {
  t.same(compileForeignSchema({ allOf: [{ $ref: '#' }] })({}), [{ pointer: '', message: TOO_LONG }])
})

t.test('a pattern is not run, wherever it is hidden', async (t) => {
  const slow = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } }
  const value = { a: `${'a'.repeat(60)}!` }
  t.same(compileForeignSchema(slow)(value), [])
  for (const hidden of [
    { $ref: '#/default', default: slow }, { $ref: '#/const', const: slow }, { $ref: '#/enum/0', enum: [slow] }, { $ref: '#/examples/0', examples: [slow] },
    { $ref: '#/%64efault', default: slow }, { $ref: '#/properties/x/default', properties: { x: { default: slow } } },
    { $ref: 'there', default: { $id: 'there', ...slow } }, { $ref: '#there', default: { $anchor: 'there', ...slow } }, { $dynamicRef: '#there', default: { $dynamicAnchor: 'there', ...slow } },
    { $ref: '#/$defs', $defs: slow }, { $ref: '#/$defs/missing' }, { $ref: 'https://example.com/schema.json' },
  ]) t.throws(() => compileForeignSchema(hidden), TypeError, JSON.stringify(hidden))
  t.same(compileForeignSchema({ $id: 'https://example.com/it', $ref: '#/properties/default', properties: { default: slow } })(value), [], 'a property may be called default')
})

t.test('what has taken too long is held against all schemas of who wrote it, and of nobody else', async (t) => {
  const partyOf = createParties()
  const many = Array.from({ length: 100 }, () => prepareForeignSchema(() => chain(45, { type: 'object' }), '/input', partyOf('one')))
  const answers: unknown[] = []
  t.ok(timeOf(() => { for (const check of many) answers.push(check({})) }) < 1_000, 'a hundred of them take what a few do')
  t.same(answers, Array.from({ length: 100 }, () => [{ pointer: '/input', message: TOO_LONG }]))
  const honest = { type: 'array', uniqueItems: true }
  t.same(compileForeignSchema(honest, '', partyOf('one'))([1, 2]), [{ pointer: '', message: TOO_LONG }], 'nothing of theirs runs against the clock')
  t.same(compileForeignSchema({ type: 'object' }, '', partyOf('one'))({}), [], 'what is little work anyhow does')
  t.same(compileForeignSchema(honest, '', partyOf('other'))([1, 2]), [])
  t.equal(partyOf('one').isPaused(), true)
})
