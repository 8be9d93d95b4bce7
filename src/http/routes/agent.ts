import rateLimit from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import { VaultError } from '../../errors.ts'
import type { AgentPrincipal, Relay } from '../../relay/index.ts'
import type { App } from '../app.ts'
import { AnswerChallenge, Announce, AskChallenge, Enrol } from '../contract/agent-group.ts'

const BASE = '/v1/agent'
/** Strangers may knock this often in a minute, from one address. */
const KNOCKS_MAX = 60

/** The routes of the agents themselves, on the public listener. */
export async function agentRoutes (app: App, { relay }: { relay: Relay }): Promise<void> {
  await app.register(async (strangers) => {
    await strangers.register(rateLimit, {
      max: KNOCKS_MAX, timeWindow: 60_000, cache: 20_000,
      errorResponseBuilder: (_request, context) => new VaultError('rate_limited', { retryAfterSeconds: Math.ceil(context.ttl / 1_000) }),
    })
    enrolmentRoutes(strangers, relay)
  })

  app.post(`${BASE}/announce`, { schema: { hide: true, body: Announce } }, async (request, reply) => {
    const agent = await agentOf(request, relay)
    const { sdk_version: sdkVersion, protocol_version: protocolVersion, host, actions } = request.body
    await relay.announcer.announce(agent, { sdkVersion, protocolVersion, host, actions })
    return await reply.send({ agent_id: agent.id, group_id: agent.groupId, workspace_id: agent.workspaceId, environment: agent.environment })
  })
}

/** How a stranger becomes an agent, and an agent shows that it is one. */
function enrolmentRoutes (app: App, { groups, tokens }: Relay): void {
  app.post(`${BASE}/enrol`, { schema: { hide: true, body: Enrol } }, async (request, reply) => {
    const { code, public_key: publicKey, name } = request.body
    const { id, group } = await groups.enrol({ code, publicKey: Buffer.from(publicKey, 'base64url'), name: name.trim() }, request.id)
    return await reply.code(201).send({ agent_id: id, group_id: group.id, workspace_id: group.workspace_id, environment: group.environment })
  })

  app.post(`${BASE}/challenge`, { schema: { hide: true, body: AskChallenge } }, async (request) => {
    const { challenge, expiresInSeconds } = await tokens.challenge(request.body.agent_id)
    return { challenge, expires_in: expiresInSeconds }
  })

  app.post(`${BASE}/token`, { schema: { hide: true, body: AnswerChallenge } }, async (request) => {
    const { challenge, signature } = request.body
    const { token, expiresInSeconds } = await tokens.issue({ challenge, signature: Buffer.from(signature, 'base64url') })
    return { access_token: token, token_type: 'Bearer', expires_in: expiresInSeconds }
  })
}

async function agentOf (request: FastifyRequest, { tokens }: Relay): Promise<AgentPrincipal> {
  const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined) throw new VaultError('agent_unauthenticated')
  return await tokens.authenticate(token)
}
