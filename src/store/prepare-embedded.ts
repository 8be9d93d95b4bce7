import pg from 'pg'
import { EMBEDDED_SUPERUSER, type EmbeddedPostgres } from './embedded.ts'
import { RETENTION_ROLE, SERVICE_ROLE } from './migrate.ts'

const OWNER_ROLE = 'connection_vault_owner'
const DATABASE = 'connection_vault'

/** Connection URLs of the two roles, as production has them apart: one migrates, one serves. */
export interface DatabaseUrls {
  readonly owner: string
  readonly service: string
}

/** Makes the roles and the database of an embedded cluster, where they are missing. */
export async function prepareEmbedded (embedded: EmbeddedPostgres, database = DATABASE): Promise<DatabaseUrls> {
  const client = new pg.Client({ connectionString: embedded.url(EMBEDDED_SUPERUSER, 'postgres') })
  await client.connect()
  try {
    for (const role of [OWNER_ROLE, SERVICE_ROLE, RETENTION_ROLE]) {
      const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role])
      if (rowCount === 0) await client.query(`create role ${pg.escapeIdentifier(role)} login`)
    }
    const { rowCount } = await client.query('select from pg_database where datname = $1', [database])
    if (rowCount === 0) await client.query(`create database ${pg.escapeIdentifier(database)} owner ${pg.escapeIdentifier(OWNER_ROLE)}`)
  } finally {
    await client.end()
  }
  return { owner: embedded.url(OWNER_ROLE, database), service: embedded.url(SERVICE_ROLE, database) }
}
