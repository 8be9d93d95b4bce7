import t from 'tap'
import { retargetCatalog } from '../support/catalog.ts'
import { CREDENTIALS, type SampleCredential } from '../support/credentials.ts'
import { json, startProvider } from '../support/provider.ts'
import { startTestVault } from '../support/vault.ts'

/** What goes over the wire, byte by byte, one integration for each convention. */
const provider = await startProvider((_received, reply) => { json(reply, 200, { ok: true }) })
const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url), EGRESS_ALLOW_PROVIDER: provider.endpoint })
t.teardown(async () => {
  await vault.close()
  await provider.close()
})
t.beforeEach(() => {
  provider.received.length = 0
  provider.answer = (_received, reply) => { json(reply, 200, { ok: true }) }
})

const connect = async (integration: string) => {
  const { auth, credentials, config = {} } = CREDENTIALS[integration] as SampleCredential
  return await vault.connect('acme', { integration, auth, credentials, config })
}
const invoke = (id: string, action: string, input: object, more: object = {}) =>
  vault.request('POST', `/v1/workspaces/acme/connections/${id}/invoke`, { body: { environment: 'sandbox', action, input, ...more } })

interface Wire {
  readonly integration: string
  readonly action: string
  readonly input: object
  readonly line: string
  readonly type?: string
  readonly body?: string
  readonly headers?: Record<string, string | RegExp>
}

