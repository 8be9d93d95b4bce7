import t from 'tap'
import { startLinkVault } from '../support/linking.ts'
import { runCli } from '../support/process.ts'
import { startLinear, startSlack } from '../support/standins/index.ts'
import { eventually } from '../support/vault.ts'

/** OAuth apps: entered, changed, shown and taken away, by API and CLI. */
const [linear, slack] = await Promise.all([startLinear(), startSlack()])
const vault = await startLinkVault({ linear, slack })
t.teardown(async () => {
  await vault.close()
  await Promise.all([linear, slack].map((standin) => standin.close()))
})
const SECRET = 'canary-client-secret-0042'
const put = async (path: string, body: object, token?: string) => await vault.request('PUT', `/v1/${path}`, { body, ...token !== undefined && { token } })

t.test('made, shown, changed', async (t) => {
  const made = await put('oauth-apps/slack/live', { client_id: 'slack-client', client_secret: SECRET })
  t.equal(made.status, 201, made.text)
  t.match(made.body, {
    integration: 'slack', environment: 'live', workspace_id: null, client_id: 'slack-client', client_secret_preview: '…0042', previous_secret_until: null,
    scopes: { oauth: ['chat:write', String], oauth_user: ['chat:write', String] }, created_by: String, updated_by: String,
  })
  t.equal(made.body.redirect_uri, `${vault.urls.public}/oauth/callback/${made.body.id}`, 'exactly what has to be registered')
  t.notMatch(made.text, SECRET)

  const scoped = await put('oauth-apps/slack/live', { client_id: 'slack-client', scopes: { oauth: ['chat:write'] } })
  t.match(scoped, { status: 200, body: { id: made.body.id, client_secret_preview: '…0042', previous_secret_until: null } }, 'the secret stays where none is sent')
  t.strictSame(scoped.body.scopes.oauth, ['chat:write'])
  t.not(scoped.body.scopes.oauth_user.length, 0, 'what is not named asks for the defaults')

  const rotated = await put('oauth-apps/slack/live', { client_id: 'slack-client', client_secret: 'a-second-secret-1234', overlap_seconds: 60 })
  t.match(rotated.body, { client_secret_preview: '…1234', previous_secret_until: String })
  t.strictSame(rotated.body.scopes, scoped.body.scopes, 'what is asked for stays where nothing is said of it')
  const counts = async () => await vault.database.query('select state, sealed is null as destroyed from oauth_app_secrets where app_id = $1 order by number', [made.body.id])
  t.strictSame(await counts(), [{ state: 'previous', destroyed: false }, { state: 'current', destroyed: false }])
  await vault.database.advance('2 minutes')
  await eventually(async () => (await counts()).some((row) => row['destroyed'] === true))
  t.match((await vault.request('GET', '/v1/oauth-apps/slack/live')).body, { previous_secret_until: null }, 'after its overlap it is destroyed')

  await put('oauth-apps/slack/live', { client_id: 'slack-client', client_secret: 'a-third-secret-123456' })
  t.match((await put('oauth-apps/slack/live', { client_id: 'another-client', client_secret: 'a-fourth-secret-12345' })).body, { previous_secret_until: null }, 'another client’s secret is no overlap')
  t.strictSame((await put('oauth-apps/slack/live', { client_id: 'another-client', scopes: {} })).body.scopes, made.body.scopes, 'back to the defaults')
  t.match((await vault.request('GET', '/v1/oauth-apps')).body.oauth_apps, [{ id: made.body.id }])
  t.match(await vault.request('DELETE', '/v1/oauth-apps/slack/live'), { status: 204 })
  t.match(await vault.request('GET', '/v1/oauth-apps/slack/live'), { status: 404 })
  t.match(await vault.request('DELETE', '/v1/oauth-apps/slack/live'), { status: 404 })
  const events = await vault.database.query('select event, details::text from audit_events where details->>\'app_id\' = $1 order by occurred_at, id', [made.body.id])
  t.match(events.map(({ event }) => event as string), ['oauth_app.created', ...Array.from({ length: 5 }, () => 'oauth_app.updated'), 'oauth_app.deleted'])
  t.notMatch(JSON.stringify(events), /secret-\d/)
})

