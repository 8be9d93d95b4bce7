import type { Calls } from '../calls/index.ts'
import type { Catalog } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import type { Crypto } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { WorkspaceId } from '../ids.ts'
import type { Ledger } from '../ledger/index.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { findConnection, guard, listConnections, type ConnectionFilter, type ConnectionView, type Database } from '../store/index.ts'
import type { Caller } from './caller.ts'
import { createCreator, type Creator } from './create.ts'
import { createCredentialOpener, type CredentialOpener } from './credential.ts'
import { createEditor, type Editor, type Of } from './edit.ts'
import { createRecordedCalls, type RecordedCalls } from './recorded-call.ts'
import { createRefusals, type Refusals } from './refusals.ts'
import { createResolver, type Resolver } from './resolve.ts'
import { createRotator, type Rotator } from './rotate.ts'
import { createTester, type Tester } from './test.ts'
import { createUsageKeeper, type UsageKeeper } from './usage.ts'

export type Connections = Creator & Editor & Resolver & Rotator & Pick<Tester, 'test'> & {
  /** Throws `not_found`. */
  get (of: Of, caller: Caller): Promise<ConnectionView>
  list (workspaceId: WorkspaceId, filter: ConnectionFilter): Promise<ConnectionView[]>
  readonly usage: UsageKeeper
  /** For the room that runs actions. */
  readonly opener: CredentialOpener
  readonly recordedCalls: RecordedCalls
  readonly refusals: Refusals
}

export interface ConnectionsOptions {
  readonly database: Database
  readonly catalog: Catalog
  readonly crypto: Crypto
  readonly ledger: Ledger
  readonly calls: Calls
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly maxResponseBytes: number
}

/** Wires the parts of this room. */
export function createConnections (options: ConnectionsOptions): Connections {
  const { database } = options
  const opener = createCredentialOpener(options)
  const recordedCalls = createRecordedCalls(options)
  const tester = createTester({ ...options, opener, calls: recordedCalls })
  const refusals = createRefusals({ ...options, tester })
  return Object.freeze({
    ...createCreator(options),
    ...createEditor(options),
    ...createResolver({ ...options, opener, refusals }),
    ...createRotator({ ...options, tester }),
    test: tester.test,
    get: async (of: Of, caller: Caller) => {
      const view = await guard(() => findConnection(database.db, of.workspaceId, of.id))
      if (view === undefined || !caller.environments.includes(view.environment)) throw new VaultError('not_found')
      return view
    },
    list: async (workspaceId: WorkspaceId, filter: ConnectionFilter) => await guard(() => listConnections(database.db, workspaceId, filter)),
    usage: createUsageKeeper(options),
    opener,
    recordedCalls,
    refusals,
  })
}
