import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { importDocument } from '../../src/catalog/index.ts'
import { makeFolder } from '../support/folder.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, startTestVault } from '../support/vault.ts'

/** Adding an integration is adding one file: the one the documentation shows, used from first key to last record. */
const provider = await startProvider((received, reply) => {
  if (received.url === '/v1/me') json(reply, 200, { id: 7, name: 'Acme' })
  else if (received.headers['authorization'] !== 'Bearer ak_test_canary0123456789') json(reply, 401, { error: { message: 'who is that?' } })
  else if (received.body.includes('"amount":13')) json(reply, 402, { error: { message: 'unlucky' } })
  else json(reply, 201, { invoice: 1 }, { 'x-request-id': 'r1' })
})
const [, documented] = /```yaml\n(.*?)```/s.exec(readFileSync(new URL('../../docs/manifests.md', import.meta.url), 'utf8')) ?? []
const dir = makeFolder('operator')
writeFileSync(join(dir, 'acme_billing.yaml'), (documented ?? '').replaceAll('https://api.acme.example', provider.url).replace('hosts: [api.acme.example]', `hosts: ['${provider.endpoint}']`))
const PET = { type: 'object', required: ['name'], properties: { name: { type: 'string' }, parent: { $ref: '#/components/schemas/Pet' } } }
const imported = importDocument(Buffer.from(JSON.stringify({
  openapi: '3.1.0', info: { title: 'Pets' }, servers: [{ url: provider.url }], security: [{ key: [] }], components: { schemas: { Pet: PET }, securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
  paths: { '/pets': { post: { operationId: 'createPet', requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } } } } } } },
})), { id: 'pets', reach: { open: new Set([provider.endpoint]), closed: new Set() } })
writeFileSync(join(dir, 'pets.json'), JSON.stringify(imported.manifest))
const vault = await startTestVault({ CATALOG_DIR: dir, EGRESS_ALLOW_PROVIDER: provider.endpoint })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})

t.test('a manifest of the operator’s own', async (t) => {
  const { body } = await vault.request('GET', '/v1/integrations/acme_billing')
  t.match(body, { name: 'Acme Billing', auth: [{ id: 'api_key', kind: 'pasted' }], actions: [{ name: 'create_invoice', effect: 'unsafe', input: { properties: { body: {}, path: {} } } }] })
  const create = (key: string, environment = 'sandbox') => vault.request('POST', '/v1/workspaces/acme/connections', { body: { integration: 'acme_billing', environment, name: 'Billing', credentials: { api_key: key } } })
  t.match((await create('ak_live_canary0123456789')).body, { code: 'credential_invalid', errors: [{ message: /is a live key/ }] })
  const made = await create('ak_test_canary0123456789')
  t.match(made.body, { integration: 'acme_billing', preview: { api_key: 'ak_test_…6789' } })
  const at = `/v1/workspaces/acme/connections/${made.body.id}`
  t.match((await vault.request('POST', `${at}/test`)).body, { result: 'ok', account: { id: '7', label: 'Acme' } })
  const invoke = (input: object) => vault.request('POST', `${at}/invoke`, { body: { environment: 'sandbox', action: 'create_invoice', input, context: { procedure_id: 'p1', step_id: 's1' } }, headers: { 'idempotency-key': `k${JSON.stringify(input).length}` } })
  t.match((await invoke({ customer: 'c/1', amount: 12 })).body, { outcome: 'succeeded', output: { invoice: 1 }, provider: { status: 201, request_id: 'r1' } })
  t.match(provider.received.at(-1), { method: 'POST', url: '/v1/customers/c%2F1/invoices', body: '{"amount":12}', headers: { 'idempotency-key': /^k/ } })
  t.match((await invoke({ customer: 'c', amount: 13 })).body, { outcome: 'failed', error: { class: 'input', message: 'unlucky' } })
  t.match((await invoke({ customer: 'c', amount: 0.5 })).body, { status: 422, errors: [{ pointer: '/input/body/amount' }] })
  t.match((await vault.request('POST', `${at}/resolve`, { body: { environment: 'sandbox' } })).body, { request: { base_url: provider.url, headers: { authorization: 'Bearer ak_test_canary0123456789' } } })
  const uses = await eventually(async () => {
    const usage = (await vault.request('GET', `${at}/usage`)).body.uses as { uses: number }[]
    return usage.length === 2 && usage
  })
  t.match(uses, [{ procedure_id: /^(p1)?$/ }, { procedure_id: /^(p1)?$/ }])
  t.match((await vault.request('GET', `/v1/workspaces/acme/audit-events?connection_id=${made.body.id}&event=invoke.finished`)).body.audit_events.length, 3)
})

t.test('one that was imported', async (t) => {
  const { body } = await vault.request('GET', '/v1/integrations/pets')
  t.match(body, { name: 'Pets', docs: null, category: 'custom', actions: [{ name: 'create_pet', input: { properties: { body: { $ref: '#/$defs/Pet' } } } }] })
  t.notOk('$defs' in body.actions[0].input, 'the schemas of all actions together are megabytes')
  t.match(await vault.request('GET', '/v1/integrations/pets/actions/create_pet'), { status: 200, body: { input: { $defs: { Pet: { required: ['name'] } } } } })
  t.match(await vault.request('GET', '/v1/integrations/pets/actions/nope'), { status: 404 })
  t.match(await vault.request('GET', '/v1/integrations/stripe/actions/get_balance'), { status: 200, body: { name: 'get_balance', effect: 'read' } })
  const made = await vault.request('POST', '/v1/workspaces/acme/connections', { body: { integration: 'pets', environment: 'live', name: 'Pets', credentials: { key: 'ak_test_canary0123456789' } } })
  t.match(made.body, { integration: 'pets', auth: 'key' })
  const invoked = await vault.request('POST', `/v1/workspaces/acme/connections/${made.body.id as string}/invoke`, { body: { environment: 'live', action: 'create_pet', input: { body: { name: 'Rex' } } } })
  t.match(invoked.body, { outcome: 'succeeded' })
  t.match(provider.received.at(-1), { url: '/pets', body: '{"name":"Rex"}', headers: { authorization: 'Bearer ak_test_canary0123456789' } })
  t.match(await vault.request('POST', `/v1/workspaces/acme/connections/${made.body.id as string}/test`), { status: 409, body: { code: 'test_unavailable', detail: /has no test request: run an action that reads\.$/ } })
})