t.test('the same secret again', async (t) => {
  const path = 'workspaces/ws_again/oauth-apps/slack/live'
  const app = { client_id: 'slack-client', client_secret: 'the-secret-there-was-1234' }
  const next = { ...app, client_secret: 'the-secret-that-comes-5678' }
  const { id } = (await put(path, app)).body as { id: string }
  const secrets = async () => await vault.database.query('select number, state from oauth_app_secrets where app_id = $1 order by number', [id])
  const both = [{ number: 1, state: 'previous' }, { number: 2, state: 'current' }]
  const rotated = await put(path, next)
  const again = await put(path, next)
  t.match(again, { status: 200, body: { previous_secret_until: rotated.body.previous_secret_until as string, client_secret_preview: '…5678' } })
  t.strictSame(await secrets(), both, 'whose answer was lost says it again: the one before still counts')
  const same = await Promise.all(Array.from({ length: 3 }, async () => await put(path, app)))
  t.same(same.map(({ status }) => status), [200, 200, 200])
  t.strictSame((await secrets()).slice(1), [{ number: 2, state: 'previous' }, { number: 3, state: 'current' }], 'at the same time, too')
  t.match((await put(path, { ...app, overlap_seconds: 0 })).body, { previous_secret_until: null }, 'an overlap can be ended')
  await put(path, next)
  await vault.database.query("update oauth_app_secrets set sealed = set_byte(sealed, 60, get_byte(sealed, 60) # 1) where app_id = $1 and state = 'current'", [id])
  t.match(await put(path, next), { status: 200 }, 'entering it again mends one that does not open')
  t.match(await put(path, { ...next, client_id: 'another-client' }), { status: 200, body: { previous_secret_until: null } })
  t.match(await vault.request('DELETE', `/v1/${path}`), { status: 204 })
})

t.test('an edit of what somebody else has changed since is refused', async (t) => {
  const as = async (ifMatch: string, body: object, method = 'PUT') => await vault.request(method, '/v1/oauth-apps/slack/live', { ...method === 'PUT' && { body }, headers: { 'if-match': ifMatch } })
  const app = { client_id: 'slack-client', client_secret: SECRET }
  for (const tag of ['*', '"1"']) t.match(await as(tag, app), { status: 412, body: { code: 'etag_mismatch', detail: 'There is none by now.' } }, 'nothing is made where something was to be changed')
  const made = await put('oauth-apps/slack/live', app)
  t.equal(made.headers.get('etag'), made.body.etag)
  const edits = await Promise.all(['a', 'b', 'c'].map(async (id) => await as(made.body.etag as string, { client_id: `slack-${id}`, client_secret: SECRET })))
  t.same(edits.map(({ status }) => status).toSorted(), [200, 412, 412], 'of three at once one is taken')
  const read = await vault.request('GET', '/v1/oauth-apps/slack/live')
  t.equal(read.body.client_id, edits.find(({ status }) => status === 200)?.body.client_id)
  t.equal(read.headers.get('etag'), read.body.etag)
  t.match(await as('*', app), { status: 200 })
  t.match(await as(read.body.etag as string, {}, 'DELETE'), { status: 412 })
  t.match(await as('*', {}, 'DELETE'), { status: 204 })
})

t.test('what is wrong is said', async (t) => {
  const wrong: [path: string, body: object, status: number, code: string, pointer?: RegExp][] = [
    ['oauth-apps/linear/sandbox', { client_id: 'a' }, 422, 'oauth_app_invalid', /\/client_secret is required/],
    ['oauth-apps/linear/sandbox', { client_id: 'a b', client_secret: SECRET }, 422, 'oauth_app_invalid', /\/client_id holds a space/],
    ['oauth-apps/linear/sandbox', { client_id: 'a', client_secret: 'ключ-canary' }, 422, 'oauth_app_invalid', /\/client_secret holds/],
    ['oauth-apps/linear/sandbox', { client_id: 'a', client_secret: 'two lines\ncanary' }, 422, 'oauth_app_invalid', /\/client_secret holds/],
    ['oauth-apps/linear/sandbox', { client_id: SECRET, client_secret: SECRET }, 422, 'oauth_app_invalid', /is the client id/],
    ['oauth-apps/linear/sandbox', { client_id: 'a', client_secret: SECRET, scopes: { nope: ['x'] } }, 422, 'oauth_app_invalid', /\/scopes\/nope is no way to sign in here; there are: oauth/],
    ['oauth-apps/slack/sandbox', { client_id: 'a', client_secret: SECRET, scopes: { oauth: ['a,b'] } }, 422, 'oauth_app_invalid', /\/scopes\/oauth\/0 holds ","/],
    ['oauth-apps/slack/sandbox', { client_id: 'a', client_secret: SECRET, scopes: { oauth: ['ok', 'a b'] } }, 422, 'oauth_app_invalid', /\/scopes\/oauth\/1/],
    ['oauth-apps/nope/sandbox', { client_id: 'a', client_secret: SECRET }, 422, 'integration_unknown'],
    ['oauth-apps/linear/prod', { client_id: 'a', client_secret: SECRET }, 400, 'request_invalid'],
    ['oauth-apps/linear/sandbox', { client_id: 'a', client_secret: SECRET, more: 1 }, 400, 'request_invalid'],
    ['oauth-apps/linear/sandbox', { client_id: 'a', client_secret: SECRET, overlap_seconds: -1 }, 400, 'request_invalid'],
  ]
  for (const [path, body, status, code, pointer] of wrong) {
    const answer = await put(path, body)
    t.match(answer, { body: { code } }, `${path} ${JSON.stringify(body)} ${answer.text}`)
    t.equal(answer.status, status)
    t.notMatch(answer.text, /canary/)
    if (pointer !== undefined) t.match((answer.body.errors as { pointer: string, message: string }[]).map((one) => `${one.pointer} ${one.message}`).join('; '), pointer)
  }
  t.match((await vault.request('GET', '/v1/oauth-apps')).body, { oauth_apps: [] })
})

