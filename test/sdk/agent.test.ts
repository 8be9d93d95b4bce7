import { execFile } from 'node:child_process'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ActionError, createAgent, type Actions, type AgentOptions } from '../../src/sdk/agent/index.ts'
import { openLetters, type Letter } from '../../src/sdk/agent/letters.ts'
import { encryptCall } from '../../src/sdk/encryption.ts'
import { createWire } from '../support/agent.ts'
import { disguise } from '../support/disguises.ts'
import { makeFolder } from '../support/folder.ts'
import { json, startProvider } from '../support/provider.ts'
import { startTestVault } from '../support/vault.ts'

/** The agent SDK against a whole vault. */
const vault = await startTestVault()
t.teardown(async () => { await vault.close() })
const W = '/v1/workspaces/acme'
const { newCode } = createWire(vault)

const PASSWORD = 'Canary "Pass/word" 42'
process.env['TEST_ERP_PASSWORD'] = PASSWORD
const DISGUISES = disguise(PASSWORD)

let made = 0
const stage = async (actions: Actions, more: Partial<AgentOptions> = {}) => {
  const group = (await vault.request('POST', `${W}/agent-groups`, { body: { name: `SDK ${++made}`, environment: 'sandbox' } })).body.id as string
  const connection = (await vault.request('POST', `${W}/connections`, { body: { integration: 'private', environment: 'sandbox', name: `SDK ${made}`, credentials: {}, config: { group } } })).body.id as string
  const logs: string[] = []
  const note = (line: object, message: string) => { logs.push(`${message} ${JSON.stringify(line)}`) }
  const identityFile = join(makeFolder('agent'), 'identity.json')
  const options = { url: vault.urls.public, identityFile, enrolmentCode: await newCode(group), actions, log: { info: note, warn: note, error: note }, credentials: { password: { env: 'TEST_ERP_PASSWORD' } }, ...more }
  const agent = createAgent(options)
  const work = agent.start()
  work.catch(() => undefined)
  const atWork = async () => { while (!logs.some((line) => line.startsWith('the agent is at work'))) await Promise.race([work, new Promise((resolve) => { setTimeout(resolve, 20) })]) }
  await atWork()
  const invoke = async (action: string, input: unknown = {}, body: object = {}) =>
    await vault.request('POST', `${W}/connections/${connection}/invoke`, { body: { environment: 'sandbox', action, ...input !== undefined && { input }, ...body } })
  return { group, connection, agent, work, invoke, logs, options }
}
const action = (run: Actions[string]['run'], more: Partial<Actions[string]> = {}): Actions[string] => ({ effect: 'read', input: { type: 'object' }, run, ...more })

