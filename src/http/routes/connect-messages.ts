import type { LinkEnd } from '../../connections/index.ts'
import { ERRORS, type ErrorCode, type VaultError } from '../../errors.ts'
import type { Message } from '../pages/message.ts'

interface About {
  readonly productName: string
  /** Its name. */
  readonly integration: string
  /** Of the session's page. */
  readonly address: string
}

/** What a step came to, in words for the person it happened to. */
export function describeEnd (end: Exclude<LinkEnd, { kind: 'choose' }>, about: About): Message {
  const { productName, integration, address } = about
  const again = { label: 'Try again', href: address }
  const cancel = { label: 'Cancel', to: address, action: 'cancel' }
  switch (end.kind) {
    case 'authorize': return { sign: 'go', title: `Taking you to ${integration}`, text: ['Sign in there and agree; you come back by yourself.'], deeds: [{ label: `Continue to ${integration}`, href: end.to }] }
    case 'return': return { sign: 'good', title: `${capitalise(integration)} is linked`, text: [`Taking you back to ${productName} to finish.`], deeds: [{ label: `Continue to ${productName}`, href: end.to }] }
    case 'completed': return { sign: 'good', title: `${capitalise(integration)} is connected`, text: [...end.warnings, 'You can close this window.'], deeds: end.returnUrl === null ? [] : [{ label: `Back to ${productName}`, href: end.returnUrl }] }
    case 'unreachable': return {
      sign: 'wait', title: `${capitalise(integration)} can’t be reached`, text: ['What you have done so far is kept for a few minutes.'], note: end.detail,
      deeds: [{ label: 'Try again', to: address, action: 'retry' }, cancel],
    }
    case 'wrong_account': return {
      sign: 'bad', title: 'That is another account', text: [`This connection belongs to ${end.expected}, and you signed in to ${end.reached}.`, 'Nothing was changed. Sign in to the first one, or ask for a new connection.'],
      deeds: [again, cancel],
    }
    case 'credential_refused': return { sign: 'bad', title: `${capitalise(integration)} does not accept the access it gave`, text: ['Nothing was connected.'], note: end.detail, deeds: [again, cancel] }
    case 'nothing_granted': return { sign: 'bad', title: 'There is nothing to connect', text: [end.detail], deeds: [again, cancel] }
    case 'provider_refused': return { sign: 'bad', title: `${capitalise(integration)} did not agree`, text: ['Nothing was connected. If you declined, that is all; if not, try again.'], note: `${capitalise(integration)} says: ${end.detail}`, deeds: [again, cancel] }
    case 'exchange_lost': return { sign: 'wait', title: `${capitalise(integration)} did not answer as expected`, text: ['It can’t be told whether access was given. Sign in once more.'], note: end.detail, deeds: [again, cancel] }
    default: return {
      sign: 'bad', title: `${capitalise(integration)} is not set up correctly`, text: [`The way ${productName} introduces itself to ${integration} is refused. Whoever looks after ${productName} has to mend it; trying again does not help.`],
      note: end.detail, deeds: [cancel],
    }
  }
}

/** What kept a page from being shown. */
export function describeFailure (error: VaultError, { productName, requestId }: { productName: string, requestId: string }): Message {
  const known = FAILURES[error.code]
  if (error.code === 'connect_session_ended') return describeEnded(error.details.meta?.['ended_reason'], productName)
  if (known !== undefined) return { sign: 'bad', title: known[0], text: [known[1].replaceAll('{product}', productName)], note: `Reference: ${requestId}` }
  if (ERRORS[error.code].status >= 500) {
    return { sign: 'wait', title: 'Something is wrong on our side', text: ['Nothing was lost. Try again in a moment.'], note: `Reference: ${requestId}` }
  }
  return { sign: 'bad', title: ERRORS[error.code].title, text: [error.details.detail ?? 'The page can’t go on like this. Open the link once more.'], note: `Reference: ${requestId}` }
}

const FAILURES: Partial<Record<ErrorCode, readonly [title: string, text: string]>> = {
  not_found: ['This link leads nowhere', 'It may be incomplete: copy the whole of it, or ask for a new one in {product}.'],
  request_invalid: ['This link leads nowhere', 'It may be incomplete: copy the whole of it, or ask for a new one in {product}.'],
  rate_limited: ['Too many attempts', 'Wait a minute, then go on.'],
  oauth_app_missing: ['This can’t be connected yet', 'Whoever looks after {product} has to register it with the provider first.'],
  oauth_app_broken: ['This is not set up correctly', 'Whoever looks after {product} has to enter the provider’s client secret again.'],
  connect_session_unconfirmed: ['There is nothing to go on with', 'Open the link from {product} again and start anew.'],
}

function describeEnded (reason: unknown, productName: string): Message {
  if (reason === 'completed') return { sign: 'good', title: 'Already connected', text: ['This link has done its work. You can close this window.'] }
  const why = ENDED[String(reason)] ?? 'It was ended.'
  return { sign: 'wait', title: 'This link has ended', text: [why, `Ask for a new one in ${productName}.`] }
}

const ENDED: Readonly<Record<string, string>> = {
  expired: 'It was good for 15 minutes.',
  unconfirmed: 'The account was linked, but not confirmed in time; its access was given up.',
  cancelled: 'It was cancelled.',
  wrong_actor: 'Another person finished it than it was made for; the access was given up.',
  wrong_code: 'It was finished with a wrong code; the access was given up.',
}

function capitalise (text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
