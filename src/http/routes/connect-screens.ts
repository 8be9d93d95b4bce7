import type { FastifyReply } from 'fastify'
import type { Integration } from '../../catalog/index.ts'
import { isLinked } from '../../catalog/index.ts'
import type { LinkEnd, LinkStep, Way } from '../../connections/index.ts'
import { sha256 } from '../../crypto/index.ts'
import { ERRORS, VaultError, type FieldError } from '../../errors.ts'
import type { SessionRow } from '../../store/index.ts'
import { renderChooser, renderEntryForm, renderPicker, type SessionFrame } from '../pages/connect.ts'
import { renderMessage, type Message } from '../pages/message.ts'
import type { Deed } from '../pages/page.ts'
import { STYLE } from '../pages/style.ts'
import { describeEnd, describeFailure } from './connect-messages.ts'
import { fieldName, fieldsToEnter, type Posted } from './connect-form.ts'

export interface InLink {
  readonly token: string
  readonly session: SessionRow
}

interface Entered {
  readonly way: Way
  /** Of config, to be shown again. */
  readonly values: Posted
}

export interface Screens {
  /** Of every page. */
  readonly headers: Readonly<Record<string, string>>
  sendElsewhere (reply: FastifyReply): FastifyReply
  /** The form was not a page's own. */
  sendForeign (reply: FastifyReply): FastifyReply
  /** The provider's redirect fits no step that is under way. */
  sendStale (reply: FastifyReply): FastifyReply
  sendCancelled (reply: FastifyReply, session: SessionRow): FastifyReply
  sendConfirming (reply: FastifyReply, of: InLink): FastifyReply
  sendError (reply: FastifyReply, error: VaultError, requestId: string): FastifyReply
  /** What can be connected, and how; the query may have chosen already. */
  sendWays (reply: FastifyReply, of: InLink & { readonly ways: readonly Way[], readonly query: Posted }): FastifyReply
  /** A form that has to be filled in better. */
  sendEntry (reply: FastifyReply, of: InLink & Entered & { readonly errors: readonly FieldError[], readonly others: boolean }): FastifyReply
  sendStep (reply: FastifyReply, of: InLink & LinkStep & { readonly entered?: Entered & { readonly others: boolean } | undefined }): FastifyReply
}

interface Options {
  readonly productName: string
  readonly publicUrl: () => string
  readonly nameIntegration: (id: string) => string
}

/** What every page is sent with. Nothing is loaded but its own style, and nobody may frame it or learn its address. */
const HEADERS = {
  'content-security-policy': [
    'default-src \'none\'', `style-src 'sha256-${sha256(STYLE).toString('base64')}'`, 'form-action \'self\'', 'frame-ancestors \'none\'', 'base-uri \'none\'',
  ].join('; '),
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
}

