import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from '../support/folder.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { startVaultProcess } from '../support/process.ts'
import { json, startProvider } from '../support/provider.ts'

/**
 * The whole story, step by step, against a stand-in for Stripe on loopback: `npm run demo`. Every
 * step checks what it shows; the first that is not as told ends the demo with exit code 1.
 */
const OLD_KEY = ['sk', 'test', 'DemoOldKey0000000000000042'].join('_')
const NEW_KEY = ['rk', 'test', 'DemoNewKey0000000000000077'].join('_')

let acceptedKey = OLD_KEY
const stripe = await startProvider((received, reply) => {
  if (received.headers.authorization !== `Bearer ${acceptedKey}`) { json(reply, 401, { error: { message: `Invalid API Key provided: ${received.headers.authorization}` } }); return }
  if (received.url === '/v1/balance') { json(reply, 200, { object: 'balance', livemode: false }); return }
  const amount = Number(new URLSearchParams(received.body).get('amount'))
  json(reply, 200, { id: 'pi_demo', object: 'payment_intent', amount, status: 'requires_payment_method' }, { 'request-id': 'req_demo' })
})

const dataDir = makeFolder('demo')
const vault = await startVaultProcess({ DATA_DIR: dataDir, CATALOG_DIR: retargetCatalog(stripe.url, ['stripe']), EGRESS_ALLOW_PROVIDER: stripe.endpoint })
const ops = readFileSync(join(dataDir, 'ops-token'), 'utf8').trim()

let step = 0
function say (title: string): void {
  console.log(`\n\u001b[1m${++step}. ${title}\u001b[0m`)
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Body = Record<string, any>

async function call (method: string, path: string, body?: object, token = ops): Promise<{ status: number, body: Body }> {
  const response = await fetch(`${vault.urls.internal}${path}`, {
    method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'x-actor': 'user_demo' }, ...body && { body: JSON.stringify(body) },
  })
  const answer = await response.json() as Body
  console.log(`   ${method} ${path.replace('/v1/workspaces/acme', '…/acme')}  →  ${response.status}`)
  return { status: response.status, body: answer }
}

function show (what: unknown): void {
  console.log(JSON.stringify(what, null, 2).split('\n').map((line) => `     ${line}`).join('\n'))
}

function expect (holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

async function story (): Promise<void> {
  const connections = '/v1/workspaces/acme/connections'

  say('A member pastes a Stripe key; the dashboard’s backend creates the connection')
  const created = await call('POST', connections, { integration: 'stripe', environment: 'sandbox', name: 'Stripe Sandbox', credentials: { secret_key: OLD_KEY } })
  expect(created.status === 201, 'it was not created')
  const id = created.body['id'] as string

  say('From now on it is shown masked, to everybody')
  const shown = await call('GET', `${connections}/${id}`)
  show({ id, name: shown.body['name'], status: shown.body['status'], preview: shown.body['preview'], hosts: shown.body['hosts'] })
  expect(!JSON.stringify(shown.body).includes(OLD_KEY), 'the key was shown')

  say('A live key in a sandbox connection is refused where it is entered')
  const wrong = await call('POST', connections, { integration: 'stripe', environment: 'sandbox', name: 'Oops', credentials: { secret_key: OLD_KEY.replace('test', 'live') } })
  show(wrong.body['errors'])
  expect(wrong.status === 422, 'it was taken')

  say('The procedure runtime gets a token that can resolve and invoke, and nothing else')
  const minted = await call('POST', '/v1/service-tokens', { name: 'runtime', preset: 'runtime', workspaces: ['acme'], environments: ['sandbox'] })
  const runtime = minted.body['token'] as string
  expect((await call('GET', connections, undefined, runtime)).status === 403, 'the runtime may list connections')

  say('It resolves the credential, ready to use; the use is on record before the key leaves')
  const resolved = await call('POST', `${connections}/${id}/resolve`, { environment: 'sandbox', context: { procedure_id: 'proc_checkout', step_id: 'charge' } }, runtime)
  show({ ...resolved.body, credentials: { secret_key: `${OLD_KEY.slice(0, 12)}… (in full)` }, request: { base_url: stripe.url, headers: '…' } })
  expect(resolved.body['credentials'].secret_key === OLD_KEY, 'it is not the key')

  say('A live run can’t use a sandbox connection')
  expect((await call('POST', `${connections}/${id}/resolve`, { environment: 'live' }, runtime)).status === 409, 'it was served')

  say('Better: it invokes an action and never sees the key')
  const payment = { environment: 'sandbox', action: 'create_payment_intent', input: { amount: 2000, currency: 'usd' }, context: { procedure_id: 'proc_checkout', step_id: 'charge' } }
  const invoked = await call('POST', `${connections}/${id}/invoke`, payment, runtime)
  show({ outcome: invoked.body['outcome'], output: invoked.body['output'], provider: invoked.body['provider'] })
  expect(invoked.body['outcome'] === 'succeeded', 'the payment intent was not created')

  say('Stripe revokes the old key: the failure has a class, and the echoed key is gone from it')
  acceptedKey = NEW_KEY
  const failed = await call('POST', `${connections}/${id}/invoke`, payment, runtime)
  show({ outcome: failed.body['outcome'], error: failed.body['error'] })
  expect(failed.body['error'].class === 'reauthorise' && !JSON.stringify(failed.body).includes(OLD_KEY), 'the failure is not as told')

  say('The member rotates it once, tested first; every procedure has the new key from the next call on')
  const rotated = await call('POST', `${connections}/${id}/rotate`, { credentials: { secret_key: NEW_KEY }, test: true })
  show({ version_number: rotated.body['version_number'], preview: rotated.body['preview'], status: rotated.body['status'] })
  const again = await call('POST', `${connections}/${id}/invoke`, payment, runtime)
  expect(again.body['outcome'] === 'succeeded' && stripe.received.at(-1)?.headers.authorization === `Bearer ${NEW_KEY}`, 'the new key was not used')

  say('All of it is on record, and the record is chained')
  const audit = await call('GET', '/v1/workspaces/acme/audit-events?limit=50')
  const events = (audit.body['audit_events'] as { event: string, outcome: string, reason: string | null, actor: string | null }[]).toReversed()
  for (const event of events) console.log(`     ${event.event.padEnd(22)} ${event.outcome.padEnd(8)} ${event.reason ?? ''}`)
  expect(['connection.created', 'connection.resolved', 'invoke.started', 'invoke.finished', 'connection.rotated'].every((name) => events.some((event) => event.event === name)), 'something is missing')
  const verified = await call('GET', '/v1/audit/verify')
  expect(verified.body['ok'] === true, 'the chain is broken')
  expect(!vault.output().includes(OLD_KEY) && !vault.output().includes(NEW_KEY), 'a key is in the log')
}

try {
  await story()
  console.log('\nThat was all of it.')
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : ''}`)
  process.exitCode = 1
} finally {
  await vault.kill('SIGTERM')
  await stripe.close()
}
