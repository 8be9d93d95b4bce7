import * as store from '../../../src/store/index.ts'
import { BOTH, connectionId, HASH, INTEGRATION, newBatch, of, OLD_KEY, SOME, versionId, versionOf, W, type Case } from './here.ts'

const all = { environments: BOTH, limit: 51 }
const lanes = [{ integration: 'seeded_tokens', environment: 'live' }, { integration: 'stripe', environment: 'sandbox' }] as const
const lease = { owner: 'o', ttlSeconds: 60 }

/** Of connections, versions, uses, refreshes and reminders. A list stands for one function with several filters. */
export const CONNECTION_CASES: Readonly<Record<string, Case | readonly Case[]>> = {
  findConnection: async (here) => await store.findConnection(here.tx, W, here.connection.id),
  listConnections: [
    async ({ tx }) => await store.listConnections(tx, W, all),
    async ({ tx, connection }) => await store.listConnections(tx, W, { ...all, before: connection.id }),
    async ({ tx }) => await store.listConnections(tx, W, { ...all, environments: ['live'] }),
    async ({ tx }) => await store.listConnections(tx, W, { ...all, integration: 'stripe' }),
    async ({ tx }) => await store.listConnections(tx, W, { ...all, status: 'active' }),
    async ({ tx }) => await store.listConnections(tx, W, { ...all, status: 'needs_reauth' }),
    async ({ tx }) => await store.listConnections(tx, W, { ...all, status: 'disabled' }),
    async ({ tx }) => await store.listConnections(tx, W, { ...all, q: 'no such name' }),
    async ({ tx }) => await store.listConnections(tx, W, { ...all, label: 'team=team-7' }),
    async ({ tx }) => await store.listConnections(tx, W, { ...all, label: 'nobody has it' }),
    async ({ tx }) => await store.listConnections(tx, 'nobody' as typeof W, all),
  ],
  isNameTaken: async ({ tx }) => await store.isNameTaken(tx, { workspaceId: W, environment: 'live', nameKey: 'free' }),
  lockConnection: async ({ tx, connection }) => await store.lockConnection(tx, W, connection.id),
  updateConnection: async (here) => { await store.updateConnection(here.tx, of(here), { name: 'new', name_key: 'new' }) },
  setDisabled: async (here) => { await store.setDisabled(here.tx, of(here), { disabled: true, by: 'x' }) },
  deleteConnection: async (here) => { await store.deleteConnection(here.tx, of(here)) },
  countRefusal: async (here) => await store.countRefusal(here.tx, versionOf(here)),
  markNeedsReauth: async (here) => await store.markNeedsReauth(here.tx, versionOf(here), 'r'),
  takeEnded: async ({ tx }) => await store.takeEnded(tx, 500),
  clearRefusals: async (here) => await store.clearRefusals(here.tx, versionOf(here)),
  setAccount: async (here) => { await store.setAccount(here.tx, versionOf(here), { id: 'a', label: null }) },
  listAccountTwins: async ({ tx, connection }) => await store.listAccountTwins(tx, connection, { account: connection.account_id ?? '', hosts: ['127.0.0.1:1'] }),
  insertEvents: async ({ tx, connection }) => {
    await store.insertEvents(tx, [{ id: 'evt_new' as never, type: 'connection.updated', workspace_id: W, environment: 'live', subject_id: connection.id, data: {} }])
  },

  getVersion: async (here) => await store.getVersion(here.tx, of(here), here.connection.current_version),
  listVersions: async (here) => await store.listVersions(here.tx, of(here)),
  findRollbackVersion: async (here) => await store.findRollbackVersion(here.tx, of(here)),
  retireCurrentVersion: async (here) => { await store.retireCurrentVersion(here.tx, of(here), 60) },
  swapVersions: async (here) => { await store.swapVersions(here.tx, of(here), { ...here.versionRow, id: versionId('ver_no'), grace_until: new Date() }) },
  destroyExpiredVersions: async ({ tx }) => await store.destroyExpiredVersions(tx, 500),

  listReferences: async (here) => await store.listReferences(here.tx, of(here)),
  replaceReferences: async (here) => { await store.replaceReferences(here.tx, of(here), [{ procedure_id: 'p', step_id: 's', label: null }]) },
  listUses: async (here) => await store.listUses(here.tx, of(here), 30),
  deriveUses: async ({ tx }) => await store.deriveUses(tx, 5_000),

  claimRefresh: async (here) => await store.claimRefresh(here.tx, versionOf(here), lease),
  listDueLanes: async ({ tx }) => await store.listDueLanes(tx, lanes),
  claimDueRefreshes: async ({ tx }) => await store.claimDueRefreshes(tx, lanes[0], { ...lease, limit: 64 }),
  measureDue: async ({ tx }) => await store.measureDue(tx, lanes, 1_000),
  lockRenewable: async (here) => await store.lockRenewable(here.tx, versionOf(here), { keyId: here.keyId, fence: 0 }),
  storeRenewal: async (here) => {
    const { connection, versionRow } = here
    const successor = { ...versionRow, id: versionId('ver_new'), number: connection.last_version_number + 1, sealed: SOME, keyId: here.keyId }
    await store.storeRenewal(here.tx, versionOf(here), { successor, renewed: connection, batch: newBatch('bat_renewed') })
  },
  lockClaimed: async (here) => await store.lockClaimed(here.tx, versionOf(here), { fence: 0 }),
  releaseRefresh: async (here) => await store.releaseRefresh(here.tx, { ...versionOf(here), fence: 0 }, { nextAt: null, failed: false }),
  noteLostAnswer: async (here) => await store.noteLostAnswer(here.tx, versionOf(here), { claim: { fence: 0 }, lostAt: new Date() }),
  isRefreshing: async (here) => await store.isRefreshing(here.tx, versionOf(here)),
  keepAnswer: async (here) => await store.keepAnswer(here.tx, {
    workspace_id: W, connection_id: here.connection.id, environment: 'live', version_id: here.connection.current_version, started_at: new Date(), sealed: SOME, key_id: here.keyId,
  }, { fence: 0 }),
  findAnswer: async (here) => await store.findAnswer(here.tx, versionOf(here)),
  dropAnswer: async (here) => { await store.dropAnswer(here.tx, versionOf(here)) },
  takeReminders: async ({ tx }) => await store.takeReminders(tx, { marks: [14, 7, 3, 1], limit: 500 }),

  claimIdempotencyKey: async ({ tx }) => await store.claimIdempotencyKey(tx, { workspaceId: W, keyHash: HASH, fingerprint: fingerprint(), resourceId: 'x' }),
  isRepeated: async ({ tx }) => await store.isRepeated(tx, { workspaceId: W, keyHash: HASH, fingerprint: fingerprint() }),
  releaseIdempotencyKey: async ({ tx }) => { await store.releaseIdempotencyKey(tx, { workspaceId: W, keyHash: HASH, resourceId: 'x' }) },
  purgeIdempotencyKeys: async ({ tx }) => await store.purgeIdempotencyKeys(tx, 500),
  claimInvocation: async ({ tx }) => await store.claimInvocation(tx, invocation(), { fromTheDead: true }),
  renewInvocation: async ({ tx }) => { await store.renewInvocation(tx, invocation()) },
  releaseInvocation: async ({ tx }) => { await store.releaseInvocation(tx, invocation()) },
  finishInvocation: async ({ tx }) => { await store.finishInvocation(tx, invocation(), { connectionId: connectionId('c'), environment: 'live', sealed: SOME, keyId: OLD_KEY.id }) },

  findIntegration: [
    async ({ tx }) => await store.findIntegration(tx, INTEGRATION),
    async ({ tx }) => await store.findIntegration(tx, INTEGRATION, 1),
  ],
  measureIntegrations: async ({ tx }) => await store.measureIntegrations(tx, W),
  lockIntegration: async ({ tx }) => await store.lockIntegration(tx, INTEGRATION),
  listIntegrations: [
    async ({ tx }) => await store.listIntegrations(tx, W, { before: undefined, limit: 51 }),
    async ({ tx }) => await store.listIntegrations(tx, W, { before: INTEGRATION.id, limit: 51 }),
  ],
  findNewestRevision: async ({ tx }) => await store.findNewestRevision(tx, INTEGRATION),
  listRevisions: async ({ tx }) => await store.listRevisions(tx, INTEGRATION),
  getImport: async ({ tx }) => await store.getImport(tx, INTEGRATION),
  listActionSummaries: async ({ tx }) => await store.listActionSummaries(tx, INTEGRATION),
  findAction: async ({ tx }) => await store.findAction(tx, INTEGRATION, { name: 'action_1', whole: true }),
  findLastRevisionOf: async ({ tx }) => await store.findLastRevisionOf(tx, INTEGRATION, 'action_1'),
  listActionNames: async ({ tx }) => await store.listActionNames(tx, { ...INTEGRATION, revision: 1 }, 51),
  listKnownActions: async ({ tx }) => await store.listKnownActions(tx, INTEGRATION, ['action_1']),
  readPacked: async ({ tx }) => await store.readPacked(tx, INTEGRATION),
  listConnectionsOf: async ({ tx }) => await store.listConnectionsOf(tx, INTEGRATION, { environments: BOTH, limit: 20 }),
  deleteIntegration: async ({ tx }) => await store.deleteIntegration(tx, INTEGRATION),
}

const fingerprint = () => ({ bytes: HASH, forms: [HASH], matches: () => true }) as never
const invocation = () => ({ workspaceId: W, keyHash: HASH, fingerprint: fingerprint(), invocationId: 'inv_x' as never, leaseMs: 1_000 })
