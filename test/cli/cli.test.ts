import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { makeFolder } from '../support/folder.ts'
import { startEmbeddedPostgres } from '../../src/store/index.ts'
import { createTestDatabase } from '../support/cluster.ts'
import { runCli, startVaultProcess } from '../support/process.ts'

const folder = () => makeFolder('cli')
const run = (args: string[], env: Record<string, string> = {}) => runCli(args, env).done

t.test('first start, on nothing but a folder', async (t) => {
  const dir = join(folder(), 'data')
  const vault = await startVaultProcess({ DATA_DIR: dir })
  t.teardown(() => vault.kill('SIGKILL'))
  const tokenFile = join(dir, 'ops-token')
  t.equal(statSync(tokenFile).mode & 0o777, 0o600)
  t.equal(statSync(join(dir, 'keyring.json')).mode & 0o777, 0o600)
  const token = readFileSync(tokenFile, 'utf8').trim()
  t.notMatch(vault.output(), new RegExp(token), 'the token is not printed')
  t.match(vault.output(), /The ops token lies in .*ops-token/)

  // The printed lines, pasted as they are.
  const script = vault.output().split('\n').filter((line) => line.startsWith('  ')).join('\n')
  const pasted = spawnSync('sh', ['-e', '-c', script], { encoding: 'utf8', cwd: process.cwd() })
  t.equal(pasted.status, 0, pasted.stderr)
  t.match(pasted.stdout, /^conn_\w{26}\n/)
  t.match(pasted.stdout, /"preview":\{"secret_key":"sk_test_…4242"\}/)
  t.match(pasted.stdout, /"secret_key":"sk_test_ExampleOnlyNotARealKey4242"/)
  t.match(pasted.stdout, /"dry_run":true,"request":\{"method":"POST","url":"https:\/\/api\.stripe\.com\/v1\/payment_intents"/)
  t.match(pasted.stdout, /"event":"connection\.resolved"/)

  t.match(await run(['serve'], { DATA_DIR: dir }), { code: 1, output: /already runs on/ })
  const made = await run(['tokens', 'create', '--name', 'ci', '--preset', 'runtime', '--workspaces', 'acme', '--environments', 'sandbox'], { DATA_DIR: dir })
  t.match(made, { code: 0, output: /cvt_\w{59}/ })
  const listed = await run(['tokens', 'list'], { DATA_DIR: dir })
  t.match(listed, { code: 0, output: /tok_\w+ +ci +acme +sandbox +actions:invoke,credentials:resolve +never +no/ })
  const id = /(tok_\w+) +ci /.exec(listed.output)?.[1] ?? ''
  t.match(await run(['tokens', 'revoke', id], { DATA_DIR: dir }), { code: 0, output: /revoked at/ })
  t.match(await run(['tokens', 'revoke', 'nope'], { DATA_DIR: dir }), { code: 1, output: /not a token’s id/ })
  const wrong: [args: string[], why: RegExp][] = [
    [['--workspaces', '*', '--environments', '*'], /scopes are required, or a preset/],
    [['--preset', 'ops', '--workspaces', '*', '--environments', 'prod'], /environments must be among: sandbox, live/],
    [['--preset', 'ops', '--workspaces', ',', '--environments', '*'], /workspaces must be ids/],
    [['--preset', 'ops', '--workspaces', 'a/b', '--environments', '*'], /workspaces must be ids/],
    [['--scopes', 'a', '--workspaces', '*', '--environments', '*'], /scopes must be among: connections:read/],
    [['--preset', 'ops', '--workspaces', '*', '--environments', '*', '--expires-at', '2020-01-01T00:00:00Z'], /expires_at must be in the future/],
  ]
  for (const [args, why] of wrong) t.match(await run(['tokens', 'create', '--name', 'x', ...args], { DATA_DIR: dir }), { code: 1, output: why })
  t.match(await run(['audit', 'verify'], { DATA_DIR: dir }), { code: 0, output: /the record is whole: \d+ records/ })
  t.equal((await fetch(`${vault.urls.operations}/readyz`)).status, 200, 'the vault went on meanwhile')

  t.equal(await vault.kill('SIGTERM'), 0)
  t.notOk(existsSync(join(dir, 'postgres', 'postmaster.pid')) && !existsSync('/var/lib/connection-vault'), 'its database stopped with it')
  const again = await startVaultProcess({ DATA_DIR: dir })
  t.equal(readFileSync(tokenFile, 'utf8').trim(), token, 'a second start keeps the token')
  t.match(again.output(), /The ops token lies in .*ops-token/)
  t.notMatch(again.output(), /curl/, 'and does not print lines that have been pasted')
  t.equal((await fetch(`${again.urls.internal}/v1/workspaces/acme/connections`, { headers: { authorization: `Bearer ${token}` } })).status, 200)

  await again.kill('SIGKILL')
  const third = await startVaultProcess({ DATA_DIR: dir })
  t.equal((await fetch(`${third.urls.operations}/readyz`)).status, 200, 'a killed vault’s database is taken over')
  await third.kill('SIGTERM')
  t.match(await run(['migrate'], { DATA_DIR: dir }), { code: 0, output: /the embedded database is up to date/ })
  t.match(await run(['migrate'], { DATA_DIR: dir, NODE_ENV: 'production' }), { code: 1, output: /OWNER_DATABASE_URL is missing/ })
  const cluster = await startEmbeddedPostgres({ dataDir: dir })
  t.equal(cluster.adopted, false, 'and stopped at the end')
  await cluster.stop()
})

t.test('a verb on nothing does not answer for an empty vault', async (t) => {
  const dir = folder()
  for (const args of [['audit', 'verify'], ['tokens', 'list']]) {
    t.match(await run(args, { DATA_DIR: dir }), { code: 1, output: /no vault has run in .*DATABASE_URL and KEYRING_FILE/ })
  }
  t.match(await run(['migrate'], { DATA_DIR: dir }), { code: 1, output: /OWNER_DATABASE_URL is missing: .*`npm start`/ })
  t.same(readdirSync(dir), [], 'nothing was made')
})

t.test('production says what is missing', async (t) => {
  const database = await createTestDatabase()
  t.teardown(() => database.drop())
  const dir = folder()
  const bare = await run(['serve'], { NODE_ENV: 'production', DATA_DIR: dir })
  t.match(bare, { code: 1, output: /DATABASE_URL is missing.*KEYRING_FILE is missing/s })
  const env = { NODE_ENV: 'production', DATABASE_URL: database.serviceUrl, KEYRING_FILE: join(dir, 'keyring.json') }
  t.match(await run(['serve'], env), { code: 1, output: /keyring\.json does not exist: restore it from its copy; only a vault that has no data yet gets a new one, with `connection-vault keys init`/ })
  t.notOk(existsSync(env.KEYRING_FILE), 'a keyring does not appear by itself')
  t.match(await run(['keys', 'init'], env), { code: 0, output: /Keep a copy apart/ })
  t.equal(statSync(env.KEYRING_FILE).mode & 0o777, 0o600)
  t.match(await run(['keys', 'init'], env), { code: 1, output: /exists already/ })
  t.match(await run(['serve'], { ...env, DATABASE_URL: database.superUrl }), { code: 1, output: /owns the schema or may rewrite the audit/ })
  const vault = await startVaultProcess(env)
  t.equal((await fetch(`${vault.urls.operations}/readyz`)).status, 200)
  t.notMatch(vault.output(), /curl/, 'no greeting, no token')
  t.match(vault.output(), /"level":"warn".*"msg":"PUBLIC_URL is missing: connect pages and redirect URIs/)
  t.equal(await vault.kill('SIGTERM'), 0)
  const app = ['oauth-apps', 'set', 'linear', 'live', '--client-id', 'client']
  t.match(await runCli(app, env, 'LinearSecret-0001').done, { code: 0, output: /^Do not register it yet\. PUBLIC_URL is missing: /m })
  t.match(await run(['doctor'], env), { code: 0, output: /^public URL +note +PUBLIC_URL is missing: /m })
  const reachable = { ...env, PUBLIC_URL: 'https://connect.example.com' }
  t.match(await runCli([...app, '--keep-secret'], reachable).done, { code: 0, output: /changed\. Register [^\n]*\nhttps:\/\/connect\.example\.com\/oauth\/callback\/app_\w+\n$/ })

  chmodSync(env.KEYRING_FILE, 0o644)
  t.match(await run(['serve'], env), { code: 1, output: /chmod 600/ })
  chmodSync(env.KEYRING_FILE, 0o600)
  // The first start has made the vault's own keys under this keyring: from now on only it will do.
  const other = join(dir, 'other.json')
  await run(['keys', 'init', '--file', other])
  t.match(await run(['serve'], { ...env, KEYRING_FILE: other }), { code: 1, output: /does not hold\. Start with the keyring that holds it/ })
  writeFileSync(join(dir, 'spoilt.json'), '{"format":1', { mode: 0o600 })
  t.match(await run(['serve'], { ...env, KEYRING_FILE: join(dir, 'spoilt.json') }), { code: 1, output: /damaged/ })
  t.match(await run(['serve'], { ...env, TRUSTED_ISSUERS_FILE: '/nowhere' }), { code: 1, output: /TRUSTED_ISSUERS_FILE: \/nowhere can’t be read \(ENOENT\)/ })
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const port = String((taken.address() as AddressInfo).port)
  t.match(await run(['serve'], { ...env, INTERNAL_PORT: port, PUBLIC_PORT: '0', OPERATIONS_PORT: '0' }), { code: 1, output: new RegExp(`internal listener can’t open 127\\.0\\.0\\.1:${port} \\(EADDRINUSE\\): see INTERNAL_HOST and INTERNAL_PORT`) })
  t.match(await run(['serve'], { ...env, NODE_DEBUG: 'http' }), { code: 1, output: /NODE_DEBUG would print credentials/ })
  t.match(await run(['serve'], { ...env, CATALOG_DIR: '/nowhere' }), { code: 1, output: /\/nowhere can't be read/ })
  writeFileSync(join(dir, 'bad.yaml'), 'id: bad')
  t.match(await run(['serve'], { ...env, CATALOG_DIR: dir }), { code: 1, output: /bad\.yaml: \/name is required/ })
  t.match(await run(['serve'], { ...env, DATABASE_URL: 'postgresql://nobody:canary@127.0.0.1:1/none' }), { code: 1, output: /^connection-vault: the database of DATABASE_URL does not answer: none at 127\.0\.0\.1:1 \(ECONNREFUSED\)\n$/ })
  t.notMatch((await run(['serve'], { ...env, DATABASE_URL: 'postgresql://nobody:canary@127.0.0.1:1/none' })).output, /canary/)
  const served = async (change: (url: URL) => void): Promise<string> => {
    const url = new URL(database.serviceUrl)
    change(url)
    return (await run(['serve'], { ...env, DATABASE_URL: url.href })).output
  }
  t.match(await served((url) => { url.username = 'nobody' }), /does not answer: \S+ at \S+ \(it refuses this role, or its password\)\n$/)
  t.match(await served((url) => { url.pathname = '/none' }), /does not answer: none at \S+ \(it has no database of that name\)\n$/)
  t.match(await run(['serve'], { ...env, DATABASE_URL: 'canary' }), { code: 1, output: /^connection-vault: DATABASE_URL is no URL of a database, such as postgresql:[^\n]*\n$/ })
})

t.test('migrate', async (t) => {
  const database = await createTestDatabase()
  t.teardown(() => database.drop())
  t.match(await run(['migrate'], { OWNER_DATABASE_URL: database.ownerUrl }), { code: 0, output: /up to date/ })
  await database.query('drop schema public cascade; create schema public authorization connection_vault_owner')
  t.match(await run(['serve'], { DATABASE_URL: database.serviceUrl, DATA_DIR: folder() }), { code: 1, output: /npm run migrate/ })
  t.match(await run(['migrate'], { OWNER_DATABASE_URL: database.ownerUrl }), { code: 0, output: /migrated: 0001_vault/ })
  t.match(await run(['migrate'], { OWNER_DATABASE_URL: 'postgresql://nobody:canary@127.0.0.1:1/none' }), { code: 1, output: /^connection-vault: the database of OWNER_DATABASE_URL does not answer \(ECONNREFUSED\)\n$/ })
  t.match(await run(['migrate'], { OWNER_DATABASE_URL: database.serviceUrl }), { code: 1, output: /^connection-vault: the role of OWNER_DATABASE_URL does not own the schema: [^\n]*\n$/ })
  t.match(await run(['migrate'], { DATABASE_URL: database.serviceUrl }), { code: 1, output: /set OWNER_DATABASE_URL/ })
})

t.test('audit verify says what was changed, by its exit code too', async (t) => {
  const database = await createTestDatabase()
  t.teardown(() => database.drop())
  const env = { DATABASE_URL: database.serviceUrl, DATA_DIR: join(folder(), 'not', 'there', 'yet') }
  await run(['tokens', 'create', '--name', 'x', '--preset', 'ops', '--workspaces', '*', '--environments', '*'], env)
  t.match(await run(['audit', 'verify'], env), { code: 0 })
  // As in a backup: written while a vault ran, read when none does.
  await database.advance('2 minutes')
  t.match(await run(['audit', 'verify'], env), { code: 0, output: /^the record is whole: 0 records in 0 links; 1 more batch waits for its link, for no vault has run since\n$/ })
  await database.query("update audit_sealer set lease_owner = 'stuck', lease_until = vault_now() + interval '1 hour'")
  t.match(await run(['audit', 'verify'], env), { code: 1, output: /^batch_unsealed +bat_\w+\nthe record was changed: 1 finding\n$/ })
  await database.query("update audit_events set event = 'nothing.happened'")
  t.match(await run(['audit', 'verify'], env), { code: 1, output: /events_changed +bat_\w+\nthe record was changed: 2 findings\n/ })
  const token = 'tok_00000000000000000000000000'
  t.match(await run(['tokens', 'revoke', token], env), { code: 1, output: new RegExp(`there is no token ${token}: \`tokens list\``) })
  t.match(await run(['oauth-apps', 'delete', 'slack', 'live'], env), { code: 1, output: /there is no app for slack in live: / })
  t.match(await run(['keys', 'retire', '--kek', 'nope'], env), { code: 1, output: /the database knows no KEK nope: / })
  t.match(await run(['audit', 'verify', '--checkpoint', 'nonsense'], env), { code: 1, output: /not a checkpoint/ })
})

t.test('a crash says where, and nothing of what', async (t) => {
  const script = `
    import { dieQuietly } from './src/cli/crash.ts'
    dieQuietly()
    setTimeout(() => { throw Object.assign(new Error('canary message'), { code: 'E_X', detail: 'canary', headers: { authorization: 'canary' }, cause: new Error('canary cause') }) }, 1)`
  const crashed = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], { encoding: 'utf8' })
  t.equal(crashed.status, 1)
  t.notMatch(crashed.stderr + crashed.stdout, /canary/)
  t.match(JSON.parse(crashed.stderr), { level: 'fatal', msg: 'uncaughtException', error: /^Error\(E_X\) at / })
})

t.test('the catalog', async (t) => {
  const all = await run(['catalog'])
  t.equal(all.code, 0)
  const rows = all.output.split('\n').map((line) => line.split(/ {2,}/))
  t.same(rows[0], ['integration', 'name', 'category', 'auth', 'actions', 'read', 'idempotent', 'unsafe'])
  t.equal(rows.find(([id]) => id === 'stripe')?.[1], 'Stripe')
  for (const [, , , , actions, ...effects] of rows.slice(1, 22)) t.equal(effects.reduce((sum, count) => sum + Number(count), 0), Number(actions))
  t.match(all.output, /21 integrations, \d+ actions/)
  const one = await run(['catalog', 'twilio'])
  t.match(one.output, /send_sms +unsafe +POST +\/Messages\.json +form_plain/)
  t.match(one.output, /api_key_secret\*/)
  t.match(await run(['catalog', 'nope']), { code: 1, output: /There is no such integration. There are: airtable/ })

  t.match((await run(['catalog', 'openai'])).output, /upload_file +unsafe +POST +\S+ +multipart/)

  const dir = folder()
  writeFileSync(join(dir, 'broken.yaml'), 'id: broken\n')
  t.match(await run(['catalog'], { CATALOG_DIR: dir }), { code: 1, output: /broken\.yaml: \/actions is required/ })
})

t.test('help', async (t) => {
  t.match(await run(['--help']), { code: 0, output: /serve.*migrate.*keys.*tokens.*audit/s })
  t.match(await run(['nonsense']), { code: 1, output: /unknown command/ })
})
