import { readFileSync } from 'node:fs'
import t from 'tap'
import ts from 'typescript'
import { SEALED_COLUMNS } from '../../src/rooms.ts'
import { fillWorkspace, startEverything, tenantTables, countRows } from '../support/everything.ts'
import { eventually } from '../support/vault.ts'

/** One register names every sealed column: what it misses would be lost with the next key that is retired. */
const named = SEALED_COLUMNS.map(({ table, column }) => `${table}.${column}`)
const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

/** Columns of the schema’s types in which one of these types stands. */
function columnsOf (types: readonly string[]): string[] {
  const source = ts.createSourceFile('schema.ts', read('src/store/schema.ts'), ts.ScriptTarget.Latest, true)
  const interfaces = new Map(source.statements.filter(ts.isInterfaceDeclaration).map((one) => [one.name.text, one]))
  const tables = interfaces.get('DB')?.members.filter(ts.isPropertySignature) ?? []
  return tables.flatMap((table) => {
    const members = interfaces.get(table.type?.getText() ?? '')?.members.filter(ts.isPropertySignature) ?? []
    return members.filter((member) => types.some((type) => new RegExp(`\\b${type}\\b`).test(member.type?.getText() ?? ''))).map((member) => `${table.name.getText()}.${member.name.getText()}`)
  })
}

/** Binary columns that hold nothing sealed, each with what it holds. */
const OPEN_BYTES = [
  // Digests of tokens, codes, keys and requests.
  /_hash$/, /fingerprint$/, /\.nonce$/,
  // MACs of the record, and digests of what they cover.
  /^audit_\w+\.(mac|head_mac|digest|signature)$/,
  // Public halves.
  /^agents\.(public_key|encryption_key)$/,
  // Wrapped by a KEK, and wrapped again with it.
  /^(system_keys|workspace_keys)\.wrapped$/, /^keks\.check_value$/,
]

t.test('every sealed column is in it, and nothing else', async (t) => {
  t.equal(new Set(named).size, named.length)
  t.ok(named.length >= 11)
  t.same(columnsOf(['Sealed', 'SealedPayload']).sort(), [...named].sort())
  const tables = read('docs/schema.sql').matchAll(/^create table (\w+) \(\n([\s\S]*?)^\)/gm)
  const bytes = [...tables].flatMap(([, table = '', body = '']) => [...body.matchAll(/^ {2}(\w+) bytea/gm)].map(([, column = '']) => `${table}.${column}`))
  t.ok(bytes.length > 30, `${bytes.length} binary columns`)
  const unexplained = bytes.filter((column) => !named.includes(column) && !OPEN_BYTES.some((known) => known.test(column)))
  t.same(unexplained, [], 'a new binary column is sealed and registered, or on the list of those that hold nothing sealed')
  for (const known of OPEN_BYTES) t.ok(bytes.some((column) => known.test(column)), `${known.source} still stands for something`)
})

const everything = await startEverything()
const { vault } = everything
t.teardown(() => everything.close())
const filled = await fillWorkspace(everything, 'acme')
await vault.enterApp(everything.linear)
await vault.request('POST', '/v1/webhooks', { body: { url: 'https://hooks.example.com/' } })

t.test('with something in every table', async (t) => {
  const tables = await tenantTables(everything)
  const counts = await countRows(everything, tables, 'acme')
  t.same(Object.keys(counts).sort(), tables, 'a new table is filled by fillWorkspace')
})

const inspect = async () => await vault.withRooms(async (rooms) => await rooms.keys.inspect())
const keyIds = async () => new Map(await Promise.all(SEALED_COLUMNS.map(async ({ table, column, keyColumn }) =>
  [`${table}.${column}`, await vault.database.query<{ key: string, sealed: Buffer }>(`select ${keyColumn} as key, ${column} as sealed from ${table} where ${column} is not null order by ${column}`)] as const)))

t.test('every sealed value opens where it is, is sealed again, and opens again', async (t) => {
  const before = await inspect()
  for (const { table, column, rows, brokenRows } of before.columns) {
    t.ok(rows > 0, `${table}.${column}: ${rows} values`)
    t.equal(brokenRows, 0, `${table}.${column} opens`)
  }
  const stages = await vault.database.query<{ stage: string }>('select stage from pending_links order by 1')
  t.same(stages.map(({ stage }) => stage), ['choosing', 'confirming'], 'bound differently')
  const old = await keyIds()
  for (const target of ['workspace', 'system']) {
    t.match(await vault.request('POST', '/v1/keys/rotate', { body: { target } }), { status: 202 })
    await eventually(async () => (await vault.request('GET', '/v1/keys/sweep')).body.state === 'idle')
  }
  t.match((await vault.request('GET', '/v1/keys/sweep')).body, { rows_failed: 0 })
  const fresh = await keyIds()
  for (const [name, values] of fresh) {
    const gone = new Set(old.get(name)?.map(({ key }) => key))
    t.equal(values.length, old.get(name)?.length, name)
    for (const { key } of values) t.notOk(gone.has(key), `${name} is under ${key}`)
    const bytes = new Set(old.get(name)?.map(({ sealed }) => sealed.toString('hex')))
    for (const { sealed } of values) t.notOk(bytes.has(sealed.toString('hex')), `${name} was sealed again`)
  }
  const after = await inspect()
  t.same(after.columns.map(({ brokenRows }) => brokenRows), before.columns.map(() => 0))
  t.same(after.columns.map(({ rows }) => rows), before.columns.map(({ rows }) => rows))
  t.match(await vault.request('POST', '/v1/keys/retire', { body: {} }), { status: 200, body: { kept: [{ workspace_id: null, rows: [{ column: 'mac' }] }] } }, 'no row needs an old key')
})

t.test('and what was begun goes on', async (t) => {
  const W = '/v1/workspaces/acme'
  await vault.database.advance('61 seconds')
  t.match(await vault.request('POST', `${W}/connections/${filled.linked}/refresh`), { status: 200, body: { version_number: 2, status: 'active' } }, 'the answer that was kept is read')
  t.match(await vault.request('POST', `${W}/connections/${filled.stripe}/invoke`, {
    body: { environment: 'sandbox', action: 'create_payment_intent', input: { amount: 100, currency: 'usd' } }, headers: { 'idempotency-key': 'charge-1' },
  }), { status: 200, body: { replayed: true, output: { note: 'CanaryOutput-000001' } } })
  const [offer] = (await filled.agent.poll(1)).body.invocations
  t.match(await filled.agent.of(offer).claim(), { status: 200, body: { action: 'post_entry' } })
})
