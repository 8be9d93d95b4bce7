import { inspect } from 'node:util'
import type { Test } from 'tap'
import type { VaultError, Client } from '../../src/sdk/client/index.ts'
import { answers, type Behaviour } from './misbehaving.ts'

export const TOKEN = 'cvt_TokenCanary'
export const SECRET = 'SecretCanary'
export const ONE = { workspace_id: 'acme', connection_id: 'conn_1' } as const
export const C = { ...ONE, environment: 'sandbox' } as const

/** What any of the calls below is content with. */
export const GOOD: Behaviour = (reply, request) => {
  if (request.method === 'DELETE') reply.writeHead(204).end()
  else answers.json({ id: 'conn_1', connection_id: 'conn_1', invocation_id: 'inv_1', expires_at: null, credentials: { secret_key: SECRET }, request: { base_url: 'https://x', headers: {}, query: {} } })(reply, request)
}

export const REPEATABLE = ['resolve', 'get', 'delete', 'create', 'keyed', 'read', 'dry', 'code', 'rotate'] as const
export const ONCE = ['bare', 'post', 'edit', 'guarded'] as const
type CallName = (typeof REPEATABLE)[number] | (typeof ONCE)[number]

/** Calls that differ in what twice would come to. */
export const calls: Readonly<Record<CallName, (client: Client) => Promise<unknown>>> = {
  resolve: async (client) => await client.resolve(C),
  get: async (client) => await client.getConnection(ONE),
  delete: async (client) => await client.deleteConnection(ONE),
  create: async (client) => await client.createConnection({ workspace_id: 'acme', integration: 'stripe', environment: 'sandbox', name: 'A', credentials: { secret_key: SECRET } }),
  keyed: async (client) => await client.invoke({ ...C, action: 'charge', input: { card: SECRET } }, { idempotencyKey: 'run_1/step_1' }),
  read: async (client) => await client.request({ ...C, method: 'GET', path: '/v1/balance' }),
  dry: async (client) => await client.invoke({ ...C, action: 'charge', dry_run: true }),
  code: async (client) => await client.createEnrolmentCode({ workspace_id: 'acme', group_id: 'grp_1' }),
  bare: async (client) => await client.invoke({ ...C, action: 'charge', input: { card: SECRET } }),
  post: async (client) => await client.request({ ...C, method: 'POST', path: '/v1/charges', body: { card: SECRET } }),
  edit: async (client) => await client.updateConnection({ ...ONE, name: 'B' }, { ifMatch: '"1"' }),
  rotate: async (client) => await client.rotateConnection({ ...ONE, credentials: { secret_key: SECRET } }),
  guarded: async (client) => await client.deleteConnection(ONE, { ifMatch: '"1"' }),
}

/** Awaits that it fails so, and answers how. */
export async function failed<Kind extends VaultError> (t: Test, work: Promise<unknown>, kind: new (...args: never[]) => Kind, expected: object): Promise<Kind> {
  const error = await work.then((answer) => `answered ${inspect(answer)}`, (thrown: unknown) => thrown)
  if (!(error instanceof kind)) throw new Error(`another end: ${inspect(error)}`)
  t.match(error, expected)
  return error
}
