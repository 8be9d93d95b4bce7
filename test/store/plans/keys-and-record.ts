import { toRow } from '../../../src/ledger/record.ts'
import * as store from '../../../src/store/index.ts'
import { createKekCheckTable, createKeyTable } from '../../../src/store/index.ts'
import { BOTH, daysAgo, HASH, newBatch, of, OLD_KEY, OTHER_KEY, SCOPE, SOME, SYSTEM, versionOf, W, type Case, type Here } from './here.ts'

const stored = { id: OLD_KEY.id, kekId: 'kek', wrapped: SOME }
const batch = newBatch('bat_new')
const audit = { workspaceId: W, environments: BOTH, limit: 101 }
const perColumn = (work: (here: Here, column: store.SealedColumn) => Promise<unknown>): Case => async (here) => {
  for (const column of here.columns) await work(here, column)
}

/** Of keys, sealed rows and the record. */
export const KEY_AND_RECORD_CASES: Readonly<Record<string, Case | readonly Case[]>> = {
  createKeyTable: async ({ reads, keyId }) => {
    const table = createKeyTable(reads)
    for (const scope of [SCOPE, SYSTEM]) {
      await table.find(scope, keyId)
      await table.findCurrent(scope)
      await table.listReplaced(scope, 3_600)
    }
  },
  createKekCheckTable: async ({ reads }) => await createKekCheckTable(reads).listChecks(),
  holdCurrentKey: async ({ tx, keyId }) => await store.holdCurrentKey(tx, W, keyId),
  listKeysToReplace: [
    async ({ tx }) => await store.listKeysToReplace(tx, { before: new Date(), kind: 'workspace', workspaceId: null, environment: null }, 16),
    async ({ tx }) => await store.listKeysToReplace(tx, { before: new Date(), kind: 'workspace', workspaceId: null, environment: 'live' }, 16),
    async ({ tx }) => await store.listKeysToReplace(tx, { before: daysAgo(500), kind: 'workspace', workspaceId: W, environment: null }, 16),
    async ({ tx }) => await store.listKeysToReplace(tx, { before: new Date(), kind: 'system', workspaceId: null, environment: null }, 16),
  ],
  replaceKey: async ({ tx, keyId }) => await store.replaceKey(tx, SCOPE, { old: keyId, made: { ...stored, id: 'key_made' as never } }).catch(() => undefined),
  listKeysToRewrap: async ({ tx }) => await store.listKeysToRewrap(tx, { before: new Date(), except: [], limit: 16 }),
  storeRewrapped: async ({ tx }) => await store.storeRewrapped(tx, { scope: SCOPE, stored }, stored).catch(() => undefined),
  listPreviousKeys: [
    async ({ tx }) => await store.listPreviousKeys(tx, { after: undefined, limit: 100 }),
    async ({ tx }) => await store.listPreviousKeys(tx, { after: OLD_KEY, limit: 100 }),
  ],
  lockKey: async ({ tx }) => await store.lockKey(tx, SCOPE, OLD_KEY.id),
  markKey: async ({ tx }) => { await store.markKey(tx, { scope: SCOPE, id: OLD_KEY.id }, 'retired') },
  eraseKey: async ({ tx }) => { await store.eraseKey(tx, SCOPE, OLD_KEY.id) },
  listKeysToErase: async ({ tx }) => await store.listKeysToErase(tx, 60, 100),
  listKekUses: async ({ tx }) => await store.listKekUses(tx),
  retireKek: async ({ tx }) => await store.retireKek(tx, 'kek_nobody'),
  countKeys: async ({ tx }) => await store.countKeys(tx),
  listUsableKeys: [
    async ({ tx }) => await store.listUsableKeys(tx, { after: undefined, limit: 16 }),
    async ({ tx }) => await store.listUsableKeys(tx, { after: OLD_KEY, limit: 16 }),
  ],
  listRowsUnder: perColumn(async ({ tx, keyId }, column) => {
    const keys = [OLD_KEY, OTHER_KEY, { workspaceId: W, id: keyId }]
    for (const except of [[], ['a/b']]) await store.listRowsUnder(tx, column, { keys, except, limit: 200 })
  }),
  listSealedRows: perColumn(async ({ tx }, column) => {
    const [last] = (await store.listSealedRows(tx, column, { after: undefined, limit: 500 })).slice(-1)
    await store.listSealedRows(tx, column, { after: last?.row, limit: 500 })
  }),
  replaceSealedRows: perColumn(async ({ tx }, column) => {
    // Few of them: to replace a hundredth of a table it would be right to read it.
    const rows = await store.listSealedRows(tx, column, { after: undefined, limit: 20 })
    await store.replaceSealedRows(tx, column, { kind: column.owners.at(-1) ?? 'workspace', rows: rows.map((from) => ({ from, sealed: SOME, keyId: from.keyId })) })
  }),
  countRowsUnder: [
    async ({ tx, columns }) => await store.countRowsUnder(tx, columns, { kind: 'workspace', ...OLD_KEY }),
    async ({ tx, columns }) => await store.countRowsUnder(tx, columns, { kind: 'system', workspaceId: '', id: 'key_system' as never }),
    async ({ tx, columns }) => await store.countRowsUnder(tx, columns, { kind: 'system', workspaceId: '', id: 'key_nobody' as never }),
  ],
  countRowsToReseal: async ({ tx, columns }) => await store.countRowsToReseal(tx, columns),
  getKeySweep: async ({ tx }) => await store.getKeySweep(tx),
  requestKeySweep: async ({ tx }) => await store.requestKeySweep(tx, { by: 'x' }),
  claimKeySweep: async ({ tx }) => await store.claimKeySweep(tx, 'o', 1_000),
  noteKeySweep: async ({ tx }) => await store.noteKeySweep(tx, { fence: 1, leaseMs: 1_000 }, {}),
  releaseKeySweep: async ({ tx }) => { await store.releaseKeySweep(tx, 'o') },
  stillHolds: perColumn(async ({ tx }, column) => {
    const [row] = await store.listSealedRows(tx, column, { after: undefined, limit: 1 })
    if (row !== undefined) await store.stillHolds(tx, column, row)
  }),
  estimateRows: async ({ tx, columns }) => await store.estimateRows(tx, columns),
  listUnendedRelays: async ({ tx }) => await store.listUnendedRelays(tx, W, { after: '', limit: 500 }),
  destroyWorkspaceKeys: async ({ tx }) => await store.destroyWorkspaceKeys(tx, W),
  deleteWorkspace: async ({ tx }) => await store.deleteWorkspace(tx, W),

  appendBatch: async () => {},
  appendBatchOn: async ({ reads, connection }) => {
    const row = toRow({ event: 'connection.resolved', outcome: 'ok', principal: { kind: 'system', id: null, actor: null }, workspaceId: W, connectionId: connection.id }, new Date(), { stamp: 'none', until: new Date() })
    await store.appendBatchOn(reads, { ...batch, rows: [row] })
  },
  appendBatchIn: async ({ tx }) => { await store.appendBatchIn(tx, batch) },
  ensureAuditPartitions: async ({ tx }) => { await store.ensureAuditPartitions(tx) },
  judgeAuditPartitions: async ({ tx }) => await store.judgeAuditPartitions(tx),
  measureClockSkew: async ({ tx }) => await store.measureClockSkew(tx, { now: () => new Date() }),
  listAuditEvents: [
    async ({ tx }) => await store.listAuditEvents(tx, audit),
    async ({ tx }) => await store.listAuditEvents(tx, { ...audit, environments: ['live'] }),
    async ({ tx }) => await store.listAuditEvents(tx, { ...audit, environments: ['sandbox'] }),
    async ({ tx }) => await store.listAuditEvents(tx, { ...audit, event: 'connection.resolved' }),
    async ({ tx }) => await store.listAuditEvents(tx, { ...audit, event: 'connection.updated' }),
    async ({ tx }) => await store.listAuditEvents(tx, { ...audit, connectionId: 'conn_300' }),
    async ({ tx }) => await store.listAuditEvents(tx, { ...audit, from: daysAgo(40), to: daysAgo(20) }),
    async ({ tx }) => await store.listAuditEvents(tx, { ...audit, before: { occurredAt: daysAgo(30), id: 'aud_z' } }),
  ],
  wasStarted: async ({ tx, connection }) => await store.wasStarted(tx, { workspaceId: W, connectionId: connection.id, invocationId: 'inv_1', since: daysAgo(1) }),
  pruneAuditAs: async ({ ownerUrl }) => { await store.pruneAuditAs(ownerUrl, async () => ({ seq: 1, keptFrom: daysAgo(400) })).catch(() => undefined) },
  claimSealer: async ({ tx }) => await store.claimSealer(tx, 'o', 1_000),
  holdHead: async ({ tx }) => await store.holdHead(tx, 1),
  releaseSealer: async ({ tx }) => { await store.releaseSealer(tx, 'o') },
  removeUnsealed: async ({ tx }) => { await store.removeUnsealed(tx, ['bat_1']) },
  moveHead: async ({ tx }) => { await store.moveHead(tx, { head_seq: 1, head_mac: HASH, events: 1 }) },
  isSealerHeld: async ({ tx }) => await store.isSealerHeld(tx),
  getHead: async ({ tx }) => await store.getHead(tx),
  findLastCheckpoint: async ({ tx }) => await store.findLastCheckpoint(tx),
  listCheckpoints: async ({ tx }) => await store.listCheckpoints(tx, 100, 600),
  listLinks: async ({ tx }) => await store.listLinks(tx, 100, 500),
  listBatchEvents: async ({ tx }) => await store.listBatchEvents(tx, await store.listLinks(tx, 15_000, 100)),
  listUnsealed: async ({ tx }) => await store.listUnsealed(tx, 2_000),
  listForeignEvents: async ({ tx }) => {
    const { after } = await store.listForeignEvents(tx, { after: undefined, limit: 1_000 })
    await store.listForeignEvents(tx, { after, limit: 1_000 })
  },
  measureSealingLag: async ({ tx }) => await store.measureSealingLag(tx),
  listLinksReaching: async ({ tx }) => {
    const at = await store.findCheckpointBefore(tx, daysAgo(40))
    await store.listLinksReaching(tx, daysAgo(40), at?.seq ?? 0)
  },
  findAnchor: async ({ tx }) => await store.findAnchor(tx),
  findCheckpointBefore: async ({ tx }) => await store.findCheckpointBefore(tx, daysAgo(40)),
  findFirstLink: async ({ tx }) => await store.findFirstLink(tx, daysAgo(10)),
  deriveOpenInvocations: async ({ tx }) => await store.deriveOpenInvocations(tx, 5_000),
  takeLostInvocations: async ({ tx }) => await store.takeLostInvocations(tx, 500),

  // The hot path, as it is prepared.
  createUsableTable: async (here) => {
    // More often than Postgres plans a prepared statement anew.
    for (let time = 0; time < 12; time++) await here.usable.find(W, versionOf(here).connectionId)
    await here.usable.findMany(W, [of(here).id, 'conn_nobody' as never])
  },
}
