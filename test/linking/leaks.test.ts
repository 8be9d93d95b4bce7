import t from 'tap'
import { goToProvider, returned, startLinkVault } from '../support/linking.ts'
import { Person, type Page } from '../support/person.ts'
import { findSecrets } from '../support/spellings.ts'
import { consent, startLinear, startSlack, startXero } from '../support/standins/index.ts'
import { eventually } from '../support/vault.ts'

/**
 * Linking goes right and wrong in every way; then all that can be looked at is searched for codes,
 * tokens, client secrets, pasted keys, links, cookies and completion codes.
 */
const [linear, slack, xero] = await Promise.all([startLinear(), startSlack({ rotation: true }), startXero()])
const standins = { linear, slack, xero }
const vault = await startLinkVault(standins)
t.teardown(async () => {
  await vault.close()
  await Promise.all(Object.values(standins).map((standin) => standin.close()))
})
const W = 'ws_leaks'
const pages: Page[] = []
const answers: string[] = []
const own: string[] = []
const see = (page: Page) => { pages.push(page); return page }
const call = async (method: string, path: string, body?: unknown) => {
  const answer = await vault.request(method, `/v1/workspaces/${W}/${path}`, { body })
  answers.push(answer.text, JSON.stringify([...answer.headers]))
  return answer
}

async function open (integration: string, more: object = {}): Promise<{ url: string, id: string, person: Person }> {
  const { url, id } = await vault.openSession(W, { integration, ...more })
  own.push(url.split('/').at(-1) ?? '')
  return { url, id, person: new Person() }
}

/** Goes to the provider and back, and shows where it ends. */
async function through (integration: keyof typeof standins, auth: string, more: { account?: string, deny?: boolean, session?: object } = {}) {
  const { url, id, person } = await open(integration, more.session)
  see(await person.visit(url))
  const page = see(await person.visit(await consent(await goToProvider(person, url, { integration, auth }), more)))
  own.push(...person.jar.at(new URL(url)).flatMap(({ value }) => value.split('.')))
  return { page, id, person, url }
}

t.test('every way', async (t) => {
  const apps = { linear: await vault.enterApp(linear), slack: await vault.enterApp(slack), xero: await vault.enterApp(xero) }
  await vault.request('PUT', '/v1/oauth-apps/xero/live', { body: { client_id: 'x', client_secret: `ключ-${'c4NaRy'.repeat(4)}` } }).then((answer) => { answers.push(answer.text) })
  own.push('c4NaRy'.repeat(4))

  for (const failure of ['html502', 'unavailable', 'rate_limited', 'empty200', 'truncated', 'redirect', 'reset', 'lost', 'invalid_client', 'invalid_grant'] as const) {
    slack.fail.token = [failure]
    const { page } = await through('slack', 'oauth')
    t.equal(page.leadsTo, undefined, failure)
    slack.fail.token = []
  }
  xero.fail.after_token = 'html502'
  const unreachable = await through('xero', 'oauth')
  t.match(unreachable.page.text, /can’t be reached/)
  delete xero.fail.after_token
  own.push(returned(see(await unreachable.person.press(unreachable.page, 'retry'))).code)
  xero.fail.after_token = ['unauthorized']
  see((await through('xero', 'oauth')).page)
  await through('linear', 'oauth', { deny: true })

  const { page, id } = await through('linear', 'oauth')
  const end = returned(page)
  own.push(end.code)
  await call('GET', `connect-sessions/${id}`)
  const made = await call('POST', `connect-sessions/${id}/complete`, { completion_code: end.code, actor: 'user-1' })
  const connection = made.body.id as string
  t.equal(made.status, 200)
  await vault.request('POST', `/v1/workspaces/${W}/connections/${connection}/resolve`, { body: { environment: 'sandbox' } })
  await call('POST', `connections/${connection}/refresh`)
  for (const failure of ['html502', 'lost', 'invalid_client'] as const) {
    linear.fail.token = [failure]
    await call('POST', `connections/${connection}/refresh`)
    delete linear.fail.token
  }
  await call('GET', `connections/${connection}`)

  const refused = await through('linear', 'oauth', { account: 'globex' })
  own.push(returned(refused.page).code)
  await call('POST', `connect-sessions/${refused.id}/complete`, { completion_code: 'wrong', actor: 'user-1' })
  const again = await through('linear', 'oauth', { account: 'globex', session: { integration: undefined, connection_id: connection } })
  t.match(again.page.text, /That is another account/)

  const pasted = await open('linear')
  const form = see(await pasted.person.visit(`${pasted.url}?integration=linear&auth=api_key`))
  for (const key of [`pk_${'c4NaRyP1'.repeat(5)}`, `lin_api_${'c4NaRyP2'.repeat(5)}`]) {
    own.push(key)
    const entered = see(await pasted.person.submit(form, { 'field.api_key': key }))
    if (entered.leadsTo !== undefined) own.push(returned(entered).code)
  }
  await vault.request('PUT', '/v1/oauth-apps/linear/sandbox', { body: { client_id: apps.linear.client.id, client_secret: linear.addSecret(apps.linear.client) } }).then((answer) => { answers.push(answer.text) })
  linear.fail.revoke = ['html502']
  await call('DELETE', `connections/${connection}?force=true`)
  await eventually(async () => (await vault.events(W, connection)).some(({ event }) => event === 'grant.revoked'))
  await call('GET', 'audit-events?limit=200')
  answers.push(await (await fetch(`${vault.urls.operations}/metrics`)).text())
})

t.test('and nothing of it anywhere', async (t) => {
  const secrets = [...new Set([...Object.values(standins).flatMap(({ authority }) => authority.secrets), ...own])].filter((secret) => secret.length >= 16)
  t.ok(secrets.length > 60, `${secrets.length} secrets`)
  const search = (where: string, text: string) => { t.same(findSecrets(secrets, text), [], where) }
  search('the log', vault.logs.join(''))
  search('answers', answers.join('\n'))
  for (const { html, headers, leadsTo, url } of pages) {
    // What a page is for: its own address, the way to the provider, and the way back with the code.
    const address = url.pathname.split('/').at(-1) ?? ''
    const purpose = [address, leadsTo ?? '', leadsTo?.replaceAll('&', '&#38;').replaceAll('=', '&#61;') ?? '']
    const rest = purpose.filter((part) => part !== '').reduce((text, part) => text.replaceAll(part, ''), html).replaceAll(/action="[^"]*"|href="[^"]*"/g, '')
    search(`a page: ${html.slice(0, 0)}${url.pathname}`, rest)
    search('its headers', JSON.stringify([...headers].filter(([name]) => name !== 'set-cookie')))
  }
  const tables = await vault.database.query<{ name: string }>("select quote_ident(relname) as name from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace")
  let rows = 0
  for (const { name } of tables) {
    for (const { text } of await vault.database.query<{ text: string }>(`select t::text as text from ${name} t`)) {
      rows++
      search(name, text)
      for (const [, hex] of text.matchAll(/\\\\x([0-9a-f]{16,})/g)) t.same(findSecrets(secrets, Buffer.from(hex ?? '', 'hex')), [], `${name}, a bytea`)
    }
  }
  t.ok(rows > 100, `${rows} rows`)
})
