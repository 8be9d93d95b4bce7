import cookie from '@fastify/cookie'
import formbody from '@fastify/formbody'
import rateLimit from '@fastify/rate-limit'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { isLinked, type Catalog } from '../../catalog/index.ts'
import { browserCaller, type Connections, type LinkStep, type Way } from '../../connections/index.ts'
import { wrapSecret } from '../../crypto/wrap.ts'
import { ERRORS, isVaultError, VaultError } from '../../errors.ts'
import { idPattern, type AppId } from '../../ids.ts'
import type { Log } from '../../log.ts'
import type { SessionRow } from '../../store/index.ts'
import { stepAside } from '../admission/book.ts'
import type { App } from '../app.ts'
import { closed } from '../contract/parts.ts'
import { toVaultError } from '../problem.ts'
import { keyOf } from '../rate-windows.ts'
import { bounded, entriesOf, isForeign, judgeLinkConfig, readBinding, readFields, setBinding, without, type Posted } from './connect-form.ts'
import { createScreens, type Screens } from './connect-screens.ts'
import { takeCredential } from './credential-intake.ts'

export interface ConnectOptions {
  readonly connections: Connections
  readonly catalog: Catalog
  readonly log: Log
  readonly productName: string
  readonly publicUrl: () => string
}

const TokenParams = Type.Object({ token: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }) }, closed)
const AppParams = Type.Object({ app_ref: Type.String({ pattern: idPattern('app').source }) }, closed)

const FORM_BYTES = 65_536
/** Of one link, or of one state at a callback, in a minute. */
const REQUESTS_MAX = 120

