import t from 'tap'
import fc from 'fast-check'
import { writeCookie, writeHeader, writePath, writeQuery, type Writing } from '../../src/calls/serialise.ts'

/** The table of the OpenAPI Specification (3.1.1, 4.8.12.4), with its values and its name. */
const VALUES = { empty: '', string: 'blue', array: ['blue', 'black', 'brown'], object: { R: 100, G: 200, B: 150 } }

type Row = readonly [style: Writing['style'], explode: boolean, empty: string, string: string, array: string, object: string]

const IN_PATH: readonly Row[] = [
  ['matrix', false, ';color', ';color=blue', ';color=blue,black,brown', ';color=R,100,G,200,B,150'],
  ['matrix', true, ';color', ';color=blue', ';color=blue;color=black;color=brown', ';R=100;G=200;B=150'],
  ['label', false, '.', '.blue', '.blue,black,brown', '.R,100,G,200,B,150'],
  ['label', true, '.', '.blue', '.blue.black.brown', '.R=100.G=200.B=150'],
  ['simple', false, '', 'blue', 'blue,black,brown', 'R,100,G,200,B,150'],
  ['simple', true, '', 'blue', 'blue,black,brown', 'R=100,G=200,B=150'],
]

const IN_QUERY: readonly Row[] = [
  ['form', false, 'color=', 'color=blue', 'color=blue,black,brown', 'color=R,100,G,200,B,150'],
  ['form', true, 'color=', 'color=blue', 'color=blue&color=black&color=brown', 'R=100&G=200&B=150'],
  ['spaceDelimited', false, 'color=', 'color=blue', 'color=blue%20black%20brown', 'color=R%20100%20G%20200%20B%20150'],
  ['pipeDelimited', false, 'color=', 'color=blue', 'color=blue%7Cblack%7Cbrown', 'color=R%7C100%7CG%7C200%7CB%7C150'],
  ['deepObject', true, 'color=', 'color=blue', 'color%5B%5D=blue&color%5B%5D=black&color%5B%5D=brown', 'color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150'],
]

t.test('the specification’s own table', async (t) => {
  for (const [style, explode, ...expected] of IN_PATH) {
    for (const [index, [kind, value]] of Object.entries(VALUES).entries()) t.equal(writePath('color', value, { style, explode }), expected[index], `path, ${style}, explode ${explode}, ${kind}`)
  }
  for (const [style, explode, ...expected] of IN_QUERY) {
    for (const [index, [kind, value]] of Object.entries(VALUES).entries()) t.equal(writeQuery('color', value, { style, explode }).join('&'), expected[index], `query, ${style}, explode ${explode}, ${kind}`)
  }
  const simple = (explode: boolean): Writing => ({ style: 'simple', explode })
  t.strictSame([VALUES.string, VALUES.array, VALUES.object].map((value) => writeHeader(value, simple(false))), ['blue', 'blue,black,brown', 'R,100,G,200,B,150'])
  t.equal(writeHeader(VALUES.object, simple(true)), 'R=100,G=200,B=150')
  const form: Writing = { style: 'form', explode: true }
  t.strictSame([VALUES.string, VALUES.array, VALUES.object].map((value) => writeCookie('color', value, form)), ['color=blue', 'color=blue,black,brown', 'color=R,100,G,200,B,150'])
})

t.test('what stands beside the table', async (t) => {
  const form: Writing = { style: 'form', explode: true }
  t.strictSame(writeQuery('q', 'a/b?c&d=e#f+g h', form), ['q=a%2Fb%3Fc%26d%3De%23f%2Bg%20h'])
  t.strictSame(writeQuery('q', 'a/b?c:d@e,f', { ...form, allow_reserved: true }), ['q=a/b?c:d@e,f'], 'reserved characters stay where they are allowed')
  t.strictSame(writeQuery('q', 'a&b#c+d', { ...form, allow_reserved: true }), ['q=a%26b%23c%2Bd'], 'but for what would end the value')
  t.strictSame(writeQuery('filter', { a: [1, 2] }, { ...form, media_type: 'application/json' }), ['filter=%7B%22a%22%3A%5B1%2C2%5D%7D'], 'content instead of a style')
  t.strictSame(writeQuery('x', { a: { b: [1, { c: 2 }] } }, { style: 'deepObject', explode: true }), ['x%5Ba%5D%5Bb%5D%5B%5D=1', 'x%5Ba%5D%5Bb%5D%5B1%5D%5Bc%5D=2'])
  t.strictSame(writeQuery('flag', true, form), ['flag=true'])
  t.strictSame(writeQuery('none', [], form), [])
  t.equal(writePath('id', 'a/../b c.d,e', { style: 'simple', explode: false }), 'a%2F..%2Fb%20c.d%2Ce')
  t.equal(writePath('id', { a: 1 }, { style: 'simple', explode: false, media_type: 'application/json' }), '%7B%22a%22%3A1%7D')
  t.equal(writeCookie('s', 'a; b=c', form), 's=a%3B%20b%3Dc', 'no cookie can begin another')
})

t.test('no value gets out of its place', async () => {
  const styles: Writing['style'][] = ['form', 'spaceDelimited', 'pipeDelimited', 'deepObject']
  const value = fc.oneof(fc.string({ unit: 'grapheme' }), fc.array(fc.string()), fc.dictionary(fc.string({ minLength: 1 }), fc.string()), fc.jsonValue())
  fc.assert(fc.property(value, fc.constantFrom(...styles), fc.boolean(), (one, style, explode) => {
    const query = writeQuery('q', one, { style, explode }).join('&')
    return new URL(`https://api.example.com/p?${query}`).href === `https://api.example.com/p${query === '' ? '?' : `?${query}`}` && /^[A-Za-z0-9\-._~%=&,[\]]*$/.test(query)
  }))
  fc.assert(fc.property(value, fc.constantFrom<Writing['style']>('simple', 'label', 'matrix'), fc.boolean(), (one, style, explode) => /^[A-Za-z0-9\-._~%=;,]*$/.test(writePath('p', one, { style, explode }))))
})