t.test('a workspace’s own app wins', async (t) => {
  t.match(await vault.request('POST', '/v1/workspaces/ws_own/connect-sessions', { body: { integration: 'xero', environment: 'sandbox', name: 'x', actor: 'u', return_url: 'https://app.example.com/' } }),
    { status: 409, body: { code: 'oauth_app_missing' } }, 'without any app nobody is sent anywhere')
  const shared = await vault.enterApp(slack)
  const own = await vault.enterApp(slack, { workspace: 'ws_own' })
  const mine = await vault.link('ws_own', { integration: 'slack', auth: 'oauth' })
  const theirs = await vault.link('ws_theirs', { integration: 'slack', auth: 'oauth', account: 'globex' })
  const appOf = async (id: string) => (await vault.database.query<{ app_id: string }>('select app_id from credential_versions where connection_id = $1', [id]))[0]?.app_id
  t.equal(await appOf(mine.id), own.id)
  t.equal(await appOf(theirs.id), shared.id)

  const backend = await vault.mint({ scopes: ['oauth_apps:write'], workspaces: ['ws_own'] })
  t.match(await put('workspaces/ws_theirs/oauth-apps/slack/sandbox', { client_id: 'a', client_secret: SECRET }, backend), { status: 404 })
  t.match(await put('oauth-apps/slack/sandbox', { client_id: 'a', client_secret: SECRET }, backend), { status: 403 }, 'the vault’s own apps are for those who see every workspace')
  t.match((await vault.request('GET', '/v1/workspaces/ws_own/oauth-apps', { token: backend })).body, { oauth_apps: [{ id: own.id, workspace_id: 'ws_own' }] })

  t.match(await vault.request('DELETE', '/v1/workspaces/ws_own/oauth-apps/slack/sandbox'), { status: 409, body: { code: 'oauth_app_in_use' } })
  t.match(await vault.request('DELETE', '/v1/workspaces/ws_own/oauth-apps/slack/sandbox?force=true'), { status: 204 })
  t.match(await vault.request('POST', `/v1/workspaces/ws_own/connections/${mine.id}/resolve`, { body: { environment: 'sandbox' } }), { status: 200 }, 'what was granted still works')
})

t.test('by the CLI', async (t) => {
  const env = { DATABASE_URL: vault.database.serviceUrl, KEYRING_FILE: vault.keyringFile, PUBLIC_URL: 'https://connect.example.com/vault' }
  const run = async (args: string[], input?: string) => await runCli(['oauth-apps', ...args], env, input).done
  const made = await run(['set', 'jira', 'live', '--client-id', 'jira-client', '--scopes', 'oauth=read:jira-work,offline_access'], `${SECRET}\n`)
  t.match(made, { code: 0, output: /^https:\/\/connect\.example\.com\/vault\/oauth\/callback\/app_\w{26}$/m })
  t.notMatch(made.output, SECRET)
  const listed = (await vault.request('GET', '/v1/oauth-apps')).body.oauth_apps as { client_id: string }[]
  t.ok(listed.some((one) => one.client_id === 'jira-client'))
  t.match(await run(['list']), { code: 0, output: /jira +live +jira-client +…0042 +https:\/\/connect\.example\.com\/vault\/oauth\/callback\/app_/ })
  t.match(await run(['set', 'jira', 'live', '--client-id', 'jira-client', '--keep-secret']), { code: 0, output: /changed/ })
  const scopes = async () => ((await vault.request('GET', '/v1/oauth-apps/jira/live')).body.scopes as { oauth: string[] }).oauth
  t.strictSame(await scopes(), ['read:jira-work', 'offline_access'], 'they stay where none are told')
  t.match(await run(['set', 'jira', 'live', '--client-id', 'jira-client', '--keep-secret', '--default-scopes']), { code: 0, output: /changed/ })
  t.ok((await scopes()).length > 2, 'and can be the defaults again')
  for (const [args, input, output] of [
    [['set', 'jira', 'live', '--client-id', 'x'], '', /no client secret came by standard input/],
    [['set', 'jira', 'live', '--client-id', 'x'], 'ключ-canary', /client_secret holds/],
    [['set', 'jira', 'live', '--client-id', 'x', '--scopes', 'oauth=a', '--default-scopes'], SECRET, /one or the other/],
    [['set', 'jira', 'prod', '--client-id', 'x'], SECRET, /sandbox or live/],
    [['set', 'nope', 'live', '--client-id', 'x'], SECRET, /no such integration/],
    [['delete', 'jira', 'sandbox'], undefined, /there is no app for jira in sandbox/],
  ] as const) {
    const answer = await run([...args], input)
    t.match(answer, { code: 1, output }, args.join(' '))
    t.notMatch(answer.output, /canary/)
  }
  t.match(await run(['delete', 'jira', 'live']), { code: 0, output: /deleted/ })
})
