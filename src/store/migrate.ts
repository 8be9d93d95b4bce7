import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator, type Migration } from 'kysely/migration'
import pg from 'pg'
import { describeAway, isAway } from './pipeline.ts'

const MIGRATIONS_DIR = fileURLToPath(new URL('../../migrations', import.meta.url))

/** The role whose rights the migrations grant; the service logs in as it or as a member of it. */
export const SERVICE_ROLE = 'connection_vault_service'

/** The role that may drop months of the record, and nothing else. */
export const RETENTION_ROLE = 'connection_vault_retention'

/** SQLSTATE `insufficient_privilege`. */
const DENIED = '42501'

/** The schema can't be brought up to date; `message` says what to do. */
export class MigrationError extends Error {}

/** Names of the migrations this program knows, oldest first. */
export function listMigrations (): string[] {
  return readdirSync(MIGRATIONS_DIR).filter((file) => file.endsWith('.sql')).map((file) => basename(file, '.sql')).sort()
}

/**
 * Brings the schema up to date, as the role that owns it. Forward only, all pending migrations in
 * one transaction, one runner at a time. Answers the names of those it ran.
 */
export async function migrate (ownerUrl: string): Promise<string[]> {
  const pool = new pg.Pool({ connectionString: ownerUrl, max: 2 })
  // A connection that breaks while nothing runs on it is no news: the next statement gets another, or says why not.
  pool.on('error', () => {})
  pool.on('connect', (client) => { client.on('error', () => {}) })
  const db = new Kysely<never>({ dialect: new PostgresDialect({ pool }) })
  try {
    await Promise.all([SERVICE_ROLE, RETENTION_ROLE].map((role) => requireRole(db, role)))
    const migrator = new Migrator({ db, provider: { getMigrations: async () => readMigrations() } })
    const { error, results } = await migrator.migrateToLatest()
    if (error instanceof Error) throw error
    await sql`grant select on kysely_migration to ${sql.id(SERVICE_ROLE)}`.execute(db)
    return (results ?? []).filter((result) => result.status === 'Success').map((result) => result.migrationName)
  } catch (error) {
    if (isAway(error)) throw new MigrationError(`the database of OWNER_DATABASE_URL does not answer (${describeAway(error)})`)
    if (error instanceof pg.DatabaseError && error.code === DENIED) {
      throw new MigrationError('the role of OWNER_DATABASE_URL does not own the schema: name the one that made it, such as connection_vault_owner, not the service’s')
    }
    throw error
  } finally {
    await db.destroy()
  }
}

function readMigrations (): Record<string, Migration> {
  return Object.fromEntries(listMigrations().map((name) => {
    const text = readFileSync(join(MIGRATIONS_DIR, `${name}.sql`), 'utf8')
    return [name, { up: async (db: Kysely<unknown>) => { await sql.raw(text).execute(db) } }]
  }))
}

async function requireRole (db: Kysely<never>, role: string): Promise<void> {
  const { rows } = await sql<{ present: boolean, may_create: boolean }>`
    select exists (select from pg_roles where rolname = ${role}) as present,
           (select rolcreaterole or rolsuper from pg_roles where rolname = current_user) as may_create`.execute(db)
  if (rows[0]?.present === true) return
  if (rows[0]?.may_create !== true) {
    throw new MigrationError(`the role ${role} does not exist and this role may not create it. As an administrator run: create role ${role} nologin; then grant it to the role that logs in for it`)
  }
  await sql`create role ${sql.id(role)} nologin`.execute(db)
}
