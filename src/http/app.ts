import { Type } from 'typebox'
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifySchemaCompiler, type FastifyServerOptions, type RawReplyDefaultExpression, type RawRequestDefaultExpression, type RawServerDefault, type RouteOptions } from 'fastify'
import type { Access } from '../access/index.ts'
import { ERRORS, VaultError, type ErrorCode } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Admission } from './admission/admission.ts'
import { authenticate } from './authenticate.ts'
import { boundLargeBodies } from './body-budget.ts'
import { answerClientError } from './client-error.ts'
import { acceptJsonOnly } from './json-body.ts'
import { createLazySerialisers } from './lazy-serialisers.ts'
import { sendProblem, toVaultError } from './problem.ts'
import type { RefusalRecorder } from './refusals.ts'
import { findAccess } from './route-table.ts'
import { dropUnread } from './unread.ts'

export type App = FastifyInstance<RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, FastifyBaseLogger, TypeBoxTypeProvider>

export type ListenerName = 'internal' | 'public' | 'operations'

export interface AppOptions {
  readonly listener: ListenerName
  readonly bodyLimitBytes: number
  /** Whether serialisers are compiled when they are needed, not at the start. */
  readonly lazySerialisers: boolean
  readonly log: Log
  readonly metrics: Metrics
  readonly tls?: { readonly cert: string, readonly key: string, readonly ca?: string } | undefined
  /** Only the internal listener has callers to know and refusals to record. */
  readonly access?: Pick<Access, 'authenticate'>
  readonly refusals?: RefusalRecorder
  /** Not on the operations listener: what watches over a vault in trouble must get through. */
  readonly admission?: Admission
  readonly shutdown: Shutdown
}

/** All listeners share it: what is refused from the beginning of a shutdown may come over one that is still open. */
export interface Shutdown {
  begun: boolean
}

/** Receiving a whole request may take this long; a client that drips bytes is cut off. */
const REQUEST_TIMEOUT_MS = 30_000
/** Strangers hold a connection for no longer without having said who they are, or anything. */
const STRANGERS = { headersTimeout: 10_000, connectionsCheckingInterval: 1_000 }

/** An app of one listener: limits, error shape, headers, authentication. Its routes come afterwards. */
export function createApp (options: AppOptions): App {
  const server: FastifyServerOptions & { http?: object, https?: object } = {
    logger: false,
    ...options.lazySerialisers && { schemaController: { compilersFactory: { buildSerializer: createLazySerialisers() } } },
    genReqId: () => newId('request'),
    bodyLimit: options.bodyLimitBytes,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 256 },
    http: { maxHeaderSize: 16_384, ...options.listener === 'public' && STRANGERS },
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, request, reply) => { answerError(error, request, reply) },
    ...options.tls && { https: { ...options.tls, ...options.tls.ca && { requestCert: true, rejectUnauthorized: true }, minVersion: 'TLSv1.2', maxHeaderSize: 16_384 } },
  }
  const app = Fastify(server as FastifyServerOptions).withTypeProvider<TypeBoxTypeProvider>()

  const answerError = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const known = toVaultError(error, request.routeOptions.bodyLimit ?? options.bodyLimitBytes)
    if (ERRORS[known.code].status >= 500) {
      options.log[known.code === 'internal' ? 'error' : 'warn']({ err: known, code: known.code, request_id: request.id, route: request.routeOptions.url ?? '(none)' }, 'request failed')
    }
    options.refusals?.note(request, known)
    return sendProblem(request, reply, known)
  }

  app.setValidatorCompiler(compileValidator)
  acceptJsonOnly(app)
  app.decorateRequest('principal', null)
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply))
  app.setNotFoundHandler((request, reply) => sendProblem(request, reply, new VaultError('route_not_found', { detail: `The ${options.listener} listener has no such route.` })))
  dropUnread(app, options)
  options.admission?.guard(app)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'x-request-id': request.id })
    if (options.shutdown.begun) {
      reply.header('connection', 'close')
      if (request.routeOptions.config.endsWork !== true) throw new VaultError('shutting_down', { retryAfterSeconds: 1 })
    }
    if (options.access !== undefined) await authenticate(request, options.access)
    // No name that Postgres can keep has one: there is no such object.
    if (hasNul(request.params)) throw new VaultError('not_found')
  })
  boundLargeBodies(app)
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? '(none)'
    const status = String(reply.statusCode)
    options.metrics.requests.observe({ listener: options.listener, route, status }, reply.elapsedTime / 1_000)
    const level = reply.statusCode >= 400 ? 'info' : 'debug'
    options.log[level]({ listener: options.listener, request_id: request.id, method: request.method, route, status: reply.statusCode, duration_ms: Math.round(reply.elapsedTime), principal: request.principal?.id ?? '' }, 'request')
    done()
  })
  if (options.listener === 'internal') {
    app.addHook('onRoute', describeRoute)
    app.addHook('preValidation', (request, _reply, done) => { done(judgeUnread(request)) })
  }
  return app
}

