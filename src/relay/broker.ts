import { createOneTimeToken, sha256 } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { AgentId, InvocationId } from '../ids.ts'
import { guard, isAgentRevoked, listGroupsWithWork, offerInvocations, withdrawOffers, type Database, type GroupPlace, type OfferRow } from '../store/index.ts'
import type { AgentPrincipal } from './agent-tokens.ts'
import type { Presence } from './presence.ts'
import { OFFER_SECONDS } from './spans.ts'

/** Something an agent may claim, for a few seconds. */
export interface Offer extends OfferRow {
  readonly leaseToken: string
}

export interface Poll {
  /** How many it would take. */
  readonly capacity: number
  /** How long the answer may be held back. */
  readonly waitSeconds: number
  /** Aborted when the agent goes away. */
  readonly signal: AbortSignal
}

export interface Broker {
  /** Waits for work. Nothing, when none has come by the end of the wait. Throws `overloaded`, `shutting_down`. */
  poll (agent: AgentPrincipal, poll: Poll): Promise<readonly Offer[]>
  /** Finds work that no word has come of, such as offers nobody has claimed. */
  look (): Promise<void>
  /** Answers everybody who waits with nothing. */
  release (): void
}

/** Before the end of its wait, so that the answer is there in time. */
const EARLY_MS = 1_000
const HELD_MAX = 20_000
const REVOKED = 'revoked '

interface Waiter {
  readonly agent: AgentPrincipal
  readonly actions: readonly string[]
  /** Agents that run the same are served alike. */
  readonly kind: string
  readonly capacity: number
  gone: boolean
  /** It has just shown who it is. */
  fresh: boolean
  settle (offers: readonly Offer[] | Error): void
}

interface Lane {
  readonly group: GroupPlace
  readonly waiters: Set<Waiter>
  busy: boolean
  again: boolean
  /** What to do when there was nothing for any of them. */
  passOn: (() => void) | undefined
}

interface Options {
  readonly database: Pick<Database, 'db' | 'reads' | 'signals'>
  readonly presence: Pick<Presence, 'namesOf'>
}

/** Holds the polls of agents until there is work for them. */
export function createBroker ({ database, presence }: Options): Broker {
  const lanes = new Map<string, Lane>()
  const take = createTaker(database)
  const dispatch = createDispatcher(database, take)
  const state = { held: 0, closing: false }
  database.signals.listen((word, near) => {
    const lane = lanes.get(word)
    if (lane === undefined) return word.startsWith(REVOKED) && endPollsOf(lanes, word)
    // None of those who wait here may run it: then somebody elsewhere may.
    dispatch(lane, near ? () => { database.signals.spread(word) } : undefined)
    return true
  })

  const join = createJoiner(lanes)

  const hold = async (waiter: Omit<Waiter, 'settle' | 'gone'>, { waitSeconds, signal }: Poll): Promise<readonly Offer[]> => {
    const { promise, resolve } = Promise.withResolvers<readonly Offer[] | Error>()
    const { lane, waiting } = join(waiter, resolve)
    const leave = () => { waiting.settle([]) }
    const timer = setTimeout(leave, waitSeconds * 1_000 - EARLY_MS)
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
    // First in line, then a look: a word that comes in between is not missed.
    dispatch(lane)
    state.held++
    const offers = await promise
    state.held--
    clearTimeout(timer)
    if (offers instanceof Error) throw offers
    return offers
  }

  return Object.freeze({
    poll: async (agent: AgentPrincipal, poll: Poll) => {
      if (state.closing) throw new VaultError('shutting_down', { retryAfterSeconds: 1 })
      if (state.held >= HELD_MAX) throw new VaultError('overloaded', { detail: 'Too many agents wait here.', retryAfterSeconds: 5 })
      const actions = await presence.namesOf({ workspaceId: agent.workspaceId, id: agent.id, announced_at: agent.announcedAt })
      const asking = { agent, actions, kind: actions.join(' '), capacity: poll.capacity, fresh: true }
      return poll.waitSeconds * 1_000 > EARLY_MS ? await hold(asking, poll) : await take(asking)
    },
    look: async () => {
      if (lanes.size === 0) return
      for (const group of await guard(() => listGroupsWithWork(database.db, [...lanes.values()].map((lane) => lane.group)))) {
        const lane = lanes.get(workFor(group))
        if (lane !== undefined) dispatch(lane)
      }
    },
    release: () => {
      state.closing = true
      for (const lane of [...lanes.values()]) for (const waiter of [...lane.waiters]) waiter.settle([])
    },
  })
}

