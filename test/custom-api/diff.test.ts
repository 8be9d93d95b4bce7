import t from 'tap'
import { diffRevisions } from '../../src/catalog/custom-api/diff.ts'
import { importDocument } from '../../src/catalog/custom-api/import-document.ts'

/** What a new revision means for a caller that does as before. */
type Loose = Record<string, unknown>
const read = (operation: Loose, schemas: Loose = {}, more: Loose = {}) => {
  const document = { openapi: '3.1.0', servers: [{ url: 'https://api.vendor.dev' }], paths: { '/a': { post: { operationId: 'a', ...operation } } }, components: { schemas, securitySchemes: { k: { type: 'http', scheme: 'bearer' }, l: { type: 'http', scheme: 'basic' } } }, ...more }
  const { manifest } = importDocument(Buffer.from(JSON.stringify(document)), { id: 'x' })
  if (manifest === undefined) throw new Error('nothing to compare')
  return { actions: manifest.actions, schemas: manifest.schemas ?? {} }
}
const query = (schema: Loose, required = false): Loose => ({ parameters: [{ name: 'q', in: 'query', required, schema }] })
const body = (schema: Loose, required = false, type = 'application/json'): Loose => ({ requestBody: { required, content: { [type]: { schema } } } })
const object = (properties: Loose, required: string[] = [], more: Loose = {}): Loose => ({ type: 'object', properties, required, ...more })
const TEXT = { type: 'string' }

t.test('what breaks a caller, and what does not', async (t) => {
  const same: [string, Loose, Loose][] = [
    ['nothing', query(TEXT), query(TEXT)],
    ['the order of a list of values', query({ enum: ['a', 'b'] }), query({ enum: ['a', 'b'] })],
    ['a list that says no more', body(object({ a: TEXT })), body(object({ a: TEXT }))],
  ]
  for (const [what, before, after] of same) t.strictSame(diffRevisions(read(before), read(after)), { added: [], changed: [], breaking: [], removed: [] }, what)

  const changed: [string, Loose, Loose][] = [
    ['an optional parameter more', {}, query(TEXT)], ['a parameter that need not be any more', query(TEXT, true), query(TEXT)], ['a wider type', query({ type: 'integer' }), query({ type: 'number' })],
    ['a type that may be more', query(TEXT), query({ type: ['string', 'integer'] })], ['a value more', query({ enum: ['a'] }), query({ enum: ['a', 'b'] })], ['any value', query({ enum: ['a'] }), query({})],
    ['a looser bound', query({ type: 'integer', maximum: 10 }), query({ type: 'integer', maximum: 20 })], ['no bound', query({ type: 'string', minLength: 3 }), query(TEXT)],
    ['other words', { summary: 'A' }, { summary: 'B' }], ['a pattern', query(TEXT), query({ ...TEXT, pattern: '^a' })], ['a body more', {}, body(object({}))],
    ['an optional property', body(object({})), body(object({ a: TEXT }))], ['a property that is not named any more', body(object({ a: TEXT })), body(object({}))],
    ['one more form', body({ anyOf: [TEXT, { type: 'integer' }] }), body({ anyOf: [TEXT, { type: 'integer' }, { type: 'null' }] })], ['another way in', { security: [{ k: [] }] }, { security: [{ k: [] }, { l: [] }] }],
    ['less of a credential', { security: [{ k: [], l: [] }] }, { security: [{ k: [] }] }],
  ]
  for (const [what, before, after] of changed) t.strictSame(diffRevisions(read(before), read(after)), { added: [], changed: ['a'], breaking: [], removed: [] }, what)

  const breaking: [string, Loose, Loose, RegExp][] = [
    ['a required parameter more', {}, query(TEXT, true), /^\/query\/q is required now$/], ['a parameter less', query(TEXT), {}, /^\/query\/q is gone$/], ['another type', query(TEXT), query({ type: 'integer' }), /^\/query\/q no longer takes string$/],
    ['a type at last', query({}), query(TEXT), /no longer takes anything but string/], ['a narrower type', query({ type: 'number' }), query({ type: 'integer' }), /no longer takes number/], ['a value less', query({ enum: ['a', 'b'] }), query({ enum: ['a'] }), /fewer values/],
    ['a value only', query(TEXT), query({ const: 'a' }), /fewer values/], ['a stricter bound', query({ type: 'integer', maximum: 20 }), query({ type: 'integer', maximum: 10 }), /stricter maximum/], ['a bound', query(TEXT), query({ ...TEXT, minLength: 1 }), /stricter minLength/],
    ['a body that has to be', body(object({})), body(object({}), true), /\/body is required now/], ['another media type', body(object({})), body(object({}), false, 'application/xml'), /no longer takes application\/json/],
    ['a required property', body(object({ a: TEXT })), body(object({ a: TEXT }, ['a'])), /^\/body\/a is required now$/], ['a property less, where no others are', body(object({ a: TEXT })), body(object({}, [], { additionalProperties: false })), /\/body\/a is gone/],
    ['deep inside', body({ type: 'array', items: object({ a: object({ b: TEXT }) }) }), body({ type: 'array', items: object({ a: object({ b: { type: 'integer' } }) }) }), /^\/body\/\*\/a\/b no longer takes string$/],
    ['no other properties', body(object({})), body(object({}, [], { additionalProperties: false })), /no longer takes other properties/], ['one form less', body({ oneOf: [TEXT, { type: 'integer' }] }), body({ oneOf: [TEXT] }), /fewer forms/],
    ['one condition more', body({ allOf: [object({})] }), body({ allOf: [object({}), object({ a: TEXT }, ['a'])] }), /asks for more/], ['another credential', { security: [{ k: [] }] }, { security: [{ l: [] }] }, /no longer authorised by k/],
    ['a credential', { security: [] }, { security: [{ k: [] }] }, /no longer authorised by nothing/],
  ]
  for (const [what, before, after, reason] of breaking) t.match(diffRevisions(read(before), read(after)), { added: [], changed: [], breaking: [{ name: 'a', reasons: [reason] }], removed: [] }, what)

  const pet = (more: Loose) => ({ Pet: object({ name: TEXT, parent: { $ref: '#/components/schemas/Pet' }, ...more }) })
  const ref = body({ $ref: '#/components/schemas/Pet' })
  t.match(diffRevisions(read(ref, pet({ age: TEXT })), read(ref, pet({ age: { type: 'integer' } }))), { breaking: [{ reasons: ['/body/age no longer takes string'] }] }, 'behind a reference, once, without end')
  t.strictSame(diffRevisions(read(ref, pet({})), read(body(object({ name: TEXT, parent: { $ref: '#/components/schemas/Pet' } })), pet({}))).breaking, [], 'written out or pointed at is one')
  const get = { ...read({}), actions: read({}).actions.map((action) => ({ ...action, effect: 'read' as const })) }
  t.match(diffRevisions(get, read({})), { breaking: [{ reasons: ['its effect was read and is unsafe'] }] })
  t.strictSame(diffRevisions(read({}), read({ operationId: 'b' })), { added: ['b'], changed: [], breaking: [], removed: ['a'] })
})
