import { existsSync, globSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler } from 'express'
import * as OpenApiValidator from 'express-openapi-validator'
import t from 'tap'
import { parse } from 'yaml'
import { buildRequest } from '../../src/calls/index.ts'
import { encodeBody } from '../../src/calls/encode.ts'
import { createIntegration } from '../../src/catalog/integration.ts'
import { importDocument } from '../../src/catalog/custom-api/import-document.ts'
import { judgeManifest } from '../../src/catalog/judge-manifest.ts'
import { Manifest } from '../../src/catalog/manifest.ts'
import { compileSchema } from '../../src/schema.ts'
import { sampleInput } from './sample-input.ts'

/** Vendors' documents as they are: each operation becomes an action, whose requests a validator that is not ours accepts. */
const SPECS = new URL('../../../shared/data/specs/', import.meta.url)
const missing = existsSync(SPECS) ? undefined : 'the vendors’ documents are not here; they come with the team’s shared folder'
const load = (file: string) => readFileSync(new URL(file, SPECS))
const SERVER = { servers: { live: 'https://api.vendor.dev', sandbox: 'https://api.vendor.dev' } }
const checkManifest = compileSchema(Manifest)

const DOCUMENTS: readonly [file: string, operations: number][] = [
  ['slack.json', 174], ['stripe_spec3_2023-09.yaml', 468], ['jira_platform_2025-12.json', 616], ['openai.yaml', 288], ['onfido.json', 84], ['twilio_api_v2010.json', 197],
  ['xero_accounting.yaml', 235], ['xero_identity.yaml', 2],
]

t.test('all of them import', { skip: missing ?? false }, async (t) => {
  for (const [file, operations] of DOCUMENTS) {
    const { manifest, report } = importDocument(load(file), { id: 'imported' })
    t.equal(report.operations, operations, file)
    t.equal(report.actions.length + report.skipped.length, operations, `${file}: every operation is an action or explained`)
    t.strictSame(report.skipped, [], file)
    t.strictSame(checkManifest(manifest), [], `${file} compiles to a manifest`)
    t.strictSame(manifest && judgeManifest(manifest), [], `${file} compiles to one that holds together`)
    t.equal(new Set(report.actions.map(({ name }) => name)).size, operations)
    t.ok(report.actions.every(({ name }) => /^[a-z][a-z0-9_]{0,63}$/.test(name)))
  }
})

t.test('GitHub’s document, 13 MB', async (t) => {
  const { manifest, report } = importDocument(readFileSync(new URL('generated/api.github.com.json', import.meta.resolve('@octokit/openapi/package.json'))), { id: 'github' })
  t.ok(report.operations > 1_000, `${report.operations} operations`)
  t.strictSame([report.actions.length, report.skipped], [report.operations, []])
  t.strictSame(manifest && judgeManifest(manifest), [])
  t.match(manifest?.servers, { live: 'https://api.github.com' })
})

t.test('examples that others test their importers with', async (t) => {
  const folder = new URL('.', import.meta.resolve('@readme/oas-examples/package.json'))
  const files = globSync('3.*/{json,yaml}/**/*.{json,yaml}', { cwd: folder }).sort()
  t.ok(files.length > 100, `${files.length} files`)
  const refused: string[] = []
  for (const file of files) {
    try {
      const { report } = importDocument(readFileSync(new URL(file, folder)), { id: 'example' })
      t.equal(report.actions.length + report.skipped.length, report.operations, file)
      t.ok(report.skipped.every(({ reason }) => /can’t be connected|its own server (is|has)/.test(reason)), file)
    } catch (error) {
      refused.push(`${file}: ${(error as Error).message}`)
    }
  }
  t.strictSame(refused, ['3.0/json/openapi-workshop/title.json: has no operations', '3.1/json/webhooks.json: has no operations', '3.1/yaml/webhooks.yaml: has no operations'])
})

/** Refused for what the sample says, not for how it is written: an expression, or a number’s step, that it does not hit. */
const ABOUT_VALUES = /must match pattern|must match format|must match a schema|must match exactly one schema|must be equal to one of|must be multiple of|must NOT have fewer/

