import type { FastifyRequest } from 'fastify'
import { VaultError } from '../../errors.ts'
import type { Callers } from './callers.ts'
import type { Meter } from './meter.ts'
import type { Places, Share } from './places.ts'

export type Request = FastifyRequest['raw']

/** The place of one request. */
export interface Place {
  share: Share
  at: 'work' | 'outside' | 'nowhere'
  readonly of: Book
}

/** What is done with a place by those who only know the request. */
export interface Book {
  /** Puts a request that has just taken a place among those at work. */
  open (request: Request, share: Share): Place
  /** Throws `overloaded` when there is no room outside; then it stays where it is. */
  move (place: Place, to: Place['at']): void
  know (place: Place, authorization: string | undefined, id: string): void
  forget (authorization: string | undefined): void
  /** Requests that wait for somebody outside. */
  countOutside (): number
}

const PLACE = Symbol('place')
type Placed = Request & { [PLACE]?: Place }

interface Options {
  readonly callers: Callers
  readonly places: Places
  readonly outsideMost: number
  readonly meter: Meter
}

export function createBook ({ callers, places, outsideMost, meter }: Options): Book {
  const outside = { count: 0 }
  const goOutside = (share: Share): void => {
    if (outside.count >= outsideMost || share.outside >= Math.ceil(outsideMost / 2)) {
      meter.count('outside_full')
      throw new VaultError('overloaded', { detail: 'Too many requests wait for providers and agents. Nothing was sent.', retryAfterSeconds: 1 })
    }
    outside.count++
    share.outside++
  }
  const book: Book = Object.freeze({
    open: (request: Request, share: Share) => {
      const place: Place = { share, at: 'work', of: book }
      const placed: Placed = request
      placed[PLACE] = place
      return place
    },
    move: (place: Place, to: Place['at']) => {
      const { at, share } = place
      if (at === to) return
      if (to === 'outside') goOutside(share)
      place.at = to
      if (at === 'outside') {
        outside.count--
        share.outside--
      }
      if (at === 'work') places.leave(share)
    },
    know: (place: Place, authorization: string | undefined, id: string) => {
      if (place.share !== callers.strangers || place.at !== 'work') return
      place.share = callers.know(authorization, id)
      callers.strangers.inside--
      place.share.inside++
    },
    forget: (authorization: string | undefined) => { callers.forget(authorization) },
    countOutside: () => outside.count,
  })
  return book
}

/** Whether a request has asked for a place before. */
export function hasPlace (request: Request): boolean {
  return PLACE in request
}

const placeOf = (request: FastifyRequest): Place | undefined => (request.raw as Placed)[PLACE]

/** Before a wait for somebody outside: what a hung provider holds is no work. Throws `overloaded` when too many wait for others already. */
export function stepAside (request: FastifyRequest): void {
  const place = placeOf(request)
  if (place?.at === 'work') place.of.move(place, 'outside')
}

/** The request goes on without a place: for what is bounded elsewhere. */
export function endWork (request: FastifyRequest): void {
  const place = placeOf(request)
  if (place !== undefined) place.of.move(place, 'nowhere')
}

/** Its token was accepted: from now on it has a share of its own. */
export function knowCaller (request: FastifyRequest, id: string): void {
  const place = placeOf(request)
  if (place !== undefined) place.of.know(place, request.headers.authorization, id)
}

/** Its token was refused. */
export function forgetCaller (request: FastifyRequest): void {
  placeOf(request)?.of.forget(request.headers.authorization)
}
