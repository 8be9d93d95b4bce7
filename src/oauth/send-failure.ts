import type { SendFailure } from '../egress/index.ts'
import type { GrantOutcome } from './provider.ts'

/** What a token request without a whole answer came to. A status that carries nothing out says enough without its body. */
export function judgeSendFailure ({ kind, maybeSent, detail, status }: SendFailure): Exclude<GrantOutcome, { kind: 'granted' | 'rejected' }> {
  if (!maybeSent) return { kind: 'try_later', error: kind, description: detail }
  return status !== undefined && (status === 429 || status >= 500)
    ? { kind: 'try_later', error: `http_${status}`, description: detail, status }
    : { kind: 'outcome_unknown', description: detail }
}