/** Where the document or the validator is wrong. */
const KNOWN: readonly [action: RegExp, because: string][] = [
  [/^add_attachment$/, 'its multipart form is declared as a list, which no form can be'],
  [/^list_audit_logs$/, 'the validator takes the brackets off names that end with them'],
  [/^list_chat_completions$/, 'a list of pairs that may be null, over which the validator stumbles'],
  [/_attachment_by_file_name$/, 'two paths have one shape, and the validator knows the methods of the first only'],
]

/** How many operations of each document are sent. */
const SENT = 45

t.test('what is built is accepted by a validator of somebody else', { skip: missing ?? false }, async (t) => {
  let accepted = 0
  for (const [file] of DOCUMENTS) {
    // The validator knows OpenAPI 3 only.
    if (file === 'slack.json') continue
    const bytes = load(file)
    const { manifest } = importDocument(bytes, { id: 'imported', ...SERVER })
    if (manifest === undefined) throw new Error(file)
    const integration = createIntegration(manifest)
    const validator = await startValidator(parse(bytes.toString('utf8'), { maxAliasCount: 100 }) as object)
    const step = Math.max(1, Math.floor(manifest.actions.length / SENT))
    const wrong: string[] = []
    for (const { name } of manifest.actions.filter(({ binding }, index) => index % step === 0 && binding?.query === undefined)) {
      const action = integration.requireAction(name)
      const satisfied = action.definition.binding?.security[0] ?? []
      const built = buildRequest(action, sampleInput(action), { manifest, baseUrl: validator.url, fields: [], injected: [], satisfied })
      const body = built.body && await encodeBody(built.body)
      const answer = await fetch(built.url, {
        method: built.method, headers: { ...built.headers, ...body && { 'content-type': body.contentType } }, ...body && { body: Buffer.from(body.bytes) }, redirect: 'manual',
      })
      const said = await answer.text()
      if (answer.status === 200) accepted++
      else if (!ABOUT_VALUES.test(said) && !KNOWN.some(([known]) => known.test(name))) wrong.push(`${name}: ${built.method} ${built.url.pathname}${built.url.search}: ${answer.status} ${said.slice(0, 300)}`)
    }
    t.strictSame(wrong, [], file)
    await validator.close()
  }
  t.ok(accepted >= 200, `${accepted} accepted`)
})

/**
 * Schemas of answers point at each other without end, and nobody asks for them here; and the
 * validator stumbles over `nullable` beside `anyOf`, formats of vendors' own, and keywords of 3.0 in a document that says it is 3.1.
 */
function withoutAnswers (document: object): object {
  return JSON.parse(JSON.stringify(document, (key, value: unknown) => {
    // Its router knows no query in a path.
    if (key.startsWith('/') && key.includes('?')) return undefined
    if (key === 'responses') return { 200: { description: 'Done.' } }
    if (key === 'callbacks' || key === 'links' || (key === 'format' && typeof value === 'string' && value !== 'binary')) return undefined
    if (/^exclusive(Min|Max)imum$/.test(key) && typeof value === 'boolean') return undefined
    if (value !== null && typeof value === 'object' && 'nullable' in value && !('type' in value)) return { ...value, nullable: undefined }
    return value
  })) as object
}

function readNumbers (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(readNumbers)
  if (value !== null && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, readNumbers(member)]))
  return typeof value === 'string' && /^(\d+|true|false)$/.test(value) ? JSON.parse(value) as unknown : value
}

async function startValidator (document: object): Promise<{ url: string, close (): Promise<void> }> {
  const app = express()
  app.use(express.json({ strict: false, type: ['json', '+json'] }), express.urlencoded({ extended: true }), express.text({ type: ['text/*', 'xml'] }), express.raw({ type: 'application/octet-stream' }))
  // A form has nothing but texts, and the validator takes them for what they are.
  app.use((request, _reply, next) => {
    if (request.is('urlencoded') !== false) request.body = readNumbers(request.body)
    next()
  })
  app.use(OpenApiValidator.middleware({
    apiSpec: { ...withoutAnswers(document), servers: [{ url: '/' }] } as never, validateApiSpec: false, validateRequests: true,
    validateResponses: false, validateSecurity: false,
  }))
  app.use((_request, reply) => { reply.status(200).end() })
  const refused: ErrorRequestHandler = (error: { status?: number, message?: string, errors?: unknown }, _request, reply, _next) => {
    reply.status(error.status ?? 500).json({ message: error.message, errors: error.errors })
  }
  app.use(refused)
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => { server.once('listening', resolve) })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    },
  }
}
