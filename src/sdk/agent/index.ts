/**
 * Agents: programs in a customer's own network that run the actions of private connections.
 *
 * Invariants
 * - Every connection is opened from here, over HTTPS, to the vault; nothing listens.
 * - Credentials stay on this machine, and are taken out of whatever leaves it.
 * - Only what the map of actions names can be run.
 */
export { ActionError, AgentError, type Action, type ActionContext, type Actions, type Effect, type ErrorClass, type JsonSchema } from './action.ts'
export { readAgentConfig, type AgentConfig } from './config.ts'
export { createAgent, type Agent, type AgentOptions } from './create-agent.ts'
export type { CredentialSource, CredentialSources } from './credentials.ts'
export { defineHttpAction, type HttpActionOptions } from './http-action.ts'
export { jsonLog, type Log } from './log.ts'
export { actionsFromOpenApi, type OpenApiActions, type OpenApiOptions } from './openapi.ts'
