import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import {
  CatalogError, hostMatches, isNarrower, isReservedHeader, judgeConfig, judgeFields, loadCatalog, parseManifest, resolveDestination,
} from '../../src/catalog/index.ts'
import { makeFolder } from '../support/folder.ts'
import type { Environment } from '../../src/ids.ts'
import { readManifest } from '../support/catalog.ts'

const catalog = loadCatalog()

t.test('the built-in catalog', async (t) => {
  t.same(catalog.list().map((one) => one.manifest.id), [
    'airtable', 'alloy', 'github', 'gocardless', 'google', 'hubspot', 'jira', 'linear', 'notion', 'onfido', 'openai', 'plaid', 'private', 'quickbooks_online', 'salesforce',
    'sendgrid', 'slack', 'stripe', 'twilio', 'wise', 'xero',
  ])
  // The actions of `private` are its agents' to say.
  for (const { manifest } of catalog.list().filter((one) => one.manifest.id !== 'private')) {
    t.ok(manifest.actions.length >= 8, `${manifest.id} has ${manifest.actions.length} actions`)
    for (const action of manifest.actions) t.ok(catalog.require(manifest.id).requireAction(action.name).check({ nonsense: 1 }).length > 0, `${manifest.id}.${action.name} compiles`)
  }
  t.throws(() => catalog.require('nope'), { code: 'integration_unknown', details: { detail: /airtable, alloy/ } })
  t.throws(() => catalog.require('stripe').requireAction('nope'), { code: 'action_unknown' })
  t.throws(() => catalog.require('stripe').requireScheme('nope'), { code: 'auth_unknown' })
})

