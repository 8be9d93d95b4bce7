import { sha256, type Macs } from '../../crypto/index.ts'
import type { Idempotency } from '../../store/index.ts'

interface Meant {
  /** Keeps keys of one kind of request apart from those of others. */
  readonly kind?: string
  /** All that makes the request the one it is. Kept only as a MAC: it may hold a credential, and a bare hash of that could be guessed at. */
  readonly text: string
}

/** What makes this request the repeat of an earlier one; undefined without an Idempotency-Key. Throws `kek_unavailable`. */
export async function readIdempotency (macs: Macs, key: string | undefined, { kind, text }: Meant): Promise<Idempotency | undefined> {
  if (key === undefined) return undefined
  return { keyHash: sha256(kind === undefined ? key : `${kind} ${key}`), fingerprint: await macs.fingerprint(text) }
}
