import t from 'tap'
import { createCompiler, type CompileJob } from '../../src/catalog/custom-api/compile.ts'

/** The thread that reads documents, and what happens to it. */
const job = (body: string | Uint8Array, contentType = 'application/json'): CompileJob => ({ kind: 'request', id: 'int_x', open: [], closed: [], body: typeof body === 'string' ? Buffer.from(body) : body, contentType })
const SMALL = '{"openapi": "3.1.0", "paths": {"/a": {"get": {}}}}'

t.test('a document that takes too long, or too much memory, ends alone', async (t) => {
  const many = JSON.stringify({ openapi: '3.1.0', paths: Object.fromEntries(Array.from({ length: 15_000 }, (_, index) => [`/${index}`, { get: { description: 'x'.repeat(500) } }])) })
  await t.rejects(createCompiler({ timeoutMs: 30_000, heapMb: 16 }).run(job(many)), { code: 'openapi_invalid', details: { detail: /needs more memory/ } })
  await t.rejects(createCompiler({ timeoutMs: 1, heapMb: 768 }).run(job(many)), { code: 'openapi_invalid', details: { detail: /takes longer than/ } })
  t.match(await createCompiler().run(job(many)), { kind: 'compiled', summary: { actions: 15_000 } }, 'which the limits as they are let through')
})

t.test('two at a time, eight wait, the others come again', async (t) => {
  const compiler = createCompiler()
  const all = await Promise.allSettled(Array.from({ length: 12 }, async () => await compiler.run(job(SMALL))))
  t.equal(all.filter(({ status }) => status === 'fulfilled').length, 10)
  for (const one of all) if (one.status === 'rejected') t.match(one.reason, { code: 'overloaded', details: { retryAfterSeconds: 5 } })
  t.match(await compiler.run(job(SMALL)), { kind: 'compiled' }, 'and then there is room again')
  await t.rejects(compiler.run(job('[]')), { code: 'openapi_invalid' })
  t.match(await compiler.run(job(SMALL)), { kind: 'compiled' }, 'also after one that was refused')
})

t.test('what Postgres can’t hold is left out', async (t) => {
  const text = '{"openapi": "3.1.0", "info": {"title": "A\\u0000B\\ud800"}, "paths": {"/a": {"get": {"summary": "x\\u0000y", "description": "\\\\u0000", "parameters": [{"name": "n\\u0000", "in": "query", "schema": {"enum": ["\\udfff"]}}]}}}}'
  const compiled = await createCompiler().run(job(text))
  if (compiled.kind !== 'compiled') throw new Error(compiled.kind)
  const [actions, head] = [compiled.actions, compiled.head].map((bytes) => Buffer.from(bytes ?? []).toString('utf8'))
  t.match(JSON.parse(actions ?? ''), [{ definition: { title: 'xy', help: '\\u0000', binding: { parameters: [{ name: 'n' }] } } }])
  t.match(JSON.parse(head ?? ''), { name: 'AB\ufffd' })
})