const WIRES: readonly Wire[] = [
  {
    integration: 'stripe', action: 'create_payment_intent', input: { amount: 2000, currency: 'usd', metadata: { order: '6 7' }, payment_method_types: ['card', 'link'] },
    line: 'POST /v1/payment_intents', type: 'application/x-www-form-urlencoded',
    body: 'amount=2000&currency=usd&metadata[order]=6%207&payment_method_types[0]=card&payment_method_types[1]=link', headers: { 'idempotency-key': /^inv_/ },
  },
  { integration: 'stripe', action: 'list_charges', input: { created: { gte: 1 }, expand: ['data.customer'] }, line: 'GET /v1/charges?created[gte]=1&expand[0]=data.customer' },
  {
    integration: 'twilio', action: 'send_sms', input: { To: '+15551234567', Body: 'Grüße & more', MediaUrl: ['https://a.example/1', 'https://a.example/2'], SendAsMms: true },
    line: 'POST /2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json', type: 'application/x-www-form-urlencoded',
    body: 'To=%2B15551234567&Body=Gr%C3%BC%C3%9Fe%20%26%20more&MediaUrl=https%3A%2F%2Fa.example%2F1&MediaUrl=https%3A%2F%2Fa.example%2F2&SendAsMms=true',
  },
  {
    integration: 'twilio', action: 'start_verification', input: { ServiceSid: 'VA1', To: '+1', Channel: 'sms' },
    line: 'POST /v2/Services/VA1/Verifications', type: 'application/x-www-form-urlencoded', body: 'To=%2B1&Channel=sms',
  },
  {
    integration: 'gocardless', action: 'create_payment', input: { amount: 1000, currency: 'GBP', links: { mandate: 'MD1' } },
    line: 'POST /payments', type: 'application/json', body: '{"payments":{"amount":1000,"currency":"GBP","links":{"mandate":"MD1"}}}',
    headers: { 'gocardless-version': '2015-07-06', 'idempotency-key': /^inv_/ },
  },
  {
    integration: 'gocardless', action: 'cancel_payment', input: { id: 'PM1', metadata: { why: 'x' } },
    line: 'POST /payments/PM1/actions/cancel', type: 'application/json', body: '{"data":{"metadata":{"why":"x"}}}',
  },
  {
    integration: 'xero', action: 'create_contact', input: { Name: 'Ada', EmailAddress: 'ada@acme.example' },
    line: 'PUT /api.xro/2.0/Contacts', type: 'application/json', body: '{"Contacts":[{"Name":"Ada","EmailAddress":"ada@acme.example"}]}',
    headers: { 'xero-tenant-id': '01234567-89ab-cdef-0123-456789abcdef', 'idempotency-key': /^inv_/ },
  },
  {
    integration: 'plaid', action: 'get_accounts', input: { access_token: 'access-sandbox-1' }, line: 'POST /accounts/get', type: 'application/json', body: '{"access_token":"access-sandbox-1"}',
    headers: { 'plaid-client-id': 'abcdef0123456789abcdef01', 'plaid-secret': 'plaidsecretcanary0000000000001', 'plaid-version': '2020-09-14' },
  },
  { integration: 'jira', action: 'get_issue', input: { issueIdOrKey: 'A/1', fields: ['summary', 'status'] }, line: 'GET /rest/api/3/issue/A%2F1?fields=summary&fields=status' },
  {
    integration: 'slack', action: 'send_message', input: { channel: 'C1', text: '<hello> ü' }, line: 'POST /api/chat.postMessage', type: 'application/json', body: '{"channel":"C1","text":"<hello> ü"}',
  },
  {
    integration: 'quickbooks_online', action: 'create_customer', input: { DisplayName: 'Ada' }, type: 'application/json', body: '{"DisplayName":"Ada"}',
    line: 'POST /v3/company/1234567890/customer?requestid=INVOCATION',
  },
  { integration: 'quickbooks_online', action: 'send_invoice', input: { id: '1' }, type: 'application/octet-stream', line: 'POST /v3/company/1234567890/invoice/1/send?requestid=INVOCATION', body: '' },
  {
    integration: 'google', action: 'sheets_append_rows', input: { spreadsheetId: 's1', range: 'Sheet1!A1:B2', valueInputOption: 'RAW', values: [[1, 'x']] },
    line: 'POST /v4/spreadsheets/s1/values/Sheet1!A1%3AB2:append?valueInputOption=RAW', type: 'application/json', body: '{"values":[[1,"x"]]}',
  },
  { integration: 'github', action: 'get_file', input: { owner: 'o', repo: 'r', path: 'docs/read me.md', ref: 'main' }, line: 'GET /repos/o/r/contents/docs/read%20me.md?ref=main', headers: { accept: 'application/vnd.github+json' } },
  { integration: 'airtable', action: 'list_records', input: { baseId: 'app1', tableIdOrName: 'A & B', fields: ['Name'], sort: [{ field: 'Name', direction: 'asc' }] }, line: 'GET /v0/app1/A%20%26%20B?fields[0]=Name&sort[0][field]=Name&sort[0][direction]=asc' },
]

for (const wire of WIRES) {
  t.test(`${wire.integration}.${wire.action}`, async (t) => {
    const answer = await invoke(await connect(wire.integration), wire.action, wire.input)
    t.match(answer.body, { outcome: 'succeeded' })
    const [received] = provider.received
    t.equal(`${received?.method} ${received?.url.replace(answer.body.invocation_id as string, 'INVOCATION')}`, wire.line)
    t.equal(received?.headers['content-type'], wire.type)
    t.equal(received?.body, wire.body ?? '')
    t.match(received?.headers, { ...CREDENTIALS[wire.integration]?.sends, ...wire.headers })
    if (received?.method !== 'GET') t.equal(received?.headers['content-length'], String(Buffer.byteLength(wire.body ?? '')))
  })
}

