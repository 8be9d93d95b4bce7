import t, { type Test } from 'tap'
import { changeOAuth, linkCatalog } from '../support/catalog.ts'
import { consentAndChoose, goToProvider, HOST, returned, RETURN_URL, startLinkVault } from '../support/linking.ts'
import { Person } from '../support/person.ts'
import { consent, startLinear, startSlack, startXero, type Standin } from '../support/standins/index.ts'
import { eventually } from '../support/vault.ts'

/** Attacks on linking. Each counts what reached the provider's token endpoint, and what a grant is still worth there. */
const [slack, linear, xero] = await Promise.all([startSlack(), startLinear(), startXero()])
const vault = await startLinkVault({ slack, linear, xero })
t.teardown(async () => {
  await vault.close()
  await Promise.all([slack, linear, xero].map((standin) => standin.close()))
})
const W = 'ws_attacked'
const linearWay = { integration: 'linear', auth: 'oauth' }
/** By an account that no connection is made with: what it grants is nobody else's. */
const strangers = { ...linearWay, account: 'globex' }
const way = '?integration=linear&auth=oauth'
const apps = { slack: await vault.enterApp(slack), linear: await vault.enterApp(linear), xero: await vault.enterApp(xero) }

const session = async (id: string, workspace = W) => (await vault.request('GET', `/v1/workspaces/${workspace}/connect-sessions/${id}`)).body as Record<string, unknown>
const connections = async () => (await vault.request('GET', `/v1/workspaces/${W}/connections`)).body.connections as unknown[]

/** Runs something that must not reach the token endpoint, and must leave no connection. */
async function inVain (t: Test, standin: Standin, attack: () => Promise<void>): Promise<void> {
  const before = { requests: standin.counts.tokenRequests, connections: (await connections()).length }
  await attack()
  t.equal(standin.counts.tokenRequests, before.requests, 'no token request')
  t.equal((await connections()).length, before.connections, 'no connection')
}

/** Waits until nothing is left of what was granted. */
async function gone (t: Test, standin: Standin, grants = 1): Promise<void> {
  await eventually(async () => standin.authority.grants.slice(-grants).every(({ state }) => state === 'revoked'))
  t.pass('revoked at the provider')
}

t.test('a callback in another browser', async (t) => {
  const { url, id } = await vault.openSession(W, linearWayOf())
  const victim = new Person()
  const back = await consent(await goToProvider(victim, url, linearWay))
  await inVain(t, linear, async () => {
    const page = await new Person().visit(back)
    t.match(page, { status: 400, leadsTo: undefined })
    t.match(page.text, /Nothing was connected/)
    const other = new Person()
    await goToProvider(other, (await vault.openSession(W, linearWayOf())).url, linearWay)
    t.match(await other.visit(back), { status: 400 }, 'nor in one that has a session of its own')
  })
  t.match(await session(id), { state: 'bound' })
  t.match(returned(await victim.visit(back)), { sessionId: id }, 'and the right browser is not locked out by it')
})

t.test('a state comes again', async (t) => {
  const { url } = await vault.openSession(W, linearWayOf())
  const person = new Person()
  const back = await consent(await goToProvider(person, url, linearWay))
  const pages = await Promise.all([person.visit(back), person.visit(back), person.visit(back)])
  t.equal(pages.filter(({ leadsTo }) => leadsTo !== undefined).length, 1, 'one of three at once gets through')
  await inVain(t, linear, async () => { t.match(await person.visit(back), { status: 400 }) })
  const made = back.replace(/state=[^&]*/, 'state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')
  await inVain(t, linear, async () => {
    for (const address of [made, back.replace(/state=[^&]*&?/, ''), `${back}&state=x`, back.replace(/state=[^&]*/, 'state=')]) t.match(await person.visit(address), { status: 400 }, address)
  })
})

t.test('a state is good for ten minutes, and for the last way taken', async (t) => {
  const { url } = await vault.openSession(W, linearWayOf())
  const person = new Person()
  const first = await consent(await goToProvider(person, url, linearWay))
  const second = await consent(await goToProvider(person, url, linearWay))
  await inVain(t, linear, async () => { t.match(await person.visit(first), { status: 400 }, 'the one before') })
  await vault.database.advance('11 minutes')
  await inVain(t, linear, async () => { t.match(await person.visit(second), { status: 400 }) })
  t.match(await person.visit(url), { status: 200 }, 'the session itself has some minutes left')
})

