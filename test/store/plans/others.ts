import * as store from '../../../src/store/index.ts'
import { AGENT, APP, BOTH, daysAgo, EVENT, GROUP, HASH, INVOCATION, newBatch, OLD_KEY, REVOCATION, SESSION, SOME, W, WEBHOOK, type Case, type Here } from './here.ts'

const place = { owner: W, integration: 'int1', environment: 'live' } as const
const app = { workspace_id: W, id: APP }
const attempt = { webhookId: WEBHOOK, url: '', event: { id: EVENT } as store.EventRow, number: 1 }
const pending = { workspace_id: W, session_id: SESSION.id, connection_id: 'c', id: 'v', environment: 'live', stage: 'choosing', integration: 'i', auth: 'a', config: '{}', choices: '[]', field_set: [], hosts: [], host_config: '{}', previews: '{}', sealed: SOME, key_id: 'k' } as never
const state = { workspace_id: W, session_id: SESSION.id, id: 'v', environment: 'live', state_hash: HASH, integration: 'i', auth: 'a', config: '{}', app_owner: '', app_id: 'a', scopes: [] } as never
const holding = { ...INVOCATION, group: GROUP.id, agentId: AGENT.id, tokenHash: HASH }
const ending = { outcome: 'succeeded', error: null, result: null, chunks: 0, answered: true } as const
const batch = newBatch('bat_other')
const queued = (here: Here) => ({
  ...here.claimed, id: 'inv_new' as never, asked_by: '{}', input: SOME, input_key_id: here.keyId, state: undefined, outcome: undefined, queueMs: 1_000, deadlineMs: 1_000,
} as unknown as store.NewRelayInvocation)

