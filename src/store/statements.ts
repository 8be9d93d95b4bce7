import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler, type Compilable } from 'kysely'
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
