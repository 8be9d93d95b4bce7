import { readConfig } from '../../src/config.ts'
import { GLOBAL_OWNER, newId, type AppOwner, type WorkspaceId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { openRooms } from '../../src/rooms.ts'
import { INTEGRATION, query, type Stage } from '../chaos/stage.ts'
import { writeKeyedManifest } from '../support/catalog.ts'
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
  writeKeyedManifest(stage.env['CATALOG_DIR'] ?? '', 'keyed', 'https://api.example.com')
}
