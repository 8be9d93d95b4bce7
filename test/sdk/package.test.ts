import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { createWire } from '../support/agent.ts'
import { makeFolder } from '../support/folder.ts'
import { startTestVault } from '../support/vault.ts'

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

t.test('packed, installed, at work', async (t) => {
  const dir = makeFolder('sdk-package')
  const env = { ...process.env, NODE_OPTIONS: '' }
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
  t.ok(emitted.includes('dist/agent/index.js') && emitted.includes('dist/agent/index.d.ts') && emitted.every((file) => /\.(js|d\.ts)$/.test(file)), 'JavaScript and types, no sources')

  const { node, version } = await findOldNode()
  const major = Number(version.slice(1).split('.')[0])
  t.ok(major >= 20, `run by Node ${version}`)
  const vault = await startTestVault()
  t.teardown(async () => { await vault.close() })
  const group = (await vault.request('POST', '/v1/workspaces/acme/agent-groups', { body: { name: 'Packed', environment: 'sandbox' } })).body.id as string
  const connection = (await vault.request('POST', '/v1/workspaces/acme/connections', { body: { integration: 'private', environment: 'sandbox', name: 'Packed', credentials: {}, config: { group } } })).body.id as string
  // The example of the README, as it stands there.
  const [, example = ''] = /```js\n(\/\/ agent\.js\n[\s\S]*?)```/.exec(readFileSync(join(SDK, 'README.md'), 'utf8')) ?? []
  t.ok(example.split('\n').length <= 30, `an example of ${example.split('\n').length} lines`)
  writeFileSync(join(project, 'agent.js'), example)
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
