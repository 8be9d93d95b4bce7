import type { Request } from 'autocannon'
import { query } from '../test/support/cluster.ts'
import { describe, LINKED } from '../test/support/population.ts'

export interface Place {
  readonly workspace_id: string
  readonly id: string
  readonly environment: string
  readonly name: string
}

/** Some of a seeded vault's connections, from all over it: those that were pasted and are well. */
export async function listResolvable (owner: string, count: number): Promise<Place[]> {
  const places = await query<Place & Record<string, unknown>>(owner, `
    select workspace_id, id, environment, name from connections where integration <> $1 and disabled_at is null and health = 'active' and (expires_on is null or expires_on > now() + interval '1 day')
     order by md5(id) limit $2`, [LINKED.integration, count])
  if (places.length !== count) throw new Error(`only ${places.length} connections can be resolved`)
  return places
}

export function toResolves (places: readonly Place[], token: string): Request[] {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  return places.map(({ workspace_id: workspaceId, id, environment }) => (
    { method: 'POST', path: `/v1/workspaces/${workspaceId}/connections/${id}/resolve`, headers, body: JSON.stringify({ environment }) }))
}

/** An answer that only the vault on this database can give: the secret that the seed gave this very connection. */
export async function requireSeeded (url: string, { path, headers, body }: Request, place: Place | undefined): Promise<void> {
  const response = await fetch(`${url}${path ?? ''}`, { method: 'POST', headers: headers as Record<string, string>, body: body as string })
  const { credentials } = await response.json() as { credentials?: Record<string, string> }
  const { fields } = describe(Number(/\d+$/.exec(place?.name ?? '')?.[0]), { workspaces: 1, now: Date.now() })
  if (JSON.stringify(credentials) !== JSON.stringify(fields)) throw new Error(`the process that answers is not the one that was started (${response.status})`)
}
