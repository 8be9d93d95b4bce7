import t from 'tap'
import { retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { startTestVault } from '../support/vault.ts'

const ISSUED = 'access-sandbox-canary-issued-0001'
const provider = await startProvider((received, reply) => {
  if (received.url === '/item/public_token/exchange') json(reply, 200, { access_token: ISSUED, item_id: 'item_1', request_id: 'r' })
  else json(reply, 200, { accounts: [] })
})
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url, ['plaid', 'stripe']), EGRESS_ALLOW_PROVIDER: provider.endpoint })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})

const at = (id: string, rest = '') => `/v1/workspaces/acme/connections/${id}${rest}`
const plaid = (changes = {}) => vault.connect('acme', { integration: 'plaid', credentials: { secret: 'plaidsecretcanary0000000000001' }, config: { client_id: 'abcdef0123456789abcdef01' }, ...changes })
const exchange = (id: string, more: object = {}, options: object = {}) => vault.request('POST', at(id, '/invoke'), { body: { environment: 'sandbox', action: 'exchange_public_token', input: { public_token: 'public-sandbox-1' }, ...more }, ...options })

t.test('an issued credential becomes a connection', async (t) => {
  const id = await plaid({ allowed_actions: ['exchange_public_token', 'get_accounts'] })
  const answer = await exchange(id, { store_as: { name: 'Ada’s bank', labels: { customer: 'ada' } } })
  t.match(answer.body, { outcome: 'succeeded', output: { access_token: '[stored]', item_id: 'item_1' }, stored: { connection_id: /^conn_/, name: 'Ada’s bank' } })
  t.notMatch(answer.text, /canary-issued/)
  const made = answer.body.stored.connection_id as string
  t.match((await vault.request('GET', at(made))).body, {
    integration: 'plaid', environment: 'sandbox', name: 'Ada’s bank', labels: { customer: 'ada' }, config: { client_id: 'abcdef0123456789abcdef01' },
    preview: { access_token: 'access-sandbox-…0001', secret: '…0001' }, allowed_actions: ['exchange_public_token', 'get_accounts'], status: 'active',
  })
  provider.received.length = 0
  t.match((await vault.request('POST', at(made, '/invoke'), { body: { environment: 'sandbox', action: 'get_accounts' } })).body, { outcome: 'succeeded' })
  t.match(provider.received[0], { body: JSON.stringify({ access_token: ISSUED }), headers: { 'plaid-secret': 'plaidsecretcanary0000000000001' } }, 'with the fields of the connection that made it')
  const dump = JSON.stringify([await vault.database.query('select * from audit_events'), await vault.database.query('select * from connections'), vault.logs])
  t.notMatch(dump, /canary-issued/)
})

t.test('without being asked to, it is answered and not kept', async (t) => {
  const before = (await vault.database.query('select from connections')).length
  t.match((await exchange(await plaid())).body, { output: { access_token: ISSUED }, stored: undefined })
  t.equal((await vault.database.query('select from connections')).length, before + 1)
})

t.test('a repeat with its key makes nothing new', async (t) => {
  const id = await plaid()
  const options = { headers: { 'idempotency-key': 'exchange-1' } }
  const first = await exchange(id, { store_as: { name: 'Once' } }, options)
  provider.received.length = 0
  t.match((await exchange(id, { store_as: { name: 'Another' } }, options)).body, { code: 'idempotency_conflict' })
  const again = await exchange(id, { store_as: { name: 'Once' } }, options)
  t.match(again.body, { stored: first.body.stored, replayed: true, output: { access_token: '[stored]' } })
  t.equal(provider.received.length, 0)
})

t.test('refused before anything is sent', async (t) => {
  const id = await plaid({ name: 'Taken' })
  provider.received.length = 0
  t.match((await exchange(id, { store_as: { name: 'taken' } })).body, { status: 409, code: 'name_taken' })
  const body = { environment: 'sandbox', action: 'get_accounts', input: { access_token: 'x' }, store_as: { name: 'n' } }
  t.match((await vault.request('POST', at(id, '/invoke'), { body })).body, { status: 422, code: 'input_invalid', errors: [{ pointer: '/store_as' }] })
  const invoker = await vault.mint({ scopes: ['actions:invoke'] })
  t.match((await exchange(id, { store_as: { name: 'n' } }, { token: invoker })).body, { status: 403, code: 'insufficient_scope', detail: /connections:write/ })
  t.match((await exchange(id, { store_as: { name: '' } })).body, { status: 400, code: 'request_invalid' })
  t.equal(provider.received.length, 0)
})

t.test('an issued credential is not lost', async (t) => {
  const id = await plaid()
  const { answer } = provider
  // Somebody takes the name while the provider answers.
  provider.answer = async (received, reply) => {
    await plaid({ name: 'Contested' })
    await answer(received, reply)
  }
  t.match((await exchange(id, { store_as: { name: 'Contested' } })).body, { output: { access_token: '[stored]' }, stored: { name: /^Contested [0-9a-z]{6}$/ } })
  provider.answer = (_received, reply) => { json(reply, 200, { nothing: 1 }) }
  t.match((await exchange(id, { store_as: { name: 'Missing' } })).body, { outcome: 'succeeded', stored: undefined, store_error: { code: 'output_missing' } })
  provider.answer = (_received, reply) => { json(reply, 400, { error_code: 'INVALID_PUBLIC_TOKEN', error_type: 'INVALID_INPUT' }) }
  t.match((await exchange(id, { store_as: { name: 'Failed' } })).body, { outcome: 'failed', stored: undefined, store_error: undefined })
})