t.test('what an action may answer', async (t) => {
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  const shared = { x: 1 }
  const { invoke, agent, work, options, logs } = await stage({
    echo: action((input) => input),
    nothing: action(() => undefined),
    bytes: action(() => ({ file: Buffer.from('hello'), date: new Date(0), twice: [shared, shared] })),
    circular: action(() => circular),
    huge_number: action(() => 1n),
    throws: action(() => { throw new Error(`no access with ${PASSWORD}`) }),
    throws_text: action(() => { throw 'a text' }), // eslint-disable-line
    refuses: action(() => { throw new ActionError('not_found', 'no such ledger') }),
    leaks: action((_input, { credentials }) => ({
      plain: `x${credentials['password'] ?? ''}y`, [credentials['password'] ?? '']: 1, encoded: encodeURIComponent(PASSWORD), base64: Buffer.from(PASSWORD).toString('base64'), json: JSON.stringify({ password: PASSWORD }),
    })),
    disguised: action(() => DISGUISES.map(([, written]) => written)),
    leaks_bytes: action(() => Buffer.from(`token: ${PASSWORD}\n`)),
    leaks_late: action(() => { throw new Error(`${'.'.repeat(1_990)}${PASSWORD}`) }),
    unstorable: action(() => { throw new ActionError('conflict', `a\0b${'.'.repeat(1_996)}😀`) }),
    wrong: action(() => ({ total: 'many' }), { output: { type: 'object', properties: { total: { type: 'integer' } } } }),
    strict: action(() => 1, { input: { type: 'object', properties: { code: { type: 'string', pattern: '^[A-Z]+$' } } } }),
    large: action(() => '€😀'.repeat(1_000_000)),
    too_large: action(() => 'x'.repeat(34_000_000)),
    too_deep: action(() => JSON.parse(`${'['.repeat(300)}${']'.repeat(300)}`)),
    too_many_objects: action(() => Array.from({ length: 100_001 }, () => ({}))),
    too_many: action(() => Array.from({ length: 1_000_002 }, () => 1)),
  })
  t.match(await invoke('echo', { a: [1, null, 'ü'] }), { status: 200, body: { outcome: 'succeeded', output: { a: [1, null, 'ü'] }, attempts: 1 } })
  t.match((await invoke('nothing')).body, { outcome: 'succeeded', output: null })
  t.match((await invoke('bytes')).body, { output: { file: { content_type: 'application/octet-stream', base64: 'aGVsbG8=' }, date: '1970-01-01T00:00:00.000Z', twice: [{ x: 1 }, { x: 1 }] } })
  t.match((await invoke('circular')).body, { outcome: 'failed', error: { class: 'action_failed', message: /^It was run, but its output can’t be written as JSON: it is circular/ } })
  t.match((await invoke('huge_number')).body, { outcome: 'failed', error: { message: /BigInt/ } })
  t.match((await invoke('throws')).body, { outcome: 'failed', error: { class: 'action_failed', message: 'no access with [credential]' } })
  t.match((await invoke('throws_text')).body, { outcome: 'failed', error: { message: 'a text' } })
  t.match((await invoke('refuses')).body, { outcome: 'failed', error: { class: 'not_found', message: 'no such ledger' } })
  const leaked = await invoke('leaks')
  t.match(leaked.body, { output: { plain: 'x[credential]y', '[credential]': 1, encoded: '[credential]', base64: '[credential]', json: '{"password":"[credential]"}' } })
  t.notMatch(leaked.text + logs.join(), /Canary/)
  const disguised = (await invoke('disguised')).body.output as string[]
  for (const [index, [what]] of DISGUISES.entries()) t.match(disguised[index], /^.{0,16}\[credential\].{0,16}$/s, what)
  const { base64 } = (await invoke('leaks_bytes')).body.output as { base64: string }
  t.equal(Buffer.from(base64, 'base64').toString(), `token: ${'*'.repeat(PASSWORD.length)}\n`, 'bytes are looked through before they are base64')
  t.equal(((await invoke('leaks_late')).body.error as { message: string }).message, `${'.'.repeat(1_990)}[credentia`, 'taken out before it is cut')
  t.equal(((await invoke('unstorable')).body.error as { message: string }).message, `a\ufffdb${'.'.repeat(1_996)}\ufffd`, 'an error that can’t be kept as it is')
  t.match((await invoke('wrong')).body, { outcome: 'failed', error: { class: 'action_failed', message: /^It was run, but its output is not what was announced: \/total/ } })
  t.match((await invoke('strict', { code: 'abc' })).body, { outcome: 'failed', error: { class: 'input', message: /\/code/ } }, 'patterns are run where they were written')
  t.equal((await invoke('large')).body.output, '€😀'.repeat(1_000_000), 'in pieces, and no character cut in two')
  t.match((await invoke('too_large')).body, { outcome: 'failed', error: { message: /34000002 bytes/ } })
  t.match((await invoke('too_deep')).body, { outcome: 'failed', error: { class: 'action_failed', message: /^It was run, but its output is refused: .* deeper than 200 levels/ } })
  t.match((await invoke('too_many')).body, { outcome: 'failed', error: { class: 'action_failed', message: /more than 1000000 elements/ } }, 'in pieces')
  t.match((await invoke('too_many_objects')).body, { outcome: 'failed', error: { class: 'action_failed', message: /more than 100000 objects and arrays/ } })
  t.match(JSON.parse(readFileSync(options.identityFile, 'utf8')), { format: 1, agent_id: /^agt_/ })
  t.equal(statSync(options.identityFile).mode & 0o777, 0o600)
  await agent.stop()
  await work

  const again = createAgent({ ...options, enrolmentCode: undefined, actions: { only: action(() => 'here') } })
  const working = again.start()
  while ((await invoke('only')).status !== 200) await new Promise((resolve) => { setTimeout(resolve, 50) })
  t.match(await invoke('echo'), { status: 404, body: { code: 'action_unknown', detail: /They run: only/ } }, 'the same agent, with other actions')
  await again.stop()
  await working
})

