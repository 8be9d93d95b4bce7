import t from 'tap'
import { linkCatalog } from '../support/catalog.ts'
import { consentAndChoose, returned, startLinkVault } from '../support/linking.ts'
import { Person } from '../support/person.ts'
import { json, startProvider } from '../support/provider.ts'
import { startLinear } from '../support/standins/index.ts'

/** What is said of connections of integrations that have no sandbox, and of one account in both environments. */
const linear = await startLinear()
const airtable = await startProvider((received, reply) => { json(reply, 200, { id: `usr_${received.headers.authorization?.at(-1)}`, email: 'ada@acme.example' }) })
const standins = { linear, airtable }
const vault = await startLinkVault(standins, { CATALOG_DIR: linkCatalog(standins) })
t.teardown(async () => {
  await vault.close()
  await Promise.all([linear, airtable].map((standin) => standin.close()))
})
for (const environment of ['sandbox', 'live']) await vault.enterApp(linear, { environment })
const W = 'ws_warned'
const at = (id: string) => `/v1/workspaces/${W}/connections/${id}`
const SHARED = ' does not tell sandbox from live: what sandbox runs do with this connection, they do in a real account. Use one that is kept for tests.'
const twin = (where: string, name: string) => `The same account is connected in ${where}: ${name} has no sandbox, so sandbox runs change live data.`
const TOKEN = `pat${'c4NaRy'.repeat(4)}`
const pasted = (name: string, environment: string, more = {}) => ({
  body: { integration: 'airtable', auth: 'personal_access_token', environment, name, credentials: { personal_access_token: `${TOKEN}1` }, ...more },
})
const create = async (...of: Parameters<typeof pasted>) => await vault.request('POST', `/v1/workspaces/${W}/connections`, pasted(...of))
const test = async (id: string) => (await vault.request('POST', `${at(id)}/test`)).body as { result: string, warnings: string[] }

t.test('an account that is linked in both environments', async (t) => {
  const first = await vault.link(W, { integration: 'linear', auth: 'oauth', session: { name: 'Trial' } })
  t.match(first, { warnings: [`Linear${SHARED}`], account: { label: 'Acme' } })
  t.notOk('warnings' in await vault.link(W, { integration: 'linear', auth: 'oauth', environment: 'live', account: 'globex' }), 'another account')
  const live = await vault.link(W, { integration: 'linear', auth: 'oauth', environment: 'live', session: { name: 'Main' } })
  t.same(live, { ...live, warnings: [twin('sandbox as Trial', 'Linear')] })
  t.same((await test(first.id)).warnings, [twin('live as Main', 'Linear')])
  t.same((await test(live.id)).warnings, [twin('sandbox as Trial', 'Linear')])
  t.notOk('warnings' in (await vault.request('GET', at(live.id))).body, 'a view is not judged each time it is read')

  const again = await vault.link(W, { integration: 'linear', auth: 'oauth', session: { connection_id: first.id } })
  t.same(again, { ...again, id: first.id, warnings: [twin('live as Main', 'Linear')] }, 'linked anew')

  const sandboxOnly = await vault.mint({ preset: 'dashboard', environments: ['sandbox'] })
  const { url } = await vault.openSession(W, { integration: 'linear' })
  const { sessionId, code } = returned(await consentAndChoose(new Person(), url, { integration: 'linear', auth: 'oauth' }))
  const completed = await vault.request('POST', `/v1/workspaces/${W}/connect-sessions/${sessionId}/complete`, { body: { completion_code: code, actor: 'user-1' }, token: sandboxOnly })
  t.match(completed, { status: 200, body: { warnings: [twin('live', 'Linear')] } }, 'who may not see live learns no name there')
  t.match(await vault.request('POST', `${at(first.id)}/test`, { token: sandboxOnly }), { status: 200, body: { warnings: [twin('live', 'Linear')] } })
})

t.test('a link that nobody confirms', async (t) => {
  const { url } = await vault.openSession(W, { integration: 'linear', confirmation: 'none', return_url: undefined })
  const page = await consentAndChoose(new Person(), url, { integration: 'linear', auth: 'oauth' })
  t.match(page.text, 'Linear is connected')
  t.match(page.text, twin('live', 'Linear'), 'the page says it, without a name')
})

t.test('a key that was pasted', async (t) => {
  const sandbox = await create('Pasted', 'sandbox')
  t.match(sandbox, { status: 201, body: { warnings: [`Airtable${SHARED}`], account: null } })
  t.same((await test(sandbox.body.id)).warnings, [`Airtable${SHARED}`])
  const live = await create('Pasted', 'live')
  t.same([live.status, live.body.warnings], [201, undefined], 'nobody knows yet whose it is')
  t.same((await test(live.body.id)).warnings, [twin('sandbox as Pasted', 'Airtable')])

  const rotate = async (token: string, more = {}) => await vault.request('POST', `${at(live.body.id)}/rotate`, { body: { credentials: { personal_access_token: token }, ...more } })
  t.match(await rotate(`${TOKEN}2`, { test: true }), { status: 200, body: { warnings: undefined, account: { id: 'usr_2', label: 'ada@acme.example' } } }, 'another account')
  t.match(await rotate(`${TOKEN}1`, { test: true }), { status: 200, body: { warnings: [twin('sandbox as Pasted', 'Airtable')], account: { id: 'usr_1' } } })
  t.match(await rotate(`${TOKEN}1`), { status: 200, body: { warnings: undefined, account: null } }, 'without a test nobody knows')
})

t.test('it is said before anything is entered', async (t) => {
  const views = (await vault.request('GET', '/v1/integrations')).body.integrations as { id: string, separation: string }[]
  const separation = (id: string) => views.find((one) => one.id === id)?.separation
  t.same(['linear', 'airtable', 'sendgrid', 'openai', 'stripe', 'wise'].map(separation), ['none', 'none', 'none', 'none', 'key', 'host'])
  t.match((await vault.request('GET', '/v1/integrations/airtable')).body, { separation: 'none' })
  const form = async (integration: string, environment: string) => {
    const { url } = await vault.openSession(W, { integration, environment })
    return (await new Person().visit(`${url}?integration=${integration}&auth=${integration === 'stripe' ? 'api_key' : 'personal_access_token'}`)).text
  }
  t.match(await form('airtable', 'sandbox'), `Airtable${SHARED}`, 'on the connect page')
  t.notMatch(await form('airtable', 'live'), 'does not tell sandbox from live')
  t.notMatch(await form('stripe', 'sandbox'), 'does not tell sandbox from live')
})

t.test('integrations whose keys or hosts tell sandbox from live', async (t) => {
  const answer = await vault.request('POST', `/v1/workspaces/${W}/connections`, {
    body: { integration: 'stripe', environment: 'sandbox', name: 'Told apart', credentials: { secret_key: `sk_test_51${'c4NaRy'.repeat(5)}` } },
  })
  t.same([answer.status, answer.body.warnings], [201, undefined])
})