t.test('a code of one app at the callback of another', async (t) => {
  const { url } = await vault.openSession(W, linearWayOf())
  const person = new Person()
  const back = new URL(await consent(await goToProvider(person, url, linearWay)))
  for (const [name, standin] of [['slack', slack], ['xero', xero]] as const) {
    const elsewhere = new URL(back.search, apps[name].redirectUri)
    await inVain(t, linear, async () => { await inVain(t, standin, async () => { t.match(await person.visit(elsewhere.href), { status: 400 }) }) })
  }
  const unknown = new URL(back.search, apps.linear.redirectUri.replace(/app_.*/, 'app_00000000000000000000000000'))
  await inVain(t, linear, async () => { t.match(await person.visit(unknown.href), { status: 400 }) })
  t.match(returned(await person.visit(back.href)), { sessionId: String }, 'the state was not used up')
})

t.test('another issuer answers', async (t) => {
  const standin = await startLinear({ iss: true })
  const catalog = linkCatalog({ linear: standin }, (manifest) => changeOAuth(manifest, { issuer: standin.url }))
  const named = await startLinkVault({ linear: standin }, { CATALOG_DIR: catalog })
  t.teardown(async () => {
    await named.close()
    await standin.close()
  })
  await named.enterApp(standin)
  const go = async () => {
    const person = new Person()
    const { url } = await named.openSession(W, linearWayOf())
    return { person, back: await consent(await goToProvider(person, url, linearWay)) }
  }
  for (const change of [/iss=[^&]*/, /&iss=[^&]*/]) {
    const { person, back } = await go()
    const wrong = back.replace(change, change.source.startsWith('&') ? '' : `iss=${encodeURIComponent('https://another.example')}`)
    t.not(wrong, back)
    t.match(await person.visit(wrong), { status: 400, leadsTo: undefined }, wrong)
    t.match(await person.visit(back), { status: 400 }, 'and the state is spent')
  }
  t.equal(standin.counts.tokenRequests, 0)
  const { person, back } = await go()
  t.match(returned(await person.visit(back)), { code: String }, 'its own name is let in')
})

t.test('a return address of another origin', async (t) => {
  const tampered = [
    'https://evil.example/', 'https://app.example.com.evil.example/', 'https://app.example.com@evil.example/', 'http://app.example.com/', 'https://app.example.com:8443/',
    'javascript:alert(1)', 'data:text/html,x', '//evil.example', '/relative', 'https://user:pw@app.example.com/', 'https://app.example.com/#fragment',
  ]
  for (const address of tampered) {
    t.match(await vault.request('POST', `/v1/workspaces/${W}/connect-sessions`, { body: { ...linearWayOf(), environment: 'sandbox', actor: 'user-1', name: 'x', return_url: address } }), { status: 422, body: { code: 'return_url_invalid' } }, address)
  }
  t.match(await session((await vault.openSession(W, { ...linearWayOf(), return_url: 'https://APP.example.com\\@evil.example/' })).id), { return_url: `${HOST}/@evil.example/` }, 'kept as a browser reads it')
  const { url } = await vault.openSession(W, linearWayOf())
  const person = new Person()
  const back = new URL(await consent(await goToProvider(person, url, linearWay)))
  back.searchParams.set('return_url', 'https://evil.example/')
  const page = await person.visit(back.href)
  t.ok(page.leadsTo?.startsWith(`${HOST}/`), 'nothing on the way changes it')
  t.match(Object.fromEntries(new URL(page.leadsTo ?? '').searchParams), { tab: '1', session_id: String, completion_code: String })
})

t.test('a session of another workspace or environment', async (t) => {
  const { url, id } = await vault.openSession(W, linearWayOf())
  const { code } = returned(await consentAndChoose(new Person(), url, linearWay))
  t.match(await vault.complete('ws_other', { sessionId: id, code }), { status: 404, body: { code: 'not_found' } })
  t.match(await vault.request('GET', `/v1/workspaces/ws_other/connect-sessions/${id}`), { status: 404 })
  const live = await vault.mint({ preset: 'dashboard', workspaces: [W], environments: ['live'] })
  t.match(await vault.request('POST', `/v1/workspaces/${W}/connect-sessions/${id}/complete`, { token: live, body: { completion_code: code, actor: 'user-1' } }), { status: 404 })
  t.match(await session(id), { state: 'confirming' }, 'none of it spoiled the session')
  t.notOk(JSON.stringify(await session(id)).includes(code), 'which never says its code')
  t.match(await vault.complete(W, { sessionId: id, code }), { status: 200 })
})

