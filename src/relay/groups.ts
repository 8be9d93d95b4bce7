import { createOneTimeToken, isAgentKey, sha256 } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { newId, type AgentId, type Environment, type GroupId, type WorkspaceId } from '../ids.ts'
import type { AuditEventName, AuditRecord, Ledger } from '../ledger/index.ts'
import {
  claimIdempotencyKey, deleteAgentGroup, endLeasesOf, findAgentGroup, findEnrolmentCode, guard, insertAgent, insertAgentGroup, insertEnrolmentCode,
  isEnrolmentCode, isUniqueViolation, listAgentGroups, listAgents, listConnectionsOfGroup, lockAgentGroup, revokeAgent, takeEnrolmentCode,
  type AgentGroupRow, type AgentRow, type Database, type GroupPage, type GroupPlace, type Idempotency, type Tx,
} from '../store/index.ts'
import { revocationOf } from './broker.ts'

/** Who keeps groups; the room above knows it as a caller. */
export interface Keeper {
  readonly principal: AuditRecord['principal']
  readonly by: string
  readonly environments: readonly Environment[]
  readonly requestId: string | undefined
}

/** What somebody who has a code says of the agent that is to be. */
export interface Enrolment {
  readonly code: string
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array
  /** X25519, 32 bytes: what inputs may be encrypted to. */
  readonly encryptionKey: Uint8Array | undefined
  readonly name: string
}

export interface Enrolled {
  readonly id: AgentId
  readonly group: AgentGroupRow
}

export interface GroupRequest {
  readonly name: string
  readonly environment: Environment
  readonly idempotency?: Idempotency | undefined
}

export interface AgentGroups {
  /** Throws `name_taken`, `idempotency_conflict`, and `not_found` for an environment that is not the keeper's. */
  create (workspaceId: WorkspaceId, request: GroupRequest, keeper: Keeper): Promise<{ group: AgentGroupRow, replayed: boolean }>
  /** Throws `not_found`. */
  get (of: GroupPlace, keeper: Keeper): Promise<AgentGroupRow>
  list (workspaceId: WorkspaceId, page: GroupPage): Promise<AgentGroupRow[]>
  /** Throws `not_found`, `agent_group_in_use`. */
  remove (of: GroupPlace, keeper: Keeper): Promise<void>
  /** A code for one agent, shown once: a repeat is without it. Throws `not_found`, `idempotency_conflict`. */
  createCode (of: GroupPlace, keeper: Keeper, idempotency?: Idempotency): Promise<{ code?: string, expiresAt: Date }>
  listAgents (of: GroupPlace, keeper: Keeper): Promise<AgentRow[]>
  /** Doing it twice changes nothing. Throws `not_found`. */
  revoke (of: GroupPlace, agentId: AgentId, keeper: Keeper): Promise<void>
  /** Spends a code. Throws `enrolment_refused`, `request_invalid`. */
  enrol (enrolment: Enrolment, requestId: string): Promise<Enrolled>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'reads' | 'signals' | 'transaction'>
  readonly ledger: Pick<Ledger, 'recordIn'>
}

const CODE_SECONDS = 900
const CODE_PREFIX = 'cve_'

export function createAgentGroups ({ database, ledger }: Options): AgentGroups {
  const get = async (of: GroupPlace, keeper: Keeper) => requireVisible(await guard(() => findAgentGroup(database.db, of)), keeper)

  return Object.freeze({
    create: async (workspaceId: WorkspaceId, { name, environment, idempotency }: GroupRequest, keeper: Keeper) => {
      if (!keeper.environments.includes(environment)) throw new VaultError('not_found')
      const id = newId('group')
      const earlier = await database.transaction(async (tx) => {
        const known = await findEarlier(tx, { workspaceId, resourceId: id }, idempotency)
        if (known !== undefined) return known as GroupId
        const row = { workspace_id: workspaceId, id, environment, name, name_key: name.normalize('NFKC').toLowerCase().trim(), created_by: keeper.by }
        await insertAgentGroup(tx, row).catch((error: unknown) => { throw isUniqueViolation(error, 'agent_groups_name') ? new VaultError('name_taken') : error })
        await ledger.recordIn(tx, recordOf('agent_group.created', { group: { workspace_id: workspaceId, id, environment }, keeper }))
        return undefined
      })
      const group = await guard(() => findAgentGroup(database.db, { workspaceId, id: earlier ?? id }))
      if (group === undefined) throw earlier === undefined ? new VaultError('not_found') : new VaultError('idempotency_conflict', { detail: 'This key made a group that has been deleted since.' })
      return { group, replayed: earlier !== undefined }
    },

    get,
    list: async (workspaceId: WorkspaceId, page: GroupPage) => await guard(() => listAgentGroups(database.db, workspaceId, page)),

    remove: async (of: GroupPlace, keeper: Keeper) => {
      await database.transaction(async (tx) => {
        const group = requireVisible(await lockAgentGroup(tx, of), keeper)
        const agents = await listAgents(tx, of)
        const connections = await listConnectionsOfGroup(tx, of)
        const members = agents.filter((agent) => agent.revoked_at === null).map(({ id, name }) => ({ id, name }))
        if (connections.length + members.length > 0) throw new VaultError('agent_group_in_use', { meta: { connections, agents: members } })
        await deleteAgentGroup(tx, of)
        await ledger.recordIn(tx, recordOf('agent_group.deleted', { group, keeper }))
      })
    },

    ...createMembership({ database, ledger }, get),
  })
}

