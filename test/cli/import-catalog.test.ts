import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeFolder } from '../support/folder.ts'
import { runCli } from '../support/process.ts'

const folder = () => makeFolder('import')
const run = (args: string[], env: Record<string, string> = {}) => runCli(args, env).done

t.test('an integration out of an OpenAPI document', async (t) => {
  const dir = folder()
  const file = join(dir, 'acme.yaml')
  const catalogDir = join(dir, 'catalog')
  mkdirSync(catalogDir)
  writeFileSync(file, ['openapi: 3.1.0', 'info: { title: "Acme \\e[31mBilling", version: "1" }', 'servers: [{ url: "https://api.acme.dev/v1" }]', 'security: [{ key: [] }]', 'paths:', '  /invoices:',
    '    get: { operationId: listInvoices, tags: [invoices] }', '    post: { operationId: createInvoice, requestBody: { content: { application/json: { schema: { type: object } } } } }', '  /tls: { get: { security: [{ tls: [] }] } }',
    'components: { securitySchemes: { key: { type: apiKey, in: header, name: X-Key }, tls: { type: mutualTLS } } }'].join('\n'))
  const importing = (args: string[], source = file) => run(['catalog', 'import', source, '--id', 'acme', ...args], { CATALOG_DIR: catalogDir })

  const preview = await importing(['--preview'])
  t.match(preview, { code: 0, output: /2 actions of 3 operations: 1 read, 0 idempotent, 1 unsafe\nLeft out:\n {2}1 × it is authorised by tls, which can’t be connected, such as \/paths\/~1tls\/get/ })
  t.notOk(preview.output.includes('\u001b'), 'a document does not write to the terminal')
  t.strictSame(readdirSync(catalogDir), [])
  t.match(await importing([]), { code: 0, output: /acme\.json/ })
  t.match(await run(['catalog', 'acme'], { CATALOG_DIR: catalogDir }), { code: 0, output: /create_invoice +unsafe +POST +\/invoices/ })
  t.match(await importing([]), { code: 1, output: /is there already; --replace/ })
  t.match(await importing(['--replace', '--tags', 'invoices', '--live', 'https://eu.acme.dev', '--auth', 'api_key', '--key-name', 'X-Other', '--name', 'Acme']), { code: 0 })
  t.match(JSON.parse(readFileSync(join(catalogDir, 'acme.json'), 'utf8')), { name: 'Acme', servers: { live: 'https://eu.acme.dev' }, environments: ['live'], auth: [{ inject: [{ header: 'X-Other' }] }], actions: { length: 1 } })

  writeFileSync(join(dir, 'broken.json'), '{"openapi": "3.1.0", "paths": {}}')
  const wrong: [args: string[], source: string, why: RegExp][] = [
    [['--replace'], join(dir, 'broken.json'), /\/paths has no operations/], [['--replace'], join(dir, 'none.json'), /can’t be read \(ENOENT\)/], [['--replace', '--tags', 'none'], file, /nothing to import/],
    [['--replace', '--auth', 'api_key'], file, /needs --key-name/], [['--replace', '--live', 'http://localhost'], file, /localhost/], [['--id', 'A-B'], file, /--id must be/], [['--replace'], 'https://127.0.0.1:1/openapi.json', /not|refused|private|loopback/i],
    [['--id', 'stripe'], file, /stripe is an integration of the vault itself; --replace puts this one in its place/],
    [['--auth', 'magic'], file, /Allowed choices/],
  ]
  for (const [args, source, why] of wrong) t.match(await importing(args, source), { code: 1, output: why }, why.source)
  t.match(await run(['catalog', 'import', file, '--id', 'acme'], {}), { code: 1, output: /CATALOG_DIR/ })

  const served = createServer((_request, reply) => { reply.end(readFileSync(file)) })
  served.listen(0, '127.0.0.1')
  await once(served, 'listening')
  t.teardown(() => served.close())
  const origin = `http://127.0.0.1:${(served.address() as AddressInfo).port}`
  const fetched = await run(['catalog', 'import', `${origin}/acme.yaml`, '--id', 'fetched'], { CATALOG_DIR: catalogDir, EGRESS_ALLOW_DOCUMENT: new URL(origin).host })
  t.match(fetched, { code: 0, output: /fetched\.json/ })
})