interface Visit {
  readonly token: string
  readonly session: SessionRow
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/** The browser's routes: the hosted connect page and the providers' redirects back to it. Whatever happens, a page is answered. */
export async function connectRoutes (app: App, options: ConnectOptions): Promise<void> {
  const { linking } = options.connections
  const screens = createScreens({ ...options, nameIntegration: (id) => options.catalog.find(id)?.manifest.name ?? 'the provider' })
  await preparePages(app, screens, options.log)
  const act = createActions(options, screens)

  app.get('/connect/:token', { schema: { hide: true, params: TokenParams } }, async (request, reply) => {
    const { token } = request.params
    const session = await linking.find(token)
    // Nothing is consumed: programs that preview links come here, too.
    if (session.state !== 'open') {
      const bound = await linking.bind(session, readBinding(request, session.id).secret, browserCaller(session, request.id))
      if (bound === undefined) return screens.sendElsewhere(reply)
      if (session.state === 'confirming') return screens.sendConfirming(reply, { token, session })
    }
    return screens.sendWays(reply, { token, session, ways: await linking.listWays(session), query: entriesOf(request.query) })
  })

  app.post('/connect/:token', { schema: { hide: true, params: TokenParams } }, async (request, reply) => {
    const { token } = request.params
    // Before the link is bound: another's page could bind it to a browser that never saw it.
    if (isForeign(request, options.publicUrl())) return screens.sendForeign(reply)
    // What is pasted is tested at its provider.
    stepAside(request)
    const found = await linking.find(token)
    const bound = await linking.bind(found, readBinding(request, found.id).secret, browserCaller(found, request.id))
    if (bound === undefined) return screens.sendElsewhere(reply)
    if (bound.cookie !== undefined) setBinding(reply, bound.session, { secret: bound.cookie, token })
    return await act({ token, session: bound.session, request, reply }, entriesOf(request.body))
  })

  app.get('/oauth/callback/:app_ref', { schema: { hide: true, params: AppParams } }, async (request, reply) => {
    const parameters = entriesOf(request.query)
    const { state, code, iss, error, error_description: description } = parameters
    // The code is traded in at its provider.
    stepAside(request)
    const step = state === undefined
      ? undefined
      : await linking.callback({
        appId: request.params.app_ref as AppId, state, code: code === undefined ? undefined : wrapSecret(code), issuer: iss, error: bounded(error),
        errorDescription: bounded(description), parameters: without(parameters, ['code', 'state']),
      }, (session) => readBinding(request, session).secret, request.id)
    if (step === undefined) return screens.sendStale(reply)
    return screens.sendStep(reply, { token: readBinding(request, step.session.id).token ?? '', ...step })
  })
}

/** Forms instead of JSON, pages instead of problems, and the headers of both. */
async function preparePages (app: App, screens: Screens, log: Log): Promise<void> {
  await app.register(cookie)
  app.removeAllContentTypeParsers()
  await app.register(formbody, { bodyLimit: FORM_BYTES })
  await app.register(rateLimit, {
    max: REQUESTS_MAX,
    timeWindow: 60_000,
    cache: 20_000,
    enableDraftSpec: true,
    // Browsers share addresses, and a proxy gives all of them its own: what is tried is counted, not who tries.
    // An app's callback is everybody's: there it is the state, so that nobody can use up the turns of the others.
    keyGenerator: (request) => keyOf(request.params, (request.query as { state?: unknown }).state),
    errorResponseBuilder: (_request, context) => new VaultError('rate_limited', { retryAfterSeconds: Math.ceil(context.ttl / 1_000) }),
  })
  app.addHook('onRequest', async (_request, reply) => { reply.headers(screens.headers) })
  app.setErrorHandler(async (error, request, reply) => {
    const known = toVaultError(error, FORM_BYTES)
    const { status } = ERRORS[known.code]
    if (status >= 500) log[known.code === 'internal' ? 'error' : 'warn']({ err: known, code: known.code, request_id: request.id, route: request.routeOptions.url ?? '(none)' }, 'request failed')
    return screens.sendError(reply, known, request.id)
  })
}

/** What a form of the page asks for. */
function createActions (options: ConnectOptions, screens: Screens): (visit: Visit, form: Posted) => Promise<FastifyReply> {
  const { connections: { linking } } = options

  const connect = async (visit: Visit, form: Posted): Promise<FastifyReply> => {
    const { token, session, reply } = visit
    const ways = await linking.listWays(session)
    const way = ways.find(({ integration, scheme }) => integration.manifest.id === form['integration'] && scheme.id === form['auth'])
    if (way === undefined) return screens.sendWays(reply, { token, session, ways, query: form })
    const entered = readFields(way, form)
    const others = ways.length > 1
    try {
      return screens.sendStep(reply, { token, entered: { way, values: entered.config, others }, ...await start(way, entered, visit) })
    } catch (error) {
      if (!isVaultError(error) || error.details.errors === undefined) throw error
      return screens.sendEntry(reply.code(422), { token, session, way, values: entered.config, errors: error.details.errors, others })
    }
  }

  const start = async (way: Way, entered: ReturnType<typeof readFields>, { session, request }: Visit): Promise<LinkStep> => {
    const caller = browserCaller(session, request.id)
    if (isLinked(way.scheme)) return await linking.authorize(session, { way, config: judgeLinkConfig(way, session, entered.config) }, caller)
    const pasted = { integration: way.integration, auth: way.scheme.id, environment: session.environment, ...entered }
    return await linking.paste(session, takeCredential(pasted), caller)
  }

  return async (visit, form) => {
    const { token, session, request, reply } = visit
    const caller = browserCaller(session, request.id)
    const show = (step: LinkStep) => screens.sendStep(reply, { token, ...step })
    switch (form['action']) {
      case 'cancel':
        await linking.cancel(session, caller)
        return screens.sendCancelled(reply, session)
      case 'choose': return show(await linking.choose(session, /^\d{1,4}$/.test(form['choice'] ?? '') ? Number(form['choice']) : -1, caller))
      case 'retry': return show(await linking.retry(session, caller))
      default: return await connect(visit, form)
    }
  }
}