t.test('a payment whose answer was lost, and that the provider then knows', async (t) => {
  const id = await connect('gocardless')
  const known = { error: { message: 'A resource has already been created with this idempotency key', type: 'invalid_state', errors: [{ reason: 'idempotent_creation_conflict', links: { conflicting_resource_id: 'PM42' } }] } }
  provider.answer = (_received, reply) => {
    if (provider.received.length === 1) reply.destroy()
    else json(reply, 409, known)
  }
  const answer = await invoke(id, 'create_payment', { amount: 1000, currency: 'GBP', links: { mandate: 'MD1' } })
  t.match(answer.body, { outcome: 'failed', error: { class: 'conflict' }, output: known, attempts: 2 }, 'its caller is told which it was')
  provider.answer = (_received, reply) => {
    if (provider.received.length === 3) reply.destroy()
    else json(reply, 409, { error: { message: 'x', type: 'invalid_state', errors: [{ reason: 'mandate_cancelled' }] } })
  }
  t.match((await invoke(id, 'create_payment', { amount: 1000, currency: 'GBP', links: { mandate: 'MD1' } })).body, { code: 'outcome_unknown' }, 'any other conflict says nothing of it')
})

t.test('a raw PUT is made again under one key, for some create by PUT', async (t) => {
  const id = await connect('xero')
  provider.answer = (_received, reply) => { if (provider.received.length < 3) reply.destroy(); else json(reply, 200, { ok: true }) }
  const { body } = await vault.request('POST', `/v1/workspaces/acme/connections/${id}/request`, { body: { environment: 'sandbox', method: 'PUT', path: '/api.xro/2.0/Contacts', body: { Contacts: [] } } })
  t.match(body, { outcome: 'succeeded', attempts: 3 })
  t.same(provider.received.map(({ headers }) => headers['idempotency-key']), Array.from({ length: 3 }, () => body.invocation_id as string))
})

t.test('GraphQL: one document, the input as its variables, errors at 200', async (t) => {
  const id = await connect('linear')
  t.match((await invoke(id, 'create_issue', { teamId: 'T1', title: 'Broken' })).body, { outcome: 'succeeded' })
  const { query, variables } = JSON.parse(provider.received[0]?.body ?? '') as { query: string, variables: object }
  t.match(query, /^mutation/)
  t.same(variables, { teamId: 'T1', title: 'Broken' })
  provider.answer = (_received, reply) => { json(reply, 200, { data: null, errors: [{ message: 'Entity not found', extensions: { type: 'invalid input', userPresentableMessage: 'Could not find the team.' } }] }) }
  t.match((await invoke(id, 'create_issue', { teamId: 'T1', title: 'x' })).body, { outcome: 'failed', provider: { status: 200 }, error: { class: 'input', message: /./ }, output: { errors: [{}] } })
  provider.answer = (_received, reply) => { json(reply, 400, { errors: [{ message: 'x', extensions: { type: 'authentication error' } }] }) }
  t.match((await invoke(id, 'list_teams', {})).body, { outcome: 'failed', error: { class: 'reauthorise' } })
})

t.test('Slack: ok false at 200', async (t) => {
  const id = await connect('slack')
  const CLASSES: Record<string, string> = { channel_not_found: 'not_found|input|permission', missing_scope: 'permission', invalid_auth: 'reauthorise', ratelimited: 'rate_limited', internal_error: 'provider_unavailable', invalid_blocks: 'input' }
  for (const [error, classes] of Object.entries(CLASSES)) {
    provider.answer = (_received, reply) => { json(reply, 200, { ok: false, error }) }
    t.match((await invoke(id, 'send_message', { channel: 'C1', text: 'x' })).body, { outcome: 'failed', provider: { status: 200 }, error: { class: new RegExp(`^(${classes})$`), message: error } }, error)
  }
})

t.test('a file goes up and comes down', async (t) => {
  const id = await connect('onfido')
  const bytes = Buffer.from([0xff, 0xd8, 0, 1, 2, 13, 10, 45, 45, 0xfe])
  const answer = await invoke(id, 'upload_document', { applicant_id: 'a1', type: 'passport', file: { base64: bytes.toString('base64'), filename: 'pass port.jpg', content_type: 'image/jpeg' } })
  t.match(answer.body, { outcome: 'succeeded' })
  const [received] = provider.received
  const form = await new Response(received?.bytes as Uint8Array<ArrayBuffer>, { headers: { 'content-type': received?.headers['content-type'] ?? '' } }).formData()
  const file = form.get('file') as File
  t.match({ name: file.name, type: file.type, applicant: form.get('applicant_id'), kind: form.get('type') }, { name: 'pass port.jpg', type: 'image/jpeg', applicant: 'a1', kind: 'passport' })
  t.same(Buffer.from(await file.arrayBuffer()), bytes)

  provider.answer = (_received, reply) => { reply.writeHead(200, { 'content-type': 'image/jpeg' }).end(bytes) }
  t.same((await invoke(id, 'download_document', { document_id: 'd1' })).body.output, { content_type: 'image/jpeg', base64: bytes.toString('base64') })
})

