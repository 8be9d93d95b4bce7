import { sql, type RawBuilder, type Selectable } from 'kysely'
import type { BindingContext, KeyScope, Sealed, SealedPayload } from '../crypto/index.ts'
import type { KeyId } from '../ids.ts'
import type { Executor } from './database.ts'
import type { DB } from './schema.ts'

type Row = Readonly<Record<string, unknown>>

/**
 * A column that holds sealed values, and how to tell what each is bound to. Rooms name theirs; all
 * of them together are the one register that the sweep, the retirement of keys and `doctor` walk.
 */
export interface SealedColumn {
  readonly table: string
  readonly column: string
  readonly keyColumn: string
  /** The primary key; `integers` are those of its columns that are no text. */
  readonly id: readonly string[]
  readonly integers: readonly string[]
  /** Whether the vault's own key may have sealed some of it, a workspace's key some of it. */
  readonly owners: readonly KeyScope['kind'][]
  /** Columns that tell, beside the primary key, what a value is bound to. */
  readonly bound: readonly string[]
  readonly bindingOf: (row: Row) => BindingContext
}

const WORKSPACE_ONLY: readonly KeyScope['kind'][] = ['workspace']

/** Names a column, checked against the schema. */
export function sealedColumn<T extends keyof DB, I extends keyof Selectable<DB[T]> & string, B extends keyof Selectable<DB[T]> & string = never> (of: {
  readonly table: T & string
  readonly column: keyof DB[T] & string
  readonly keyColumn?: keyof DB[T] & string
  readonly id: readonly I[]
  readonly integers?: readonly I[]
  readonly owners?: readonly KeyScope['kind'][]
  readonly bound?: readonly B[]
  readonly bindingOf: (row: Pick<Selectable<DB[T]>, I | B>) => BindingContext
}): SealedColumn {
  return Object.freeze({
    table: of.table, column: of.column, keyColumn: of.keyColumn ?? 'key_id', id: of.id, integers: of.integers ?? [], owners: of.owners ?? WORKSPACE_ONLY,
    bound: of.bound ?? [], bindingOf: of.bindingOf as unknown as SealedColumn['bindingOf'],
  })
}

/** A row as it was read, with the value in question. */
export interface SealedRow {
  readonly row: Row
  readonly sealed: Sealed | SealedPayload
  readonly keyId: KeyId
}

/** A key and whose it is; `system` keys have no workspace. */
export interface OwnedKey {
  readonly workspaceId: string
  readonly id: KeyId
}

/** Rows that some of these keys sealed, up to a number, in any order, without those named by `except`. */
export async function listRowsUnder (on: Executor, column: SealedColumn, which: {
  readonly keys: readonly OwnedKey[]
  readonly except: readonly string[]
  readonly limit: number
}): Promise<SealedRow[]> {
  const { keys, except, limit } = which
  const { table, value, key, needed } = namesOf(column)
  const left = except.length === 0 ? sql`` : sql`and not (${nameExpression(column, 's')} = any(${except}::text[]))`
  // A lateral join: however old the statistics are, each key's rows come from the index.
  return await listPage(on, column, sql`
    select t.* from unnest(${keys.map((one) => one.workspaceId)}::text[], ${keys.map((one) => one.id)}::text[]) as k (workspace_id, id)
     cross join lateral (
       select ${sql.join(needed)} from ${table} s where ${hasOwner(column) ? sql`s.workspace_id = k.workspace_id and` : sql``} s.${key} = k.id and s.${value} is not null ${left} limit ${limit}
     ) t limit ${limit}`)
}

/** Whether a row still holds what was read of it: it may have been changed since, or deleted with its key. */
export async function stillHolds (on: Executor, column: SealedColumn, { row, sealed }: SealedRow): Promise<boolean> {
  const { table, value } = namesOf(column)
  const same = column.id.map((name) => sql`${sql.ref(name)} = ${row[name]}`)
  const { rows } = await sql`select from ${table} where ${sql.join(same, sql` and `)} and ${value} = ${sealed}`.execute(on)
  return rows.length > 0
}

/** The next rows in the order of their primary key, up to a number, and no more bytes than fit into memory at a time. */
export async function listSealedRows (on: Executor, column: SealedColumn, { after, limit }: { after: Row | undefined, limit: number }): Promise<SealedRow[]> {
  const { table, value, id, needed } = namesOf(column)
  const beyond = after === undefined ? sql`` : sql`and (${sql.join(id)}) > (${sql.join(column.id.map((name) => after[name]))})`
  return await listPage(on, column, sql`select ${sql.join(needed)} from ${table} where ${value} is not null ${beyond} order by ${sql.join(id)} limit ${limit}`)
}