t.test('time', async (t) => {
  const { invoke, agent, connection } = await stage({
    slow: action(async (_input, { signal }) => { await new Promise((_resolve, reject) => { signal.addEventListener('abort', () => { reject(new Error('stopped')) }) }) }, { timeoutMs: 300 }),
    slow_unsafe: action(async (_input, { signal }) => { await new Promise((_resolve, reject) => { signal.addEventListener('abort', () => { reject(new Error('stopped')) }) }) }, { effect: 'unsafe', timeoutMs: 300 }),
    deaf: action(async () => { await new Promise((resolve) => { setTimeout(resolve, 6_000) }) }, { effect: 'unsafe', timeoutMs: 300 }),
    careful: action(async (_input, { signal }) => { await new Promise((resolve) => { signal.addEventListener('abort', resolve) }); throw new ActionError('conflict', 'rolled back') }, { effect: 'unsafe', timeoutMs: 300 }),
    patient: action(async (_input, { signal }) => { await new Promise((resolve) => { signal.addEventListener('abort', resolve) }); return 'stopped in time' }, { effect: 'idempotent' }),
  })
  t.match((await invoke('slow')).body, { outcome: 'failed', error: { class: 'provider_unavailable', message: 'stopped' } })
  t.match(await invoke('slow_unsafe'), { status: 502, body: { code: 'outcome_unknown' } })
  t.match((await invoke('careful')).body, { outcome: 'failed', error: { class: 'conflict', message: 'rolled back' } }, 'it knows better')
  t.match(await invoke('deaf'), { status: 502, body: { code: 'outcome_unknown' } }, 'although it goes on')
  const later = await invoke('patient', {}, { mode: 'async', timeout_ms: 600_000 })
  const status = async () => (await vault.request('GET', later.body.status_url as string)).body as { state: string }
  while ((await status()).state !== 'running') await new Promise((resolve) => { setTimeout(resolve, 20) })
  t.match((await vault.request('POST', `${later.body.status_url as string}/cancel`)).body, { state: 'running', cancel_requested: true })
  while ((await status()).state !== 'ended') await new Promise((resolve) => { setTimeout(resolve, 100) })
  t.match(await status(), { result: { outcome: 'succeeded', output: 'stopped in time' } }, 'told at the next heartbeat')
  t.ok(connection)
  await agent.stop()
})

t.test('stopping', async (t) => {
  const { invoke, agent, work } = await stage({
    brief: action(async () => { await new Promise((resolve) => { setTimeout(resolve, 700) }); return 'done' }, { effect: 'unsafe' }),
  })
  const answer = invoke('brief')
  await new Promise((resolve) => { setTimeout(resolve, 300) })
  await agent.stop()
  await work
  t.match(await answer, { status: 200, body: { output: 'done' } }, 'what runs is seen through')
})