/** Who is in a group, and how one gets in and out. */
function createMembership ({ database, ledger }: Options, get: AgentGroups['get']): Pick<AgentGroups, 'createCode' | 'listAgents' | 'revoke' | 'enrol'> {
  return {
    createCode: async (of: GroupPlace, keeper: Keeper, idempotency?: Idempotency) => {
      const { token } = createOneTimeToken()
      const code = `${CODE_PREFIX}${token}`
      const hash = sha256(code)
      return await database.transaction(async (tx) => {
        const group = requireVisible(await lockAgentGroup(tx, of), keeper)
        const known = await findEarlier(tx, { workspaceId: of.workspaceId, resourceId: hash.toString('base64url') }, idempotency)
        if (known !== undefined) {
          const expiresAt = await findEnrolmentCode(tx, of, Buffer.from(known, 'base64url'))
          if (expiresAt === undefined) throw new VaultError('idempotency_conflict', { detail: 'The code that this key made has been used, or has ended.' })
          return { expiresAt }
        }
        const expiresAt = await insertEnrolmentCode(tx, { workspace_id: of.workspaceId, group_id: of.id, code_hash: hash, created_by: keeper.by }, CODE_SECONDS)
        await ledger.recordIn(tx, recordOf('enrolment_code.created', { group, keeper }))
        return { code, expiresAt }
      })
    },

    listAgents: async (of: GroupPlace, keeper: Keeper) => {
      await get(of, keeper)
      return await guard(() => listAgents(database.db, of))
    },

    revoke: async (of: GroupPlace, agentId: AgentId, keeper: Keeper) => {
      await database.transaction(async (tx) => {
        const group = requireVisible(await lockAgentGroup(tx, of), keeper)
        if (!(await listAgents(tx, of)).some(({ id }) => id === agentId)) throw new VaultError('not_found')
        const place = { workspaceId: of.workspaceId, id: agentId }
        await endLeasesOf(tx, { workspaceId: of.workspaceId, agentId })
        if (await revokeAgent(tx, place, keeper.by)) await ledger.recordIn(tx, recordOf('agent.revoked', { group, keeper }, { agent_id: agentId }))
      })
      database.signals.send(revocationOf(agentId))
    },

    enrol: async ({ code, publicKey, encryptionKey, name }: Enrolment, requestId: string) => {
      if (!isAgentKey(publicKey)) throw new VaultError('request_invalid', { errors: [{ pointer: '/public_key', message: 'must be an Ed25519 public key, 32 bytes in base64url' }] })
      const hash = sha256(code)
      if (!await guard(() => isEnrolmentCode(database.reads, hash))) throw new VaultError('enrolment_refused')
      const id = newId('agent')
      return await database.transaction(async (tx) => {
        const place = await takeEnrolmentCode(tx, hash)
        const group = place && await lockAgentGroup(tx, place)
        if (place === undefined || group === undefined) throw new VaultError('enrolment_refused')
        const keys = { public_key: Buffer.from(publicKey), encryption_key: encryptionKey === undefined ? null : Buffer.from(encryptionKey) }
        await insertAgent(tx, { workspace_id: place.workspaceId, id, group_id: place.id, name, ...keys })
        const itself: Keeper = { principal: { kind: 'agent', id, actor: null }, by: id, environments: [group.environment], requestId }
        await ledger.recordIn(tx, recordOf('agent.enrolled', { group, keeper: itself }, { agent_id: id }))
        return { id, group }
      })
    },
  }
}

interface Made {
  readonly workspaceId: WorkspaceId
  readonly resourceId: string
}

/** What an earlier request under this key has made; undefined for the first. Throws `idempotency_conflict`. */
async function findEarlier (tx: Tx, made: Made, idempotency: Idempotency | undefined): Promise<string | undefined> {
  return idempotency && await claimIdempotencyKey(tx, { ...made, ...idempotency, conflict: 'This key was used with another request.' })
}

function requireVisible (row: AgentGroupRow | undefined, keeper: Keeper): AgentGroupRow {
  if (row === undefined || !keeper.environments.includes(row.environment)) throw new VaultError('not_found')
  return row
}

/** A group, and who does something about it. */
interface Kept {
  readonly group: Pick<AgentGroupRow, 'workspace_id' | 'id' | 'environment'>
  readonly keeper: Keeper
}

function recordOf (event: AuditEventName, { group, keeper }: Kept, details: Record<string, string> = {}): AuditRecord {
  const { principal, requestId } = keeper
  return { event, outcome: 'ok', principal, workspaceId: group.workspace_id, environment: group.environment, requestId, details: { group_id: group.id, ...details } }
}
