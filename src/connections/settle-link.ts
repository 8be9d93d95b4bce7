import type { Catalog } from '../catalog/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { deletePendingLink, findPendingLink, lockSession, type Database, type SessionRow } from '../store/index.ts'
import type { Caller } from './caller.ts'
import { ended, type BroughtEnd, type LinkKeeper } from './pending-link.ts'
import { promoteLink } from './promote-link.ts'
import type { DiscardReason, Revoker } from './revoke.ts'

/** How a step of linking ended; the page shows it. */
export type LinkEnd =
  | { readonly kind: 'authorize' | 'return', readonly to: string }
  | { readonly kind: 'completed', readonly returnUrl: string | null, readonly warnings: readonly string[] }
  | Exclude<BroughtEnd, { kind: 'confirm' }>
  | { readonly kind: 'provider_refused' | 'app_broken' | 'exchange_lost', readonly detail: string }

export interface LinkStep {
  readonly session: SessionRow
  readonly end: LinkEnd
}

export interface InSession {
  readonly session: SessionRow
  readonly caller: Caller
}

export type Settler = ((of: InSession, end: BroughtEnd) => Promise<LinkStep>) & { again (of: InSession): Promise<LinkStep> }

interface Options {
  readonly database: Pick<Database, 'transaction'>
  readonly catalog: Catalog
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly revoker: Revoker
  readonly keeper: LinkKeeper
}

/** What follows from what was brought: the way back with a code, a connection at once, or giving up the grant. */
export function createSettler ({ database, ledger, revoker, keeper, catalog }: Options): Settler {
  const returnTo = (session: SessionRow, code: string): LinkEnd => {
    const url = new URL(session.return_url ?? '')
    url.searchParams.set('session_id', session.id)
    url.searchParams.set('completion_code', code)
    return { kind: 'return', to: url.href }
  }
  const complete = async ({ session, caller }: InSession): Promise<LinkStep> => {
    const done = await database.transaction(async (tx) => {
      const link = await findPendingLink(tx, session)
      if (link === undefined) throw ended(await lockSession(tx, session))
      return await promoteLink(tx, { session, link, name: session.name, caller, ledger, revoker, catalog })
    })
    revoker.soon(done.revocation)
    return { session, end: { kind: 'completed', returnUrl: session.return_url, warnings: done.warnings } }
  }
  const discard = async ({ session }: InSession, reason: DiscardReason): Promise<void> => {
    revoker.soon(await database.transaction(async (tx) => {
      const link = await findPendingLink(tx, session)
      if (link === undefined) return undefined
      const id = await revoker.discardLink(tx, link, reason)
      await deletePendingLink(tx, session)
      return id
    }))
  }
  const settle = async (of: InSession, end: BroughtEnd): Promise<LinkStep> => {
    const { session } = of
    if (end.kind === 'confirm') return session.confirmation === 'none' ? await complete(of) : { session, end: returnTo(session, end.code) }
    if (end.kind === 'wrong_account') await discard(of, 'wrong_account')
    if (end.kind === 'credential_refused' || end.kind === 'nothing_granted') await discard(of, 'refused')
    return { session, end }
  }
  const again = async ({ session }: InSession): Promise<LinkStep> => ({ session, end: returnTo(session, await keeper.renewCode(session)) })
  return Object.assign(settle, { again })
}
