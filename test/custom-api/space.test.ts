import { readFileSync } from 'node:fs'
import t from 'tap'
import { startTestVault } from '../support/vault.ts'

/** How much of Custom APIs a workspace may keep. */
const BYTES_MAX = 2 ** 21
const vault = await startTestVault({ CUSTOM_API_BYTES_PER_WORKSPACE: String(BYTES_MAX) })
t.teardown(() => vault.close())

const URL_OF = '/v1/workspaces/acme/integrations'
const bodyOf = (operationId: string) => ({
  document: {
    openapi: '3.1.0', info: { title: 'Acme', version: '1' }, servers: [{ url: 'https://api.example.com' }],
    paths: { '/one': { get: { operationId }, post: { operationId: 'write', requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } } } } } } },
    components: { schemas: { Pet: { type: 'object', properties: { name: { type: 'string' } } } } },
  }, auth: { type: 'none' },
})
const bytesOf = async (id: string) => (await vault.database.query<{ bytes: number }>(`select bytes::integer from integrations where id = '${id}'`))[0]?.bytes ?? NaN
const MIGRATION = readFileSync(new URL('../../migrations/0015_bytes_of_integrations.sql', import.meta.url), 'utf8')

t.test('all revisions of a workspace hold so many bytes, until something is deleted', async (t) => {
  const first = await vault.request('POST', URL_OF, { body: bodyOf('read') })
  t.equal(first.status, 201, first.text)
  const { id } = first.body as { id: string }
  const one = await bytesOf(id)
  await vault.database.query(/^update [^;]+;/m.exec(MIGRATION)?.[0] ?? '')
  const held = await bytesOf(id)
  t.ok(held > 500 && held <= one && one < held + 300, `${one} are counted as they come, ${held} where they stood before`)
  t.match(await vault.request('PUT', `${URL_OF}/${id}`, { body: bodyOf('look') }), { status: 200 })
  const both = await bytesOf(id)
  t.ok(both > held + one, 'a revision adds its own')

  const left = (bytes: number) => vault.database.query(`update integrations set bytes = ${BYTES_MAX - bytes} where id = '${id}'`)
  const full = { status: 409, body: { code: 'integration_limit', detail: new RegExp(`^The revisions of a workspace hold ${BYTES_MAX} bytes at most: there are \\d+ already, and this one has ${one}\\.$`) } }
  await left(one - 1)
  t.match(await vault.request('POST', URL_OF, { body: bodyOf('read') }), full)
  t.match(await vault.request('PUT', `${URL_OF}/${id}`, { body: bodyOf('seek') }), { status: 409, body: { code: 'integration_limit' } }, 'nor a revision')
  await left(one)
  t.match(await vault.request('POST', URL_OF, { body: bodyOf('read') }), { status: 201 }, 'to the last byte')
  t.match(await vault.request('POST', URL_OF, { body: bodyOf('read') }), full)
  t.match(await vault.request('POST', '/v1/workspaces/other/integrations', { body: bodyOf('read') }), { status: 201 }, 'each workspace for itself')
  t.match(await vault.request('DELETE', `${URL_OF}/${id}`), { status: 204 })
  t.match(await vault.request('POST', URL_OF, { body: bodyOf('read') }), { status: 201 })
})
