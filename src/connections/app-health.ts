import { GLOBAL_OWNER } from '../ids.ts'
import type { AuditRecord, Ledger } from '../ledger/index.ts'
import { pauseApp, resumeApp, type AppRow, type Database, type UsableRow } from '../store/index.ts'

/** Whether providers take the OAuth apps: a broken app is one event, not one for each of its connections. */
export interface AppHealth {
  /** Pauses the app that a token was asked for with, and says so once. */
  broken (of: AppUsed, error: string): Promise<void>
  /** The provider takes it again. */
  recovered (app: AppRef): Promise<void>
}

type AppRef = Pick<AppRow, 'workspace_id' | 'id' | 'integration' | 'environment'>
type AppUsed = Pick<UsableRow, 'app_owner' | 'app_id' | 'integration' | 'environment'>

export interface AppHealthOptions {
  readonly database: Pick<Database, 'transaction'>
  readonly ledger: Pick<Ledger, 'recordIn'>
}

export const APP_PAUSE_SECONDS = 300

export function createAppHealth ({ database, ledger }: AppHealthOptions): AppHealth {
  return Object.freeze({
    broken: async (row: AppUsed, error: string) => {
      const { app_owner: owner, app_id: id } = row
      if (owner === null || id === null) return
      await database.transaction(async (tx) => {
        if (!await pauseApp(tx, { workspace_id: owner, id }, { error, pauseSeconds: APP_PAUSE_SECONDS })) return
        await ledger.recordIn(tx, recordOf('oauth_app.broken', { workspace_id: owner, id, integration: row.integration, environment: row.environment }, { error }))
      })
    },
    recovered: async (app: AppRef) => {
      await database.transaction(async (tx) => {
        if (await resumeApp(tx, app)) await ledger.recordIn(tx, recordOf('oauth_app.recovered', app))
      })
    },
  })
}

function recordOf (event: 'oauth_app.broken' | 'oauth_app.recovered', app: AppRef, more: { error?: string } = {}): AuditRecord {
  return {
    event, outcome: 'ok', principal: { kind: 'system', id: null, actor: null }, environment: app.environment,
    workspaceId: app.workspace_id === GLOBAL_OWNER ? undefined : app.workspace_id, details: { app_id: app.id, integration: app.integration, ...more },
  }
}