t.test('encrypted from end to end', async (t) => {
  const seen: unknown[] = []
  const { invoke, agent, group, options, connection } = await stage({
    secret: action((input) => { seen.push(input); return { answer: 'CanaryAnswer' } }, { effect: 'unsafe' }),
    other: action(() => 1),
    fails: action(() => { throw new ActionError('conflict', 'CanaryReason') }),
  })
  const { agents } = (await vault.request('GET', `${W}/agent-groups/${group}/agents`)).body as { agents: { id: string, encryption_key: string }[] }
  const recipients = agents.map(({ id, encryption_key: publicKey }) => ({ agentId: id, publicKey }))
  const call = async (name: string, encrypted: Awaited<ReturnType<typeof encryptCall>>, key?: string) => await vault.request('POST', `${W}/connections/${connection}/invoke`, {
    body: { environment: 'sandbox', action: name, encrypted_input: encrypted.encrypted_input }, ...key !== undefined && { headers: { 'idempotency-key': key } },
  })
  const digestKey = Buffer.alloc(32, 7)
  const first = await encryptCall({ action: 'secret', input: { iban: 'CanaryIban' }, recipients, digestKey })
  const answered = await call('secret', first, 'pay-1')
  t.match(answered, { status: 200, body: { outcome: 'succeeded', output: { jwe: /^ey/ } } })
  t.same(await first.open(answered.body.output), { output: { answer: 'CanaryAnswer' } })
  t.same(seen, [{ iban: 'CanaryIban' }])
  const again = await encryptCall({ action: 'secret', input: { iban: 'CanaryIban' }, recipients, digestKey })
  t.match(await call('secret', again, 'pay-1'), { status: 200, body: { replayed: true } }, 'encrypted twice, one call')
  t.equal(seen.length, 1)
  t.match(await call('secret', await encryptCall({ action: 'secret', input: { iban: 'x' }, recipients, digestKey }), 'pay-1'), { status: 409, body: { code: 'idempotency_conflict' } })
  t.match((await call('other', first)).body, { outcome: 'failed', error: { class: 'input', message: 'the input was encrypted for another action' } }, 'nobody makes another call of it')
  const stranger = await encryptCall({ action: 'secret', input: {}, recipients: [{ agentId: 'agt_x', publicKey: Buffer.alloc(32, 9).toString('base64url') }] })
  t.match((await call('secret', stranger)).body, { outcome: 'failed', error: { class: 'input', message: 'the input is not encrypted to this agent' } })
  const failing = await encryptCall({ action: 'fails', input: {}, recipients })
  const failed = await call('fails', failing)
  t.match(failed.body, { outcome: 'failed', error: { class: 'conflict', message: 'What went wrong is in the encrypted output.' } })
  t.same(await failing.open(failed.body.output), { error: { class: 'conflict', message: 'CanaryReason' } })
  t.rejects(encryptCall({ action: 'secret', input: {}, recipients: [] }), /at least one agent/)
  t.rejects(encryptCall({ action: 'secret', input: {}, recipients, validForSeconds: 100_000 }), /90000 at most/)
  t.rejects(first.open({ plain: 1 }), /not encrypted/)
  t.notMatch([answered.text, failed.text, ...vault.logs].join(), /Canary(Iban|Answer|Reason)/)
  const replayed = { outcome: 'failed', error: { class: 'conflict', message: /was run before/ } }
  t.match((await call('secret', first)).body, replayed, 'nor a second one')
  await agent.stop()
  t.equal(statSync(`${options.identityFile}.letters`).mode & 0o777, 0o600)
  t.notMatch(readFileSync(`${options.identityFile}.letters`, 'utf8'), /Canary/)
  const strict = createAgent({ ...options, enrolmentCode: undefined, encryption: 'required' })
  const working = strict.start()
  t.match((await vault.request('POST', `${W}/connections/${connection}/invoke`, { body: { environment: 'sandbox', action: 'secret', encrypted_input: first.encrypted_input, queue_seconds: 20 } })).body, replayed, 'nor after a restart')
  t.equal(seen.length, 1)
  t.match((await invoke('other', {}, { queue_seconds: 20 })).body, { outcome: 'failed', error: { class: 'input', message: 'this agent takes encrypted input only' } })
  await strict.stop()
  await working
})

