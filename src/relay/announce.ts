import { VaultError, type FieldError } from '../errors.ts'
import { compileForeignSchema, TOO_LONG } from '../foreign-schema.ts'
import { guard, listAgents, updateAnnouncement, type AgentRow, type Database, type GroupPlace } from '../store/index.ts'
import type { AgentPrincipal } from './agent-tokens.ts'

/** An action as the agent that runs it describes it. */
export interface AnnouncedAction {
  readonly name: string
  readonly title?: string
  readonly effect: 'read' | 'idempotent' | 'unsafe'
  /** JSON Schemas (2020-12). */
  readonly input: object
  readonly output?: object
}

/** What an agent says of itself when it starts. */
export interface Announcement {
  readonly sdkVersion: string
  readonly protocolVersion: number
  readonly host: string
  readonly actions: readonly AnnouncedAction[]
}

/** What a group can run: the union of what its agents say. */
export interface GroupActions {
  readonly actions: readonly (AnnouncedAction & { readonly agents: number })[]
  /** Names that agents describe differently: calls may fail, depending on who takes them. */
  readonly conflicts: readonly string[]
}

export interface Announcer {
  /** Throws `agent_outdated`, `request_invalid` with a pointer to each schema that is found to be none in half a second. */
  announce (agent: AgentPrincipal, announcement: Announcement): Promise<void>
  listActions (of: GroupPlace): Promise<GroupActions>
}

/** Which versions of the protocol this vault speaks. */
const PROTOCOL = { oldest: 1, newest: 1 }

export function createAnnouncer ({ database }: { database: Pick<Database, 'db' | 'transaction'> }): Announcer {
  return Object.freeze({
    announce: async (agent: AgentPrincipal, { sdkVersion, protocolVersion, host, actions }: Announcement) => {
      if (protocolVersion < PROTOCOL.oldest || protocolVersion > PROTOCOL.newest) {
        throw new VaultError('agent_outdated', { detail: `This vault speaks version ${PROTOCOL.oldest} to ${PROTOCOL.newest} of the protocol, the agent ${protocolVersion}.` })
      }
      const errors = judgeActions(actions)
      if (errors.length > 0) throw new VaultError('request_invalid', { detail: 'What the agent announces does not fit.', errors })
      const said = { sdkVersion, protocolVersion, host, actions: JSON.stringify(actions) }
      await database.transaction((tx) => updateAnnouncement(tx, agent, said))
    },
    listActions: async (of: GroupPlace) => unite(await guard(() => listAgents(database.db, of))),
  })
}

/** What an agent says keeps everybody waiting for as long as it is looked at. */
const JUDGE_MS = 500

/** Schemas for which no time is left are looked at when they are first needed. */
function judgeActions (actions: readonly AnnouncedAction[]): FieldError[] {
  const untilMs = performance.now() + JUDGE_MS
  const names = new Set<string>()
  return actions.flatMap(({ name, input, output }, index) => {
    const at = `/actions/${index}`
    const twice = names.size === names.add(name).size ? [{ pointer: `${at}/name`, message: 'stands twice' }] : []
    const schemas = [[input, `${at}/input`], [output, `${at}/output`]] as const
    return [...twice, ...schemas.flatMap(([schema, pointer]) => schema === undefined || performance.now() > untilMs ? [] : judgeSchema(schema, pointer))]
  })
}

/** Compiled once here, so that no call fails for it. */
function judgeSchema (schema: object, pointer: string): FieldError[] {
  try {
    const slow = compileForeignSchema(schema)({}).some(({ message }) => message === TOO_LONG)
    return slow ? [{ pointer, message: TOO_LONG }] : []
  } catch {
    return [{ pointer, message: 'is no JSON Schema' }]
  }
}

function unite (agents: readonly AgentRow[]): GroupActions {
  const said = new Map<string, { action: AnnouncedAction, texts: Set<string>, agents: number }>()
  // The newest agent is the first, and its words count.
  for (const agent of agents.filter(({ revoked_at: revokedAt }) => revokedAt === null)) {
    for (const action of agent.actions as AnnouncedAction[]) {
      const known = said.get(action.name) ?? { action, texts: new Set<string>(), agents: 0 }
      known.texts.add(JSON.stringify([action.effect, action.input, action.output ?? null]))
      known.agents++
      said.set(action.name, known)
    }
  }
  const all = [...said.values()].sort((a, b) => a.action.name < b.action.name ? -1 : 1)
  return {
    actions: all.map(({ action, agents: count }) => ({ ...action, agents: count })),
    conflicts: all.filter(({ texts }) => texts.size > 1).map(({ action }) => action.name),
  }
}
