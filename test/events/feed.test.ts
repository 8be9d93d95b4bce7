import { readFileSync } from 'node:fs'
import t from 'tap'
import pg from 'pg'
import { EVENT_TYPES } from '../../src/ledger/index.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { json, startProvider } from '../support/provider.ts'
import { eventually, startTestVault, STRIPE_KEY } from '../support/vault.ts'

/** The feed: one event for each change of state, in an order that nobody can miss anything by. */
const provider = await startProvider((_received, reply) => { json(reply, 200, { livemode: false }) })
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url, ['stripe']), EGRESS_ALLOW_PROVIDER: provider.endpoint })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})
const W = 'ws_feed'
const at = (id: string) => `/v1/workspaces/${W}/connections/${id}`

interface Told { id: string, type: string, timestamp: string, data: Record<string, unknown> }
const read = async (query = '') => {
  const answer = await vault.request('GET', `/v1/events${query}`)
  return { ...answer, events: (answer.body?.events ?? []) as Told[], next: answer.body?.next_cursor as string }
}
/** Waits until everything that has happened is in the feed. */
const settled = async () => await eventually(async () => (await vault.database.query('select 1 from events where seq is null')).length === 0)
const about = async (id: string) => {
  await settled()
  return (await read('?limit=200')).events.filter(({ data }) => data['connection_id'] === id)
}
const post = async (path: string, body?: object) => {
  const answer = await vault.request('POST', path, body === undefined ? {} : { body })
  if (answer.status >= 300) throw new Error(`${path}: ${answer.text}`)
}

t.test('nothing yet', async (t) => {
  const empty = await read()
  t.match(empty, { status: 200, events: [], next: String })
  t.strictSame((await read(`?cursor=${empty.next}`)).next, empty.next)
})

t.test('each change is told once', async (t) => {
  const id = await vault.connect(W)
  const { body: { etag } } = await vault.request('GET', at(id))
  t.equal((await vault.request('PATCH', at(id), { headers: { 'if-match': etag as string }, body: { labels: { team: 'a' } } })).status, 200)
  await post(`${at(id)}/rotate`, { credentials: { secret_key: `${STRIPE_KEY}9` }, test: false })
  await post(`${at(id)}/rollback`)
  await post(`${at(id)}/disable`)
  await post(`${at(id)}/disable`)
  await post(`${at(id)}/enable`)
  await post(`${at(id)}/resolve`, { environment: 'sandbox' })
  provider.answer = (_received, reply) => { json(reply, 401, {}) }
  await post(`${at(id)}/test`)
  await post(`${at(id)}/test`)
  provider.answer = (_received, reply) => { json(reply, 200, { livemode: false }) }
  await post(`${at(id)}/test`)
  await post(`${at(id)}/test`)
  t.equal((await vault.request('DELETE', `${at(id)}?force=true`, { headers: { 'if-match': '*' } })).status, 204)

  const told = await about(id)
  t.strictSame(told.map(({ type, data }) => [type, data['change'] ?? data['reason'] ?? null]), [
    ['connection.created', null],
    ['connection.rotated', 'rotated'],
    ['connection.rotated', 'rolled_back'],
    ['connection.disabled', null],
    ['connection.enabled', null],
    ['connection.needs_reauth', 'credential_refused'],
    ['connection.recovered', null],
    ['connection.deleted', null],
  ])
  for (const { id: event, timestamp, data, type } of told) {
    t.match(event, /^evt_/)
    t.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 60_000)
    t.match(data, { workspace_id: W, environment: 'sandbox', connection_id: id, integration: 'stripe' }, type)
  }
  t.notMatch(JSON.stringify(told), /Canary|Stripe \d|…/, 'no value, preview or name')
})

