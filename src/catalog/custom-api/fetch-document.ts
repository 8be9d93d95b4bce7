import { exceptionFor, type Egress } from '../../egress/index.ts'
import { ImportError } from './import-error.ts'

const BYTES_MAX = 25 * 1_024 * 1_024
const TIMEOUT_MS = 30_000

/** Fetches a document through the guarded way out, redirects not followed. Throws an ImportError that says why it could not. */
export async function fetchDocument (egress: Pick<Egress, 'send'>, source: string): Promise<Uint8Array> {
  const url = URL.parse(source)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') throw new ImportError('/url', 'is no https URL')
  const answer = await egress.send('document', {
    method: 'GET', url, headers: { accept: 'application/json, application/yaml, */*', 'user-agent': 'connection-vault' }, timeoutMs: TIMEOUT_MS, maxResponseBytes: BYTES_MAX,
  })
  if (answer.kind !== 'answer') {
    const opened = answer.kind === 'blocked' ? exceptionFor(url) : undefined
    throw new ImportError('/url', `can’t be fetched: ${answer.detail.replace(/\.$/, '')}${opened === undefined ? '' : `, unless an operator lists ${opened} in EGRESS_ALLOW_DOCUMENT`}`)
  }
  if (answer.status === 200) return answer.body
  const redirected = answer.status >= 300 && answer.status < 400
  throw new ImportError('/url', `can’t be fetched: ${url.hostname} answered ${answer.status}${redirected ? '; redirects are not followed: name where it leads' : ''}`)
}
