import t, { type Test } from 'tap'
import { linkCatalog } from '../support/catalog.ts'
import { goToProvider, HOST, returned, startLinkVault } from '../support/linking.ts'
import { Person, type Page } from '../support/person.ts'
import { json, startProvider } from '../support/provider.ts'
import { consent, startJira, startLinear, startXero } from '../support/standins/index.ts'

/** The hosted page, as a browser without scripts meets it. */
const [linear, jira, xero] = await Promise.all([startLinear(), startJira(), startXero()])
const stripe = await startProvider((_received, reply) => { json(reply, 200, { id: 'acct_1', livemode: false }) })
const standins = { linear, jira, xero, stripe }
const vault = await startLinkVault(standins, { PRODUCT_NAME: 'Rapid & <b>folio</b>', CATALOG_DIR: linkCatalog(standins) })
t.teardown(async () => {
  await vault.close()
  await Promise.all(Object.values(standins).map((standin) => standin.close()))
})
for (const standin of [linear, jira, xero]) await vault.enterApp(standin)
const W = 'ws_pages'
const KEY = `sk_test_51${'c4NaRy'.repeat(5)}`
const linearWay = { integration: 'linear', auth: 'oauth' }

function judgePage (t: Test, page: Page, about: string): void {
  const headers = Object.fromEntries(page.headers)
  t.match(headers, {
    'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY',
    'content-security-policy': /^default-src 'none'; style-src 'sha256-[\w+/]+='; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/,
  }, about)
  t.notMatch(page.html, /<script|<img|<link|javascript:| style=| on\w+=/i, about)
  t.match(page.html, /^<!DOCTYPE html>\n<html lang="en">/, about)
  t.equal((page.html.match(/<h1/g) ?? []).length, 1, about)
}

t.test('nothing that is entered becomes markup', async (t) => {
  const evil = '"><script>alert(1)</script>\'&<b onclick=x>'
  const { url } = await vault.openSession(W, { integrations: ['stripe', 'jira', 'linear'], name: evil.slice(0, 60), actor: 'ada|1' })
  const person = new Person()
  const page = await person.visit(url)
  judgePage(t, page, 'a chooser')
  t.match(page.text, 'Rapid & <b>folio</b>')
  t.match(page.text, evil.slice(0, 60), 'shown as it is')
  const form = await person.visit(`${url}?integration=stripe&auth=api_key&x=${encodeURIComponent(evil)}`)
  judgePage(t, form, 'a form')
  const again = await person.submit(form, { 'field.secret_key': evil, 'field.api_version': evil, 'field.connected_account': evil })
  t.equal(again.status, 422)
  judgePage(t, again, 'a form with errors')
  t.equal(again.forms[0]?.fields.find(({ name }) => name === 'field.api_version')?.value, evil, 'config comes back as it was')
  t.equal(again.forms[0]?.fields.find(({ name }) => name === 'field.secret_key')?.value, '', 'a secret does not')
  const refused = await person.visit(`${await goBack(person, url)}&error=access_denied&error_description=${encodeURIComponent(`${evil}\0\u202E${'x'.repeat(5_000)}`)}`)
  judgePage(t, refused, 'a provider’s words')
  t.ok(refused.html.length < 20_000, 'are cut')
})

/** A callback with a good state and no code. */
async function goBack (person: Person, url: string): Promise<string> {
  const back = new URL(await consent(await goToProvider(person, url, linearWay)))
  back.searchParams.delete('code')
  return back.href
}

t.test('what is chosen by the address', async (t) => {
  const { url } = await vault.openSession(W, { integrations: ['linear', 'stripe'] })
  const person = new Person()
  t.match((await person.visit(url)).text, /What do you want to connect\?.*Linear.*Stripe/)
  t.match((await person.visit(`${url}?integration=linear`)).text, /How do you want to connect Linear\?/)
  t.match((await person.visit(`${url}?integration=stripe`)).text, /Connect Stripe/, 'one way is no choice')
  for (const query of ['integration=jira&auth=oauth', 'integration=nope', 'auth=oauth', 'integration=linear&integration=stripe', '__proto__=1']) {
    t.match((await person.visit(`${url}?${query}`)).text, /What do you want to connect\?/, query)
  }
  const form = await person.visit(`${url}?integration=stripe`)
  for (const posted of [{ integration: 'jira', auth: 'oauth' }, { integration: 'stripe', auth: 'oauth' }]) {
    t.match((await person.submit(form, posted, ({ fields }) => fields.some(({ name }) => name === 'auth'))).text, /What do you want to connect\?|Connect Stripe/, 'only what the session offers')
  }
})

