import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createLocalKeyring } from '../../src/crypto/index.ts'
import { query } from '../support/cluster.ts'
import { CANARIES, fillWorkspace, startEverything } from '../support/everything.ts'
import { makeFolder } from '../support/folder.ts'
import { startPostgresWithTools } from '../support/postgres-tools.ts'
import { runCli, startVaultProcess } from '../support/process.ts'
import { findSecrets } from '../support/spellings.ts'
import { eventually, STRIPE_KEY } from '../support/vault.ts'

/** Backups as operators make them: a dump of the database, a copy of its files; and the keys, kept apart. */
const run = async (args: string[], env: Record<string, string>) => await runCli(args, env).done

interface Answer { readonly status: number, readonly body: Record<string, unknown> }

async function call (url: string, token: string, path: string, body: object, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${url}/v1/workspaces/acme${path}`, {
    method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers }, body: JSON.stringify(body),
  })
  return { status: response.status, body: await response.json() as Record<string, unknown> }
}

/** No key, another key: nobody starts, nothing opens. */
async function worthless (t: Test, database: string): Promise<void> {
  const dir = makeFolder('without')
  const production = { NODE_ENV: 'production', DATABASE_URL: database, INTERNAL_PORT: '0', PUBLIC_PORT: '0', OPERATIONS_PORT: '0' }
  const missing = { ...production, KEYRING_FILE: join(dir, 'missing.json') }
  t.match(await run(['serve'], missing), { code: 1, output: /missing\.json does not exist: restore it from its copy; only/ })
  t.match(await run(['doctor'], missing), { code: 1, output: /^key provider +bad +.*can't be read/m })
  createLocalKeyring(join(dir, 'fresh.json'), new Date())
  const fresh = { ...production, KEYRING_FILE: join(dir, 'fresh.json') }
  t.match(await run(['serve'], fresh), { code: 1, output: /^connection-vault: the database was sealed under the KEK \S+, which \S+ does not hold\. Start with the keyring that holds it/m })
  const { code, output } = await run(['doctor'], fresh)
  t.equal(code, 1)
  t.match(output, /^keys +skipped +(\d+) of \1 need a KEK that can’t be used; 0 unwrapped$/m)
  t.notMatch(output, /^\w+\.(sealed|input|result) +ok +[1-9]/m, 'not one value opens')
  t.match(output, /^credential_versions\.sealed +skipped +0 of \d+ opened/m)
}

t.test('pg_dump and pg_restore', async (t) => {
  const postgres = await startPostgresWithTools()
  if (postgres === undefined) {
    t.comment('SKIPPED: no Postgres with pg_dump and pg_restore under /usr/lib/postgresql')
    return
  }
  t.teardown(() => postgres.stop())
  t.comment(postgres.version)
  const everything = await startEverything({}, postgres.database)
  const { vault } = everything
  t.teardown(() => everything.close())
  const filled = await fillWorkspace(everything, 'acme')
  await vault.request('POST', '/v1/webhooks', { body: { url: 'https://hooks.example.com/' } })
  const charge = { environment: 'sandbox', action: 'create_payment_intent', input: { amount: 100, currency: 'usd' } }

  // While the vault runs: a dump is one snapshot.
  const file = join(makeFolder('dump'), 'vault.dump')
  postgres.run('pg_dump', ['--format=custom', `--file=${file}`, postgres.database.ownerUrl])
  t.match(await call(vault.urls.internal, vault.token, '/connections', { integration: 'stripe', environment: 'sandbox', name: 'Later', credentials: { secret_key: STRIPE_KEY } }), { status: 201 })
  const text = postgres.run('pg_restore', ['--file=-', file])
  t.ok(text.length > 50_000, `${Math.round(text.length / 1_024)} KB as text`)
  t.same(findSecrets([...CANARIES, vault.token.slice(4)], text), [], 'no secret in it')
  t.ok(text.includes(filled.stripe), 'though all the rest')
  const count = async (url: string) => await query<{ rows: string }>(url, 'select count(*) as rows from credential_versions')
  await vault.stop()

  await query(postgres.url('postgres', 'postgres'), 'create database restored owner connection_vault_owner')
  postgres.run('pg_restore', ['--exit-on-error', '--no-owner', '--role=connection_vault_owner', `--dbname=${postgres.url('postgres', 'restored')}`, file])
  const restored = postgres.url('connection_vault_service', 'restored')
  const env = { DATABASE_URL: restored, KEYRING_FILE: vault.keyringFile, NODE_ENV: 'production' }

  await t.test('with the keys', async (t) => {
    const report = await run(['doctor'], env)
    t.equal(report.code, 0, report.output)
    t.match(report.output, /^database role +ok +owns nothing, can’t rewrite the audit$/m, 'its rights came along')
    const opened = [...report.output.matchAll(/^\w+\.(?:sealed|input|result) +ok +(\d+) opened$/gm)].map(([, rows]) => Number(rows))
    t.equal(opened.length, 11)
    t.ok(opened.every((rows) => rows > 0), `${opened.join(' + ')} values opened`)
    t.match(await run(['audit', 'verify'], env), { code: 0, output: /^the record is whole: \d+ records in \d+ links\n$/ })
    t.match(await run(['migrate'], { OWNER_DATABASE_URL: postgres.url('connection_vault_owner', 'restored') }), { code: 0, output: /up to date/ })
    t.not((await count(postgres.url('postgres', 'restored')))[0]?.rows, (await count(postgres.database.superUrl))[0]?.rows, 'what came after the dump is not in it')

    const again = await startVaultProcess({ ...env, ...everything.settings })
    t.teardown(async () => { await again.kill('SIGTERM') })
    const ask = async (path: string, body: object, headers = {}) => await call(again.urls.internal, vault.token, path, body, headers)
    t.match(await ask(`/connections/${filled.stripe}/resolve`, { environment: 'sandbox' }), { status: 200, body: { credentials: { secret_key: STRIPE_KEY } } }, 'tokens and credentials work')
    t.match(await ask(`/connections/${filled.stripe}/invoke`, charge, { 'idempotency-key': 'charge-1' }), { status: 200, body: { replayed: true } }, 'a repeat finds its first')
    const refreshed = await eventually(async () => {
      const answer = await ask(`/connections/${filled.linked}/refresh`, {})
      // The lease of the process that was there at the time of the dump.
      return answer.status !== 503 && answer
    }, 60_000)
    t.match(refreshed, { status: 200, body: { status: 'active' } }, 'and the answer that was kept is read')
  })

  await t.test('without the keys', async (t) => { await worthless(t, restored) })
})

t.test('a copy of the files', async (t) => {
  // As root the database runs as another user, who has to get there.
  const openFolder = (purpose: string) => {
    const dir = makeFolder(purpose)
    chmodSync(dir, 0o711)
    return dir
  }
  const dataDir = join(openFolder('files'), 'data')
  const vault = await startVaultProcess({ DATA_DIR: dataDir })
  t.teardown(() => vault.kill('SIGKILL'))
  const token = readFileSync(join(dataDir, 'ops-token'), 'utf8').trim()
  const made = await call(vault.urls.internal, token, '/connections', { integration: 'stripe', environment: 'sandbox', name: 'Stripe', credentials: { secret_key: STRIPE_KEY } })
  t.equal(made.status, 201)
  t.equal(await vault.kill('SIGTERM'), 0)

  const copy = join(openFolder('copy'), 'data')
  t.equal(spawnSync('cp', ['-a', dataDir, copy]).status, 0)
  const keyring = join(copy, 'keyring.json')
  const kept = join(makeFolder('kept'), 'keyring.json')
  renameSync(keyring, kept)
  rmSync(dataDir, { recursive: true })
  t.match(await run(['doctor'], { DATA_DIR: copy }), { code: 1, output: /^key provider +bad +.*keyring\.json can't be read \(ENOENT\); restore it, or make the first one with `connection-vault keys init`$/m })
  renameSync(kept, keyring)
  t.match(await run(['doctor'], { DATA_DIR: copy }), { code: 0, output: /^credential_versions\.sealed +ok +1 opened$/m })
  const again = await startVaultProcess({ DATA_DIR: copy })
  t.teardown(() => again.kill('SIGKILL'))
  t.match(await call(again.urls.internal, token, `/connections/${String(made.body['id'])}/resolve`, { environment: 'sandbox' }), { status: 200, body: { credentials: { secret_key: STRIPE_KEY } } })
  t.match(await run(['audit', 'verify'], { DATA_DIR: copy }), { code: 0 })
  t.equal(await again.kill('SIGTERM'), 0)
})
