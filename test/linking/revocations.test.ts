import t from 'tap'
import { consentAndChoose, startLinkVault, type Linked } from '../support/linking.ts'
import { Person } from '../support/person.ts'
import { ACME_SITE, GLOBEX_SITE, startJira, startLinear, startXero } from '../support/standins/index.ts'
import { eventually } from '../support/vault.ts'

/** What becomes of grants that are nobody's any more, and of connections that are linked anew. */
const [linear, xero, jira] = await Promise.all([startLinear(), startXero(), startJira()])
const vault = await startLinkVault({ linear, xero, jira })
t.teardown(async () => {
  await vault.close()
  await Promise.all([linear, xero, jira].map((standin) => standin.close()))
})
for (const standin of [linear, xero, jira]) await vault.enterApp(standin)
const W = 'ws_revoking'
const link = async (integration: 'linear' | 'xero' | 'jira', more = {}): Promise<Linked> => await vault.link(W, { integration, auth: 'oauth', ...more })
const at = (id: string) => `/v1/workspaces/${W}/connections/${id}`
const remove = async (id: string) => { t.equal((await vault.request('DELETE', `${at(id)}?force=true`)).status, 204) }
const outcome = async (id: string, workspace = W) => await eventually(async () => (await vault.events(workspace, id)).findLast(({ event }) => event === 'grant.revoked' || event === 'grant.discarded'))
const resolve = async (id: string) => await vault.request('POST', `${at(id)}/resolve`, { body: { environment: 'sandbox' } })
const works = async (id: string) => {
  const answer = await vault.request('POST', `${at(id)}/invoke`, { body: { environment: 'sandbox', action: 'get_organisation', input: {} } })
  return answer.status === 200 && answer.body.error === undefined
}

t.test('a grant that another connection lives on', async (t) => {
  const first = await link('linear')
  const second = await vault.link('ws_elsewhere', { integration: 'linear', auth: 'oauth' })
  await remove(first.id)
  t.match(await outcome(first.id), { event: 'grant.discarded', outcome: 'ok', reason: 'shared', details: { because: 'connection_deleted' } }, 'of the same account and app, in any workspace')
  t.equal(linear.counts.revocations, 0)
  t.equal((await vault.request('DELETE', `/v1/workspaces/ws_elsewhere/connections/${second.id}`)).status, 204)
  t.match(await outcome(second.id, 'ws_elsewhere'), { outcome: 'ok', reason: null })
  t.equal(linear.counts.revocations, 1, 'the last one is revoked')
})

t.test('a provider whose revocation ends all that a person has given', async (t) => {
  const [acme, globex] = [await link('xero', { account: 'several', choose: 'Acme Ltd' }), await link('xero', { account: 'several', choose: 'Globex GmbH' })]
  const another = await link('xero', { account: 'globex' })
  t.not(acme.account?.id, globex.account?.id, 'two organisations of one person')
  await remove(acme.id)
  t.match(await outcome(acme.id), { reason: 'shared' })
  t.ok(await works(globex.id), 'the other organisation goes on')
  await remove(globex.id)
  t.match(await outcome(globex.id), { outcome: 'ok', reason: null })
  t.ok(await works(another.id), 'another person’s was never in danger')
  t.equal(xero.counts.revocations, 1)
  await remove(another.id)
  await outcome(another.id)
})

t.test('a provider that does not answer', async (t) => {
  const { id } = await link('linear', { account: 'globex' })
  linear.fail.revoke = 'unavailable'
  await remove(id)
  t.match(await outcome(id), { outcome: 'failed', reason: 'provider_failed', details: { attempt: 1, given_up: false } })
  t.match(await vault.database.query('select attempts, sealed is null as open from revocations where connection_id = $1', [id]), [{ attempts: 1, open: false }])
  const tried = async (attempt: number) => await eventually(async () => (await vault.events(W, id)).find(({ event, details }) => event === 'grant.revoked' && details?.['attempt'] === attempt))
  await vault.database.advance('2 minutes')
  t.match(await tried(2), { outcome: 'failed', details: { given_up: false } }, 'tried again by itself')
  await vault.database.query('update revocations set attempts = 5')
  await vault.database.advance('2 days')
  t.match(await tried(6), { outcome: 'failed', details: { given_up: true } }, 'given up, and on record')
  t.strictSame(await vault.database.query('select 1 from revocations'), [], 'and destroyed here')
  delete linear.fail.revoke
})

