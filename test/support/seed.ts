import type { AppId, AppOwner, Environment, WorkspaceId } from '../../src/ids.ts'
import { newId } from '../../src/ids.ts'
import { bindingOf } from '../../src/connections/credential.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'
import type { openRooms } from '../../src/rooms.ts'

type Rooms = Pick<Awaited<ReturnType<typeof openRooms>>, 'crypto' | 'database'>

export interface SeededGrant {
  readonly accessToken: string
  readonly refreshToken: string
  readonly expiresAt: Date
  readonly nextRefreshAt: Date | null
}

export interface SeedPlace {
  readonly workspaceId: WorkspaceId
  readonly environment: Environment
  readonly integration: string
  readonly auth: string
  readonly hosts: string[]
  readonly app: { readonly owner: AppOwner, readonly id: AppId }
}

const CHUNK = 200

/** Linked connections in bulk, as linking would have left them; a browser each would take minutes. Answers their ids in the order of the grants. */
export async function seedLinked ({ crypto, database }: Rooms, place: SeedPlace, grants: readonly SeededGrant[]): Promise<string[]> {
  const ids: string[] = []
  const { workspaceId, environment } = place
  for (let at = 0; at < grants.length; at += CHUNK) {
    const rows = await Promise.all(grants.slice(at, at + CHUNK).map(async (grant) => {
      const [connectionId, versionId] = [newId('connection'), newId('version')]
      const fields = { access_token: wrapSecret(grant.accessToken), refresh_token: wrapSecret(grant.refreshToken) }
      const fieldSet = Object.keys(fields)
      const bound = { workspaceId, environment, connectionId, versionId, fieldSet, hosts: place.hosts, hostConfig: {} }
      const { sealed, keyId } = await crypto.seal(bindingOf(bound), fields)
      return {
        connection: {
          workspace_id: workspaceId, id: connectionId, environment, integration: place.integration, auth: place.auth,
          name: connectionId, name_key: connectionId, health: 'active' as const, config: '{}', labels: '{}', current_version: versionId, last_version_number: 1, created_by: 'seed', updated_by: 'seed',
          next_refresh_at: grant.nextRefreshAt,
        },
        version: {
          workspace_id: workspaceId, connection_id: connectionId, id: versionId, number: 1, environment, state: 'current' as const,
          field_set: fieldSet, hosts: place.hosts, host_config: '{}', previews: '{}', sealed, key_id: keyId, created_by: 'seed', app_owner: place.app.owner, app_id: place.app.id, granted_scopes: [], token_expires_at: grant.expiresAt,
        },
      }
    }))
    await database.transaction(async (tx) => {
      await tx.insertInto('connections').values(rows.map(({ connection }) => connection)).execute()
      await tx.insertInto('credential_versions').values(rows.map(({ version }) => version)).execute()
    })
    ids.push(...rows.map(({ connection }) => connection.id))
  }
  return ids
}
