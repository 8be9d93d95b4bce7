import { createWire } from './agent.ts'
import { linkCatalog } from './catalog.ts'
import type { TestDatabase } from './cluster.ts'
import { consentAndChoose, goToProvider, startLinkVault, type LinkVault } from './linking.ts'
import { Person } from './person.ts'
import { json, startProvider } from './provider.ts'
import { consent, startLinear, startXero } from './standins/index.ts'
import { eventually, STRIPE_KEY } from './vault.ts'

/** A vault in which a workspace can have something in every table. */
export async function startEverything (settings: Record<string, string> = {}, on?: TestDatabase) {
  const [linear, xero] = await Promise.all([startLinear(), startXero()])
  const stripe = await startProvider((_received, reply) => { json(reply, 200, { livemode: false, id: 'ch_1', note: 'CanaryOutput-000001' }) })
  const standins = { linear, xero, stripe }
  const own = { CATALOG_DIR: linkCatalog(standins), EGRESS_ALLOW_CUSTOM_API: stripe.endpoint }
  const vault = await startLinkVault(standins, { ...own, ...settings }, on)
  return {
    vault, linear, xero, stripe,
    /** For another process like this one. */
    settings: { ...own, EGRESS_ALLOW_PROVIDER: [linear, xero, stripe].map(({ endpoint }) => endpoint).join(',') },
    close: async () => {
      await vault.close()
      await Promise.all([linear, xero, stripe].map((one) => one.close()))
    },
  }
}

export type Everything = Awaited<ReturnType<typeof startEverything>>

/** All that a caller has handed in as a secret or as a payload, to look for where it must not be. */
export const CANARIES = ['CanaryStripeKey0000000042', 'CanaryOutput-000001', 'CanaryInput-000001', 'CanaryResult-000001', 'CanaryPiece-000001', 'CanaryApiKey-000000000042', 'CanarySecret-000001']

export interface Filled {
  /** A pasted credential. */
  readonly stripe: string
  /** A linked one, the answer to whose renewal was kept and not read. */
  readonly linked: string
  readonly group: string
  /** The agent, as it talks. */
  readonly agent: Awaited<ReturnType<ReturnType<typeof createWire>['join']>>
  readonly privateConnection: string
}

/** Goes through everything a workspace does, and stops in the middle of most of it. */
export async function fillWorkspace (of: Everything, workspace: string): Promise<Filled> {
  const { vault, linear, xero } = of
  const W = `/v1/workspaces/${workspace}`
  const post = async (path: string, body: object, headers: Record<string, string> = {}) => {
    const answer = await vault.request('POST', `${W}${path}`, { body, headers })
    if (answer.status >= 300) throw new Error(`${path}: ${answer.text}`)
    return answer.body as Record<string, unknown>
  }
  const stripe = (await post('/connections', { integration: 'stripe', environment: 'sandbox', name: 'Stripe', credentials: { secret_key: STRIPE_KEY } }, { 'idempotency-key': 'create-1' }))['id'] as string
  await vault.request('PUT', `${W}/connections/${stripe}/references`, { body: { references: [{ procedure_id: 'p1' }] } })
  await post(`/connections/${stripe}/resolve`, { environment: 'sandbox', context: { procedure_id: 'p1' } })
  await post(`/connections/${stripe}/invoke`, { environment: 'sandbox', action: 'create_payment_intent', input: { amount: 100, currency: 'usd' } }, { 'idempotency-key': 'charge-1' })
  await importApi(of, post)

  for (const standin of [linear, xero]) await vault.enterApp(standin, { workspace })
  const linked = await linkAndStop(of, workspace)
  const relayed = await relayAndStop(vault, workspace, post)
  await eventually(async () => {
    const [uses, open] = await Promise.all(['connection_uses', 'open_invocations'].map((table) => vault.database.query(`select from ${table} where workspace_id = $1`, [workspace])))
    return (uses?.length ?? 0) > 0 && (open?.length ?? 0) > 0
  })
  return { stripe, linked, ...relayed }
}

type Post = (path: string, body: object, headers?: Record<string, string>) => Promise<Record<string, unknown>>

