import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createProgress } from '../../src/cli/output.ts'
import { makeFolder } from '../support/folder.ts'
import { runCli } from '../support/process.ts'
import { eventually, startTestVault, STRIPE_KEY, type TestVault } from '../support/vault.ts'

const CLI = new URL('../../src/cli.ts', import.meta.url).pathname
const run = async (args: string[], env: Record<string, string> = {}) => await runCli(args, env).done
const keys = async (args: string[], env: Record<string, string>) => await run(['keys', ...args], env)
const envOf = ({ database, keyringFile }: TestVault) => ({ DATABASE_URL: database.serviceUrl, KEYRING_FILE: keyringFile, NODE_ENV: 'test' })
/** A line of a table, however wide its columns are. */
const row = (...cells: string[]) => new RegExp(`^${cells.join(' {2,}')}$`, 'm')

async function startStopped (t: Test, connections: number): Promise<{ vault: TestVault, env: Record<string, string>, ids: string[] }> {
  const vault = await startTestVault()
  t.teardown(() => vault.close())
  const ids: string[] = []
  for (let one = 0; one < connections; one++) ids.push(await vault.connect(one % 2 === 0 ? 'acme' : 'other'))
  await vault.stop()
  return { vault, env: envOf(vault), ids }
}

t.test('the keyring file', async (t) => {
  const file = join(makeFolder('keyring'), 'deep', 'keyring.json')
  const at = ['--file', file]
  t.match(await keys(['init', ...at], {}), { code: 0, output: /keyring\.json written\. Keep a copy apart from the database and its backups/ })
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.match(await keys(['init', ...at], {}), { code: 1, output: /^connection-vault: .*keyring\.json exists already and is left as it is\n$/ })
  const shown = await keys(['keyring', ...at], {})
  t.match(shown, { code: 0, output: row('kek', 'made', 'current for') })
  t.match(shown.output, row('sandbox-\\S+', '\\S+Z', 'sandbox'))
  t.match(shown.output, row('live-\\S+', '\\S+Z', 'live, system'))

  const added = await keys(['add-kek', ...at, '--slots', 'live'], {})
  t.match(added, { code: 0, output: /^live-\S+\nBring the file to every replica and to its backup, then run `keys use-kek`/ })
  const [fresh = ''] = added.output.split('\n')
  t.match((await keys(['keyring', ...at], {})).output, row(fresh, '\\S+Z'), 'current for nothing yet')
  t.match(await keys(['use-kek', fresh, ...at], {}), { code: 0, output: /wraps new keys of live\. Bring the file to every replica, then run `keys rotate kek`/ })
  t.match((await keys(['keyring', ...at], {})).output, row(fresh, '\\S+Z', 'live'))
  const three = await keys(['add-kek', ...at, '--use'], {})
  t.match(three, { code: 0, output: /^sandbox-\S+\nlive-\S+\nsystem-\S+\nNew keys are wrapped by them from now on\. Copy the file to its backup, then run `keys rotate kek`/ })
  t.equal(statSync(file).mode & 0o777, 0o600, 'still nobody else’s')
  t.equal((await keys(['keyring', ...at], {})).output.trim().split('\n').length, 7)

  const nowhere = { DATA_DIR: makeFolder('nowhere') }
  t.match(await keys(['remove-kek', fresh, ...at], nowhere), { code: 1, output: /no database to ask whether it is needed: name it with DATABASE_URL, or take the KEK out with --force/ })
  t.match(await keys(['remove-kek', fresh, ...at, '--force'], {}), { code: 0, output: /is no longer in the file\. Copies of the file still hold it/ })
  const wrong: [args: string[], why: RegExp][] = [
    [['remove-kek', fresh, '--force'], /holds no KEK live-/],
    [['remove-kek', three.output.split('\n')[0] ?? '', '--force'], /is current for sandbox: name another with `connection-vault keys use-kek` first/],
    [['use-kek', 'nope', '--slots', 'live'], /holds no KEK nope/], [['use-kek', 'nope'], /holds no KEK nope/], [['use-kek', 'live-x', '--slots', 'prod'], /prod is no slot: sandbox, live, system/],
    [['add-kek', '--slots', 'prod'], /prod is no slot/], [['use-kek'], /missing required argument/],
  ]
  for (const [args, why] of wrong) t.match(await keys([...args, ...at], {}), { code: 1, output: why }, args.join(' '))
  const before = readFileSync(file, 'utf8')
  for (const [content, mode, why] of [[before, 0o644, /run chmod 600 on it/], ['{"format":1', 0o600, /is damaged, restore it from its copy/], [before.replace(/"key": "../, '"key": "!!'), 0o600, /is not a keyring of format 1: it is damaged/]] as const) {
    writeFileSync(file, content)
    chmodSync(file, mode)
    for (const args of [['keyring'], ['add-kek']]) {
      const refused = await keys([...args, ...at], {})
      t.match(refused, { code: 1, output: why })
      t.notMatch(refused.output, /[A-Za-z0-9+/]{43}=/, 'no key is shown')
    }
  }
})

t.test('keys replaced, wrapped again, swept and retired, without a running vault', async (t) => {
  const { env, vault } = await startStopped(t, 4)
  const listed = await keys(['list'], env)
  t.match(listed, { code: 0, output: row('kek', 'provider', 'current for', 'wraps', 'first used') })
  t.match(listed.output, row('sandbox-\\S+', 'local', 'sandbox', '2', '\\S+Z'))
  t.match(listed.output, row('live-\\S+', 'local', 'live, system', '1', '\\S+Z'))
  t.match(listed.output, row('sandbox', 'current', '2', '0'))
  t.match(listed.output, /^0 rows under replaced keys; the sweep is idle$/m)
  const asJson = JSON.parse((await keys(['list', '--json'], env)).output) as Record<string, unknown>
  t.match(asJson, {
    keks: [{ kek_id: String, provider: 'local', current_for: Array, first_used_at: /Z$/, keys: Number }, {}], keys: [{ slot: 'sandbox', state: 'current', keys: 2, oldest_days: 0 }, { slot: 'system' }],
    rows_to_reseal: [], sweep: { state: 'idle', rows_done: 0 },
  }, 'in the names of the API')

  t.match(await keys(['rotate', 'workspace', '--workspace', 'acme', '--environment', 'sandbox'], env), { code: 0, output: /^(running: .*\n)?done: 1 keys made, 0 wrapped again, 2 of 2 rows sealed again\n$/ })
  t.match(await keys(['rotate', 'workspace', '--rate', '1000'], env), { code: 0, output: /done: 2 keys made, 0 wrapped again, 4 of 4 rows sealed again\n$/ })
  t.match(await keys(['rotate', 'workspace', '--environment', 'live'], env), { code: 0, output: /done: 0 keys made, / }, 'none of live')
  t.match(await keys(['rotate', 'workspace', '--workspace', 'nope'], env), { code: 1, output: 'connection-vault: The workspace nope has no keys: nothing has been sealed there, or it was destroyed.\n' })
  t.match(await keys(['rotate', 'workspace', '--workspace', 'acme', '--environment', 'live'], env), { code: 1, output: /^connection-vault: The workspace acme has no keys in live: / })
  t.match(await keys(['retire'], env), { code: 0, output: /^3 keys retired; their bytes are erased in a minute, by a running vault\n$/ })

  t.match(await keys(['rotate', 'system'], env), { code: 0, output: /done: 1 keys made, / })
  t.match(await keys(['retire'], env), { code: 0, output: /^0 keys retired\nkey_\w+ is still needed: audit_\w+ \d/ })
  const [old = ''] = (await keys(['add-kek', '--slots', 'sandbox', '--use'], env)).output.match(/^sandbox-\S+/m) ?? []
  t.match(await keys(['list'], env), { output: row(old, 'local', 'sandbox', '0', 'not yet') })
  t.match(await keys(['rotate', 'kek'], env), { code: 0, output: /done: 0 keys made, \d wrapped again, 0 of 0 rows/ })
  const before = JSON.parse((await keys(['list', '--json'], env)).output) as { keks: { kek_id: string, keys: number, current_for: string[] }[] }
  const unneeded = before.keks.find((kek) => kek.current_for.length === 0)?.kek_id ?? ''
  const live = before.keks.find((kek) => kek.current_for.includes('live'))?.kek_id ?? ''
  t.match(await keys(['remove-kek', live], env), { code: 1, output: new RegExp(`${live} still wraps \\d keys: run \`keys rotate kek\` first, then \`keys retire --kek`) })
  t.match(await keys(['remove-kek', unneeded], env), { code: 1, output: /the database still knows sandbox-\S+: run `keys retire --kek sandbox-\S+` first/ })
  t.match(await keys(['retire', '--kek', unneeded], env), { code: 0, output: `${unneeded} is retired: the database does not need it any more\n` })
  t.match(await keys(['remove-kek', unneeded], env), { code: 0, output: /is no longer in the file/ })
  t.match(await keys(['retire', '--kek', live], env), { code: 1, output: /^connection-vault: \S+ is the current KEK of live, system\.\n$/ })
  t.match(await keys(['retire', '--kek', 'nope'], env), { code: 1, output: /^connection-vault: .*\n$/ })

  const records = await vault.database.query<{ event: string, principal_kind: string }>("select distinct event, principal_kind from audit_events where event like 'ke%' order by 1")
  t.match(records, [{ event: 'kek.retired', principal_kind: 'operator' }, { event: 'key.retired', principal_kind: 'operator' }, { event: 'key.rewrapped', principal_kind: 'system' }, { event: 'key.rotated' }, { event: 'key.sweep_requested', principal_kind: 'operator' }, { event: 'key.swept' }])
})

t.test('asked for wrongly', async (t) => {
  const { env, vault } = await startStopped(t, 1)
  const wrong: [args: string[], why: RegExp][] = [
    [['rotate', 'everything'], /rotate takes kek, workspace or system/], [['rotate'], /missing required argument/],
    [['rotate', 'kek', '--workspace', 'acme'], /--workspace and --environment are for `keys rotate workspace` alone/], [['rotate', 'system', '--environment', 'live'], /are for `keys rotate workspace` alone/],
    [['rotate', 'workspace', '--workspace', 'a/b'], /--workspace takes a workspace’s id/], [['rotate', 'workspace', '--environment', 'prod'], /Allowed choices are sandbox, live/],
    [['rotate', 'kek', '--rate', '0'], /--rate takes a number of rows/], [['sweep', '--rate', 'fast'], /--rate takes a number of rows/], [['sweep', '--rate', '3000000000'], /--rate takes a number of rows/],
    [['sweep', '--nope'], /unknown option/], [['nonsense'], /unknown command/],
  ]
  for (const [args, why] of wrong) t.match(await keys(args, env), { code: 1, output: why }, args.join(' '))
  await vault.database.query("update key_sweep set state = 'running', rotate_before = now(), rotate_kind = 'system', lease_owner = 'another', lease_until = vault_now() + interval '1 hour'")
  t.match(await keys(['rotate', 'workspace'], env), { code: 1, output: /^connection-vault: Keys are being replaced for an earlier request\. Repeat this one when they are\.\n$/ })
  t.match(await keys(['rotate', 'workspace'], { ...env, DATABASE_URL: 'postgresql://nobody:canary@127.0.0.1:1/none' }), { code: 1, output: /^connection-vault: the database of DATABASE_URL does not answer: none at 127\.0\.0\.1:1 \(ECONNREFUSED\)\n$/ })
  t.match(await keys(['list'], { ...env, KEYRING_FILE: join(makeFolder('none'), 'none.json'), NODE_ENV: 'production' }), { code: 1, output: /none\.json does not exist: restore it from its copy; only a vault that has no data yet gets a new one, with `connection-vault keys init`/ })
})

t.test('a value that does not open, by the exit code as well', async (t) => {
  const { env, vault, ids } = await startStopped(t, 3)
  await vault.database.query('update credential_versions set sealed = set_byte(sealed, 90, get_byte(sealed, 90) # 1) where connection_id = $1', [ids[0]])
  t.match(await keys(['rotate', 'workspace'], env), { code: 1, output: /2 of \d rows sealed again, 1 failed\n1 values do not open where they are: `connection-vault doctor` names them\n$/ })
  t.match(await keys(['sweep'], env), { code: 1, output: /1 failed\n/ }, 'and again')
  t.match(await keys(['retire'], env), { code: 0, output: /^1 keys retired; .*\nkey_\w+ is still needed: credential_versions 1\n$/ }, 'its key is kept')
})

t.test('left to a running vault, and gone on with', async (t) => {
  const { env, vault } = await startStopped(t, 2)
  t.match(await keys(['rotate', 'workspace', '--detach'], env), { code: 0, output: 'asked for; a running vault goes on with it\n' })
  t.match(await vault.database.query('select state, keys_made from key_sweep'), [{ state: 'running', keys_made: '0' }])
  t.match(await keys(['list'], env), { output: /the sweep is running/ })
  await vault.start()
  await eventually(async () => (await vault.request('GET', '/v1/keys/sweep')).body.state === 'idle')
  t.match((await vault.request('GET', '/v1/keys/sweep')).body, { requested_by: 'operator', keys_made: 2, rows_done: 2 })
  t.match(await keys(['rotate', 'workspace', '--workspace', 'acme'], env), { code: 0, output: /done: 1 keys made, 0 wrapped again, 1 of 1 rows sealed again\n$/ }, 'or followed while the vault runs')
  await vault.stop()
  t.match(await keys(['rotate', 'workspace', '--workspace', 'other', '--detach'], env), { code: 0 })
  t.match(await keys(['sweep', '--rate', '100', '--detach'], env), { code: 0 })
  t.match(await vault.database.query('select state, rows_per_second from key_sweep'), [{ state: 'running', rows_per_second: 100 }])
  t.match(await keys(['sweep'], env), { code: 0, output: /done: 1 keys made, 0 wrapped again, 1 of 1 rows sealed again\n$/ }, 'what was asked for before is done')
})

t.test('a bar in a terminal, lines elsewhere', async (t) => {
  const shown = (isTTY: boolean, columns: number) => {
    const written: string[] = []
    return { written, progress: createProgress({ isTTY, columns, write: (text: string | Uint8Array) => { written.push(String(text)); return true } }) }
  }
  const terminal = shown(true, 60)
  terminal.progress('half', 0.5, false)
  terminal.progress('x'.repeat(200), 2, false)
  terminal.progress('done', undefined, true)
  t.equal(terminal.written[0], `\r\x1b[K[${'#'.repeat(15)}${'.'.repeat(15)}] half`)
  t.equal(terminal.written[1]?.length, 59 + 4, 'what would wrap is cut')
  t.equal(terminal.written[2], '\r\x1b[Kdone\n')
  const pipe = shown(false, 0)
  for (let step = 0; step < 1_000; step++) pipe.progress(`step ${step}`, step / 1_000, false)
  pipe.progress('done', 1, true)
  t.same(pipe.written, ['step 0\n', 'done\n'], 'not a line for every step')

  if (!existsSync('/usr/bin/script')) {
    t.comment('no `script` here: a real terminal was not tried')
    return
  }
  const { env } = await startStopped(t, 2)
  const { PATH = '' } = process.env
  const seen = spawnSync('/usr/bin/script', ['-qec', `${process.execPath} ${CLI} keys rotate workspace`, '/dev/null'], { env: { PATH, TERM: 'xterm', ...env }, encoding: 'utf8', timeout: 60_000 })
  t.equal(seen.status, 0, seen.stdout)
  const [last] = seen.stdout.split('\r\x1b[K').slice(-1)
  t.match(last, /^(?:\[#{30}\] )?done: 2 keys made, 0 wrapped again, 2 of 2 rows sealed again\r\n$/)
})

t.test('no verb prints what is sealed', async (t) => {
  const { env } = await startStopped(t, 1)
  for (const args of [['keys', 'list'], ['keys', 'keyring'], ['keys', 'rotate', 'workspace'], ['audit', 'export'], ['doctor'], ['doctor', '--json']]) {
    const { output } = await run(args, env)
    t.notMatch(output, new RegExp(STRIPE_KEY), args.join(' '))
    t.notMatch(output, /[A-Za-z0-9+/]{43}=/, `${args.join(' ')} shows no key`)
  }
})