t.test('what keeps an agent from working', async (t) => {
  const { agent, work, group, options } = await stage({ one: action(() => 1) })
  const { agent_id: id } = JSON.parse(readFileSync(options.identityFile, 'utf8')) as { agent_id: string }
  await vault.request('DELETE', `${W}/agent-groups/${group}/agents/${id}`)
  void agent.stop()
  await work
  const refused = async (more: Partial<AgentOptions>) => await createAgent({ ...options, ...more }).start().then(() => undefined, (error: unknown) => error)
  t.match(await refused({}), { exitCode: 3, message: /has been revoked/ })
  const fresh = () => join(makeFolder('agent'), 'identity.json')
  t.match(await refused({ identityFile: fresh() }), { exitCode: 5, message: /enrolment code/ }, 'a code that was used')
  t.match(await refused({ identityFile: fresh(), enrolmentCode: 'cve_guess' }), { exitCode: 5 })
  t.match(await refused({ identityFile: fresh(), enrolmentCode: undefined }), { exitCode: 2, message: /give it an enrolment code/ })
  const file = fresh()
  writeFileSync(file, readFileSync(options.identityFile), { mode: 0o600 })
  chmodSync(file, 0o644)
  t.match(await refused({ identityFile: file }), { exitCode: 2, message: /can be read by others/ })
  writeFileSync(file, '{}')
  chmodSync(file, 0o600)
  t.match(await refused({ identityFile: file }), { exitCode: 2, message: /no identity/ })
  t.match(await refused({ url: 'http://vault.example.com' }), { exitCode: 2, message: /https/ })
  const bad = await refused({ identityFile: fresh(), enrolmentCode: await newCode(group), actions: { 'Not a name': action(() => 1) } })
  t.match(bad, { exitCode: 2, message: /answers 400/ })
  const other = await stage({ one: action(() => 1) }, { credentials: { password: { env: 'TEST_NOT_SET' } } })
  t.match([(await other.invoke('one')).body, other.logs.join()], [{ outcome: 'failed', error: { class: 'config_error', message: 'the credential password is empty' } }, /TEST_NOT_SET is not set/])
  await other.agent.stop()
})