function hasNul (params: unknown): boolean {
  for (const value of Object.values(params as Record<string, string>)) if (value.includes('\0')) return true
  return false
}

/** Only a query string has numbers and booleans to be made of its texts. */
export const compileValidator: FastifySchemaCompiler<unknown> = (part) => TypeBoxValidatorCompiler({ ...part, httpPart: part.httpPart === 'querystring' ? 'querystring' : 'body' } as Parameters<typeof TypeBoxValidatorCompiler>[0])

/** What a route has no schema for it does not read, and what is not read must not look as if it were. */
function judgeUnread (request: FastifyRequest): VaultError | undefined {
  const { schema, config } = request.routeOptions
  // Of a route there is not, the caller learns that.
  if (request.is404 || config.access === 'open') return undefined
  const unreadQuery = schema?.querystring === undefined ? Object.keys(request.query as object) : []
  const unreadBody = schema?.body === undefined ? listMembers(request.body) : []
  if (unreadQuery.length === 0 && unreadBody.length === 0) return undefined
  const unread = [...unreadQuery.map((name) => `/query/${name}`), ...unreadBody.map((name) => `/${name}`)]
  const errors = unread.slice(0, 20).map((pointer) => ({ pointer: pointer.slice(0, 100), message: 'is not known here' }))
  return new VaultError('request_invalid', { detail: 'This route takes less than was sent.', errors })
}

/** An empty object is as good as no body: many clients can't send none. */
function listMembers (body: unknown): string[] {
  if (body === undefined || body === null) return []
  return typeof body === 'object' && !Array.isArray(body) ? Object.keys(body) : ['']
}

/** What any route of the internal listener may answer. */
const ALWAYS: readonly ErrorCode[] = ['request_invalid', 'unauthenticated', 'insufficient_scope', 'rate_limited', 'internal', 'database_unavailable', 'overloaded', 'shutting_down']
const WITH_BODY: readonly ErrorCode[] = ['body_not_json', 'body_too_complex', 'body_too_large', 'media_type_unsupported']

/** A body that is not asked for is parsed all the same; one of many types is not parsed on the way in. */
function bodyErrors (body: unknown): readonly ErrorCode[] {
  return typeof body === 'object' && body !== null && 'content' in body ? ['body_too_large'] : WITH_BODY
}

/** Ties a route to its row in the table, and writes the problems it may answer into its schema. */
function describeRoute (route: RouteOptions): void {
  for (const method of [route.method].flat()) {
    const access = findAccess(method, route.url)
    if (access === undefined) throw new Error(`${method} ${route.url} is not in the route table`)
    route.config = { ...route.config, access }
    if (access === 'open' || route.schema === undefined) continue
    const codes: ErrorCode[] = [...route.config.errors ?? [], ...ALWAYS, ...access.over === 'workspace' ? ['not_found' as const] : [], ...method === 'GET' ? [] : bodyErrors(route.schema.body)]
    const byStatus = Map.groupBy(new Set(codes), (code) => ERRORS[code].status)
    const problems = [...byStatus].sort(([a], [b]) => a - b).map(([status, some]) => [status, {
      description: `Codes: ${some.toSorted().join(', ')}.`,
      content: { 'application/problem+json': { schema: Type.Ref('Problem#') } },
    }])
    const answers = Object.entries(route.schema.response as Record<string, object>).map(([status, schema]) => [status, { description: status === '201' ? 'Created.' : 'Done.', ...schema }])
    // A copy of the tags for each route: YAML would write one list and point to it from everywhere.
    const tags = [...route.schema.tags ?? []]
    route.schema = { ...route.schema, tags, response: Object.fromEntries([...answers, ...problems]) as object, security: [{ bearer: [] }] }
  }
}
