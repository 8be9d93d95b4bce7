import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { BindingContext } from '../../src/crypto/index.ts'
import { createLocalKeyring } from '../../src/crypto/index.ts'
import { SEALED_COLUMNS } from '../../src/rooms.ts'
import { CANARIES, fillWorkspace, startEverything } from '../support/everything.ts'
import { makeFolder } from '../support/folder.ts'
import { KMS_ACCESS_KEY, KMS_SECRET_KEY, provideAwsCredentials, startKms } from '../support/kms.ts'
import { runCli } from '../support/process.ts'
import { findSecrets } from '../support/spellings.ts'
import { startTestVault, STRIPE_KEY, type TestVault } from '../support/vault.ts'

interface Finding { readonly check: string, readonly state: string, readonly said: string }
type Report = { code: number | null, output: string, of: (check: string | RegExp) => Finding[], bad: string[], states: Record<string, string> }

const envOf = ({ database, keyringFile }: Pick<TestVault, 'database' | 'keyringFile'>): Record<string, string> => ({ DATABASE_URL: database.serviceUrl, KEYRING_FILE: keyringFile, NODE_ENV: 'test' })

/** Runs it, and reads its findings off its last line. */
async function doctor (env: Record<string, string>): Promise<Report> {
  const { code, output } = await runCli(['doctor', '--json'], env).done
  const line = output.split('\n').findLast((one) => one.startsWith('['))
  if (line === undefined) throw new Error(`no report: ${output}`)
  const findings = JSON.parse(line) as Finding[]
  const of = (check: string | RegExp) => findings.filter((one) => typeof check === 'string' ? one.check === check : check.test(one.check))
  return { code, output, of, bad: findings.filter(({ state }) => state === 'bad').map(({ check }) => check), states: Object.fromEntries(findings.map(({ check, state }) => [check, state])) }
}

const COLUMNS = SEALED_COLUMNS.map(({ table, column }) => `${table}.${column}`)

async function startStopped (t: Test, settings: Record<string, string> = {}): Promise<{ vault: TestVault, env: Record<string, string>, ids: string[] }> {
  const vault = await startTestVault(settings)
  t.teardown(() => vault.close())
  const ids = [await vault.connect('acme'), await vault.connect('other'), await vault.connect('acme', { environment: 'live', credentials: { secret_key: STRIPE_KEY.replace('test', 'live') } })]
  await vault.stop()
  return { vault, env: envOf(vault), ids }
}

