import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import { createBook, endWork, hasPlace, type Book, type Request } from './book.ts'
import { createCallers, type Callers } from './callers.ts'
import { createMeter, type Meter } from './meter.ts'
import { createPlaces, type Places, type Share } from './places.ts'
import { judgeLimit, type Loop } from './pressure.ts'
import { createRests } from './rests.ts'
import { turnAway } from './turn-away.ts'

/**
 * Bounds the requests of one listener that are at work at a time. A request has a place from its
 * headers to its answer; while it waits for somebody outside it gives it up.
 */
export interface Admission {
  /** Stands before an app: who is turned away costs it nothing. */
  guard (app: FastifyInstance): void
  /** Fewer places where the work makes turns of the event loop late, more where it does not. */
  adapt (loop: Loop): void
}

type Response = FastifyReply['raw']

export interface AdmissionOptions {
  readonly listener: string
  /** Requests at work at a time; as many may wait. */
  readonly most: number
  /** Requests that wait for somebody outside. */
  readonly outsideMost: number
  readonly log: Log
  readonly metrics: Pick<Metrics, 'admissions' | 'admissionWaits' | 'work' | 'refusals' | 'onScrape'>
}

/** While an overload lasts, with the turn of the event loop in which it is noticed, and its own, a refusal leaves within 100 ms of when its request is read. */
export const PATIENCE = { burstMs: 500, standingMs: 50, calmMs: 100 }
const LOOK_MS = 10
/** However late turns are, so much of the places is left. */
const LEAST_SHARE = 8

export function createAdmission (options: AdmissionOptions): Admission {
  const { most } = options
  const callers = createCallers()
  const places = createPlaces(most, PATIENCE)
  const meter = createMeter(options, () => ({ ...places.count(), outside: book.countOutside() }))
  const book = createBook({ callers, places, meter, outsideMost: options.outsideMost })
  const admit = createEntrance({ callers, places, meter, book })

  return Object.freeze({
    guard: (app: FastifyInstance) => {
      const { server } = app
      const serve = server.listeners('request') as ((request: Request, response: Response) => void)[]
      server.removeAllListeners('request')
      server.on('request', (request: Request, response: Response) => {
        admit(request, response, () => { for (const one of serve) one.call(server, request, response) })
      })
      // For `localhost` Fastify opens a second server on its other address, which nobody gets to see.
      app.addHook('onRequest', (request, reply, done) => { admit(request.raw, reply.raw, done) })
      // Sending is no work: who reads slowly holds no place.
      app.addHook('onSend', async (request) => { endWork(request) })
    },
    adapt: (loop: Loop) => {
      meter.report()
      const { limit } = places.count()
      places.resize(judgeLimit(limit, { ...loop, most, least: Math.ceil(most / LEAST_SHARE) }))
    },
  })
}

type Entrance = (request: Request, response: Response, go: () => void) => void

/** Lets in, queues, or turns away. */
function createEntrance ({ callers, places, meter, book }: { callers: Callers, places: Places, meter: Meter, book: Book }): Entrance {
  const rests = createRests()
  let looking: NodeJS.Timeout | undefined
  const look = (): void => {
    looking = undefined
    places.expire(performance.now())
    if (places.count().waiting > 0) looking = setTimeout(look, LOOK_MS).unref()
  }

  const enter = (share: Share, request: Request, response: Response): void => {
    const place = book.open(request, share)
    response.once('close', () => {
      // Where the caller left before its answer, what it asked for is still at work, and the end of that gives the
      // place back. Only what lacks a part of its body never gets to work.
      if (response.writableFinished || !request.complete) book.move(place, 'nowhere')
    })
  }

  const refuse = (request: Request, response: Response, why: 'queue_full' | 'too_late'): void => {
    meter.count(why)
    turnAway(request, response)
    rests.rest(request.socket)
  }

  const wait = (share: Share, { request, response, go }: { request: Request, response: Response, go: () => void }): void => {
    const sinceMs = performance.now()
    const abandon = () => { places.abandon(waiter) }
    const waiter = {
      sinceMs,
      gone: false,
      enter: () => {
        response.off('close', abandon)
        meter.count('waited')
        meter.waited(performance.now() - sinceMs)
        enter(share, request, response)
        go()
      },
      turnAway: () => {
        response.off('close', abandon)
        refuse(request, response, 'too_late')
      },
    }
    places.wait(share, waiter)
    response.once('close', abandon)
    looking ??= setTimeout(look, LOOK_MS).unref()
  }

  return (request, response, go) => {
    if (hasPlace(request)) {
      go()
      return
    }
    const share = callers.find(request.headers.authorization)
    if (places.take(share)) {
      meter.count('at_once')
      enter(share, request, response)
      go()
    } else if (places.hasRoom(share, performance.now())) {
      wait(share, { request, response, go })
    } else {
      refuse(request, response, 'queue_full')
    }
  }
}
