import { CompiledQuery, DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler, type Compilable } from 'kysely'
import type { DB } from './schema.ts'
import type { Statement } from './pipeline.ts'

/** Builds statements without a connection, so that the hot ones are checked against the schema too. */
export const builder = new Kysely<DB>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
})

/** A query built once; its parameters, in the order they appear, are given at each run. */
export function prepare (name: string, query: Compilable): Statement {
  return Object.freeze({ name, text: query.compile().sql })
}

/** Kysely hands the pool a statement's text alone. */
const names = new Map<string, string>()

/** Runs a statement that is prepared once for each connection of the pool, mostly as a part of a transaction. */
export async function runPrepared<Row> (on: Pick<Kysely<DB>, 'executeQuery'>, { name, text }: Statement, values: readonly unknown[]): Promise<Row[]> {
  names.set(text, name)
  const { rows } = await on.executeQuery<Row>(CompiledQuery.raw(text, [...values]))
  return rows
}

/** The name that a text is prepared under; undefined for one that is planned at each run. */
export function nameOf (text: string): string | undefined {
  return names.get(text)
}
