import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readManifest } from '../support/catalog.ts'
import { makeFolder } from '../support/folder.ts'
import { goToProvider, HOST, returned, RETURN_URL } from '../support/linking.ts'
import { startMockAuthorizationServer } from '../support/mock-authorization-server.ts'
import { Person } from '../support/person.ts'
import { json, startProvider, type Answer } from '../support/provider.ts'
import { startTestVault } from '../support/vault.ts'

/** Salesforce says with each token at which address its org is now. */
const mock = await startMockAuthorizationServer()
const limits: Answer = (_received, reply) => { json(reply, 200, {}) }
/** An org that is not here any more: its tokens are nobody's. */
const gone: Answer = (_received, reply) => { json(reply, 401, [{ errorCode: 'INVALID_SESSION_ID', message: 'Session expired or invalid' }]) }
const [before, after, stranger] = await Promise.all([startProvider(limits), startProvider(limits), startProvider(limits)])
const dir = makeFolder('catalog')
const salesforce = readManifest('salesforce')
writeFileSync(join(dir, 'salesforce.yaml'), JSON.stringify({
  ...salesforce,
  auth: salesforce.auth.map((scheme) => ({
    ...scheme,
    fields: scheme.fields.map((field) => field.name === 'instance_url' ? { ...field, pattern: '^http://127\\.0\\.0\\.1:\\d+$' } : field),
    oauth: { ...scheme.oauth, authorize_url: mock.authorizeUrl, token_url: mock.tokenUrl, revoke: { url: mock.revokeUrl, style: 'form' } },
  })),
  hosts: [before.endpoint, after.endpoint],
}))
const vault = await startTestVault({ CATALOG_DIR: dir, EGRESS_ALLOW_PROVIDER: [mock, before, after, stranger].map(({ endpoint }) => endpoint).join(','), RETURN_ORIGINS: HOST })
t.teardown(async () => { for (const { close } of [vault, mock, before, after, stranger]) await close() })
const W = 'ws_moving'
await vault.request('PUT', '/v1/oauth-apps/salesforce/sandbox', { body: { client_id: 'client', client_secret: 'a-client-secret' } })

const answersNext = (url: string) => { mock.rewriteNext((answer) => { Object.assign(answer.body, { instance_url: url, id: 'https://login.salesforce.com/id/00D/005', expires_in: undefined }) }) }
let linked = 0
/** A connection of the org at `before`, with its path. */
async function link (): Promise<string> {
  const session = await vault.request('POST', `/v1/workspaces/${W}/connect-sessions`, { body: { integration: 'salesforce', environment: 'sandbox', name: `Org ${++linked}`, actor: 'ada', return_url: RETURN_URL } })
  const person = new Person()
  answersNext(before.url)
  const end = returned(await person.visit(await mock.consent(await goToProvider(person, session.body.connect_url as string, { integration: 'salesforce' }))))
  const made = await vault.request('POST', `/v1/workspaces/${W}/connect-sessions/${end.sessionId}/complete`, { body: { completion_code: end.code, actor: 'ada' } })
  if (made.status !== 200) throw new Error(made.text)
  return `/v1/workspaces/${W}/connections/${made.body.id as string}`
}
const invoke = async (at: string) => await vault.request('POST', `${at}/invoke`, { body: { environment: 'sandbox', action: 'query', input: { q: 'SELECT Id FROM Account' } } })
const refreshes = async (at: string) => {
  const { body } = await vault.request('GET', `/v1/workspaces/${W}/audit-events?connection_id=${at.split('/').at(-1) ?? ''}&limit=100`)
  return (body.audit_events as { event: string, outcome: string, reason: string | null, details: { hosts?: string[] } }[]).filter(({ event }) => event === 'connection.refreshed')
}

t.test('an org that has moved is followed by the call that finds out', async (t) => {
  const at = await link()
  t.match(await invoke(at), { status: 200 })
  const etag = (await vault.request('GET', at)).headers.get('etag') ?? ''
  t.match(await vault.request('PATCH', at, { body: { allowed_hosts: [before.endpoint] }, headers: { 'if-match': etag } }), { status: 200 }, 'limited to where it is')
  before.answer = gone
  answersNext(after.url)
  const [old, now] = [before.received.length, after.received.length]
  t.match(await invoke(at), { status: 200, body: { outcome: 'succeeded', attempts: 2 } })
  t.equal(before.received.length, old + 1, 'refused there')
  t.equal(after.received.length, now + 1, 'made again here')
  t.match(after.received.at(-1), { url: '/services/data/v60.0/query?q=SELECT%20Id%20FROM%20Account' })
  const view = (await vault.request('GET', at)).body
  t.match(view, { status: 'active', version_number: 2, config: { instance_url: after.url, api_version: 'v60.0' }, allowed_hosts: [after.endpoint] }, 'the limit goes along')
  t.match(await refreshes(at), [{ outcome: 'ok', reason: null, details: { hosts: [after.endpoint] } }])

  before.answer = limits
  await vault.stop()
  await vault.start()
  t.match((await vault.request('POST', `${at}/resolve`, { body: { environment: 'sandbox' } })).body, { request: { base_url: `${after.url}/services/data/v60.0` } }, 'sealed for the place it is at')
  t.match(await invoke(at), { status: 200 })
  t.equal(before.received.length, old + 1, 'nothing goes to the old address any more')
})

t.test('a renewal that says the same place, or none', async (t) => {
  const at = await link()
  answersNext(before.url)
  t.match(await vault.request('POST', `${at}/refresh`), { status: 200, body: { config: { instance_url: before.url } } })
  t.match(await vault.request('POST', `${at}/refresh`), { status: 200, body: { config: { instance_url: before.url } } })
  const hosts = (await refreshes(at)).map(({ outcome, details }) => [outcome, details.hosts])
  t.strictSame(hosts, [['ok', undefined], ['ok', undefined]])
})

t.test('nobody is followed to where the manifest lets no credential go', async (t) => {
  const at = await link()
  for (const elsewhere of [stranger.url, 'https://evil.example', `${after.url}/x`]) {
    answersNext(elsewhere)
    t.match(await vault.request('POST', `${at}/refresh`), { status: 200, body: { config: { instance_url: before.url } } }, elsewhere)
    t.match(await invoke(at), { status: 200 }, 'the new token, at the old place')
  }
  t.equal(stranger.received.length, 0)
  t.match(await refreshes(at), [{ reason: 'host_refused' }, { reason: 'host_refused' }, { reason: 'host_refused' }])
})