t.test('everything', async (t) => {
  const everything = await startEverything()
  const { vault } = everything
  t.teardown(() => everything.close())
  const filled = await fillWorkspace(everything, 'acme')
  await fillWorkspace(everything, 'other')
  await vault.request('POST', '/v1/webhooks', { body: { url: 'https://hooks.example.com/' } })
  const env = envOf(vault)

  await t.test('well', async (t) => {
    const report = await doctor(env)
    t.equal(report.code, 0, report.output)
    t.same(report.bad, [])
    for (const check of ['configuration', 'database', 'schema', 'database role', 'clock', 'audit partitions', 'audit chain', 'keys', ...COLUMNS]) t.equal(report.states[check], 'ok', check)
    t.equal(report.of(/^KEK /).length, 2)
    for (const column of COLUMNS) t.match(report.of(column), [{ said: /^[1-9]\d* opened$/ }])
    t.same(findSecrets(CANARIES, report.output), [])
    const table = await runCli(['doctor'], env).done
    t.match(table, { code: 0, output: /^(\d+ values? opened.*\n)+check +state\n/ }, 'some lines of progress, then a table')
    for (const check of ['configuration +ok +read \\(NODE_ENV test\\)', 'database +ok +Postgres \\d+.* answers in \\d+ ms', 'clock +ok +\\d+ ms', 'audit partitions +ok +for this month and 3 ahead', 'keys +ok +\\d unwrapped']) {
      t.match(table.output, new RegExp(`^${check}`, 'm'))
    }
  })

  await t.test('with broken values of every kind, and none of them shown', async (t) => {
    const { database } = vault
    const [pasted] = await database.query<{ id: string }>('select id from credential_versions where connection_id = $1', [filled.stripe])
    const [victim] = await database.query<{ connection_id: string, id: string }>("select connection_id, id from credential_versions where workspace_id = 'other' and sealed is not null limit 1")
    const [mislabelled] = await database.query<{ invocation_id: string }>("select invocation_id from invocation_results where workspace_id = 'acme'")
    await database.query('update credential_versions set sealed = set_byte(sealed, length(sealed) - 1, get_byte(sealed, length(sealed) - 1) # 1) where connection_id = $1 and id = $2', [filled.stripe, pasted?.id])
    await database.query('update credential_versions set sealed = (select sealed from oauth_app_secrets where sealed is not null limit 1) where connection_id = $1 and id = $2', [victim?.connection_id, victim?.id])
    await database.query("update invocation_results set key_id = 'key_00000000000000000000000000' where invocation_id = $1", [mislabelled?.invocation_id])
    await database.query("update relay_chunks set sealed = '\\x00' where workspace_id = 'acme'")
    // A row of another workspace, put into this one's place.
    await database.query("update relay_invocations a set result = o.result, result_key_id = o.result_key_id from relay_invocations o where a.workspace_id = 'acme' and o.workspace_id = 'other' and a.result is not null and o.result is not null")
    const report = await doctor(env)
    t.equal(report.code, 1)
    t.same([...report.bad].sort(), ['credential_versions.sealed', 'invocation_results.sealed', 'relay_chunks.sealed', 'relay_invocations.result'])
    const [versions] = report.of('credential_versions.sealed')
    t.match(versions, { said: new RegExp(`^2 of \\d+ do not open: (?=.*acme/${filled.stripe}/${pasted?.id ?? '-'})(?=.*other/${victim?.connection_id ?? '-'}/${victim?.id ?? '-'})`) })
    t.match(report.of('invocation_results.sealed'), [{ said: `1 of 2 do not open: acme/${mislabelled?.invocation_id ?? '-'}` }], 'it opens, but is not where its key is counted')
    t.match(report.of('relay_chunks.sealed'), [{ said: /^1 of \d do not open: acme\/inv_\w+\/\d\/0$/ }])
    t.equal(report.states['refresh_answers.sealed'], 'ok', 'the others were looked at all the same')
    t.same(findSecrets(CANARIES, report.output), [])
  })

  await t.test('with keys that are gone', async (t) => {
    const { database } = vault
    await database.query("delete from workspace_keys where workspace_id = 'acme' and environment = 'sandbox'")
    await database.query("update workspace_keys set wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1) where workspace_id = 'other'")
    const report = await doctor(env)
    t.equal(report.code, 1)
    t.match(report.of('keys'), [{ state: 'bad', said: /^[1-9] of \d are not what their KEK wrapped: key_\w+/ }])
    for (const column of ['refresh_answers.sealed', 'oauth_states.sealed', 'relay_invocations.input']) t.match(report.of(column), [{ state: 'bad', said: /^(\d+) of \1 do not open/ }], column)
    t.equal(report.states['webhook_secrets.sealed'], 'ok', 'the vault’s own are well')
  })
})