/** Of sessions, apps, revocations, events, webhooks, tokens and agents. */
export const OTHER_CASES: Readonly<Record<string, Case | readonly Case[]>> = {
  findSession: async ({ tx }) => await store.findSession(tx, W, SESSION.id),
  findSessionByToken: async ({ tx }) => await store.findSessionByToken(tx, HASH),
  lockSession: async ({ tx }) => await store.lockSession(tx, SESSION),
  bindSession: async ({ tx }) => await store.bindSession(tx, SESSION, HASH),
  countAttempt: async ({ tx }) => await store.countAttempt(tx, SESSION, 5),
  awaitConfirmation: async ({ tx }) => { await store.awaitConfirmation(tx, SESSION, { hash: HASH, ttlSeconds: 60 }).catch(() => undefined) },
  replaceCompletion: async ({ tx }) => { await store.replaceCompletion(tx, SESSION, HASH).catch(() => undefined) },
  completeSession: async ({ tx }) => { await store.completeSession(tx, SESSION, 'c' as never).catch(() => undefined) },
  endSession: async ({ tx }) => { await store.endSession(tx, SESSION, 'r') },
  listDueSessions: async ({ tx }) => await store.listDueSessions(tx, 100),
  purgeSessions: async ({ tx }) => await store.purgeSessions(tx, 500),
  replaceState: async ({ tx }) => { await store.replaceState(tx, state, 60) },
  findState: async ({ tx }) => await store.findState(tx, HASH),
  takeState: async ({ tx }) => await store.takeState(tx, { workspaceId: W, stateHash: HASH }),
  replacePendingLink: async ({ tx }) => { await store.replacePendingLink(tx, pending) },
  findPendingLink: async ({ tx }) => await store.findPendingLink(tx, SESSION),
  deletePendingLink: async ({ tx }) => { await store.deletePendingLink(tx, SESSION) },

  lockApp: async ({ tx }) => await store.lockApp(tx, place),
  findApp: async ({ tx }) => await store.findApp(tx, place),
  findAppFor: async ({ tx }) => await store.findAppFor(tx, { workspaceId: W, integration: 'int1', environment: 'live' }),
  findAppById: async ({ tx }) => await store.findAppById(tx, W, APP),
  listApps: async ({ tx }) => await store.listApps(tx, W, BOTH),
  updateApp: async ({ tx }) => { await store.updateApp(tx, app, { client_id: 'c', scopes: '{}', last_secret_number: 3, updated_by: 'x' }) },
  pauseApp: async ({ tx }) => await store.pauseApp(tx, app, { error: 'e', pauseSeconds: 60 }),
  resumeApp: async ({ tx }) => await store.resumeApp(tx, app),
  deleteApp: async ({ tx }) => { await store.deleteApp(tx, app) },
  countGrants: async ({ tx }) => await store.countGrants(tx, APP),
  replaceAppSecret: async ({ tx }) => {
    await store.replaceAppSecret(tx, { workspace_id: W, app_id: APP, id: 'v', number: 9, state: 'current', hosts: [], preview: '', sealed: SOME, key_id: 'k', created_by: 'x', environment: 'live' } as never, 60)
  },
  listAppSecrets: async ({ tx }) => await store.listAppSecrets(tx, W, APP),
  destroyExpiredAppSecrets: async ({ tx }) => await store.destroyExpiredAppSecrets(tx),

  claimRevocations: [
    async ({ tx }) => await store.claimRevocations(tx, { limit: 20, pauseSeconds: 60 }),
    async ({ tx }) => await store.claimRevocations(tx, { limit: 1, pauseSeconds: 60, id: REVOCATION.id }),
  ],
  deleteRevocation: async ({ tx }) => { await store.deleteRevocation(tx, REVOCATION) },
  isGrantShared: [
    async ({ tx, connection, versionRow }) => await store.isGrantShared(tx, { appId: versionRow.app_id as never, integration: connection.integration, environment: connection.environment, schemes: ['oauth'], except: connection.id, accountId: 'nobody', holder: 'nobody', wholeAccount: false }),
    async ({ tx, connection, versionRow }) => await store.isGrantShared(tx, { appId: versionRow.app_id as never, integration: connection.integration, environment: connection.environment, schemes: ['oauth'], except: connection.id, accountId: 'nobody', holder: 'nobody', wholeAccount: true }),
  ],

  hasUnpublished: async ({ tx }) => await store.hasUnpublished(tx),
  publishEvents: async ({ tx }) => await store.publishEvents(tx, 500),
  listFeed: [
    async ({ tx }) => await store.listFeed(tx, { after: 15_000, limit: 100 }),
    async ({ tx }) => await store.listFeed(tx, { after: 0, limit: 100, workspaceId: W }),
    async ({ tx }) => await store.listFeed(tx, { after: 0, limit: 100, type: 'connection.deleted' }),
  ],
  getFeed: async ({ tx }) => await store.getFeed(tx),
  clearEvents: async ({ tx }) => await store.clearEvents(tx, { days: 30, limit: 1_000 }),
  countWebhooks: async ({ tx }) => await store.countWebhooks(tx),
  listWebhooks: async ({ tx }) => await store.listWebhooks(tx),
  findWebhook: async ({ tx }) => await store.findWebhook(tx, WEBHOOK),
  lockWebhook: async ({ tx }) => await store.lockWebhook(tx, WEBHOOK),
  updateWebhook: async ({ tx }) => { await store.updateWebhook(tx, WEBHOOK, { description: 'd' }) },
  disableWebhook: async ({ tx }) => await store.disableWebhook(tx, WEBHOOK, { reason: 'r', by: 'x' }),
  enableWebhook: async ({ tx }) => await store.enableWebhook(tx, WEBHOOK, 'x'),
  deleteWebhook: async ({ tx }) => await store.deleteWebhook(tx, 'wh_nobody' as never),
  replaceWebhookSecret: async ({ tx }) => {
    await store.replaceWebhookSecret(tx, { webhook_id: WEBHOOK, id: 'v', number: 9, state: 'current', sealed: SOME, key_id: 'k' as never, created_by: 'x' } as never, 60)
  },
  listWebhookSecrets: async ({ tx }) => await store.listWebhookSecrets(tx, WEBHOOK),
  deleteExpiredWebhookSecrets: async ({ tx }) => { await store.deleteExpiredWebhookSecrets(tx) },
  listDueWebhooks: async ({ tx }) => await store.listDueWebhooks(tx, 100),
  claimDelivery: async ({ tx }) => await store.claimDelivery(tx, WEBHOOK, 60),
  markDelivered: async ({ tx }) => { await store.markDelivered(tx, attempt, 200) },
  markUndelivered: async ({ tx }) => await store.markUndelivered(tx, attempt, { status: 500, error: 'e', retrySeconds: 60, giveUpSeconds: 3_600 }),
  listDeliveries: [
    async ({ tx }) => await store.listDeliveries(tx, { webhookId: WEBHOOK, limit: 51 }),
    async ({ tx }) => await store.listDeliveries(tx, { webhookId: WEBHOOK, state: 'failed', before: EVENT, limit: 51 }),
    async ({ tx }) => await store.listDeliveries(tx, { webhookId: WEBHOOK, state: 'pending', limit: 51 }),
  ],
  queueReplay: [
    async ({ tx }) => await store.queueReplay(tx, { webhookId: WEBHOOK, eventIds: [EVENT], delivered: true }),
    async ({ tx }) => await store.queueReplay(tx, { webhookId: WEBHOOK, from: daysAgo(1), delivered: true }),
  ],
  measureDeliveries: async ({ tx }) => await store.measureDeliveries(tx, 100),

  findUsableToken: async ({ reads }) => await store.findUsableToken(reads, HASH),
  findTokenByIdempotency: async ({ tx }) => await store.findTokenByIdempotency(tx, HASH),
  listTokens: async ({ tx }) => await store.listTokens(tx, { limit: 51 }),
  revokeToken: async ({ tx }) => await store.revokeToken(tx, 'tok_nobody' as never, 'x'),

  findAgentGroup: async ({ tx }) => await store.findAgentGroup(tx, GROUP),
  lockAgentGroup: async ({ tx }) => await store.lockAgentGroup(tx, GROUP),
  listAgentGroups: async ({ tx }) => await store.listAgentGroups(tx, W, { environments: BOTH, before: undefined, limit: 51 }),
  deleteAgentGroup: async ({ tx }) => { await store.deleteAgentGroup(tx, GROUP) },
  findEnrolmentCode: async ({ tx }) => await store.findEnrolmentCode(tx, GROUP, HASH),
  isEnrolmentCode: async ({ reads }) => await store.isEnrolmentCode(reads, HASH),
  takeEnrolmentCode: async ({ tx }) => await store.takeEnrolmentCode(tx, HASH),
  readClock: async ({ tx }) => await store.readClock(tx),
  findAgent: async ({ reads }) => await store.findAgent(reads, AGENT.id),
  listAgents: async ({ tx }) => await store.listAgents(tx, GROUP),
  listPresentAgents: async ({ reads }) => await store.listPresentAgents(reads, GROUP, 60),
  isAgentRevoked: async ({ tx }) => await store.isAgentRevoked(tx, AGENT),
  findAnnouncedActions: async ({ tx }) => await store.findAnnouncedActions(tx, AGENT),
  holdAgentGroup: async ({ tx }) => await store.holdAgentGroup(tx, GROUP, 'live'),
  listConnectionsOfGroup: async ({ tx }) => await store.listConnectionsOfGroup(tx, GROUP),
  updateAnnouncement: async ({ tx }) => { await store.updateAnnouncement(tx, AGENT, { sdkVersion: '1', protocolVersion: 1, host: 'h', actions: '[]' }) },
  noteAgentSeen: async ({ tx }) => { await store.noteAgentSeen(tx, AGENT) },
  revokeAgent: async ({ tx }) => await store.revokeAgent(tx, AGENT, 'x'),
  spendChallenge: async ({ tx }) => await store.spendChallenge(tx, AGENT, { nonce: SOME, ttlSeconds: 60 }),
  purgeEnrolments: async ({ tx }) => await store.purgeEnrolments(tx),

  countWaiting: async ({ reads }) => await store.countWaiting(reads, GROUP, 100),
  enqueueRelayInvocation: async (here) => await store.enqueueRelayInvocation(here.reads, queued(here), { batch, waitingMax: 100 }),
  succeedRelayInvocation: async (here) => await store.succeedRelayInvocation(here.reads, here.claimed, { batch: { ...batch, id: 'bat_succeeded' }, sealed: SOME, keyId: here.keyId }),
  findRelayInvocation: async ({ reads }) => await store.findRelayInvocation(reads, INVOCATION),
  lockRelayInvocation: async ({ tx }) => await store.lockRelayInvocation(tx, INVOCATION),
  offerInvocations: async ({ reads }) => await store.offerInvocations(reads, { group: GROUP, agentId: AGENT.id, actions: ['a'], limit: 10, tokenHash: HASH, offerMs: 1_000 }),
  withdrawOffers: async ({ tx }) => { await store.withdrawOffers(tx, GROUP, { ids: [INVOCATION.id], tokenHash: HASH }) },
  claimOffer: async ({ reads }) => await store.claimOffer(reads, holding, 1_000),
  extendLease: async ({ tx }) => await store.extendLease(tx, holding, 1_000),
  endRelayInvocation: async ({ tx, claimed }) => await store.endRelayInvocation(tx, { workspaceId: claimed.workspace_id, id: claimed.id }, ending),
  requeueRelayInvocation: async ({ tx, claimed }) => { await store.requeueRelayInvocation(tx, { workspaceId: claimed.workspace_id, id: claimed.id }) },
  takeOverdueRelays: async ({ tx }) => await store.takeOverdueRelays(tx, 100, 5_000),
  requestCancel: async ({ tx }) => await store.requestCancel(tx, INVOCATION),
  endLeasesOf: async ({ tx }) => { await store.endLeasesOf(tx, { workspaceId: W, agentId: AGENT.id }) },
  listGroupsWithWork: async ({ tx }) => await store.listGroupsWithWork(tx, [GROUP]),
  listEndedRelays: async ({ tx }) => await store.listEndedRelays(tx, [INVOCATION]),
  purgeRelayInvocations: async ({ tx }) => await store.purgeRelayInvocations(tx, 500),
  noteGroupsOnline: async ({ tx }) => await store.noteGroupsOnline(tx, 60),
  putRelayChunk: async ({ tx }) => {
    await store.putRelayChunk(tx, { ...INVOCATION, claim: 1, number: 2 }, { sealed: SOME, keyId: OLD_KEY.id, bytes: 1, environment: 'live', connection_id: 'c' as never })
  },
  listRelayChunks: async ({ tx }) => await store.listRelayChunks(tx, { ...INVOCATION, claim: 1 }),
  measureRelayChunks: async ({ tx }) => await store.measureRelayChunks(tx, { ...INVOCATION, claim: 1, number: 2 }),
}
