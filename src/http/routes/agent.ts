import rateLimit from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import { isVaultError, VaultError } from '../../errors.ts'
import type { InvocationId } from '../../ids.ts'
import { LEASE_SECONDS, OFFER_SECONDS, type AgentPrincipal, type Relay } from '../../relay/index.ts'
import { endWork, knowCaller } from '../admission/book.ts'
import type { App } from '../app.ts'
import { AnswerChallenge, Announce, AskChallenge, AskForWork, Enrol, HoldLease, InvocationOnly, PutChunk, ReportResult } from '../contract/agent-group.ts'
import { keyOf } from '../rate-windows.ts'
import { signalOf } from './invoke.ts'

const BASE = '/v1/agent'
/** Of one code that is wrong, and of all that are, in a minute. */
const WRONG_CODES_MAX = { same: 5, all: 600 }
/** Of one agent in a minute. */
const LOGINS_MAX = 60
/** Of one agent in a minute: a hundred calls a second are a few requests each. What it announces is compiled, for which everybody waits. */
const REQUESTS_MAX = { any: 30_000, announcements: 6 }
const ANNOUNCEMENT_BYTES = 4_194_304
/** A piece of 1 MiB as a JSON text, where every quote is two characters. */
const RESULT_BODY_BYTES = 4_194_304
/** An agent’s token may end while it runs what a caller waits for. */
const endsWork = { endsWork: true }

/** The routes of the agents themselves, on the public listener. */
export async function agentRoutes (app: App, { relay }: { relay: Relay }): Promise<void> {
  await app.register(async (scoped) => { await enrolmentRoute(scoped, relay) })
  await app.register(async (scoped) => { await loginRoutes(scoped, relay) })
  await app.register(async (scoped) => {
    const members = scoped as unknown as App
    members.decorateRequest('agent', null)
    // Before the body is read: strangers make no work.
    members.addHook('onRequest', async (request) => {
      request.agent = await authenticate(request, relay)
      // A group's agents are one customer's.
      knowCaller(request, request.agent.groupId)
    })
    await members.register(rateLimit, {
      max: REQUESTS_MAX.any, timeWindow: 60_000, cache: 20_000, enableDraftSpec: true,
      keyGenerator: (request) => agentOf(request).id,
      errorResponseBuilder: (_request, context) => new VaultError('rate_limited', { retryAfterSeconds: Math.ceil(context.ttl / 1_000) }),
    })
    memberRoutes(members, relay)
    leaseRoutes(members, relay)
  })
}

/** What an agent says of itself, and how it waits for work. */
function memberRoutes (app: App, { announcer, broker }: Relay): void {
  const limited = { rateLimit: { max: REQUESTS_MAX.announcements } }
  app.post(`${BASE}/announce`, { config: limited, bodyLimit: ANNOUNCEMENT_BYTES, schema: { hide: true, body: Announce } }, async (request, reply) => {
    const agent = agentOf(request)
    const { sdk_version: sdkVersion, protocol_version: protocolVersion, host, actions } = request.body
    await announcer.announce(agent, { sdkVersion, protocolVersion, host, actions })
    return await reply.send({ agent_id: agent.id, group_id: agent.groupId, workspace_id: agent.workspaceId, environment: agent.environment })
  })

  app.post(`${BASE}/poll`, { schema: { hide: true, body: AskForWork } }, async (request, reply) => {
    const { capacity, wait_seconds: waitSeconds } = request.body
    // The broker has bounds of its own for those who wait.
    endWork(request)
    const offers = await broker.poll(agentOf(request), { capacity, waitSeconds, signal: signalOf(reply) })
    if (offers.length === 0) return await reply.code(204).send()
    return await reply.send({
      invocations: offers.map(({ id, action, effect, leaseToken }) =>
        ({ invocation_id: id, action, effect, lease_token: leaseToken, lease_seconds: OFFER_SECONDS })),
    })
  })
}

