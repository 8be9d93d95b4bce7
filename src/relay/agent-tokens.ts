import { isSignedBy, randomNonce, type Mac, type MacPurpose, type Macs } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { isId, type AgentId, type Environment, type GroupId, type WorkspaceId } from '../ids.ts'
import { findAgent, guard, noteAgentSeen, readClock, spendChallenge, type AgentWithGroup, type Database } from '../store/index.ts'

/** An agent that has shown who it is. */
export interface AgentPrincipal {
  readonly workspaceId: WorkspaceId
  readonly groupId: GroupId
  readonly id: AgentId
  readonly environment: Environment
  /** Which of its announcements counts. */
  readonly announcedAt: Date | null
}

export interface AgentTokens {
  /** A text to be signed within a minute, for whoever asks: that an agent exists is no secret worth an oracle. */
  challenge (agentId: string): Promise<{ challenge: string, expiresInSeconds: number }>
  /** A token for ten minutes. Throws `agent_unauthenticated`, `agent_revoked`. */
  issue (claim: { challenge: string, signature: Uint8Array }): Promise<{ token: string, expiresInSeconds: number }>
  /** Who brings a token; asked anew each time, so that a revoked agent is nobody at once. Throws `agent_unauthenticated`, `agent_revoked`. */
  authenticate (token: string): Promise<AgentPrincipal>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'reads'>
  readonly macs: Macs
}

const CHALLENGE_SECONDS = 60
const TOKEN_SECONDS = 600
const CHALLENGE_PREFIX = 'cvc'
const TOKEN_PREFIX = 'cva'

/** What an agent signs: told apart from anything else the same key might ever sign. */
export function challengeMessage (challenge: string): string {
  return `connection-vault agent token 1\n${challenge}`
}

/**
 * Agents prove themselves by signing; there is no lasting shared secret. Challenges and tokens are
 * texts under a MAC of the vault's own key, good at every replica, and kept nowhere; their ends are
 * in the database's time, so that the replicas' clocks may differ.
 */
export function createAgentTokens ({ database, macs }: Options): AgentTokens {
  const sign = async (purpose: MacPurpose, prefix: string, said: readonly string[]): Promise<string> => {
    const body = [prefix, ...said].join('.')
    const { keyId, mac } = (await macs.key(purpose)).compute(body)
    return `${body}.${keyId}.${mac.toString('base64url')}`
  }
  /** What was said, if it is ours. The last part is when its time is over, in seconds since 1970. */
  const read = async (purpose: MacPurpose, prefix: string, text: string): Promise<string[] | undefined> => {
    const parts = text.length > 500 ? [] : text.split('.')
    const [keyId, mac] = parts.slice(-2)
    if (parts.length < 4 || parts[0] !== prefix || keyId === undefined || mac === undefined) return undefined
    const said = parts.slice(1, -2)
    const given = { keyId, mac: Buffer.from(mac, 'base64url') } as Mac
    if (!await macs.verify(purpose, [prefix, ...said].join('.'), given)) return undefined
    return said
  }

  /** Whose it is, if its time is not over. */
  const requireAgent = async ([id = '', ...rest]: readonly string[]): Promise<AgentWithGroup> => {
    const agent = isId('agent', id) ? await guard(() => findAgent(database.reads, id)) : undefined
    if (agent === undefined || !(Number(rest.at(-1)) > agent.now)) throw new VaultError('agent_unauthenticated')
    return agent
  }
  const refuseRevoked = (agent: AgentWithGroup): AgentWithGroup => {
    if (agent.revoked_at !== null) throw new VaultError('agent_revoked')
    return agent
  }

  return Object.freeze({
    challenge: async (agentId: string) => ({
      challenge: await sign('agent-challenge', CHALLENGE_PREFIX, [agentId, randomNonce().toString('base64url'), endAfter(await guard(() => readClock(database.db)), CHALLENGE_SECONDS)]),
      expiresInSeconds: CHALLENGE_SECONDS,
    }),
    issue: async ({ challenge, signature }: { challenge: string, signature: Uint8Array }) => {
      const said = await read('agent-challenge', CHALLENGE_PREFIX, challenge) ?? []
      const agent = await requireAgent(said)
      if (!isSignedBy(agent.public_key, challengeMessage(challenge), signature)) throw new VaultError('agent_unauthenticated')
      refuseRevoked(agent)
      const place = { workspaceId: agent.workspace_id, id: agent.id }
      const fresh = await guard(() => spendChallenge(database.db, place, { nonce: Buffer.from(said[1] ?? '', 'base64url'), ttlSeconds: CHALLENGE_SECONDS * 2 }))
      if (!fresh) throw new VaultError('agent_unauthenticated', { detail: 'This challenge was answered before.' })
      return { token: await sign('agent-token', TOKEN_PREFIX, [agent.id, endAfter(agent.now, TOKEN_SECONDS)]), expiresInSeconds: TOKEN_SECONDS }
    },
    authenticate: async (token: string) => {
      const agent = refuseRevoked(await requireAgent(await read('agent-token', TOKEN_PREFIX, token) ?? []))
      if (agent.seen_long_ago) await guard(() => noteAgentSeen(database.db, { workspaceId: agent.workspace_id, id: agent.id }))
      return { workspaceId: agent.workspace_id, groupId: agent.group_id, id: agent.id, environment: agent.environment, announcedAt: agent.announced_at }
    },
  })
}

function endAfter (now: number, seconds: number): string {
  return String(Math.floor(now) + seconds)
}