t.test('a file as large as is taken, and one that is larger', async (t) => {
  const id = await connect('onfido')
  const upload = (megabytes: number) => invoke(id, 'upload_document', { applicant_id: 'a1', type: 'passport', file: { base64: Buffer.alloc(megabytes * 1_000_000, 7).toString('base64') } })
  t.match((await upload(10)).body, { outcome: 'succeeded' })
  t.ok((provider.received[0]?.bytes.length ?? 0) > 10_000_000)
  provider.received.length = 0
  t.match((await upload(20)).body, { status: 413, code: 'body_too_large', detail: /16777216/ })
  t.equal(provider.received.length, 0)
  const other = await vault.request('POST', '/v1/workspaces/acme/connections', { raw: Buffer.alloc(2_000_000, 32) })
  t.match(other.body, { status: 413, detail: /1048576/ }, 'other routes take less')
})

t.test('raw requests go to the connection’s hosts, in any encoding', async (t) => {
  const id = await connect('stripe')
  const send = (body: object) => vault.request('POST', `/v1/workspaces/acme/connections/${id}/request`, { body: { environment: 'sandbox', method: 'POST', path: '/v1/files', ...body } })
  await send({ body: { a: { b: [1] } } })
  await send({ body: { a: { b: [1] } }, encoding: 'json' })
  await send({ body: { file: { base64: 'AAAA', filename: 'x.bin' }, purpose: 'dispute_evidence' }, encoding: 'multipart' })
  t.same(provider.received.slice(0, 2).map((one) => one.body), ['a[b][0]=1', '{"a":{"b":[1]}}'])
  t.match(provider.received[2]?.body, /name="file"; filename="x.bin"/)
  t.match((await send({ host: 'evil.example' })).body, { status: 403, code: 'egress_blocked' })
  t.match((await send({ host: 'evil.example/x' })).body, { status: 422, code: 'input_invalid' })
})

t.test('an action that is linked in a browser can’t be pasted', async (t) => {
  await vault.stop()
  await vault.start({ CATALOG_DIR: '' })
  const create = (body: object) => vault.request('POST', '/v1/workspaces/acme/connections', { body: { environment: 'sandbox', name: 'n', credentials: { access_token: 'x' }, ...body } })
  for (const auth of [{}, { auth: 'oauth' }]) t.match((await create({ integration: 'xero', ...auth })).body, { status: 422, code: 'auth_not_pasted', detail: 'Xero is linked in a browser this way.' })
  t.match((await create({ integration: 'slack', auth: 'oauth' })).body, { code: 'auth_not_pasted', detail: /can be pasted with auth: bot_token/ })
  t.match((await create({ integration: 'twilio', name: 'twilio', credentials: { auth_token: 'canarycanarycanary01' }, config: { account_sid: `AC${'0123456789abcdef'.repeat(2)}` } })).body, { auth: 'auth_token' }, 'the scheme that has the fields entered')
  const { body } = await vault.request('GET', '/v1/integrations/xero')
  t.match(body, { auth: [{ id: 'oauth', kind: 'oauth2', credentials: { properties: {} }, config: { properties: {} } }] })
  t.ok((body.auth[0].scopes as string[]).includes('offline_access'))
  t.same([body.auth[0].config.properties, body.auth[0].credentials.properties], [{}, {}], 'what OAuth fills in is no form’s')
})