/** What an agent does with what it was offered. */
function leaseRoutes (app: App, { leases }: Relay): void {
  const ONE = `${BASE}/invocations/:invocation_id`
  const leaseOf = (params: { invocation_id: string }, body: { lease_token: string }) =>
    ({ id: params.invocation_id as InvocationId, leaseToken: body.lease_token })

  app.post(`${ONE}/claim`, { config: endsWork, schema: { hide: true, params: InvocationOnly, body: HoldLease } }, async (request) => {
    const claimed = await leases.claim(agentOf(request), leaseOf(request.params, request.body))
    const { id, action, effect, input, encrypted, attempt, deadlineMs } = claimed
    const lease = { lease_seconds: LEASE_SECONDS, heartbeat_seconds: LEASE_SECONDS / 3 }
    return { invocation_id: id, action, effect, input, encrypted, attempt, deadline_ms: deadlineMs, ...lease }
  })

  app.post(`${ONE}/heartbeat`, { config: endsWork, schema: { hide: true, params: InvocationOnly, body: HoldLease } }, async (request) => {
    const { cancel, deadlineMs } = await leases.heartbeat(agentOf(request), leaseOf(request.params, request.body))
    return { cancel, deadline_ms: deadlineMs, lease_seconds: LEASE_SECONDS }
  })

  app.post(`${ONE}/chunks`, { config: endsWork, bodyLimit: RESULT_BODY_BYTES, schema: { hide: true, params: InvocationOnly, body: PutChunk } }, async (request, reply) => {
    const { number, text } = request.body
    await leases.putChunk(agentOf(request), leaseOf(request.params, request.body), { number, text })
    return await reply.code(204).send()
  })

  app.post(`${ONE}/result`, { config: endsWork, bodyLimit: RESULT_BODY_BYTES, schema: { hide: true, params: InvocationOnly, body: ReportResult } }, async (request, reply) => {
    const { outcome, output, chunks, error } = request.body
    if (output !== undefined && chunks !== undefined) throw new VaultError('request_invalid', { errors: [{ pointer: '/chunks', message: 'stands instead of output, not beside it' }] })
    await leases.finish(agentOf(request), leaseOf(request.params, request.body), { outcome, output: output ?? chunks, error })
    return await reply.code(204).send()
  })
}

/**
 * Counts a code that was wrong; throws `rate_limited` instead of what was thrown when there are too
 * many. Nobody else is counted: behind a proxy all have one address, and a right code is let in however
 * many wrong ones others bring.
 */
async function createGuessCounter (app: App): Promise<(request: FastifyRequest) => Promise<void>> {
  await app.register(rateLimit, { global: false, timeWindow: 60_000, cache: 20_000 })
  const limits = [
    app.createRateLimit({ max: WRONG_CODES_MAX.same, keyGenerator: (request) => keyOf((request.body as { code: string }).code) }),
    app.createRateLimit({ max: WRONG_CODES_MAX.all, keyGenerator: () => 'all' }),
  ]
  return async (request) => {
    for (const limit of limits) {
      const counted = await limit(request)
      if (!counted.isAllowed && counted.isExceeded) throw new VaultError('rate_limited', { retryAfterSeconds: counted.ttlInSeconds })
    }
  }
}

/** How a stranger becomes an agent. */
async function enrolmentRoute (app: App, { groups }: Relay): Promise<void> {
  const countGuess = await createGuessCounter(app)
  app.post(`${BASE}/enrol`, { schema: { hide: true, body: Enrol } }, async (request, reply) => {
    const { code, public_key: publicKey, encryption_key: encryptionKey, name } = request.body
    const { id, group } = await groups.enrol({
      code, publicKey: Buffer.from(publicKey, 'base64url'), encryptionKey: encryptionKey === undefined ? undefined : Buffer.from(encryptionKey, 'base64url'), name: name.trim(),
    }, request.id).catch(async (error: unknown) => {
      if (isVaultError(error, 'enrolment_refused')) await countGuess(request)
      throw error
    })
    return await reply.code(201).send({ agent_id: id, group_id: group.id, workspace_id: group.workspace_id, environment: group.environment })
  })
}

/**
 * How an agent shows that it is one. Challenges are counted by whom they are for, answers by their
 * challenge, which only its agent has; the address tells agents from others where there is no proxy.
 */
async function loginRoutes (app: App, { tokens }: Relay): Promise<void> {
  await app.register(rateLimit, {
    max: LOGINS_MAX, timeWindow: 60_000, cache: 20_000, hook: 'preHandler', enableDraftSpec: true,
    keyGenerator: (request) => {
      const { agent_id: agent, challenge } = request.body as { agent_id?: string, challenge?: string }
      return keyOf(agent, challenge, request.ip)
    },
    errorResponseBuilder: (_request, context) => new VaultError('rate_limited', { retryAfterSeconds: Math.ceil(context.ttl / 1_000) }),
  })

  app.post(`${BASE}/challenge`, { config: endsWork, schema: { hide: true, body: AskChallenge } }, async (request) => {
    const { challenge, expiresInSeconds } = await tokens.challenge(request.body.agent_id)
    return { challenge, expires_in: expiresInSeconds }
  })

  app.post(`${BASE}/token`, { config: endsWork, schema: { hide: true, body: AnswerChallenge } }, async (request) => {
    const { challenge, signature } = request.body
    const { token, expiresInSeconds } = await tokens.issue({ challenge, signature: Buffer.from(signature, 'base64url') })
    return { access_token: token, token_type: 'Bearer', expires_in: expiresInSeconds }
  })
}

declare module 'fastify' {
  interface FastifyRequest {
    agent: AgentPrincipal | null
  }
}

async function authenticate (request: FastifyRequest, { tokens }: Relay): Promise<AgentPrincipal> {
  const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined) throw new VaultError('agent_unauthenticated')
  return await tokens.authenticate(token)
}

function agentOf ({ agent }: FastifyRequest): AgentPrincipal {
  if (agent === null) throw new VaultError('agent_unauthenticated')
  return agent
}