type Joiner = (waiter: Omit<Waiter, 'settle' | 'gone'>, settled: (offers: readonly Offer[] | Error) => void) => { lane: Lane, waiting: Waiter }

/** Puts a waiter into its group's lane; lanes are there as long as somebody is in them. */
function createJoiner (lanes: Map<string, Lane>): Joiner {
  return (waiter, settled) => {
    const group = { workspaceId: waiter.agent.workspaceId, id: waiter.agent.groupId }
    const word = workFor(group)
    const lane = lanes.get(word) ?? { group, waiters: new Set(), busy: false, again: false, passOn: undefined }
    lanes.set(word, lane)
    const waiting: Waiter = {
      ...waiter,
      gone: false,
      settle: (offers) => {
        if (waiting.gone) return
        waiting.gone = true
        lane.waiters.delete(waiting)
        if (lane.waiters.size === 0) lanes.delete(word)
        settled(offers)
      },
    }
    lane.waiters.add(waiting)
    return { lane, waiting }
  }
}

type Taker = (asking: Pick<Waiter, 'agent' | 'actions' | 'capacity' | 'fresh'>) => Promise<Offer[]>

/** Puts what has waited longest on offer. Throws `agent_revoked`. */
function createTaker (database: Pick<Database, 'db' | 'reads'>): Taker {
  return async ({ agent, actions, capacity, fresh }) => {
    const { token: leaseToken, hash: tokenHash } = createOneTimeToken()
    const group = { workspaceId: agent.workspaceId, id: agent.groupId }
    const asking = { group, agentId: agent.id, actions, limit: capacity, tokenHash, offerMs: OFFER_SECONDS * 1_000 }
    const rows = await guard(() => offerInvocations(database.reads, asking))
    // It may have been revoked while it waited: then this says nothing about the others.
    if (rows.length === 0 && !fresh && await guard(() => isAgentRevoked(database.db, { workspaceId: agent.workspaceId, id: agent.id }))) throw new VaultError('agent_revoked')
    return rows.map((row) => ({ ...row, leaseToken }))
  }
}

/** Serves a lane as often as it is asked to, one round at a time. */
function createDispatcher (database: Pick<Database, 'db'>, take: Taker): (lane: Lane, passOn?: () => void) => void {
  const giveBack = async ({ workspaceId }: GroupPlace, offers: readonly Offer[]): Promise<void> => {
    const tokenHash = sha256(offers[0]?.leaseToken ?? '')
    // Not given back, they are offered again when their time is over.
    await guard(() => withdrawOffers(database.db, { workspaceId }, { ids: offers.map(({ id }) => id), tokenHash })).catch(() => undefined)
  }
  /** One round over those who wait; a kind of agent for which there is nothing is asked for once. */
  const serve = async (lane: Lane): Promise<boolean> => {
    const idle = new Set<string>()
    let served = false
    for (const waiter of [...lane.waiters]) {
      if (waiter.gone || idle.has(waiter.kind)) continue
      const offers = await take(waiter).catch((error: unknown) => error instanceof Error ? error : new VaultError('internal', { cause: error }))
      waiter.fresh = false
      if (Array.isArray(offers)) {
        if (offers.length < waiter.capacity) idle.add(waiter.kind)
        if (offers.length === 0) continue
        if (waiter.gone) {
          await giveBack(lane.group, offers)
          lane.again = true
          continue
        }
      }
      served ||= Array.isArray(offers)
      waiter.settle(offers)
    }
    return served
  }
  const run = async (lane: Lane): Promise<void> => {
    while (lane.again && lane.waiters.size > 0) {
      const { passOn } = lane
      lane.again = false
      lane.passOn = undefined
      if (!await serve(lane)) passOn?.()
    }
    lane.busy = false
  }
  return (lane, passOn) => {
    lane.again = true
    lane.passOn ??= passOn
    if (lane.busy) return
    lane.busy = true
    void run(lane)
  }
}

/** Whoever is revoked is told so, wherever it waits: the others have to hear of it too. */
function endPollsOf (lanes: ReadonlyMap<string, Lane>, word: string): false {
  for (const lane of lanes.values()) {
    for (const waiter of [...lane.waiters]) if (revocationOf(waiter.agent.id) === word) waiter.settle(new VaultError('agent_revoked'))
  }
  return false
}

/** The word that an agent is revoked. */
export function revocationOf (id: AgentId): string {
  return `${REVOKED}${id}`
}

/** The word that a group has work. Neither id can hold a slash. */
export function workFor ({ workspaceId, id }: GroupPlace): string {
  return `work ${workspaceId}/${id}`
}

/** The word that an invocation has ended. */
export function endOf (id: InvocationId): string {
  return `ended ${id}`
}
