import { isLinked, type Catalog } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import { ENVIRONMENTS } from '../ids.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { claimDueRefreshes, guard, listDueLanes, measureDue, type ClaimedPlace, type Database, type Lane } from '../store/index.ts'
import type { Caller } from './caller.ts'
import type { Claimed } from './refresh-store.ts'
import { LEASE_SECONDS, type Renewer } from './renew.ts'
import { laneName, type TokenEndpoints } from './token-endpoints.ts'

/** Renews what is due, each provider in a lane of its own: one that hangs takes nobody else's turn. */
export interface RefreshScheduler {
  /** Starts what is due and can be; answers how many. What was started goes on by itself. */
  tick (): Promise<number>
  /** Writes the backlog into the metrics. */
  measure (): Promise<void>
  /** Resolves when what was started has ended; nothing more is started. */
  drain (): Promise<void>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'usable'>
  readonly catalog: Catalog
  readonly renewer: Pick<Renewer, 'renewClaimed'>
  readonly endpoints: TokenEndpoints
  readonly metrics: Pick<Metrics, 'refreshDue' | 'refreshOldest'>
  readonly clock: Clock
  readonly log: Log
  readonly owner: string
}

/** Of one provider at a time in this process, where its manifest does not say less or more. */
const CONCURRENCY = 20
const MEASURED_MAX = 10_000

const SCHEDULER: Caller = { principal: { kind: 'system', id: null, actor: null }, by: 'system', environments: ENVIRONMENTS, requestId: undefined }

interface Running extends Lane {
  readonly name: string
  readonly concurrency: number
  busy: number
  claiming: boolean
  /** The last claim brought all it could: there is more. */
  more: boolean
}

export function createRefreshScheduler (options: Options): RefreshScheduler {
  const { database, endpoints, metrics, clock } = options
  const lanes = listLanes(options.catalog)
  const running = new Set<Promise<void>>()
  let stopped = false

  const renew = createWork(options)

  const claim = async (lane: Running): Promise<Place[]> => {
    // A paused endpoint is tried with one before the others.
    const limit = endpoints.isPaused(lane.name) ? Math.min(1, lane.concurrency - lane.busy) : lane.concurrency - lane.busy
    const beganMs = clock.monotonicMs()
    const places = await guard(() => claimDueRefreshes(database.db, lane, { owner: options.owner, ttlSeconds: LEASE_SECONDS, limit }))
    lane.more = places.length === limit
    return places.map((place) => ({ ...place, beganMs }))
  }

  const pump = async (lane: Running): Promise<number> => {
    if (stopped || lane.claiming || lane.busy >= lane.concurrency || endpoints.isOpen(lane.name)) return 0
    lane.claiming = true
    try {
      const places = await claim(lane)
      for (const place of places) start(lane, place)
      return places.length
    } finally {
      lane.claiming = false
    }
  }

  const start = (lane: Running, place: Place): void => {
    lane.busy++
    const work: Promise<void> = renew(place).finally(() => {
      lane.busy--
      running.delete(work)
      // A claim costs a round trip: it is worth it for half a lane.
      if (lane.more && lane.busy <= lane.concurrency / 2) {
        pump(lane).catch((error: unknown) => { options.log.warn({ err: error }, 'due renewals could not be claimed') })
      }
    })
    running.add(work)
  }

  return Object.freeze({
    tick: async () => {
      const free = lanes.filter((lane) => lane.busy < lane.concurrency && !endpoints.isOpen(lane.name))
      if (stopped || free.length === 0) return 0
      const due = new Set((await guard(() => listDueLanes(database.db, free))).map(laneName))
      const started = await Promise.all(free.filter(({ name }) => due.has(name)).map(pump))
      return started.reduce((sum, count) => sum + count, 0)
    },
    measure: async () => {
      const { due, oldestSeconds } = await guard(() => measureDue(database.db, lanes, MEASURED_MAX))
      metrics.refreshDue.set(due)
      metrics.refreshOldest.set(oldestSeconds)
    },
    drain: async () => {
      stopped = true
      while (running.size > 0) await Promise.all(running)
    },
  })
}

/** Renews one that was claimed. Never throws. */
type Place = ClaimedPlace & Pick<Claimed, 'beganMs'>

function createWork ({ database, renewer, log }: Options): (place: Place) => Promise<void> {
  return async ({ workspaceId, connectionId, versionId, claim, beganMs }) => {
    try {
      const row = await database.usable.find(workspaceId, connectionId)
      if (row?.version_id === versionId) await renewer.renewClaimed({ row, claim, beganMs, caller: SCHEDULER })
    } catch (error) {
      log.warn({ err: error, connection_id: connectionId }, 'a renewal failed and will be tried again')
    }
  }
}

function listLanes (catalog: Catalog): Running[] {
  return catalog.list().flatMap(({ manifest }) => {
    const linked = manifest.auth.filter(isLinked)
    if (linked.length === 0) return []
    const concurrency = Math.min(...linked.map(({ oauth }) => oauth?.refresh.concurrency ?? CONCURRENCY))
    return manifest.environments.map((environment): Running => {
      const lane = { integration: manifest.id, environment }
      return { ...lane, name: laneName(lane), concurrency, busy: 0, claiming: false, more: false }
    })
  })
}
