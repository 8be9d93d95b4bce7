import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { createWire } from '../support/agent.ts'
import { retargetCatalog } from '../support/catalog.ts'
import { makeFolder } from '../support/folder.ts'
import { json, startProvider } from '../support/provider.ts'
import { startTestVault, STRIPE_KEY } from '../support/vault.ts'

/**
 * The SDK as somebody else gets it: packed, installed into an empty project, run by the oldest Node
 * that is here. Its dependencies come from the tree at hand, so that nothing is asked of the network.
 */
const run = promisify(execFile)
const ROOT = new URL('../../', import.meta.url).pathname
const SDK = join(ROOT, 'src/sdk')

/** The Node that npm came with, if `npm ci` brought a newer one. */
async function findOldNode (): Promise<{ node: string, version: string }> {
  const found = (process.env['PATH'] ?? '').split(delimiter).filter((dir) => !dir.includes('node_modules')).map((dir) => join(dir, 'node')).filter((file) => existsSync(file))
  const node = found[0] ?? process.execPath
  return { node, version: (await run(node, ['--version'])).stdout.trim() }
}

const env = { ...process.env, NODE_OPTIONS: '' }

/** An empty project with nothing in it but the package. */
async function installPacked (t: Test): Promise<string> {
  const dir = makeFolder('sdk-package')
  const pack = async (folder: string) => {
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', dir, folder], { cwd: dir, env })
    return join(dir, (JSON.parse(stdout.slice(stdout.indexOf('['))) as { filename: string }[])[0]?.filename ?? '')
  }
  await run('npm', ['run', '--silent', 'build'], { cwd: SDK, env })
  const { dependencies } = JSON.parse(readFileSync(join(SDK, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
  const tarballs = await Promise.all(Object.keys(dependencies).map(async (name) => await pack(join(ROOT, 'node_modules', name))))
  const sdk = await pack(SDK)
  const project = join(dir, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{"type":"module","private":true}')
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', ...tarballs, sdk], { cwd: project, env })
  const installed = readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.')).sort()
  t.same(installed, ['@connection-vault', 'jose', 'typebox', 'yaml'], 'no server comes with it')
  const emitted = readdirSync(join(project, 'node_modules/@connection-vault/sdk'), { recursive: true, encoding: 'utf8' }).filter((file) => /\.[cm]?[jt]s$/.test(file))
  t.ok(emitted.includes('dist/client/index.d.ts') && emitted.includes('dist/agent/index.js') && emitted.includes('dist/agent/index.d.ts') && emitted.every((file) => /\.(js|d\.ts)$/.test(file)), 'JavaScript and types, no sources')
  return project
}

/** The example of the README, as it stands there. */
function readExample (t: Test, file: string): string {
  const [, example = ''] = new RegExp(`\`\`\`js\n(// ${file}\n[\\s\\S]*?)\`\`\``).exec(readFileSync(join(SDK, 'README.md'), 'utf8')) ?? []
  const lines = example.split('\n').length
  t.ok(lines > 10 && lines <= 30, `an example of ${lines} lines`)
  return example
}

/** A program of somebody else, checked as strictly as can be, with or without the types of Node. */
const CONSUMER = `
import { createClient, VaultApiError, type Answer, type Client, type Credential, type Fetch, type Input, type Resolved } from '@connection-vault/sdk/client'
import { encryptCall } from '@connection-vault/sdk/encryption'

const own: Fetch = async (url, init) => await fetch(url, init)
const vault: Client = createClient({ url: 'https://vault.example', getToken: async () => 'cvt_1', fetch: own, timeoutMs: 5_000 })
const of = { workspace_id: 'acme', connection_id: 'conn_1', environment: 'live' } as const

export async function work (signal: AbortSignal): Promise<string> {
  const credential: Credential = await vault.resolve(of, { signal })
  const key: string | undefined = credential.credentials['secret_key']
  const many: Resolved[] = await vault.resolveMany({ workspace_id: 'acme', environment: 'live', connection_ids: ['conn_1'] })
  for (const one of many) {
    if (one.error === undefined) { const version: string = one.credential.version; void version }
    else { const code: string = one.error.code; void code }
  }
  const { outcome, output } = await vault.invoke({ ...of, action: 'charge', input: { amount: 1 } }, { idempotencyKey: 'k' })
  const happened: 'succeeded' | 'failed' = outcome
  const { request } = await vault.invoke({ ...of, action: 'charge', dry_run: true }) as { request: object }
  const accepted = await vault.invoke({ ...of, action: 'charge', mode: 'async' })
  const { encrypted_input: encryptedInput } = await encryptCall({ action: 'charge', input: {}, recipients: [{ agentId: 'agt_1', publicKey: 'x' }] })
  await vault.invoke({ ...of, action: 'charge', encrypted_input: encryptedInput })
  const ended = await vault.waitFor({ workspace_id: 'acme', invocation_id: accepted.invocation_id })
  for await (const connection of vault.each('listConnections', { workspace_id: 'acme', status: 'active' })) { const etag: string = connection.etag; void etag }
  const wanted: Input<'createConnection'> = { workspace_id: 'acme', integration: 'stripe', environment: 'live', name: 'A', credentials: {} }
  const made: Answer<'createConnection'> = await vault.createConnection(wanted, { actor: 'user_1' })
  await vault.updateConnection({ workspace_id: 'acme', connection_id: made.id, name: 'B' }, { ifMatch: made.etag })
  const nothing: undefined = await vault.deleteConnection({ workspace_id: 'acme', connection_id: made.id, force: true })
  const { keks } = await vault.getKeys()

  // @ts-expect-error an environment there is not
  await vault.resolve({ ...of, environment: 'production' })
  // @ts-expect-error a member that is missing
  await vault.resolve({ workspace_id: 'acme', environment: 'live' })
  // @ts-expect-error a member there is not
  await vault.getConnection({ workspace_id: 'acme', connection_id: 'conn_1', colour: 'red' })
  // @ts-expect-error it takes no key
  await vault.getKeys({}, { idempotencyKey: 'k' })
  // @ts-expect-error it is no list
  vault.each('getKeys', {})
  // @ts-expect-error what says more stands in its place
  await vault.resolveConnection(of)
  return [key, happened, output, request, ended.state, nothing, keks.length].join()
}

export function explain (error: unknown): string {
  if (!(error instanceof VaultApiError)) return 'no answer'
  switch (error.code) {
    case 'connection_needs_reauth': return 'reconnect'
    case 'rate_limited': return String(error.retryAfterMs)
    default: return error.errors.map(({ pointer }) => pointer).join()
  }
}
`

t.test('packed, installed, at work', async (t) => {
  const project = await installPacked(t)
  const { node, version } = await findOldNode()
  const major = Number(version.slice(1).split('.')[0])
  t.ok(major >= 20, `run by Node ${version}`)
  const provider = await startProvider((_received, reply) => { json(reply, 200, { object: 'balance' }) })
  const vault = await startTestVault({ CATALOG_DIR: retargetCatalog(provider.url), EGRESS_ALLOW_PROVIDER: provider.endpoint })
  t.teardown(async () => {
    await vault.close()
    await provider.close()
  })

  writeFileSync(join(project, 'client.js'), readExample(t, 'client.js'))
  const settings = { ...env, PATH: '', VAULT_URL: vault.urls.internal, VAULT_TOKEN: vault.token, CONNECTION_ID: await vault.connect('acme') }
  for (const runtime of new Set([node, process.execPath])) {
    const { stdout, stderr } = await run(runtime, ['client.js'], { cwd: project, env: settings })
    t.match([stdout, stderr], ['resolved 200\ninvoked succeeded {"object":"balance"}\n', ''], `${(await run(runtime, ['--version'])).stdout.trim()}`)
    const refused = await run(runtime, ['client.js'], { cwd: project, env: { ...settings, VAULT_TOKEN: 'cvt_TokenCanary' } }).then(() => undefined, (error: unknown) => error as { code: number, stderr: string })
    t.match(refused, { code: 1, stderr: /^unauthenticated false req_\w+\n$/ })
  }
  t.equal(provider.received.filter(({ headers }) => headers.authorization === `Bearer ${STRIPE_KEY}`).length, provider.received.length)
  t.ok(provider.received.length >= 3, 'asked by the programs themselves, and by the vault')

  writeFileSync(join(project, 'consumer.ts'), CONSUMER)
  const strict = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--skipLibCheck', 'false', '--target', 'es2022']
  const tsc = join(ROOT, 'node_modules/.bin/tsc')
  await run(tsc, [...strict, '--module', 'nodenext', '--lib', 'es2022,dom', 'consumer.ts'], { env, cwd: project })
  await run(tsc, [...strict, '--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2022', '--types', 'node', '--typeRoots', join(ROOT, 'node_modules/@types'), 'consumer.ts'], { env, cwd: project })
  t.pass('its types hold in a project that checks all of them, of Node and of none')
  const group = (await vault.request('POST', '/v1/workspaces/acme/agent-groups', { body: { name: 'Packed', environment: 'sandbox' } })).body.id as string
  const connection = (await vault.request('POST', '/v1/workspaces/acme/connections', { body: { integration: 'private', environment: 'sandbox', name: 'Packed', credentials: {}, config: { group } } })).body.id as string
  writeFileSync(join(project, 'agent.js'), readExample(t, 'agent.js'))
  writeFileSync(join(project, 'types.ts'), "import { createAgent, type Action } from '@connection-vault/sdk/agent'\nimport { startTestAgent } from '@connection-vault/sdk/agent/testing'\nimport { encryptCall } from '@connection-vault/sdk/encryption'\nexport const all: unknown[] = [createAgent, startTestAgent, encryptCall, {} as Action]\n")
  await run(join(ROOT, 'node_modules/.bin/tsc'), ['--noEmit', '--strict', '--module', 'nodenext', '--skipLibCheck', '--types', 'node', '--typeRoots', join(ROOT, 'node_modules/@types'), join(project, 'types.ts')], { env, cwd: project })
  const code = await createWire(vault).newCode(group)
  const agent = execFile(node, ['agent.js'], { cwd: project, env: { ...env, PATH: '', VAULT_URL: vault.urls.public, ENROLMENT_CODE: code, ERP_TOKEN: 'TokenCanary-2' } })
  let said = ''
  agent.stderr?.on('data', (piece: string) => { said += piece })
  const ended = new Promise<number | null>((resolve) => { agent.once('exit', resolve) })
  const invoke = async () => await vault.request('POST', `/v1/workspaces/acme/connections/${connection}/invoke`, { body: { environment: 'sandbox', action: 'read_ledger', input: { year: 2026 } } })
  for (let tries = 0; tries < 100 && (await invoke()).status !== 200; tries++) await new Promise((resolve) => { setTimeout(resolve, 100) })
  t.match(await invoke(), { status: 200, body: { outcome: 'succeeded', output: { year: 2026 } } }, said)
  agent.kill('SIGTERM')
  t.equal(await ended, 0, 'and ends when it is told to')
  t.notMatch(said, /TokenCanary/)
})