t.test('an attacker starts it, a victim finishes it, the attacker completes it', async (t) => {
  const { url, id } = await vault.openSession(W, { ...linearWayOf(), actor: 'attacker' })
  const victim = await consentAndChoose(new Person(), url, strangers)
  t.match(returned(victim), { sessionId: id }, 'the code goes with the victim’s browser alone')
  t.equal((await connections()).some((one) => JSON.stringify(one).includes('attacker')), false)
  t.match(await vault.complete(W, { sessionId: id, code: 'guess' }, { actor: 'attacker' }), { status: 403, body: { code: 'completion_refused' } })
  await gone(t, linear)
  t.match(await vault.complete(W, returned(victim), { actor: 'attacker' }), { status: 409, body: { code: 'connect_session_ended', ended_reason: 'wrong_code' } }, 'nor with the code afterwards')

  const second = await vault.openSession(W, { ...linearWayOf(), actor: 'attacker' })
  const end = returned(await consentAndChoose(new Person(), second.url, strangers))
  t.match(await vault.complete(W, end, { actor: 'victim' }), { status: 403, body: { code: 'completion_refused' } }, 'the host says who came back, and it is not who started it')
  await gone(t, linear)
  t.match(await session(second.id), { state: 'ended', ended_reason: 'wrong_actor', connection_id: null })
})

t.test('nobody confirms', async (t) => {
  const { url, id } = await vault.openSession(W, linearWayOf())
  const person = new Person()
  await consentAndChoose(person, url, strangers)
  await vault.database.advance('9 minutes')
  const end = returned(await person.press(await person.visit(url), 'retry'))
  await vault.database.advance('2 minutes')
  t.match(await vault.complete(W, end), { status: 409, body: { code: 'connect_session_ended' } })
  await gone(t, linear)
  t.match(await eventually(async () => { const now = await session(id); return now['state'] === 'ended' && now }), { ended_reason: 'unconfirmed', connection_id: null })
  t.match(await vault.database.query('select count(*)::int as n from pending_links where session_id = $1', [id]), [{ n: 0 }])
})

t.test('a session past its time', async (t) => {
  const { url } = await vault.openSession(W, linearWayOf())
  const late = new Person()
  const back = await consent(await goToProvider(late, url, linearWay))
  const unopened = await vault.openSession(W, linearWayOf())
  await vault.database.advance('16 minutes')
  await inVain(t, linear, async () => {
    t.match(await late.visit(back), { status: 400 })
    t.match((await late.visit(url)).text, /This link has ended/)
    t.match((await new Person().visit(unopened.url)).text, /This link has ended/)
  })
})

t.test('sent twice, and in two tabs', async (t) => {
  const { url, id } = await vault.openSession(W, linearWayOf())
  const person = new Person()
  const page = await person.visit(url + way)
  const form = ({ fields }: { fields: readonly { name: string }[] }) => fields.some(({ name }) => name === 'auth')
  const first = await person.submit(page, {}, form)
  const [one, two] = await Promise.all([person.submit(page, {}, form), person.submit(page, {}, form)])
  const addresses = [first, one, two].map(({ leadsTo }) => leadsTo ?? '')
  t.equal(new Set(addresses).size, 3, 'each its own state')
  const ends = await Promise.all(addresses.map(async (address) => await person.visit(await consent(address))))
  t.equal(ends.filter(({ status }) => status === 200).length, 1, 'and one of them counts')
  const tab = await person.visit(url)
  t.match(tab.text, /Almost done/, 'the other tab shows where things stand')
  const again = returned(await person.press(tab, 'retry'))
  const [stale] = ends.filter(({ status }) => status === 200).map(returned)
  t.not(again.code, stale?.code)
  const before = linear.counts.tokenRequests
  const [won, lost] = await Promise.all([vault.complete(W, again), vault.complete(W, again)])
  t.strictSame([won.status, lost.status].sort(), [200, 409], 'completed once')
  t.equal(linear.counts.tokenRequests, before)
  t.match(await session(id), { state: 'completed' })
  t.match((await person.visit(url)).text, /Already connected/)
})

t.test('a confirmation whose answer was lost', async (t) => {
  const { url, id } = await vault.openSession(W, { integration: 'linear' })
  const { code } = returned(await consentAndChoose(new Person(), url, linearWay))
  const complete = async (key: string, body = {}) => await vault.request('POST', `/v1/workspaces/${W}/connect-sessions/${id}/complete`, {
    headers: { 'idempotency-key': key }, body: { completion_code: code, actor: 'user-1', ...body },
  })
  const [first, second] = await Promise.all([complete('confirm-1'), complete('confirm-1')])
  t.same([first.status, second.status], [200, 200])
  t.equal(first.body.id, second.body.id)
  t.same([first, second].map(({ headers }) => headers.get('idempotent-replayed')).toSorted(), [null, 'true'], 'once, and told twice')
  t.match(await complete('confirm-2'), { status: 409, body: { code: 'connect_session_ended', connection_id: first.body.id as string } }, 'another key is another request')
  t.match(await complete('confirm-1', { actor: 'user-2' }), { status: 409, body: { code: 'idempotency_conflict' } })
})