t.test('a key that is pasted', async (t) => {
  const { url, id } = await vault.openSession(W, { integration: 'stripe', name: 'By hand', labels: { team: 'a' } })
  const person = new Person()
  const form = await person.visit(url)
  t.match(form.text, /does not confirm the connection within 10 minutes, what you entered is destroyed here. Only you can withdraw it at Stripe/)
  stripe.answer = (_received, reply) => { json(reply, 401, { error: { message: 'Invalid API Key provided' } }) }
  const refused = await person.submit(form, { 'field.secret_key': KEY })
  t.match(refused, { status: 422 })
  t.match(refused.text, /does not accept it/)
  stripe.answer = (_received, reply) => { json(reply, 503, {}) }
  const down = await person.submit(form, { 'field.secret_key': KEY })
  t.match(down.text, /Stripe can’t be reached/)
  stripe.answer = (_received, reply) => { json(reply, 200, { id: 'acct_1', livemode: false }) }
  const done = await person.submit(form, { 'field.secret_key': ` ${KEY}\n`, 'field.connected_account': 'acct_1234567890ab' })
  t.notMatch([refused, down, done].map(({ html }) => html).join(''), /c4NaRy/)
  const made = await vault.complete(W, returned(done), { name: 'Renamed at the end' })
  t.match(made, { status: 200, body: { name: 'Renamed at the end', labels: { team: 'a' }, config: { connected_account: 'acct_1234567890ab' }, status: 'active' } })
  t.match((await vault.request('GET', `/v1/workspaces/${W}/connect-sessions/${id}`)).body, { state: 'completed', connection_id: made.body.id })
  t.match((await vault.request('POST', `/v1/workspaces/${W}/connections/${made.body.id}/resolve`, { body: { environment: 'sandbox' } })).body, { credentials: { secret_key: KEY } })
})

t.test('a live key in a sandbox session, and what else can’t be right', async (t) => {
  const { url } = await vault.openSession(W, { integration: 'stripe' })
  const person = new Person()
  const form = await person.visit(url)
  for (const [value, message] of [['sk_live_51aaaaaaaaaaaaaaa', /live key/], ['', /is required/], ['sk_test_x', /does not look right/], ['sk_test_51aaaaaaaaaaaaaaa\r\nX: 1', /line break|does not look right|required/]] as const) {
    const page = await person.submit(form, { 'field.secret_key': value })
    t.match(page, { status: 422 }, value)
    t.match(page.text, message)
    t.match(page.html, /aria-invalid="true"/)
    t.match(page.html, /role="alert"/)
  }
  const body = new URLSearchParams({ integration: 'stripe', auth: 'api_key', 'field.secret_key': KEY.padEnd(20_000, 'x') })
  const cookie = person.jar.header(new URL(url), { crossSite: false, method: 'POST' }) ?? ''
  t.equal((await fetch(url, { method: 'POST', headers: { cookie }, body })).status, 422)
  t.equal((await fetch(url, { method: 'POST', headers: { cookie }, body: new URLSearchParams({ x: 'y'.repeat(100_000) }) })).status, 413)
  t.equal((await fetch(url, { method: 'POST', headers: { cookie, 'content-type': 'application/json' }, body: '{}' })).status, 415)
})

t.test('the provider is out of reach after it agreed', async (t) => {
  const before = xero.counts.tokenRequests
  xero.fail.after_token = 'unavailable'
  const { url } = await vault.openSession(W, { integration: 'xero' })
  const person = new Person()
  const page = await person.visit(await consent(await goToProvider(person, url, { integration: 'xero' }), { account: 'several' }))
  t.match(page.text, /Xero can’t be reached.*Try again/)
  delete xero.fail.after_token
  const picker = await person.press(page, 'retry')
  t.match(picker.text, /Which organisation/)
  t.equal(xero.counts.tokenRequests, before + 1, 'the grant was kept')
  for (const choice of ['9', '-1', 'x', '', '1.5', '__proto__']) t.match((await person.submit(picker, { choice })).text, /Choose one of them/, choice)
  const end = returned(await person.submit(picker, { choice: '1' }))
  t.match(await vault.complete(W, end), { status: 200, body: { config: { tenant_id: '7e000000-4444-4444-8444-000000000002' }, account: { label: 'Demo Company (UK)' } } })
})

t.test('a provider that grants nothing to use', async (t) => {
  const empty = await startXero({ accounts: [{ key: 'none', userId: 'a0000000-5555-4555-8555-000000000009', tenants: [] }] })
  const other = await startLinkVault({ xero: empty })
  t.teardown(async () => {
    await other.close()
    await empty.close()
  })
  await other.enterApp(empty)
  const { url } = await other.openSession(W, { integration: 'xero' })
  const person = new Person()
  const page = await person.visit(await consent(await goToProvider(person, url, { integration: 'xero' })))
  t.match(page.text, /There is nothing to connect/)
  t.match(returned, Function)
  t.match((await person.visit(url)).text, /Connect Xero/, 'and one may try again')
})

