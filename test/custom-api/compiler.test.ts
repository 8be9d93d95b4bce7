import t from 'tap'
import { createCompiler, type CompileJob } from '../../src/catalog/custom-api/compile.ts'
import { createTurns } from '../../src/catalog/custom-api/turns.ts'

/** The thread that reads documents, and what happens to it. */
const job = (body: string | Uint8Array, contentType = 'application/json'): CompileJob => ({ kind: 'request', id: 'int_x', open: [], closed: [], body: typeof body === 'string' ? Buffer.from(body) : body, contentType })
const SMALL = '{"openapi": "3.1.0", "paths": {"/a": {"get": {}}}}'

t.test('a document that takes too long, or too much memory, ends alone', async (t) => {
  const many = JSON.stringify({ openapi: '3.1.0', paths: Object.fromEntries(Array.from({ length: 15_000 }, (_, index) => [`/${index}`, { get: { description: 'x'.repeat(500) } }])) })
  await t.rejects(createCompiler({ timeoutMs: 30_000, heapMb: 16 }).run(job(many), 'ws'), { code: 'openapi_invalid', details: { detail: /needs more memory/ } })
  await t.rejects(createCompiler({ timeoutMs: 1, heapMb: 768 }).run(job(many), 'ws'), { code: 'openapi_invalid', details: { detail: /takes longer than/ } })
  t.match(await createCompiler().run(job(many), 'ws'), { kind: 'compiled', summary: { actions: 15_000 } }, 'which the limits as they are let through')
})

t.test('two at a time, eight wait, no workspace with more than half of them, and the others come again', async (t) => {
  const compiler = createCompiler()
  const ask = (count: number, party: string) => Array.from({ length: count }, async () => await compiler.run(job(SMALL), party))
  const all = await Promise.allSettled([...ask(8, 'many'), ...ask(3, 'few'), ...ask(2, 'fewer')])
  t.strictSame(all.map(({ status }) => status === 'fulfilled' ? 1 : 0), [1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0])
  for (const one of all) if (one.status === 'rejected') t.match(one.reason, { code: 'overloaded', details: { retryAfterSeconds: 5 } })
  t.match(await compiler.run(job(SMALL), 'ws'), { kind: 'compiled' }, 'and then there is room again')
  await t.rejects(compiler.run(job('[]'), 'ws'), { code: 'openapi_invalid' })
  t.match(await compiler.run(job(SMALL), 'ws'), { kind: 'compiled' }, 'also after one that was refused')
})

t.test('who waits takes turns with the others', async (t) => {
  const turns = createTurns({ workingMax: 1, waitingMax: 8 })
  const order: string[] = []
  const work = async (name: string, party: string) => {
    order.push(await turns.enter(party) ? name : `no ${name}`)
    await new Promise((resolve) => { setImmediate(resolve) })
    if (!order.includes(`no ${name}`)) turns.leave()
  }
  await Promise.all([work('a0', 'a'), work('a1', 'a'), work('a2', 'a'), work('a3', 'a'), work('a4', 'a'), work('a5', 'a'), work('b1', 'b'), work('b2', 'b'), work('c1', 'c')])
  t.strictSame(order, ['a0', 'no a5', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4'])
  t.ok(await turns.enter('a'), 'and then there is room again')
})

t.test('what Postgres can’t hold is left out', async (t) => {
  const text = '{"openapi": "3.1.0", "info": {"title": "A\\u0000B\\ud800"}, "paths": {"/a": {"get": {"summary": "x\\u0000y", "description": "\\\\u0000", "parameters": [{"name": "n\\u0000", "in": "query", "schema": {"enum": ["\\udfff"]}}]}}}}'
  const compiled = await createCompiler().run(job(text), 'ws')
  if (compiled.kind !== 'compiled') throw new Error(compiled.kind)
  const [actions, head] = [compiled.actions, compiled.head].map((bytes) => Buffer.from(bytes ?? []).toString('utf8'))
  t.match(JSON.parse(actions ?? ''), [{ definition: { title: 'xy', help: '\\u0000', binding: { parameters: [{ name: 'n' }] } } }])
  t.match(JSON.parse(head ?? ''), { name: 'AB\ufffd' })
})