t.test('two browsers, one link', async (t) => {
  const { url } = await vault.openSession(W, linearWayOf())
  const [first, second] = [new Person(), new Person()]
  t.match(await second.visit(url), { status: 200 }, 'looking takes nothing: programs that preview links look, too')
  t.match(await first.visit(url), { status: 200 })
  await goToProvider(first, url, linearWay)
  await inVain(t, linear, async () => {
    const page = await second.visit(url)
    t.match(page, { status: 403 })
    t.match(page.text, /Opened elsewhere/)
    t.equal(page.forms.length, 0)
  })
  const race = await vault.openSession(W, linearWayOf())
  const racers = [new Person(), new Person()]
  // Both see the form before either sends it: the later of two visits would else find the link taken already.
  const pages = await Promise.all(racers.map(async (person) => ({ person, page: await person.visit(race.url + way) })))
  const both = await Promise.all(pages.map(async ({ person, page }) => await person.submit(page, {}, ({ fields }) => fields.some(({ name }) => name === 'auth'))))
  t.strictSame(both.map(({ status }) => status).sort(), [200, 403])
})

t.test('a callback that is flooded', async (t) => {
  const { url } = await vault.openSession(W, linearWayOf())
  const person = new Person()
  const back = await consent(await goToProvider(person, url, linearWay))
  const flood = await Promise.all(Array.from({ length: 150 }, async (_, index) => await fetch(`${apps.linear.redirectUri}?code=x&state=${String(index).padStart(43, 'A')}`)))
  t.ok(flood.every(({ status }) => status === 400))
  t.match(returned(await person.visit(back)), { code: String }, 'takes nobody’s turn')
  const again = await Promise.all(Array.from({ length: 130 }, async () => await fetch(`${apps.linear.redirectUri}?code=x&state=${'B'.repeat(43)}`)))
  t.ok(again.some(({ status }) => status === 429), 'one state has its bound')
})

t.test('a form from another site', async (t) => {
  const { url } = await vault.openSession(W, linearWayOf())
  const person = new Person()
  await goToProvider(person, url, linearWay)
  const cookie = person.jar.header(new URL(url), { crossSite: true, method: 'POST' })
  t.equal(cookie, undefined, 'the browser’s half stays away')
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ integration: 'linear', auth: 'oauth' }) })
  t.equal(answer.status, 403)
})

t.test('a form from another site that is the first to use a link', async (t) => {
  const { url, id } = await vault.openSession(W, linearWayOf())
  const post = async (headers: Record<string, string>, at = url) => await fetch(at, { method: 'POST', redirect: 'manual', headers, body: new URLSearchParams(linearWay) })
  for (const headers of [
    { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, { origin: 'null', 'sec-fetch-site': 'cross-site' }, { origin: 'null', 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }, { origin: vault.urls.public.replace(/\d+$/, '1') },
  ]) {
    const answer = await post(headers)
    t.match(answer, { status: 403 }, JSON.stringify(headers))
    t.equal(answer.headers.get('set-cookie'), null)
    t.match(await answer.text(), /Sent from another site/)
  }
  t.match(await session(id), { state: 'open' }, 'nothing is used up')
  // The page's own form: it sends no referrer, so browsers name no origin.
  t.equal((await post({ origin: 'null', 'sec-fetch-site': 'same-origin' })).status, 200)
  for (const origin of [vault.urls.public, 'null']) t.equal((await post({ origin }, (await vault.openSession(W, linearWayOf())).url)).status, 200, 'an older browser')
})

t.test('links and codes at random', async (t) => {
  const { url, id } = await vault.openSession(W, linearWayOf())
  for (const token of ['x', 'A'.repeat(43), '..%2f..%2fv1', `${'A'.repeat(42)}é`, '%00'.repeat(43), new URL(url).pathname.split('/').at(-1)?.slice(0, -1) ?? '']) {
    const page = await new Person().visit(`${vault.urls.public}/connect/${token}`)
    t.match([404, 400, 422].includes(page.status), true, `${page.status} ${token}`)
  }
  t.match(await vault.complete(W, { sessionId: id, code: 'x' }), { status: 409, body: { code: 'connect_session_unconfirmed' } }, 'nothing was linked, so nothing is ended by it')
  t.match(await session(id), { state: 'open' })
})

function linearWayOf (): { integration: string, return_url: string } {
  return { integration: 'linear', return_url: RETURN_URL }
}