t.test('a new credential for one that did not work', async (t) => {
  const id = await vault.connect(W)
  provider.answer = (_received, reply) => { json(reply, 401, {}) }
  await post(`${at(id)}/test`)
  provider.answer = (_received, reply) => { json(reply, 200, { livemode: false }) }
  await post(`${at(id)}/rotate`, { credentials: { secret_key: `${STRIPE_KEY}8` }, test: false })
  t.strictSame((await about(id)).map(({ type }) => type), ['connection.created', 'connection.needs_reauth', 'connection.rotated', 'connection.recovered'])

  // By its use: three refusals make the vault ask, which is refused as well; then it is taken again.
  provider.answer = (_received, reply) => { json(reply, 401, {}) }
  const invoke = async () => await vault.request('POST', `${at(id)}/invoke`, { body: { environment: 'sandbox', action: 'get_balance' } })
  for (let times = 0; times < 3; times++) await invoke()
  await eventually(async () => (await vault.request('GET', at(id))).body.status === 'needs_reauth')
  provider.answer = (_received, reply) => { json(reply, 200, { livemode: false }) }
  await post(`${at(id)}/test`)
  t.strictSame((await about(id)).map(({ type }) => type).slice(4), ['connection.needs_reauth', 'connection.recovered'])
})

t.test('page by page, and only what is asked for', async (t) => {
  await vault.connect('ws_other')
  await settled()
  const all = (await read('?limit=200')).events
  const paged: Told[] = []
  for (let cursor = ''; ;) {
    const page = await read(`?limit=3${cursor}`)
    t.ok(page.events.length <= 3)
    paged.push(...page.events)
    cursor = `&cursor=${page.next}`
    if (page.events.length < 3) break
  }
  t.strictSame(paged, all)
  const other = await read('?workspace_id=ws_other')
  t.equal(other.events.length, 1)
  t.ok((await read('?type=connection.rotated')).events.every(({ type }) => type === 'connection.rotated'))
  t.strictSame((await read(`?workspace_id=ws_other&cursor=${other.next}`)).events, [])
  t.strictSame(other.next, (await read('?limit=200')).next, 'what a filter leaves out counts as read')
})

t.test('a transaction that takes its time is not missed', async (t) => {
  const { next } = await read('?limit=200')
  const slow = new pg.Client({ connectionString: vault.database.superUrl })
  await slow.connect()
  t.teardown(() => slow.end())
  await slow.query('begin')
  await slow.query('insert into events (id, type, subject_id, data) values (\'evt_00000000000000000000000001\', \'connection.created\', \'conn_x\', \'{"workspace_id":null,"environment":null}\')')
  const later = await vault.connect(W)
  await settled()
  const first = await read(`?cursor=${next}`)
  t.strictSame(first.events.map(({ data }) => data['connection_id']), [later])
  await slow.query('commit')
  await settled()
  t.strictSame((await read(`?cursor=${first.next}`)).events.map(({ id }) => id), ['evt_00000000000000000000000001'])
})

t.test('bad input', async (t) => {
  for (const query of ['?cursor=x', '?cursor=LTE', '?limit=0', '?limit=201', '?type=nothing.known', '?workspace_id=a%20b', '?before=1', `?cursor=${Buffer.from('1e3').toString('base64url')}`]) {
    t.match(await read(query), { status: 400, body: { code: 'request_invalid' } }, query)
  }
  const reader = await vault.mint({ scopes: ['connections:read'] })
  t.equal((await vault.request('GET', '/v1/events', { token: reader })).status, 403)
})

t.test('after 30 days', async (t) => {
  const { next } = await read('?limit=2')
  const end = await read('?limit=200')
  await vault.database.advance('31 days')
  const kept = await vault.connect(W)
  await settled()
  await vault.stop()
  await vault.start()
  await eventually(async () => (await vault.database.query('select 1 from events')).length === 1)
  t.match(await read(`?cursor=${next}`), { status: 410, body: { code: 'events_cleared' } }, 'some of what follows is gone')
  t.strictSame((await read(`?cursor=${end.next}`)).events.map(({ data }) => data['connection_id']), [kept], 'who had read all of it misses nothing')
  t.strictSame((await read()).events.map(({ data }) => data['connection_id']), [kept])
})

t.test('every type is documented, and no other', async (t) => {
  const page = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8')
  const rows = page.split('\n').filter((line) => line.startsWith('| `')).flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([a-z_.]+)`/g)].map(([, type]) => type))
  t.strictSame(new Set(rows), new Set(Object.keys(EVENT_TYPES)))
})
