import pg from 'pg'
import { bindingOf } from '../../src/connections/credential.ts'
import type { Crypto } from '../../src/crypto/index.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'
import { copyInto, copyRow } from './copy.ts'
import { describe, type Individual } from './population.ts'

/** Who has made all that is made here. */
export const SEEDER = 'seed'

export interface SeedPart {
  readonly databaseUrl: string
  readonly workspaces: number
  /** The vault's own app that those of LINKED were linked by. */
  readonly appId: string
  readonly now: number
  /** From this one up to, and without, that one. */
  readonly from: number
  readonly to: number
}

const CHUNK = 2_000

const CONNECTIONS = ['workspace_id', 'id', 'environment', 'integration', 'auth', 'name', 'name_key', 'health', 'health_reason', 'disabled_at', 'config', 'labels', 'account_id', 'expires_on',
  'current_version', 'last_version_number', 'created_by', 'created_at', 'updated_by', 'updated_at', 'next_refresh_at'] as const
const VERSIONS = ['workspace_id', 'connection_id', 'id', 'number', 'environment', 'state', 'field_set', 'hosts', 'host_config', 'previews', 'sealed', 'key_id', 'created_by', 'created_at',
  'app_owner', 'app_id', 'granted_scopes', 'grant_holder', 'token_expires_at'] as const
const USES = ['workspace_id', 'connection_id', 'procedure_id', 'step_id', 'uses', 'first_used_at', 'last_used_at'] as const
const REFERENCES = ['workspace_id', 'connection_id', 'procedure_id', 'step_id', 'label'] as const

/** Seals and stores a part of a population; what is stored opens as if people had brought it. */
export async function seedPart (crypto: Pick<Crypto, 'seal'>, part: SeedPart, report: (stored: number) => void = () => {}): Promise<void> {
  const client = new pg.Client({ connectionString: part.databaseUrl })
  await client.connect()
  try {
    await client.query('set synchronous_commit = off; set statement_timeout = 0')
    for (let from = part.from; from < part.to; from += CHUNK) {
      const to = Math.min(part.to, from + CHUNK)
      const people = Array.from({ length: to - from }, (_, index) => describe(from + index, part))
      const versions = await Promise.all(people.map(async (one) => toVersion(one, part, await seal(crypto, one))))
      await client.query('begin')
      await copyInto(client, 'connections', { columns: CONNECTIONS, rows: people.map(toConnection) })
      await copyInto(client, 'credential_versions', { columns: VERSIONS, rows: versions })
      await copyInto(client, 'connection_uses', { columns: USES, rows: people.filter(({ used }) => used).map((one) => toUse(one, part.now)) })
      await copyInto(client, 'connection_references', {
        columns: REFERENCES, rows: people.filter(({ referred }) => referred).map((one) => copyRow([one.workspaceId, one.connectionId, 'procedure_1', 'step_1', 'Pay out'])),
      })
      await client.query('commit')
      report(people.length)
    }
  } finally {
    await client.end()
  }
}

async function seal (crypto: Pick<Crypto, 'seal'>, one: Individual) {
  const fields = Object.fromEntries(Object.entries(one.fields).map(([name, value]) => [name, wrapSecret(value)]))
  return await crypto.seal(bindingOf({ ...one, fieldSet: Object.keys(fields), hostConfig: {} }), fields)
}

function toConnection (one: Individual): string {
  return copyRow([
    one.workspaceId, one.connectionId, one.environment, one.integration, one.auth, one.name, one.name.toLowerCase(), one.health, one.health === 'active' ? null : 'credential_refused',
    one.disabled ? one.createdAt : null, '{}', JSON.stringify(one.labels), one.grant?.accountId ?? null, one.expiresOn, one.versionId, 1, SEEDER, one.createdAt, SEEDER, one.createdAt,
    one.health === 'active' ? one.grant?.nextRefreshAt ?? null : null,
  ])
}

function toVersion (one: Individual, { appId }: SeedPart, { sealed, keyId }: { sealed: Buffer, keyId: string }): string {
  return copyRow([
    one.workspaceId, one.connectionId, one.versionId, 1, one.environment, 'current', Object.keys(one.fields), one.hosts, '{}', JSON.stringify(one.previews), sealed, keyId, SEEDER, one.createdAt,
    ...one.grant === undefined ? [null, null, null, null, null] as const : ['', appId, ['read'], one.grant.holder, one.grant.tokenExpiresAt] as const,
  ])
}

function toUse (one: Individual, now: number): string {
  return copyRow([one.workspaceId, one.connectionId, 'procedure_1', 'step_1', 12, one.createdAt, new Date(now - (now - one.createdAt.getTime()) * 0.01)])
}