t.test('letters that were run', async (t) => {
  const path = join(makeFolder('letters'), 'identity.json.letters')
  const letters = await openLetters(path)
  const nowMs = Date.now()
  const letter = (id: string, more: Partial<Letter> = {}): Letter => ({ id, expiresAtMs: nowMs + 60_000, invocationId: 'inv_1', once: false, ...more })
  t.equal(await letters.admit(letter('a')), undefined)
  t.equal(await letters.admit(letter('a')), undefined, 'given out again after a lost lease')
  t.equal(await letters.admit(letter('a', { invocationId: 'inv_2' })), 'used')
  t.same(await Promise.all([letters.admit(letter('b', { once: true })), letters.admit(letter('b', { once: true })), letters.admit(letter('b', { once: true, invocationId: 'inv_2' }))]), [undefined, 'used', 'used'])
  t.equal(await letters.admit(letter('c', { expiresAtMs: nowMs - 299_000 })), undefined, 'clocks may differ')
  for (const expiresAtMs of [nowMs - 301_000, nowMs + 26 * 3_600_000, NaN]) t.equal(await letters.admit(letter('d', { expiresAtMs })), 'expired')
  writeFileSync(path, '{"id":"to', { flag: 'a' })
  const again = await openLetters(path)
  t.equal(await again.admit(letter('b', { once: true })), 'used', 'by the process before')
  t.same([await again.admit(letter('a')), await again.admit(letter('e'))], [undefined, undefined])
  t.notMatch(readFileSync(path, 'utf8'), /"to$/m, 'what was torn is gone')
  writeFileSync(path, `${JSON.stringify({ id: 'old', invocation_id: 'inv_0', until_ms: nowMs - 1 })}\n`)
  const swept = await openLetters(path)
  await Promise.all(Array.from({ length: 1_500 }, async (_, at) => await swept.admit(letter(`many ${at}`))))
  const lines = readFileSync(path, 'utf8').trim().split('\n').map((line) => (JSON.parse(line) as { id: string }).id)
  t.equal(new Set(lines).size, 1_500)
  t.notOk(lines.includes('old'), 'what is over is forgotten')
  chmodSync(path, 0o644)
  await t.rejects(openLetters(path), { exitCode: 2, message: /can be read by others/ })
  await t.rejects((await openLetters(join(makeFolder('letters'), 'gone', 'letters'))).admit(letter('f')), 'what can’t be written down is not run')
})

/** A program that ends as the docs say programs end. */
const PROGRAM = `
import { createAgent } from '${new URL('../../src/sdk/agent/index.ts', import.meta.url).href}'
const { VAULT_URL: url, IDENTITY: identityFile, CODE: enrolmentCode } = process.env
const agent = createAgent({ url, identityFile, enrolmentCode, actions: { one: { effect: 'read', input: {}, run: () => 1 } } })
${/^process\.once\('SIGTERM'[^`]*/m.exec(readFileSync(new URL('../../docs/private-connections.md', import.meta.url), 'utf8'))?.[0] ?? ''}`

const begin = (env: Record<string, string>) => {
  const inherited = { PATH: process.env['PATH'], NODE_OPTIONS: '', IDENTITY: join(makeFolder('agent'), 'identity.json'), VAULT_URL: vault.urls.public }
  let said = ''
  const child = execFile(process.execPath, ['--input-type=module', '--eval', PROGRAM], { env: { ...inherited, ...env } })
  child.stderr?.on('data', (piece: string) => { said += piece })
  const ended = new Promise<{ code: number | null, said: string }>((resolve) => { child.once('close', (code) => { resolve({ code, said }) }) })
  const says = async (text: string) => { while (!said.includes(text)) await new Promise((resolve) => { setTimeout(resolve, 20) }) }
  return { child, ended, says }
}
const line = (message: string) => new RegExp(`(^|\n)\\{"level":"error",[^\n]*"message":"[^\n]*${message}[^\n]*\\}\n$`)

t.test('how a process ends', async (t) => {
  t.match(await begin({ VAULT_URL: 'http://vault.example.com' }).ended, { code: 2, said: line('has to be https') })
  t.match(await begin({}).ended, { code: 2, said: line('give it an enrolment code') })
  t.match(await begin({ CODE: 'cve_guess' }).ended, { code: 5, said: line('enrolment code') })
  const newer = await startProvider(({ url }, reply) => {
    const path = url.split('/').at(-1) ?? ''
    const answers: Record<string, object> = { enrol: { agent_id: 'agt_1' }, challenge: { challenge: 'cvc.1' }, token: { access_token: 'cva.1', expires_in: 600 } }
    json(reply, answers[path] === undefined ? 426 : 200, answers[path] ?? { code: 'agent_outdated', detail: 'It speaks version 2.' })
  })
  t.teardown(async () => { await newer.close() })
  t.match(await begin({ VAULT_URL: newer.url, CODE: 'cve_1' }).ended, { code: 4, said: line('upgrade this agent') })

  const group = (await vault.request('POST', `${W}/agent-groups`, { body: { name: 'Processes', environment: 'sandbox' } })).body.id as string
  const revoked = begin({ CODE: await newCode(group) })
  await revoked.says('the agent is at work')
  const { agents } = (await vault.request('GET', `${W}/agent-groups/${group}/agents`)).body as { agents: { id: string }[] }
  await vault.request('DELETE', `${W}/agent-groups/${group}/agents/${agents[0]?.id ?? ''}`)
  t.match(await revoked.ended, { code: 3, said: line('has been revoked') })
  const stopped = begin({ CODE: await newCode(group) })
  await stopped.says('the agent is at work')
  stopped.child.kill('SIGTERM')
  t.match(await stopped.ended, { code: 0 })

  const away = begin({ VAULT_URL: 'http://127.0.0.1:9', CODE: 'cve_1' })
  await away.says('the vault could not be asked')
  away.child.kill('SIGTERM')
  t.match(await away.ended, { code: 0 }, 'a vault that is away is waited for, at the first start too')
})
