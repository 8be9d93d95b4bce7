import { Type } from 'typebox'
import type { Macs } from '../../crypto/index.ts'
import type { AgentId, GroupId, WorkspaceId } from '../../ids.ts'
import type { Relay } from '../../relay/index.ts'
import type { AgentGroupRow, AgentRow } from '../../store/index.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { AgentGroup, AgentGroupPage, AgentGroupSummary, AgentParams, Agents, CreateAgentGroup, EnrolmentCode, GroupParams, ListAgentGroups } from '../contract/agent-group.ts'
import { IdempotencyHeaders, WorkspaceParams } from '../contract/parts.ts'
import { readIdempotency } from './idempotency.ts'
import { pageOf, readCursor } from './paging.ts'

const BASE = '/v1/workspaces/:workspace_id/agent-groups'
const ONE = `${BASE}/:group_id`
const tags = ['private']

/** Groups of agents in customers' networks, and who is in them. */
export function agentGroupRoutes (app: App, { relay: { groups, announcer }, macs }: { relay: Relay, macs: Macs }): void {
  createRoutes(app, groups, macs)
  app.get(BASE, {
    schema: { tags, operationId: 'listAgentGroups', summary: 'List groups of agents, newest first', params: WorkspaceParams, querystring: ListAgentGroups, response: { 200: AgentGroupPage } },
  }, async (request) => {
    const { environment, cursor, limit = 50 } = request.query
    const [before] = cursor === undefined ? [] : readCursor(cursor, ['group'])
    const environments = callerOf(request).environments.filter((one) => environment === undefined || one === environment)
    const rows = await groups.list(request.params.workspace_id as WorkspaceId, { environments, before: before as GroupId | undefined, limit: limit + 1 })
    const { items, next } = pageOf(rows, limit, (row) => [row.id])
    return { agent_groups: items.map(present), next_cursor: next }
  })

  app.get(ONE, {
    schema: { tags, operationId: 'getAgentGroup', summary: 'Get a group with what its agents can run', params: GroupParams, response: { 200: AgentGroup } },
    config: { errors: ['not_found'] },
  }, async (request) => {
    const of = placeOf(request.params)
    const group = await groups.get(of, callerOf(request))
    const { actions, conflicts } = await announcer.listActions(of)
    return {
      ...present(group), online: group.online, conflicts: [...conflicts],
      actions: actions.map(({ name, title = null, effect, input, output, agents }) => ({
        name, title, effect, input: input as Record<string, unknown>, output: (output ?? null) as Record<string, unknown> | null, agents,
      })),
    }
  })

  app.delete(ONE, {
    schema: { tags, operationId: 'deleteAgentGroup', summary: 'Delete a group whose agents are all revoked', params: GroupParams, response: { 204: Type.Null({ description: 'Deleted.' }) } },
    config: { errors: ['not_found', 'agent_group_in_use'] },
  }, async (request, reply) => {
    await groups.remove(placeOf(request.params), callerOf(request))
    return await reply.code(204).send(null)
  })

  membershipRoutes(app, groups)
}

function createRoutes (app: App, groups: Relay['groups'], macs: Macs): void {
  const readKey = async (key: string | undefined, meant: object) => await readIdempotency(macs, key, { kind: 'agents', text: JSON.stringify(meant) })

  app.post(BASE, {
    schema: { tags, operationId: 'createAgentGroup', summary: 'Make a group of agents', params: WorkspaceParams, headers: IdempotencyHeaders, body: CreateAgentGroup, response: { 201: AgentGroupSummary } },
    config: { errors: ['not_found', 'name_taken', 'idempotency_conflict', 'kek_unavailable'] },
  }, async (request, reply) => {
    const { name, environment } = request.body
    const idempotency = await readKey(request.headers['idempotency-key'], { name, environment })
    const { workspace_id: workspaceId } = request.params
    const { group, replayed } = await groups.create(workspaceId as WorkspaceId, { name: name.trim(), environment, idempotency }, callerOf(request))
    if (replayed) reply.header('idempotent-replayed', 'true')
    return await reply.code(201).header('location', `${BASE.replace(':workspace_id', group.workspace_id)}/${group.id}`).send(present(group))
  })

  app.post(`${ONE}/enrolment-codes`, {
    schema: {
      tags, operationId: 'createEnrolmentCode', summary: 'Let one agent into the group', description: 'The code is for one agent and for 15 minutes. It is shown once.', params: GroupParams,
      headers: IdempotencyHeaders, response: { 201: EnrolmentCode },
    },
    config: { errors: ['not_found', 'idempotency_conflict', 'kek_unavailable'] },
  }, async (request, reply) => {
    const of = placeOf(request.params)
    const { code, expiresAt } = await groups.createCode(of, callerOf(request), await readKey(request.headers['idempotency-key'], { group: of.id }))
    if (code === undefined) reply.header('idempotent-replayed', 'true')
    return await reply.code(201).send({ ...code !== undefined && { code }, expires_at: expiresAt.toISOString() })
  })
}

function membershipRoutes (app: App, groups: Relay['groups']): void {
  app.get(`${ONE}/agents`, {
    schema: { tags, operationId: 'listAgents', summary: 'List the agents of a group', params: GroupParams, response: { 200: Agents } },
    config: { errors: ['not_found'] },
  }, async (request) => ({ agents: (await groups.listAgents(placeOf(request.params), callerOf(request))).map(presentAgent) }))

  app.delete(`${ONE}/agents/:agent_id`, {
    schema: { tags, operationId: 'revokeAgent', summary: 'Revoke an agent, at once', params: AgentParams, response: { 204: Type.Null({ description: 'Revoked.' }) } },
    config: { errors: ['not_found'] },
  }, async (request, reply) => {
    await groups.revoke(placeOf(request.params), request.params.agent_id as AgentId, callerOf(request))
    return await reply.code(204).send(null)
  })
}

function placeOf (params: { workspace_id: string, group_id: string }) {
  return { workspaceId: params.workspace_id as WorkspaceId, id: params.group_id as GroupId }
}

function present (group: AgentGroupRow) {
  const { id, workspace_id: workspaceId, environment, name, created_by: createdBy, created_at: createdAt } = group
  return { id, workspace_id: workspaceId, environment, name, created_by: createdBy, created_at: createdAt.toISOString() }
}

function presentAgent (agent: AgentRow) {
  return {
    id: agent.id, name: agent.name, host: agent.host, encryption_key: agent.encryption_key?.toString('base64url') ?? null, sdk_version: agent.sdk_version, protocol_version: agent.protocol_version,
    last_seen_at: agent.last_seen_at?.toISOString() ?? null, enrolled_at: agent.enrolled_at.toISOString(),
    revoked_at: agent.revoked_at?.toISOString() ?? null, revoked_by: agent.revoked_by,
  }
}
