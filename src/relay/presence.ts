import { LRUCache } from 'lru-cache'
import { createParties, prepareForeignSchema, type Party } from '../foreign-schema.ts'
import type { AgentId, WorkspaceId } from '../ids.ts'
import type { AuditRecord, Ledger } from '../ledger/index.ts'
import type { SchemaCheck } from '../schema.ts'
import { findAnnouncedActions, guard, listPresentAgents, noteGroupsOnline, type AgentRow, type Database, type GroupPlace } from '../store/index.ts'
import type { AnnouncedAction } from './announce.ts'
import { SILENT_SECONDS } from './spans.ts'

/** An action as the agents of a group run it. */
export interface GroupAction {
  readonly definition: AnnouncedAction
  /** The least harmless of what its agents say. */
  readonly effect: AnnouncedAction['effect']
  /** How many agents run it, and how many of them have been heard of lately. */
  readonly agents: number
  readonly online: number
  check: SchemaCheck
}

export interface Presence {
  findAction (group: GroupPlace, name: string): Promise<GroupAction | undefined>
  /** Names of what a group can run. */
  listNames (group: GroupPlace): Promise<string[]>
  /** Names of what one agent runs. */
  namesOf (agent: Announced): Promise<readonly string[]>
  /** How many agents of the group have been heard of lately. */
  countOnline (group: GroupPlace): Promise<{ agents: number, online: number }>
  /** Notes which groups have fallen silent and which are there again; people are told. */
  note (): Promise<number>
}

/** One announcement of an agent. */
export interface Announced extends Pick<AgentRow, 'announced_at'> {
  readonly workspaceId: WorkspaceId
  readonly id: AgentId
}

interface Said {
  readonly names: readonly string[]
  readonly actions: ReadonlyMap<string, { readonly definition: AnnouncedAction, check: SchemaCheck }>
}

const CACHED_CHARACTERS = 64 * 1_048_576
const COST = 1_024
const EFFECTS: readonly AnnouncedAction['effect'][] = ['read', 'idempotent', 'unsafe']
const NOTHING: Said = { names: [], actions: new Map() }

export function createPresence ({ database, ledger }: { database: Pick<Database, 'db' | 'reads' | 'transaction'>, ledger: Pick<Ledger, 'recordIn'> }): Presence {
  // An announcement never changes; the next one has another time.
  const announcements = new LRUCache<string, Said>({ maxSize: CACHED_CHARACTERS })
  const partyOf = createParties()

  const read = async ({ workspaceId, id, announced_at: at }: Announced): Promise<Said> => {
    if (at === null) return NOTHING
    const key = `${workspaceId}/${id}/${at.getTime()}`
    const known = announcements.get(key)
    if (known !== undefined) return known
    const actions = await guard(() => findAnnouncedActions(database.db, { workspaceId, id })) as AnnouncedAction[]
    const party = partyOf(workspaceId)
    const said = { names: actions.map(({ name }) => name), actions: new Map(actions.map((definition) => [definition.name, prepare(definition, party)])) }
    announcements.set(key, said, { size: JSON.stringify(actions).length + COST })
    return said
  }
  const present = async (group: GroupPlace) => {
    const agents = await guard(() => listPresentAgents(database.reads, group, SILENT_SECONDS))
    return await Promise.all(agents.map(async (agent) => ({ ...agent, said: await read({ ...agent, workspaceId: group.workspaceId }) })))
  }

  return Object.freeze({
    findAction: async (group: GroupPlace, name: string) => {
      const running = (await present(group)).flatMap(({ online, said }) => {
        const action = said.actions.get(name)
        return action === undefined ? [] : [{ ...action, online }]
      })
      // The newest agent comes first, and its words count.
      const [newest] = running
      if (newest === undefined) return undefined
      const effect = EFFECTS[Math.max(...running.map(({ definition }) => EFFECTS.indexOf(definition.effect)))] ?? 'unsafe'
      return { definition: newest.definition, effect, agents: running.length, online: running.filter(({ online }) => online).length, check: newest.check }
    },
    listNames: async (group: GroupPlace) => [...new Set((await present(group)).flatMap(({ said }) => said.names))].sort(),
    namesOf: async (agent: Announced) => (await read(agent)).names,
    countOnline: async (group: GroupPlace) => {
      const agents = await guard(() => listPresentAgents(database.reads, group, SILENT_SECONDS))
      return { agents: agents.length, online: agents.filter(({ online }) => online).length }
    },
    note: async () => await database.transaction(async (tx) => {
      const changed = await noteGroupsOnline(tx, SILENT_SECONDS)
      const records = changed.map(({ workspace_id: workspaceId, id, environment, online }): AuditRecord => ({
        event: online ? 'agent_group.online' : 'agent_group.offline', outcome: 'ok', principal: { kind: 'system', id: null, actor: null },
        workspaceId, environment, details: { group_id: id },
      }))
      if (records.length > 0) await ledger.recordIn(tx, ...records)
      return changed.length
    }),
  })
}

function prepare (definition: AnnouncedAction, party: Party) {
  const check = prepareForeignSchema(() => definition.input, '/input', party)
  return { definition, check: (value: unknown) => judge(check, value) }
}

/** Of very many, not all were looked at when they were announced. */
function judge (check: SchemaCheck, value: unknown): ReturnType<SchemaCheck> {
  try {
    return check(value)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return [{ pointer: '/input', message: 'can’t be checked: what the agent has announced is no JSON Schema' }]
  }
}