/** About how many rows these tables have, as the statistics say. */
export async function estimateRows (on: Executor, columns: readonly SealedColumn[]): Promise<number> {
  const { rows: [sum] } = await sql<{ rows: number }>`
    select coalesce(sum(greatest(c.reltuples, 0)), 0)::float8 as rows from unnest(${columns.map(({ table }) => table)}::text[]) as t (name) join pg_class c on c.oid = to_regclass(t.name)`.execute(on)
  return sum?.rows ?? 0
}

/** What is held in memory of one page, the first row whatever its size: payloads can be of megabytes. */
const PAGE_BYTES = 8 * 2 ** 20

/** The first rows of a query that together stay within the bound. Sizes are known without reading the values. */
async function listPage (on: Executor, column: SealedColumn, query: RawBuilder<unknown>): Promise<SealedRow[]> {
  const { value, needed } = namesOf(column)
  const { rows } = await sql<Row>`
    select ${sql.join(needed)}
      from (select p.*, row_number() over so_far as place, sum(octet_length(${value})) over so_far as bytes from (${query}) p window so_far as (rows unbounded preceding)) m
     where place = 1 or bytes <= ${PAGE_BYTES} order by place`.execute(on)
  return rows.map((row) => ({ row, sealed: row[column.column] as Sealed, keyId: row[column.keyColumn] as KeyId }))
}

/** What a row is called in reports, and in `except`. */
export function nameOfRow (column: SealedColumn, row: Row): string {
  return column.id.map((name) => String(row[name])).join('/')
}

/** A row and what is to stand in it. */
export interface ResealedRow {
  readonly from: SealedRow
  readonly sealed: Sealed | SealedPayload
  readonly keyId: KeyId
}

/**
 * Puts new values where the old ones still are, if the new keys are all their scopes' current ones
 * and stay so until it is done; answers how many. Rows that somebody else is about
 * to change are left out, not waited for: whoever waits for nothing deadlocks with nobody. The key
 * is compared as an expression, so that rows are looked up by their names: statistics know nothing
 * of a key that was replaced a moment ago, and its index would be read through once a row.
 */
export async function replaceSealedRows (on: Executor, column: SealedColumn, { kind, rows }: { kind: KeyScope['kind'], rows: readonly ResealedRow[] }): Promise<number> {
  const { table, value, key, id } = namesOf(column)
  const ownerOf = ({ from }: ResealedRow) => kind === 'system' ? '' : String(from.row['workspace_id'])
  const keys = [...new Map(rows.map((one) => [`${ownerOf(one)} ${one.keyId}`, { workspaceId: ownerOf(one), id: one.keyId }])).values()]
  const arrays = column.id.map((name) => sql`${rows.map(({ from }) => String(from.row[name]))}::text[]`)
  const columns = sql.join([...id, sql`old_key`, sql`starts_at`, sql`bytes`, sql`new_key`])
  // One value of bytes and where each begins: as an array it would be written, and read, as hexadecimal text of twice the length.
  const places = placesOf(rows.map(({ sealed }) => sealed))
  const same = (left: string, right: string) => sql.join(column.id.map((name) =>
    sql`${sql.ref(`${left}.${name}`)} = ${column.integers.includes(name) ? sql`${sql.ref(`${right}.${name}`)}::integer` : sql.ref(`${right}.${name}`)}`), sql` and `)
  const { numAffectedRows } = await sql`
    with current_keys as materialized (${holdCurrent(kind, keys)}), n as (
      select n.*, substr(${places.bytes}::bytea, starts_at, bytes) as new_sealed
        from unnest(${sql.join(arrays)}, ${rows.map(({ from }) => from.keyId)}::text[], ${places.startsAt}::integer[], ${places.lengths}::integer[], ${rows.map((row) => row.keyId)}::text[])
          as n (${columns})
    ), held as (
      select ${sql.join(column.id.map((name) => sql`n.${sql.ref(name)}`))}, n.new_sealed, n.new_key
        from ${table} t join n on ${same('t', 'n')} where t.${key} || '' = n.old_key and t.${value} is not null
          and (select count(*) from current_keys) = ${keys.length}
         for no key update of t skip locked
    )
    update ${table} u set ${value} = held.new_sealed, ${key} = held.new_key from held where ${same('u', 'held')}`.execute(on)
  return Number(numAffectedRows ?? 0)
}