async function importApi ({ stripe }: Everything, post: Post): Promise<void> {
  const document = {
    openapi: '3.1.0', info: { title: 'Acme', version: '1' }, servers: [{ url: stripe.url }], security: [{ key: [] }],
    components: { securitySchemes: { key: { type: 'apiKey', in: 'header', name: 'X-Key' } }, schemas: { Pet: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } } } },
    paths: { '/pets': { post: { operationId: 'createPet', requestBody: { required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } } } } } } },
  }
  const { id } = await post('/integrations', { document }) as { id: string }
  await post('/connections', { integration: id, environment: 'sandbox', name: 'Own API', credentials: { key: 'CanaryApiKey-000000000042' } })
}

async function linkAndStop ({ vault, linear }: Everything, workspace: string): Promise<string> {
  const { database } = vault
  // A renewal whose answer is kept, and whose process did not get to read it.
  const linked = await vault.link(workspace, { integration: 'linear', auth: 'oauth' })
  await database.query('revoke insert on credential_versions from connection_vault_service')
  await vault.request('POST', `/v1/workspaces/${workspace}/connections/${linked.id}/refresh`)
  await database.query('grant insert on credential_versions to connection_vault_service')
  // Nor another, for now.
  await database.query("update connections set next_refresh_at = vault_now() + interval '1 day' where id = $1", [linked.id])
  // A grant that its provider does not take back.
  const unwanted = await vault.link(workspace, { integration: 'linear', auth: 'oauth', account: 'globex' })
  linear.fail.revoke = 'unavailable'
  await vault.request('DELETE', `/v1/workspaces/${workspace}/connections/${unwanted.id}?force=true`)
  // One who is at the provider, one who has not confirmed yet, and one who is choosing.
  const open = async (integration: string) => (await vault.openSession(workspace, { integration })).url
  await goToProvider(new Person(), await open('linear'), { integration: 'linear', auth: 'oauth' })
  await consentAndChoose(new Person(), await open('linear'), { integration: 'linear', auth: 'oauth' })
  const person = new Person()
  await person.visit(await consent(await goToProvider(person, await open('xero'), { integration: 'xero', auth: 'oauth' }), { account: 'several' }))
  return linked.id
}

async function relayAndStop (vault: LinkVault, workspace: string, post: Post): Promise<Pick<Filled, 'group' | 'agent' | 'privateConnection'>> {
  const { id: group } = await post('/agent-groups', { name: 'ERP', environment: 'sandbox' }) as { id: string }
  const wire = createWire(vault)
  const agent = await wire.join(group, [{ name: 'post_entry', effect: 'unsafe', input: {} }], workspace)
  await wire.newCode(group, workspace)
  const { id: privateConnection } = await post('/connections', { integration: 'private', environment: 'sandbox', name: 'Private', credentials: {}, config: { group } }) as { id: string }
  for (let call = 0; call < 3; call++) {
    await post(`/connections/${privateConnection}/invoke`, { environment: 'sandbox', action: 'post_entry', input: { note: 'CanaryInput-000001' }, mode: 'async', queue_seconds: 3_600 })
  }
  const [done, half] = (await agent.poll(5, 2)).body.invocations as { invocation_id: string, lease_token: string }[]
  if (done === undefined || half === undefined) throw new Error('nothing was offered')
  await agent.of(done).claim()
  await agent.of(done).result({ outcome: 'succeeded', output: '"CanaryResult-000001"' })
  await agent.of(half).claim()
  await agent.of(half).chunk(0, '"CanaryPiece-000001')
  return { group, agent, privateConnection }
}

/** Every table that holds something of workspaces, but for the record, its events, and keys that ended. */
export async function tenantTables ({ vault }: Pick<Everything, 'vault'>): Promise<string[]> {
  const rows = await vault.database.query<{ name: string }>(`
    select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and a.attname = 'workspace_id' and not a.attisdropped
       and c.relname <> all ('{audit_events,events,workspace_keys}') order by 1`)
  return rows.map(({ name }) => name)
}

/** How many rows of a workspace are in each of these tables. */
export async function countRows ({ vault }: Pick<Everything, 'vault'>, tables: readonly string[], workspace: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const table of tables) {
    const [row] = await vault.database.query<{ rows: number }>(`select count(*)::int as rows from ${table} where workspace_id = $1`, [workspace])
    if (row !== undefined && row.rows > 0) counts[table] = row.rows
  }
  return counts
}
