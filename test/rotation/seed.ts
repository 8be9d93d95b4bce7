import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readConfig } from '../../src/config.ts'
import { GLOBAL_OWNER, newId, type AppOwner, type WorkspaceId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { openRooms } from '../../src/rooms.ts'
import { INTEGRATION, query, type Stage } from '../chaos/stage.ts'
import { seedLinked } from '../support/seed.ts'

export interface SeededRow {
  readonly workspaceId: string
  readonly id: string
}

const WORKSPACES = 50
const FAR_AHEAD_MS = 3_600_000

/** Rows enough for a sweep to take a while, in many workspaces; their tokens last. */
export async function seedRows (stage: Stage, count: number): Promise<SeededRow[]> {
  const { env } = stage
  const config = readConfig('serve', { NODE_ENV: 'test', ...env })
  const rooms = await openRooms({ ...config, databaseUrl: env['DATABASE_URL'] ?? '', keyringFile: env['KEYRING_FILE'] ?? '' }, createLog('error', process.stderr))
  try {
    const rows: SeededRow[] = []
    for (let at = 0; at < WORKSPACES; at++) {
      const workspaceId = `ws_rows_${at}` as WorkspaceId
      const grants = Array.from({ length: count / WORKSPACES }, (_, row) => ({
        accessToken: `access-${at}-${row}-000000000000`, refreshToken: `refresh-${at}-${row}-000000000000`, expiresAt: new Date(Date.now() + FAR_AHEAD_MS), nextRefreshAt: null,
      }))
      const place = { workspaceId, environment: 'sandbox' as const, integration: INTEGRATION, auth: 'oauth', hosts: ['127.0.0.1'], app: { owner: GLOBAL_OWNER as AppOwner, id: newId('app') } }
      for (const id of await seedLinked(rooms, place, grants)) rows.push({ workspaceId, id })
    }
    await query(stage.owner, 'vacuum analyze')
    return rows
  } finally {
    await rooms.close()
  }
}

/** An integration whose connections are made by pasting a key, so that callers make some meanwhile. */
export function writeKeyed (stage: Pick<Stage, 'env'>): void {
  writeFileSync(join(stage.env['CATALOG_DIR'] ?? '', 'keyed.yaml'), JSON.stringify({
    id: 'keyed', name: 'Keyed', category: 'test', docs: 'https://example.com/docs', environments: ['sandbox'], separation: 'none',
    auth: [{ id: 'api_key', label: 'API key', fields: [{ name: 'api_key', label: 'API key', secret: true }], inject: [{ header: 'authorization', value: 'Bearer {api_key}' }] }],
    servers: { sandbox: 'https://api.example.com' }, hosts: ['api.example.com'], conventions: { body: 'json' }, errors: [],
    test: { method: 'GET', path: '/me', auth_failed: [{ status: 401 }] }, actions: [{ name: 'me', title: 'Me', method: 'GET', path: '/me', effect: 'read' }],
  }))
}
