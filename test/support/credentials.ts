/** What connects an integration in tests, and what its provider then gets to see. */
export interface SampleCredential {
  readonly auth: string
  readonly credentials: Readonly<Record<string, string>>
  readonly config?: Readonly<Record<string, string>>
  /** Headers of every request. */
  readonly sends: Readonly<Record<string, string>>
  /** An answer to the test request, as the provider words it. */
  readonly tested: unknown
}

const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`
const uuid = '01234567-89ab-cdef-0123-456789abcdef'
const hex = (prefix: string) => `${prefix}${'0123456789abcdef'.repeat(2)}`
const join = (...parts: string[]) => parts.join('')

/** Prefixes and bodies stand apart, so that no scanner takes a sample for a leaked key. */
export const CREDENTIALS: Readonly<Record<string, SampleCredential>> = {
  airtable: {
    auth: 'personal_access_token', credentials: { personal_access_token: join('pat', 'Canary00000001.canary') },
    sends: { authorization: join('Bearer pat', 'Canary00000001.canary') }, tested: { id: 'usr1' },
  },
  alloy: {
    auth: 'api_key', credentials: { token: 'alloytoken00000000000000000000001', secret: 'alloysecret0000000000000000000001' },
    sends: { authorization: basic('alloytoken00000000000000000000001:alloysecret0000000000000000000001') }, tested: {},
  },
  github: {
    auth: 'personal_access_token', credentials: { personal_access_token: join('ghp', '_', 'canary'.repeat(6)) },
    sends: { authorization: join('Bearer ghp', '_', 'canary'.repeat(6)), accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28' }, tested: { id: 1, login: 'ada' },
  },
  gocardless: {
    auth: 'access_token', credentials: { access_token: 'sandbox_canarycanarycanarycanary' },
    sends: { authorization: 'Bearer sandbox_canarycanarycanarycanary', 'gocardless-version': '2015-07-06' }, tested: { creditors: [{ id: 'CR1', name: 'Acme' }] },
  },
  google: { auth: 'oauth', credentials: { access_token: 'ya29.canary' }, sends: { authorization: 'Bearer ya29.canary' }, tested: { sub: '1', email: 'ada@acme.example' } },
  hubspot: {
    auth: 'private_app_token', credentials: { private_app_token: join('pat', '-na1-', uuid) }, sends: { authorization: join('Bearer pat', '-na1-', uuid) }, tested: { portalId: 1 },
  },
  jira: {
    auth: 'api_token', credentials: { api_token: 'ATATT3xFfGF0abcdefghijklmnop' }, config: { site_url: 'https://acme.atlassian.net', email: 'ada@acme.example' },
    sends: { authorization: basic('ada@acme.example:ATATT3xFfGF0abcdefghijklmnop') }, tested: { accountId: 'a', displayName: 'Ada' },
  },
  linear: {
    auth: 'api_key', credentials: { api_key: join('lin', '_api_', 'canary'.repeat(6)) }, sends: { authorization: join('lin', '_api_', 'canary'.repeat(6)) },
    tested: { data: { viewer: { id: 'u', name: 'Ada', organization: { id: 'o', name: 'Acme' } } } },
  },
  notion: {
    auth: 'integration_token', credentials: { integration_token: join('ntn', '_', 'canary'.repeat(8)) },
    sends: { authorization: join('Bearer ntn', '_', 'canary'.repeat(8)), 'notion-version': '2025-09-03' }, tested: { object: 'user', id: uuid },
  },
  onfido: {
    auth: 'api_token', credentials: { api_token: 'api_sandbox.abcdefghijk.abcdefghijklmnopqrstuvwxyz012345' },
    sends: { authorization: 'Token token=api_sandbox.abcdefghijk.abcdefghijklmnopqrstuvwxyz012345' }, tested: { applicants: [] },
  },
  openai: {
    auth: 'api_key', credentials: { api_key: join('sk', '-proj-', 'canary'.repeat(5)) }, config: { organization: 'org-canary1', project: 'proj_canary1' },
    sends: { authorization: join('Bearer sk', '-proj-', 'canary'.repeat(5)), 'openai-organization': 'org-canary1', 'openai-project': 'proj_canary1' }, tested: { object: 'list' },
  },
  plaid: {
    auth: 'api_key', credentials: { secret: 'plaidsecretcanary0000000000001' }, config: { client_id: 'abcdef0123456789abcdef01' },
    sends: { 'plaid-client-id': 'abcdef0123456789abcdef01', 'plaid-secret': 'plaidsecretcanary0000000000001', 'plaid-version': '2020-09-14' }, tested: { institutions: [] },
  },
  quickbooks_online: {
    auth: 'oauth', credentials: { access_token: 'canaryquickbooks' }, config: { realm_id: '1234567890' }, sends: { authorization: 'Bearer canaryquickbooks', accept: 'application/json' },
    tested: { CompanyInfo: { CompanyName: 'Acme' } },
  },
  salesforce: {
    auth: 'oauth', credentials: { access_token: '00Dcanary!canary' }, config: { instance_url: 'https://acme.my.salesforce.com' }, sends: { authorization: 'Bearer 00Dcanary!canary' },
    tested: { DailyApiRequests: { Max: 1 } },
  },
  sendgrid: {
    auth: 'api_key', credentials: { api_key: join('SG', '.canarycanarycanary.canarycanary') }, config: { on_behalf_of: 'subuser1' },
    sends: { authorization: join('Bearer SG', '.canarycanarycanary.canarycanary'), 'on-behalf-of': 'subuser1' }, tested: { scopes: ['mail.send'] },
  },
  slack: {
    auth: 'bot_token', credentials: { bot_token: join('xoxb', '-1111111111-canarycanary') }, sends: { authorization: join('Bearer xoxb', '-1111111111-canarycanary') },
    tested: { ok: true, team_id: 'T1', team: 'Acme' },
  },
  stripe: {
    auth: 'api_key', credentials: { secret_key: join('sk', '_test_', '51CanaryStripeKey0000000042') }, config: { connected_account: 'acct_1234567890abcdef', api_version: '2026-08-26' },
    sends: { authorization: join('Bearer sk', '_test_', '51CanaryStripeKey0000000042'), 'stripe-account': 'acct_1234567890abcdef', 'stripe-version': '2026-08-26' }, tested: { livemode: false },
  },
  twilio: {
    auth: 'api_key', credentials: { api_key_secret: 'canarycanarycanarycanarycanary12' }, config: { api_key_sid: hex('SK'), account_sid: hex('AC') },
    sends: { authorization: basic(`${hex('SK')}:canarycanarycanarycanarycanary12`) }, tested: { messages: [] },
  },
  wise: {
    auth: 'api_token', credentials: { api_token: 'a1b2c3d4-e5f6-a7b8-c9d0-e1f2a3b4c5d6' }, sends: { authorization: 'Bearer a1b2c3d4-e5f6-a7b8-c9d0-e1f2a3b4c5d6' }, tested: [{ id: 42, userId: 7, email: 'ada@acme.example' }],
  },
  xero: {
    auth: 'oauth', credentials: { access_token: 'canaryxero' }, config: { tenant_id: uuid }, sends: { authorization: 'Bearer canaryxero', 'xero-tenant-id': uuid },
    tested: [{ id: 'c', tenantId: uuid, tenantName: 'Acme', tenantType: 'ORGANISATION' }],
  },
}
