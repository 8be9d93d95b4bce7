import { LRUCache } from 'lru-cache'
import { VaultError } from '../../errors.ts'
import { createParties } from '../../foreign-schema.ts'
import { isId, type IntegrationId, type WorkspaceId } from '../../ids.ts'
import { findAction, findIntegration, findLastRevisionOf, findNewestRevision, guard, listActionNames, listKnownActions, listRevisions, type Database, type RevisionPlace } from '../../store/index.ts'
import { createBoundAction, type IntegrationAction } from '../bound-action.ts'
import { createSchemes, type Integration } from '../integration.ts'
import type { Catalog } from '../load.ts'
import type { Action, Manifest } from '../manifest.ts'

interface Options {
  readonly database: Pick<Database, 'db'>
  /** Private endpoints that an operator has opened to other integrations. */
  readonly closedHosts: ReadonlySet<string>
}

const HEADS_MAX = 2_000
const ACTION_CHARACTERS_MAX = 64 * 1_048_576
/** An action compiles to several times what it is as JSON. */
const ACTION_COST = 4_096

/**
 * The catalog with what workspaces have added to it. A revision never changes, so that what was
 * read of one is kept; which is the newest is asked each time.
 */
export function createWorkspaceCatalog (catalog: Catalog, { database, closedHosts }: Options): Catalog {
  const heads = new LRUCache<string, Integration>({ max: HEADS_MAX })
  const loadAction = createActionLoader(database)

  const remember = (place: RevisionPlace, head: object): Integration => {
    const key = nameOf(place)
    const known = heads.get(key)
    if (known !== undefined) return known
    const manifest = head as Manifest
    const integration: Integration = Object.freeze({
      manifest, revision: place.revision, closedHosts, ...createSchemes(manifest),
      loadAction: async (name: string, revision?: number) => await loadAction(place, name, revision ?? await requireNewest(place)),
      listUnknown: async (names: readonly string[]) => {
        const known = new Set(await guard(async () => listKnownActions(database.db, { ...place, revision: await requireNewest(place) }, names)))
        return names.filter((name) => !known.has(name))
      },
    })
    heads.set(key, integration)
    return integration
  }
  const requireNewest = async (place: RevisionPlace): Promise<number> => {
    const revision = await guard(() => findNewestRevision(database.db, place))
    if (revision === undefined) throw new VaultError('integration_unknown')
    return revision
  }

  const findIn = async (workspaceId: WorkspaceId, id: string, revision?: number | null): Promise<Integration | undefined> => {
    if (!isId('integration', id)) return catalog.find(id)
    if (revision !== undefined && revision !== null) {
      const known = heads.get(nameOf({ workspaceId, id, revision }))
      if (known !== undefined) return known
    }
    const row = await guard(() => findIntegration(database.db, { workspaceId, id }, revision ?? undefined))
    return row && remember({ workspaceId, id, revision: row.shown }, row.head)
  }
  return Object.freeze({
    ...catalog,
    findIn,
    requireIn: async (workspaceId: WorkspaceId, id: string, revision?: number | null) => {
      const found = await findIn(workspaceId, id, revision)
      // Says which there are.
      return found ?? catalog.require(id)
    },
  })
}

function createActionLoader (database: Pick<Database, 'db'>): (place: RevisionPlace, name: string, revision: number) => Promise<IntegrationAction> {
  const actions = new LRUCache<string, IntegrationAction>({ maxSize: ACTION_CHARACTERS_MAX })
  // Of a workspace, not of an API: it may have hundreds of those.
  const partyOf = createParties()
  return async (of, name, revision) => {
    const place = { ...of, revision }
    const key = `${nameOf(place)}/${name}`
    const known = actions.get(key)
    if (known !== undefined) return known
    const row = await guard(() => findAction(database.db, place, { name, whole: false }))
    if (row === undefined) throw await describeMissing(database, place, name)
    const action = createBoundAction({ schemas: row.schemas }, row.definition as Action, partyOf(of.workspaceId))
    actions.set(key, action, { size: row.size + ACTION_COST })
    return action
  }
}

const LISTED_MAX = 50

/** An action that a newer revision has dropped leaves its name behind: who still calls it is told. */
async function describeMissing (database: Pick<Database, 'db'>, place: RevisionPlace, name: string): Promise<VaultError> {
  const revisions = (await guard(() => listRevisions(database.db, place))).map(({ revision }) => revision)
  if (!revisions.includes(place.revision)) return new VaultError('revision_unknown', { detail: `There is no revision ${place.revision}; there are ${revisions.at(-1) ?? 0} to ${revisions[0] ?? 0}.` })
  const last = await guard(() => findLastRevisionOf(database.db, place, name))
  if (last === undefined) {
    const names = await guard(() => listActionNames(database.db, place, LISTED_MAX + 1))
    return new VaultError('action_unknown', { detail: `No revision of this integration has such an action. Revision ${place.revision} has: ${names.slice(0, LISTED_MAX).join(', ')}${names.length > LISTED_MAX ? ' and more' : ''}.` })
  }
  const detail = last < place.revision ? `Revision ${last + 1} has removed this action. Call it with \`revision\`: ${last}, or move to another.` : `Revision ${place.revision} does not have this action yet; revision ${last} has.`
  return new VaultError('action_unknown', { detail })
}

/** None of the three can hold a slash. */
function nameOf ({ workspaceId, id, revision }: { workspaceId: WorkspaceId, id: IntegrationId, revision: number }): string {
  return `${workspaceId}/${id}/${revision}`
}