/** The pages as answers. */
export function createScreens ({ productName, publicUrl, nameIntegration }: Options): Screens {
  const frameOf = ({ token, session }: InLink): SessionFrame => ({
    productName, environment: session.environment, address: `${new URL(publicUrl()).pathname.replace(/\/$/, '')}/connect/${token}`, workspace: session.workspace_id,
    actor: session.actor, name: session.name, reconnects: session.reconnect_id !== null, confirmed: session.confirmation === 'required',
  })
  const say = (reply: FastifyReply, message: Message & { leadsTo?: string | undefined }, session?: SessionRow) =>
    sendPage(reply, renderMessage(message, { productName, environment: session?.environment, leadsTo: message.leadsTo }))

  const sendEntry: Screens['sendEntry'] = (reply, { way, values, errors, others, ...of }) =>
    sendPage(reply, renderEntryForm(frameOf(of), { way, values, errors, others, fields: fieldsToEnter(way), nameOf: fieldName }))

  return Object.freeze({
    headers: HEADERS,
    sendElsewhere: (reply: FastifyReply) => say(reply.code(403), ELSEWHERE(productName)),
    sendForeign: (reply: FastifyReply) => say(reply.code(403), FOREIGN(productName)),
    sendStale: (reply: FastifyReply) => say(reply.code(400), STALE(productName)),
    sendCancelled: (reply: FastifyReply, session: SessionRow) => say(reply, {
      sign: 'wait', title: 'Cancelled', text: ['Nothing was connected, and what had been granted is given up.'], deeds: wayBack(session, productName),
    }, session),
    sendConfirming: (reply: FastifyReply, of: InLink) => say(reply, {
      sign: 'good', title: 'Almost done', text: [`The account is linked. Go back to ${productName} to finish.`],
      deeds: [{ label: `Continue to ${productName}`, to: frameOf(of).address, action: 'retry' }],
    }, of.session),
    sendError: (reply: FastifyReply, error: VaultError, requestId: string) =>
      say(reply.code(ERRORS[error.code].status), describeFailure(error, { productName, requestId })),

    sendWays: (reply: FastifyReply, { ways, query, ...of }: InLink & { readonly ways: readonly Way[], readonly query: Posted }) => {
      const chosen = chooseWays(ways, query)
      const [first] = chosen
      if (first === undefined) return say(reply.code(409), describeFailure(new VaultError('oauth_app_missing'), { productName, requestId: reply.request.id }), of.session)
      if (chosen.length === 1) return sendEntry(reply, { ...of, way: first, values: {}, errors: [], others: ways.length > 1 })
      return sendPage(reply, renderChooser(frameOf(of), chosen, integrationsIn(chosen) === 1 ? first.integration : undefined))
    },
    sendEntry,
    sendStep: (reply: FastifyReply, { end, entered, ...of }: Parameters<Screens['sendStep']>[1]) => {
      if (end.kind === 'choose') return sendPage(reply, renderPicker(frameOf(of), end))
      // What was pasted is corrected where it was pasted.
      if (end.kind === 'credential_refused' && entered !== undefined && !isLinked(entered.way.scheme)) {
        return sendEntry(reply.code(422), { ...of, ...entered, errors: [{ pointer: '', message: `${entered.way.integration.manifest.name} does not accept it. ${end.detail}` }] })
      }
      const [only, another] = of.session.integrations
      const integration = entered?.way.integration.manifest.name ?? (only !== undefined && another === undefined ? nameIntegration(only) : 'the provider')
      const message = describeEnd(end, { productName, integration, address: frameOf(of).address })
      return say(reply, { ...message, leadsTo: leadsTo(end) }, of.session)
    },
  })
}

function sendPage (reply: FastifyReply, page: string): FastifyReply {
  return reply.type('text/html; charset=utf-8').send(page)
}

const ELSEWHERE = (productName: string): Message => ({
  sign: 'bad', title: 'Opened elsewhere',
  text: ['This link is already in use in another browser, or this browser does not accept cookies.', `Go on where you opened it first, or ask for a new link in ${productName}.`],
})

const FOREIGN = (productName: string): Message => ({
  sign: 'bad', title: 'Sent from another site',
  text: ['Nothing was connected: what was sent did not come from this page.', `Open the link that you got from ${productName}.`],
})

const STALE = (productName: string): Message => ({
  sign: 'bad', title: 'This step can’t be repeated',
  text: ['The answer that came back belongs to no step that is under way in this browser. Nothing was connected.', `Open the link from ${productName} again to go on.`],
})

/** The way on that the browser takes by itself. Not a redirect: a page's form-action would be held against each hop of it. */
function leadsTo (end: LinkEnd): string | undefined {
  return end.kind === 'authorize' || end.kind === 'return' ? end.to : undefined
}

function wayBack ({ return_url: returnUrl, id }: SessionRow, productName: string): Deed[] {
  if (returnUrl === null) return []
  const url = new URL(returnUrl)
  url.searchParams.set('session_id', id)
  url.searchParams.set('error', 'cancelled')
  return [{ label: `Back to ${productName}`, href: url.href }]
}

/** Those that the query leaves to choose from. */
function chooseWays (ways: readonly Way[], query: Posted): readonly Way[] {
  const ofIntegration = ways.filter(({ integration }) => integration.manifest.id === query['integration'])
  const exact = ofIntegration.filter(({ scheme }) => scheme.id === query['auth'])
  if (exact.length > 0) return exact
  return ofIntegration.length > 0 ? ofIntegration : ways
}

function integrationsIn (ways: readonly Way[]): number {
  return new Set(ways.map(({ integration }: { integration: Integration }) => integration.manifest.id)).size
}