t.test('linked anew, in place', async (t) => {
  const before = await link('linear')
  const reference = await vault.request('PUT', `${at(before.id)}/references`, { body: { references: [{ procedure_id: 'p1' }] } })
  t.equal(reference.status, 200, reference.text)
  const revocations = linear.counts.revocations
  const again = await link('linear', { session: { connection_id: before.id } })
  t.match(again, { id: before.id, name: before.name, status: 'active', version_number: 2 })
  t.equal(linear.counts.revocations, revocations, 'the same person’s older grant is left alone: revoking it might take the new one along')
  t.match(await resolve(before.id), { status: 200 })
  t.match((await vault.request('GET', `${at(before.id)}/usage`)).body.references, [{ procedure_id: 'p1' }], 'procedures point where they pointed')

  const { url } = await vault.openSession(W, { connection_id: before.id })
  const page = await consentAndChoose(new Person(), url, { integration: 'linear', auth: 'oauth', account: 'globex' })
  t.match(page.text, /That is another account/)
  await eventually(async () => linear.authority.grants.at(-1)?.state === 'revoked')
  t.match((await vault.request('GET', at(before.id))).body, { account: { label: 'Acme' }, version_number: 2 }, 'as it was')
  await vault.database.query("update connections set account_label = 'Globex' where id = $1", [before.id])
  const alike = await consentAndChoose(new Person(), (await vault.openSession(W, { connection_id: before.id })).url, { integration: 'linear', auth: 'oauth', account: 'globex' })
  t.match(alike.text, /belongs to Globex \([\w-]+\), and you signed in to Globex \(22222222-[\w-]+\)/, 'of one name, told apart by their ids')

  const moved = await link('linear', { account: 'globex', session: { connection_id: before.id, allow_account_change: true } })
  t.match(moved, { id: before.id, account: { label: 'Globex' }, version_number: 3 })
  const replaced = await eventually(async () => (await vault.events(W, before.id)).find(({ details }) => details?.['because'] === 'replaced'))
  t.match(replaced, { event: 'grant.revoked', outcome: 'ok', reason: null }, 'what the other account had granted is revoked')

  await vault.request('POST', `/v1/workspaces/${W}/connect-sessions`, { body: { connection_id: before.id, environment: 'live', actor: 'u', return_url: 'https://app.example.com/' } })
    .then((answer) => { t.match(answer, { status: 409, body: { code: 'environment_mismatch' } }) })
  const late = await vault.openSession(W, { connection_id: before.id })
  const end = await consentAndChoose(new Person(), late.url, { integration: 'linear', auth: 'oauth', account: 'globex' })
  await remove(before.id)
  const url2 = new URL(end.leadsTo ?? '')
  t.match(await vault.complete(W, { sessionId: late.id, code: url2.searchParams.get('completion_code') ?? '' }), { status: 404 }, 'deleted meanwhile: it does not come back')
})

t.test('one person, several sites', async (t) => {
  const { id } = await link('jira', { account: 'several', choose: 'acme' })
  t.match((await vault.request('GET', at(id))).body, { account: { id: ACME_SITE.id, label: 'acme' } })
  const reach = async (account: string, choose: string) => {
    const { url } = await vault.openSession(W, { connection_id: id })
    return await consentAndChoose(new Person(), url, { integration: 'jira', auth: 'oauth', account, choose })
  }
  t.match((await reach('several', 'globex')).text, /That is another account/, 'the same person, and yet another site')
  t.match((await vault.request('GET', at(id))).body, { account: { id: ACME_SITE.id }, version_number: 1 })
  const colleague = await link('jira', { account: 'acme', session: { connection_id: id } })
  t.match(colleague, { id, account: { id: ACME_SITE.id, label: 'acme' }, version_number: 2 }, 'a colleague may link the same site')
  t.match((await vault.request('POST', `${at(id)}/test`)).body, { result: 'ok', account: { id: ACME_SITE.id } })
  t.match((await vault.request('GET', at(id))).body, { account: { id: ACME_SITE.id, label: 'acme' } }, 'a test does not call it by a person’s name')
  const moved = await link('jira', { account: 'globex', session: { connection_id: id, allow_account_change: true } })
  t.match(moved, { account: { id: GLOBEX_SITE.id, label: 'globex' } })
})

t.test('an organisation is what an account was linked for', async (t) => {
  const { id, account } = await link('xero', { account: 'several', choose: 'Acme Ltd' })
  const other = '7e000000-4444-4444-8444-000000000003'
  const moved = await vault.request('PATCH', at(id), { headers: { 'if-match': '*' }, body: { config: { tenant_id: other } } })
  t.match(moved, { status: 422, body: { code: 'config_invalid', errors: [{ pointer: '/config/tenant_id' }] } })
  t.match((await vault.request('POST', `${at(id)}/test`)).body, { result: 'ok', account: { id: account?.id } })
  const connected = xero.authority.grants.find(({ account: of }) => of.key === 'several')?.account.tenants ?? []
  const [first] = connected.splice(0, 1)
  t.match((await vault.request('POST', `${at(id)}/test`)).body, { result: 'auth_failed', detail: /no longer reaches/ }, 'disconnected at Xero')
  t.match((await vault.request('GET', at(id))).body, { status: 'needs_reauth', status_reason: 'credential_refused' })
  if (first !== undefined) connected.unshift(first)
  t.match((await vault.request('POST', `${at(id)}/test`)).body, { result: 'ok' })
  t.match((await vault.request('GET', at(id))).body, { status: 'active' }, 'connected again')
})

t.test('a key where it was linked', async (t) => {
  const linked = await link('linear')
  const { url } = await vault.openSession(W, { connection_id: linked.id, allow_account_change: true })
  const person = new Person()
  const page = await person.submit(await person.visit(`${url}?integration=linear&auth=api_key`), { 'field.api_key': `lin_api_${'k'.repeat(40)}` })
  t.match(page, { status: 422 }, 'this provider does not know the key')
  t.match((await vault.request('GET', at(linked.id))).body, { auth: 'oauth', status: 'active', version_number: 1 }, 'and what was there stays')
  const rotated = await vault.request('POST', `${at(linked.id)}/rotate`, { body: { credentials: { access_token: 'x' } } })
  t.match(rotated, { status: 422 }, 'a token nobody pastes')
})