/** Values one after another, and the first byte of each, counted from one as SQL does. */
function placesOf (values: readonly Uint8Array[]) {
  const lengths = values.map((value) => value.length)
  let next = 1
  const startsAt = lengths.map((length) => {
    next += length
    return next - length
  })
  return { bytes: Buffer.concat(values), startsAt, lengths }
}

/** Those of these keys that are current, held so until the statement's transaction ends. */
function holdCurrent (kind: KeyScope['kind'], keys: readonly OwnedKey[]): RawBuilder<unknown> {
  const ids = keys.map((key) => key.id)
  return kind === 'system'
    ? sql`select id from system_keys where id = any(${ids}) and state = 'current' for share`
    : sql`select c.id from workspace_keys c join unnest(${keys.map((key) => key.workspaceId)}::text[], ${ids}::text[]) as k (workspace_id, id) using (workspace_id, id)
        where c.state = 'current' for share of c`
}

export interface RowCount {
  readonly table: string
  readonly column: string
  readonly rows: number
}

/** MACs of the record name the vault's own keys: as long as they are kept, so is the key that checks them. */
const MAC_TABLES = ['audit_chain', 'audit_checkpoints', 'audit_unsealed', 'audit_anchors'] as const

/** How many rows need a key, in one snapshot: a value that is moved from one table to another is counted once. */
export async function countRowsUnder (on: Executor, columns: readonly SealedColumn[], key: { kind: KeyScope['kind'] } & OwnedKey): Promise<RowCount[]> {
  const sealed = columns.filter((column) => column.owners.includes(key.kind))
  const counts = sealed.map((column) => {
    const { table, value, key: keyColumn } = namesOf(column)
    return sql`(select count(*) from ${table} where ${hasOwner(column) ? sql`workspace_id = ${key.workspaceId} and` : sql``} ${keyColumn} = ${key.id} and ${value} is not null)`
  })
  const macs = key.kind === 'system' ? MAC_TABLES : []
  // Whether there is any is enough to know, and the chain may be long.
  const anyMac = macs.map((table) => sql`(select count(*) from (select from ${sql.table(table)} where key_id = ${key.id} limit 1) as any_)`)
  const { rows: [row] } = await sql<{ counts: number[] }>`select array[${sql.join([...counts, ...anyMac])}]::float8[] as counts`.execute(on)
  return [...sealed, ...macs.map((table) => ({ table, column: 'mac' }))].map(({ table, column }, index) => ({ table, column, rows: row?.counts[index] ?? 0 })).filter(({ rows }) => rows > 0)
}

/** So many of a column are counted at most: a sweep of more begins all the same. */
const COUNTED_MAX = 1_000_000

/** How many rows of each column are under keys that were replaced, counted up to a million. */
export async function countRowsToReseal (on: Executor, columns: readonly SealedColumn[]): Promise<RowCount[]> {
  const counts = columns.map((column) => {
    const { table, value, key } = namesOf(column)
    const under = (kind: KeyScope['kind']) => {
      const [keys, owned] = kind === 'system' ? [sql`system_keys`, sql`${hasOwner(column) ? sql`s.workspace_id = '' and` : sql``}`] : [sql`workspace_keys`, sql`s.workspace_id = k.workspace_id and`]
      // `offset 0`: looked up key by key, whatever the planner thinks of how many there are.
      return sql`(select count(*) from (select from ${keys} k cross join lateral (
        select from ${table} s where ${owned} s.${key} = k.id and s.${value} is not null offset 0) as its where k.state = 'previous' limit ${COUNTED_MAX}) as counted)`
    }
    return sql`(${sql.join(column.owners.map(under), sql` + `)})`
  })
  const { rows: [row] } = await sql<{ counts: number[] }>`select array[${sql.join(counts)}]::float8[] as counts`.execute(on)
  return columns.map(({ table, column }, index) => ({ table, column, rows: row?.counts[index] ?? 0 }))
}

function hasOwner (column: SealedColumn): boolean {
  return column.owners.includes('workspace')
}

function namesOf (column: SealedColumn) {
  const needed = [...new Set([...column.id, ...column.bound, column.keyColumn, column.column])].map((name) => sql.ref(name))
  return { table: sql.table(column.table), value: sql.ref(column.column), key: sql.ref(column.keyColumn), id: column.id.map((name) => sql.ref(name)), needed }
}

function nameExpression (column: SealedColumn, table: string): RawBuilder<string> {
  return sql`concat_ws('/', ${sql.join(column.id.map((name) => sql.ref(`${table}.${name}`)))})`
}