t.test('the keyring', async (t) => {
  const { vault, env } = await startStopped(t)
  const whole = readFileSync(vault.keyringFile, 'utf8')
  const ring = JSON.parse(whole) as { current: Record<string, string>, keks: { id: string, key: string }[] }
  const put = (text: string) => { writeFileSync(vault.keyringFile, text) }
  const { live = '', sandbox = '' } = ring.current

  await t.test('missing', async (t) => {
    rmSync(vault.keyringFile)
    const report = await doctor(env)
    t.equal(report.code, 1)
    t.match(report.of('key provider'), [{ state: 'bad', said: /keyring\.json can't be read \(ENOENT\); restore it, or make the first one with `connection-vault keys init`/ }])
    t.match(report.states, { database: 'ok', schema: 'ok', clock: 'ok', keys: 'skipped', 'sealed values': 'skipped' })
    t.notOk(existsSync(vault.keyringFile), 'and none appeared')
  })
  await t.test('damaged', async (t) => {
    writeFileSync(vault.keyringFile, whole.slice(0, 200), { mode: 0o600 })
    t.match((await doctor(env)).of('key provider'), [{ state: 'bad', said: /is not JSON: it is damaged, restore it from its copy/ }])
  })
  await t.test('another vault’s', async (t) => {
    const other = join(makeFolder('other'), 'keyring.json')
    createLocalKeyring(other, new Date())
    const report = await doctor({ ...env, KEYRING_FILE: other })
    t.equal(report.code, 1)
    t.match(report.of(`KEK ${live}`), [{ state: 'bad', said: /does not hold\. Start with the keyring that holds it/ }])
    t.match(report.of(`KEK ${sandbox}`), [{ state: 'bad' }])
    t.match(report.of('keys'), [{ state: 'skipped', said: /^4 of 4 need a KEK that can’t be used; 0 unwrapped$/ }])
    t.match(report.of('credential_versions.sealed'), [{ state: 'skipped', said: '0 of 3 opened; 3 need a KEK that can’t be used' }])
  })
  await t.test('without one of its KEKs', async (t) => {
    put(JSON.stringify({ ...ring, current: { sandbox, live: sandbox, system: sandbox }, keks: ring.keks.filter(({ id }) => id === sandbox) }))
    const report = await doctor(env)
    t.match(report.states, { [`KEK ${live}`]: 'bad', [`KEK ${sandbox}`]: 'ok' })
    t.match(report.of('keys'), [{ state: 'skipped', said: /^2 of 4 need a KEK that can’t be used; 2 unwrapped$/ }])
    t.match(report.of('credential_versions.sealed'), [{ state: 'skipped', said: '2 of 3 opened; 1 need a KEK that can’t be used' }])
  })
  await t.test('with another KEK of the same name', async (t) => {
    const [first, second] = ring.keks
    put(JSON.stringify({ ...ring, keks: [{ ...first, key: second?.key }, second] }))
    const report = await doctor(env)
    t.match(report.of(`KEK ${first?.id ?? ''}`), [{ state: 'bad', said: /is not the one the database was sealed under, though it has the same name/ }])
    t.match(report.of('keys'), [{ state: 'bad', said: /^\d of 4 are not what their KEK wrapped/ }])
    t.notMatch(report.output, new RegExp(first?.key.slice(0, 20) ?? 'x'))
  })
  put(whole)
  t.equal((await doctor(env)).code, 0, 'and well again')
})

t.test('the configuration', async (t) => {
  const report = await doctor({ NODE_ENV: 'production', OPERATIONS_PORT: 'canary', DATABASE_POOL_SIZE: '0' })
  t.equal(report.code, 1)
  t.equal(report.of('configuration').length, 4, 'every problem')
  t.match(report.of('configuration').map(({ said }) => said).join('\n'), /DATABASE_POOL_SIZE must be.*OPERATIONS_PORT must be.*DATABASE_URL is missing.*KEYRING_FILE is missing/s)
  t.match(report.states, { database: 'skipped', 'key provider': 'skipped', keys: 'skipped', 'sealed values': 'skipped' })
  t.notMatch(report.output, /canary/)
  const dir = makeFolder('nothing')
  t.match(await doctor({ DATA_DIR: dir }), { code: 1, states: { configuration: 'ok', database: 'bad', keys: 'skipped' } })
  t.same(readdirSync(dir), [], 'nothing was made')
  // A folder from which the database was lost.
  createLocalKeyring(join(dir, 'keyring.json'), new Date())
  t.match((await doctor({ DATA_DIR: dir })).of('database'), [{ state: 'bad', said: /^there is no database in .*: restore it, or name the right folder with DATA_DIR$/ }])
})

t.test('the database', async (t) => {
  const { vault, env } = await startStopped(t)
  const { database } = vault
  const state = async (check: string, more: Record<string, string> = {}) => {
    const report = await doctor({ ...env, ...more })
    t.equal(report.code, report.bad.length > 0 ? 1 : 0)
    return { ...report.of(check)[0], states: report.states }
  }
  t.match(await state('database', { DATABASE_URL: 'postgresql://nobody:canary@127.0.0.1:1/none' }), {
    state: 'bad', said: 'does not answer (ECONNREFUSED)', states: { schema: 'skipped', keys: 'skipped', 'sealed values': 'skipped' },
  })
  const away = await doctor({ ...env, DATABASE_URL: 'postgresql://nobody:canary@127.0.0.1:1/none' })
  t.match(away.of(/^KEK /), [{ state: 'ok', said: 'can be used' }, { state: 'ok' }], 'the keys are looked at all the same')
  t.notMatch(away.output, /canary/)
  t.match(await state('database', { DATABASE_URL: database.serviceUrl.replace(/\/test_\w+/, '/nowhere') }), { state: 'bad', said: 'does not answer (it has no database of that name)' })
  t.match(await state('database role', { DATABASE_URL: database.superUrl }), { state: 'bad', said: /owns the schema or may rewrite the audit/, states: { keys: 'ok' } })
  await database.query('revoke select on webhooks, oauth_apps from connection_vault_service')
  t.match(await state('database role'), { state: 'bad', said: /may not read oauth_apps, webhooks: a restore has left the rights out/, states: { keys: 'skipped' } })
  await database.query('grant select on webhooks, oauth_apps to connection_vault_service')

  await database.query('update test_clock set shift = $1', ['10 minutes'])
  t.match(await state('clock'), { state: 'bad', said: /^(59\d{4}|60\d{4}) ms behind the database’s: let NTP set both$/ })
  await database.query('update test_clock set shift = $1', ['-10 minutes'])
  t.match(await state('clock'), { state: 'bad', said: /ms ahead of the database’s/ })
  await database.query('update test_clock set shift = $1', ['0'])

  await database.query("insert into audit_unsealed select 'bat_waiting', 1, now(), now(), '', 'key_x', '', vault_now() - interval '2 hours'")
  t.match(await state('audit chain'), { state: 'note', said: /^records have waited 72\d\d seconds for their links: is a vault running\?$/ })
  const later = await database.query<{ name: string }>("select relname as name from pg_class where relname ~ '^audit_events_\\d' and relname > to_char(vault_now() at time zone 'UTC', '\"audit_events_\"YYYY_MM') and relkind = 'r'")
  for (const { name } of later) await database.query(`drop table ${name}`)
  t.match(await state('audit partitions'), { state: 'bad', said: 'none for the next month: is a vault running?' })
  await database.query("delete from kysely_migration where name like '0011%'")
  t.match(await state('schema'), { state: 'bad', said: /the schema is behind this program: run `npm run migrate`/, states: { database: 'ok', keys: 'skipped', 'sealed values': 'skipped' } })
})

t.test('keys that are overdue, elsewhere, or replaced', async (t) => {
  const { vault, env } = await startStopped(t)
  await vault.database.query("update keks set created_at = created_at - interval '400 days'")
  t.match((await doctor(env)).of(/^KEK /), [{ state: 'note', said: /^wraps 2 keys; in use for longer than KEK_CRYPTOPERIOD_DAYS$/ }, { state: 'note' }])
  await vault.database.query('update keks set created_at = now()')
  t.match(await runCli(['keys', 'add-kek', '--use'], env).done, { code: 0 })
  const moved = await doctor(env)
  t.equal(moved.code, 0, 'a note is no alarm')
  t.equal(moved.of(/^KEK /).filter(({ state, said }) => state === 'note' && /^no longer current, and wraps 2 keys: run `keys rotate kek`$/.test(said)).length, 2)
  t.match(await runCli(['keys', 'rotate', 'workspace', '--detach'], env).done, { code: 0 })
  await vault.database.query("update workspace_keys set state = 'previous', replaced_at = now()")
  t.match((await doctor(env)).of('replaced keys'), [{ state: 'note', said: '3 values are still under them; a sweep is under way' }])
})

t.test('KMS', async (t) => {
  provideAwsCredentials()
  const kms = await startKms()
  t.teardown(() => kms.close())
  const settings = { KEK_PROVIDER: 'aws-kms', AWS_KMS_KEY_LIVE: kms.makeKey(), AWS_KMS_KEY_SANDBOX: kms.makeKey(), AWS_KMS_ENDPOINT: kms.url, EGRESS_ALLOW_KEK: kms.endpoint }
  const { env: plain } = await startStopped(t, settings)
  const env = { ...plain, ...settings, AWS_ACCESS_KEY_ID: KMS_ACCESS_KEY, AWS_SECRET_ACCESS_KEY: KMS_SECRET_KEY }
  const well = await doctor(env)
  t.equal(well.code, 0, well.output)
  t.equal(well.of(/^KEK aws-kms:arn:/).length, 2)
  await kms.setReachable(false)
  const startedMs = performance.now()
  const away = await doctor(env)
  t.equal(away.code, 1)
  t.match(away.of(/^KEK aws-kms:arn:/), [{ state: 'bad', said: /^its provider can’t be used at the moment \(\w+\)$/ }, { state: 'bad' }])
  t.match(away.states, { database: 'ok', keys: 'skipped', 'credential_versions.sealed': 'skipped', 'refresh_answers.sealed': 'ok' })
  t.ok(performance.now() - startedMs < 60_000, 'in the end')
  await kms.setReachable(true)
  t.equal((await doctor(env)).code, 0)
})

t.test('much, in little memory', async (t) => {
  const { vault, env, ids: [connection = ''] } = await startStopped(t)
  const ROWS = 160
  const BYTES = 2 * 1_048_576
  await vault.withRooms(async ({ crypto, database }) => {
    for (let number = 0; number < ROWS; number++) {
      const id = `inv_${String(number).padStart(26, '0')}`
      const binding: BindingContext = {
        purpose: 'invocation-result', scope: { kind: 'workspace', workspaceId: 'acme', environment: 'sandbox' }, ownerId: connection, versionId: id, fieldSet: [], hosts: [], hostConfig: {},
      }
      const { sealed, keyId } = await crypto.sealPayload(binding, Buffer.alloc(BYTES, number))
      await database.db.insertInto('invocation_results').values({ workspace_id: 'acme' as never, invocation_id: id as never, connection_id: connection as never, environment: 'sandbox', sealed, key_id: keyId }).execute()
    }
  })
  await vault.database.query('analyze')
  const { child, output, done } = runCli(['doctor'], env)
  let mostMb = 0
  const watching = setInterval(() => {
    const status = existsSync(`/proc/${child.pid}/status`) ? readFileSync(`/proc/${child.pid}/status`, 'utf8') : ''
    mostMb = Math.max(mostMb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024)
  }, 20)
  t.equal((await done).code, 0, output())
  clearInterval(watching)
  t.match(output(), new RegExp(`^invocation_results\\.sealed +ok +${ROWS} opened$`, 'm'))
  // Read at once they would take three times their size: bytes come as hexadecimal text.
  t.ok(mostMb > 0 && mostMb < 550, `${ROWS * BYTES / 1_048_576} MB were opened in ${Math.round(mostMb)} MB`)
})

t.test('a reader that goes away', async (t) => {
  const { env } = await startStopped(t)
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, [new URL('../../src/cli.ts', import.meta.url).pathname, 'doctor'], { env: { PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => { complaints += chunk.toString() })
  const code = await new Promise((resolve) => { child.once('close', resolve) })
  t.equal(code, 0)
  t.notMatch(complaints, /EPIPE|at /)
})