t.test('an operator’s folder', async (t) => {
  const dir = makeFolder('catalog')
  writeFileSync(join(dir, 'acme_crm.yaml'), JSON.stringify({ ...readManifest('wise'), id: 'acme_crm', name: 'Acme CRM' }))
  writeFileSync(join(dir, 'stripe.yaml'), JSON.stringify({ ...readManifest('stripe'), name: 'Stripe, ours' }))
  const ours = loadCatalog(dir)
  t.equal(ours.require('acme_crm').manifest.name, 'Acme CRM')
  t.equal(ours.require('stripe').manifest.name, 'Stripe, ours')
  t.equal(ours.list().length, 22)
  writeFileSync(join(dir, 'other.yaml'), JSON.stringify(readManifest('wise')))
  t.throws(() => loadCatalog(dir), /other\.yaml: \/id must be the file's name/)
  rmSync(join(dir, 'other.yaml'))
  writeFileSync(join(dir, 'private.yaml'), JSON.stringify({ ...readManifest('wise'), id: 'private' }))
  t.throws(() => loadCatalog(dir), /private is the vault's own word/)
  t.ok(t.throws(() => loadCatalog(join(dir, 'absent')), /can't be read/) instanceof CatalogError)
})

t.test('the manifest that the documentation shows', async (t) => {
  const dir = makeFolder('catalog')
  const [, yaml] = /```yaml\n(.*?)```/s.exec(readFileSync(new URL('../../docs/manifests.md', import.meta.url), 'utf8')) ?? []
  writeFileSync(join(dir, 'acme_billing.yaml'), yaml ?? '')
  const { manifest, requireScheme } = loadCatalog(dir).require('acme_billing')
  t.same(manifest.actions.map((action) => `${action.effect} ${action.name}`), ['unsafe create_invoice'])
  const judge = (key: string) => judgeFields(requireScheme(undefined), 'sandbox', { credentials: { api_key: key }, config: {} })
  t.match(judge('ak_test_0123456789'), { accepted: {} })
  t.match(judge('ak_live_0123456789'), { errors: [{ pointer: '/credentials/api_key', message: /is a live key/ }] })
})

t.test('the one with OAuth that the documentation shows', async (t) => {
  const dir = makeFolder('catalog')
  const yaml = [...readFileSync(new URL('../../docs/manifests.md', import.meta.url), 'utf8').matchAll(/```yaml\n(.*?)```/gs)][1]?.[1] ?? ''
  writeFileSync(join(dir, 'acme_crm.yaml'), yaml)
  const { manifest, requireScheme } = loadCatalog(dir).require('acme_crm')
  t.match(manifest.errors, [{ when: { status: 401 }, class: 'refresh_then_retry' }])
  t.match(requireScheme(undefined), { id: 'oauth', oauth: { refresh: { issued: 'always' } } })
})

t.test('a bad manifest is named by file and place', async (t) => {
  const base = readManifest('jira')
  const [action] = base.actions
  const scheme = base.auth.find((one) => one.id === 'api_token')
  const bad: [object, RegExp][] = [
    [{ extra: 1 }, /m\.yaml: \/extra is not known here/],
    [{ hosts: [] }, /\/hosts/],
    [{ hosts: ['https://x.com'] }, /\/hosts\/0/],
    [{ environments: ['test'] }, /\/environments\/0/],
    [{ actions: [{ ...action, effect: 'maybe' }] }, /\/actions\/0\/effect/],
    [{ actions: [action, action] }, /create_issue stands twice/],
    [{ actions: [{ ...action, path: '/x/{missing}' }] }, /\{missing\} of the path is missing/],
    [{ actions: [{ ...action, path: '/x?y=1' }] }, /\/path: can’t be read/],
    [{ actions: [{ ...action, input: { path: { properties: { extra: {} } } } }] }, /extra is not in the path/],
    [{ actions: [{ ...action, input: { header: { properties: { Authorization: {} } } } }] }, /Authorization can’t be set/],
    [{ actions: [{ ...action, method: 'GET', effect: 'read' }] }, /GET has none/],
    [{ actions: [{ ...action, method: 'DELETE', effect: 'read' }] }, /does not go with DELETE/],
    [{ actions: [{ ...action, from_credential: { nope: 'api_token' } }] }, /nope is no property/],
    [{ actions: [{ ...action, from_config: { nope: 'site_url' } }] }, /from_config: nope stands in no place/],
    [{ actions: [{ ...action, from_config: { fields: 'api_token' } }] }, /from_config: api_token is no config field/],
    [{ auth: [{ ...scheme, inject: [{ header: 'x', value: '{nope}' }] }] }, /\{nope\} is no field/],
    [{ actions: [{ ...action, headers: { Accept: 'x' } }] }, /Accept has to be in lower case/],
    [{ actions: [{ ...action, headers: { authorization: 'x' } }] }, /authorization can’t be set/],
    [{ actions: [{ ...action, server: 'https://evil.example' }] }, /its host is not among \/also_hosts/],
    [{ test: { ...base.test, server: 'https://evil.example' } }, /\/test\/server: its host/],
    [{ test: { ...base.test, path: '/x/{nope}' } }, /\/test\/path: \{nope\} is no config field/],
    [{ actions: [{ ...action, graphql: '{ x }' }] }, /graphql: goes with the body encoding graphql/],
    [{ actions: [{ ...action, body: 'graphql' }] }, /graphql: goes with/],
    [{ actions: [{ ...action, body: 'form', envelope: 'x' }] }, /envelope: goes with the body encoding json/],
    [{ actions: [{ ...action, files: ['fields'] }] }, /files: go with the body encoding multipart/],
    [{ actions: [{ ...action, body: 'multipart', files: ['nope'] }] }, /files: nope is no property/],
    [{ actions: [{ ...action, secret_outputs: [{ pointer: '/x', field: 'site_url' }] }] }, /site_url is no secret field/],
    [{ auth: [{ ...scheme, fields: [...scheme?.fields ?? [], { name: 'x', label: 'x', secret: true, default: 'y' }] }] }, /a secret has none/],
    [{ auth: [{ ...scheme, servers: undefined }], servers: { sandbox: '{api_token}', live: '{api_token}' } }, /\{api_token\} is no config field/],
    [{ auth: [{ ...scheme, servers: undefined }], servers: { sandbox: 'https://evil.example', live: 'https://evil.example' } }, /its host is not among/],
    [{ auth: [{ ...scheme, fields: [...scheme?.fields ?? [], { name: 'x', label: 'x', secret: false, pattern: '(' }] }] }, /is no regular expression/],
  ]
  const oauth = { ...base.auth.find((one) => one.id === 'oauth') }
  const badOAuth = (change: object, expected: RegExp) => bad.push([{ auth: [{ ...oauth, ...change }] }, expected])
  badOAuth({ fields: oauth.fields?.filter((field) => field.name !== 'access_token') }, /has no secret field access_token/)
  badOAuth({ fields: oauth.fields?.filter((field) => field.name !== 'refresh_token') }, /does not agree with the field refresh_token/)
  badOAuth({ fields: oauth.fields?.map((field) => field.name === 'refresh_token' ? { ...field, vault_only: false } : field) }, /has to be secret and vault_only/)
  badOAuth({ oauth: { ...oauth.oauth, token_url: { live: 'https://x.example' } } }, /token_url: sandbox has none/)
  badOAuth({ oauth: { ...oauth.oauth, authorize_url: '{nope}/authorize' } }, /nope is no config field/)
  badOAuth({ oauth: { ...oauth.oauth, authorize_url: 'ftp://x' } }, /authorize_url: is no URL/)
  badOAuth({ oauth: { ...oauth.oauth, redirect_config: { nope: 'x' } } }, /redirect_config: nope is no config field/)
  for (const [change, expected] of bad) t.throws(() => parseManifest('m.yaml', JSON.stringify({ ...base, ...change })), expected)
  t.throws(() => parseManifest('m.yaml', 'a: [1'), /m\.yaml: is not YAML/)
  t.throws(() => parseManifest('m.yaml', '42'), /m\.yaml: {2}must be object/)
})

t.test('pasted fields', async (t) => {
  const judge = (id: string, environment: Environment, credentials: Record<string, string>, config: Record<string, string> = {}) => {
    const [integration = '', scheme] = id.split('.')
    const verdict = judgeFields(catalog.require(integration).requireScheme(scheme), environment, { credentials, config })
    return 'errors' in verdict ? verdict.errors.map((error) => `${error.pointer} ${error.message}`).join('; ') : verdict.accepted
  }
  const body = 'x1y2z3'.repeat(5)
  t.match(judge('stripe', 'sandbox', { secret_key: `  sk_test_${body}9999\n` }), { secrets: { secret_key: `sk_test_${body}9999` }, previews: { secret_key: 'sk_test_…9999' } }, 'space around a paste is dropped')
  t.match(judge('stripe', 'live', { secret_key: `rk_live_${body}` }), { previews: { secret_key: `rk_live_…${body.slice(-4)}` } })
  t.match(judge('stripe', 'sandbox', { secret_key: `sk_live_${body}` }), /is a live key \(sk_live_…\) and this is a sandbox connection/)
  t.match(judge('stripe', 'live', { secret_key: `sk_test_${body}` }), /is a sandbox key/)
  t.match(judge('stripe', 'sandbox', { secret_key: `pk_test_${body}` }), /publishable key/)
  t.match(judge('stripe', 'sandbox', { secret_key: `whsec_${body}` }), /webhook signing secret/)
  t.match(judge('stripe', 'sandbox', { secret_key: body }), /must start with sk_test_ or rk_test_/)
  t.match(judge('stripe', 'sandbox', { secret_key: 'sk_test_short' }), /does not look right/)
  t.match(judge('stripe', 'sandbox', {}), /\/credentials\/secret_key is required/)
  t.match(judge('stripe', 'sandbox', { secret_key: '   ' }), /is required/)
  t.match(judge('stripe', 'sandbox', { secret_key: `sk_test_${body}\r\nX-Injected: 1` }), /line break/)
  t.match(judge('stripe', 'sandbox', { secret_key: `sk_test_${body}é` }), /does not belong there/)
  t.match(judge('stripe', 'sandbox', { secret_key: `sk_test_${body}`, __proto__x: '1' }), /is not a field/)
  t.match(judge('stripe', 'sandbox', JSON.parse(`{"secret_key":"sk_test_${body}","__proto__":"x","constructor":"y"}`) as Record<string, string>), /__proto__ is not a field.*constructor is not a field/)
  t.match(judge('stripe', 'sandbox', {}, { secret_key: `sk_test_${body}` }), /\/config\/secret_key belongs in credentials/)
  t.match(judge('stripe', 'sandbox', { secret_key: `sk_test_${body}` }, { connected_account: 'nope' }), /\/config\/connected_account does not look right/)
  t.match(judge('onfido.api_token', 'live', { api_token: `api_live_us.abc.${body}` }), { config: { region: 'us' } }, 'the token says its region')
  t.match(judge('onfido.api_token', 'live', { api_token: `api_live_us.abc.${body}` }, { region: 'eu' }), /must be us/)
  t.match(judge('onfido.api_token', 'live', { api_token: `api_live.abc.${body}` }, { region: 'mars' }), /must be one of: eu, us, ca/)
  t.match(judge('plaid', 'sandbox', { secret: 'abcdef0123', access_token: 'access-production-1' }, { client_id: 'abcdef0123456789' }), /is a live key/)
  t.match(judge('plaid', 'sandbox', { secret: 'abcdef0123' }, { client_id: 'abcdef0123456789' }), { previews: { secret: '••••' } }, 'a short secret is not shown at all')
  t.notMatch(JSON.stringify(judge('stripe', 'sandbox', { secret_key: 'sk_live_canarycanarycanary', webhook_secret: 'canary' }, { connected_account: 'canary' })), /canary/, 'errors never quote values')
  t.match(judgeConfig(catalog.require('stripe').requireScheme(undefined), 'live', { connected_account: 'x', nope: 'y', secret_key: 'z' }).map((error) => error.pointer),
    ['/config/nope', '/config/secret_key', '/config/connected_account'])
})

t.test('a preview shows at most a prefix and four characters, and only of long secrets', async (t) => {
  const scheme = catalog.require('plaid').requireScheme(undefined)
  fc.assert(fc.property(fc.stringMatching(/^[A-Za-z0-9]{1,60}$/), (secret) => {
    const verdict = judgeFields(scheme, 'live', { credentials: { secret }, config: { client_id: 'abcdef0123456789' } })
    const preview = 'accepted' in verdict ? verdict.accepted.previews['secret'] : undefined
    return preview === (secret.length >= 16 ? `…${secret.slice(-4)}` : '••••')
  }))
  t.pass()
})

t.test('destinations', async (t) => {
  const jira = catalog.require('jira')
  const at = (site: string) => resolveDestination({ manifest: jira.manifest, scheme: jira.requireScheme('api_token'), environment: 'live' }, { site_url: site })
  t.same(at('https://acme.atlassian.net/'), { baseUrl: 'https://acme.atlassian.net', hosts: ['acme.atlassian.net'], hostConfig: { site_url: 'https://acme.atlassian.net/' } })
  const evil = [
    'https://evil.com', 'https://evil.com/.atlassian.net', 'https://evil.com#.atlassian.net', 'https://evil.com?.atlassian.net', 'https://acme.atlassian.net@evil.com',
    'https://a.b.atlassian.net', 'https://atlassian.net', 'https://.atlassian.net', 'https://acme.atlassian.net:8443', 'https://acme.atlassian.net.evil.com', 'https://acme.atlassian.net?x=1',
    'https://user@acme.atlassian.net', 'javascript:alert(1)', '', 'https://',
  ]
  for (const site of evil) t.throws(() => at(site), { code: 'config_invalid' }, site)

  const onfido = catalog.require('onfido')
  const region = (value: string) => resolveDestination({ manifest: onfido.manifest, scheme: onfido.requireScheme('api_token'), environment: 'live' }, { region: value })
  t.same(region('us').hosts, ['api.us.onfido.com'], 'only this region’s host')
  for (const value of ['evil.com/', 'eu.evil.com#', 'mars', '']) t.throws(() => region(value), { code: 'config_invalid' }, value)

  t.ok(hostMatches('*.example.com', 'a.example.com'))
  t.notOk(hostMatches('*.example.com', 'a.b.example.com'))
  t.notOk(hostMatches('*.example.com', 'example.com'))
  t.notOk(hostMatches('*.example.com', '.example.com'))
  t.notOk(hostMatches('example.com', 'example.com:8443'))
  t.ok(isNarrower('a.example.com', ['*.example.com']))
  t.notOk(isNarrower('*.example.com', ['a.example.com']))
  t.notOk(isNarrower('*.com', ['*.example.com']))
})

t.test('reserved headers', async (t) => {
  for (const name of ['Authorization', 'HOST', 'cookie', 'content-length', 'Transfer-Encoding', 'proxy-authorization', 'Proxy-Anything', 'connection']) t.ok(isReservedHeader(name), name)
  t.notOk(isReservedHeader('x-custom'))
})