t.test('cancelling', async (t) => {
  const { url, id } = await vault.openSession(W, { integration: 'stripe' })
  const person = new Person()
  const page = await person.press(await person.visit(url), 'cancel')
  t.match(page.text, /Cancelled/)
  t.match(page.html, new RegExp(`href="${HOST}/connections/linked\\?tab&#61;1&#38;session_id&#61;${id}&#38;error&#61;cancelled"`))
  t.match((await person.visit(url)).text, /This link has ended It was cancelled/)
  t.match((await vault.request('GET', `/v1/workspaces/${W}/connect-sessions/${id}`)).body, { state: 'ended', ended_reason: 'cancelled' })
})

t.test('without a confirmation, in a sandbox', async (t) => {
  t.match(await vault.request('POST', `/v1/workspaces/${W}/connect-sessions`, { body: { integration: 'linear', environment: 'live', name: 'x', actor: 'u', confirmation: 'none' } }), { status: 400, body: { errors: [{ pointer: '/confirmation' }] } })
  const { url, id } = await vault.openSession(W, { integration: 'stripe', confirmation: 'none', return_url: undefined })
  const person = new Person()
  const form = await person.visit(url)
  t.notMatch(form.text, /confirm the connection/, 'nobody will')
  const page = await person.submit(form, { 'field.secret_key': KEY })
  t.match(page.text, /Stripe is connected You can close this window/)
  t.match((await vault.request('GET', `/v1/workspaces/${W}/connect-sessions/${id}`)).body, { state: 'completed', connection_id: String })
})

t.test('too many attempts', async (t) => {
  const { url } = await vault.openSession(W, { integration: 'stripe' })
  const person = new Person()
  const form = await person.visit(url)
  stripe.answer = (_received, reply) => { json(reply, 401, {}) }
  const statuses: number[] = []
  for (let time = 0; time < 32; time++) statuses.push((await person.submit(form, { 'field.secret_key': KEY })).status)
  t.equal(statuses[0], 422)
  t.equal(statuses.at(-1), 429, 'a link is no oracle for keys')
  t.ok(stripe.received.length < 60)
})

t.test('the same request twice', async (t) => {
  const body = { integration: 'stripe', environment: 'sandbox', name: 'Once', actor: 'u', return_url: `${HOST}/` }
  const headers = { 'idempotency-key': 'session-1' }
  const first = await vault.request('POST', `/v1/workspaces/${W}/connect-sessions`, { body, headers })
  const second = await vault.request('POST', `/v1/workspaces/${W}/connect-sessions`, { body, headers })
  t.match(first, { status: 201, body: { connect_url: String } })
  t.match(second, { status: 201, body: { connect_session: { id: first.body.connect_session.id }, connect_url: undefined } }, 'the link is shown once')
  t.equal(second.headers.get('idempotent-replayed'), 'true')
  t.match(await vault.request('POST', `/v1/workspaces/${W}/connect-sessions`, { body: { ...body, name: 'Other' }, headers }), { status: 409, body: { code: 'idempotency_conflict' } })
})

t.test('what can’t be asked for', async (t) => {
  const base = { environment: 'sandbox', name: 'x', actor: 'u', return_url: `${HOST}/` }
  const wrong: [body: object, status: number, code: string][] = [
    [{}, 400, 'request_invalid'], [{ integration: 'stripe', integrations: ['linear'] }, 400, 'request_invalid'], [{ integration: 'stripe', name: undefined }, 400, 'request_invalid'],
    [{ integration: 'stripe', actor: 'a b' }, 400, 'request_invalid'], [{ integration: 'nope' }, 422, 'integration_unknown'], [{ integrations: ['linear', 'slack'] }, 201, ''],
    [{ integrations: [] }, 400, 'request_invalid'], [{ integration: 'stripe', return_url: undefined }, 422, 'return_url_invalid'], [{ integration: 'quickbooks_online' }, 409, 'oauth_app_missing'],
    [{ connection_id: 'conn_00000000000000000000000000' }, 400, 'request_invalid'], [{ connection_id: 'conn_00000000000000000000000000', name: undefined }, 404, 'not_found'],
    [{ integration: 'stripe', name: 'Renamed at the end' }, 409, 'name_taken'],
  ]
  for (const [body, status, code] of wrong) {
    const answer = await vault.request('POST', `/v1/workspaces/${W}/connect-sessions`, { body: { ...base, ...body } })
    t.equal(answer.status, status, `${JSON.stringify(body)} ${answer.text}`)
    if (code !== '') t.equal(answer.body.code, code)
  }
})
