import type { Preset, Scope } from '../access/index.ts'
import { isId } from '../ids.ts'
import type { AuditEventName, AuditPrincipal, Ledger } from '../ledger/index.ts'
import type { TokenRow, Tx } from '../store/index.ts'
import { fail, failMissing, print, printError, table } from './output.ts'
import { withRooms } from './session.ts'

export interface TokenOptions {
  readonly name: string
  readonly preset?: Preset
  readonly scopes?: Scope[]
  readonly workspaces: string[]
  readonly environments: string[]
  readonly expiresAt?: string
}

/** Whoever can run the CLI has the database and the keyring: the record names the verb, not a person. */
const OPERATOR: AuditPrincipal = { kind: 'operator', id: 'cli', actor: null }

export function recorder (ledger: Pick<Ledger, 'recordIn'>, event: AuditEventName) {
  return async (tx: Tx, row: TokenRow): Promise<void> => {
    await ledger.recordIn(tx, {
      event, outcome: 'ok', principal: OPERATOR,
      details: { token_id: row.id, scopes: row.scopes, workspaces: row.workspaces, environments: row.environments },
    })
  }
}

export async function createServiceToken (options: TokenOptions): Promise<void> {
  const expiresAt = options.expiresAt === undefined ? undefined : new Date(options.expiresAt)
  if (expiresAt !== undefined && Number.isNaN(expiresAt.getTime())) fail('--expires-at must be an instant such as 2027-01-31T00:00:00Z')
  await withRooms(async ({ access, ledger }) => {
    const made = await access.tokens.create({ ...options, expiresAt }, { by: 'operator', record: recorder(ledger, 'token.created') })
    printError(`${made.row.id}: shown once, on standard output`)
    print(made.token ?? '')
  })
}

export async function listServiceTokens (): Promise<void> {
  await withRooms(async ({ access }) => {
    const rows = await access.tokens.list({ limit: 1_000 })
    print(table(['id', 'name', 'workspaces', 'environments', 'scopes', 'expires', 'revoked'], rows.map((row) => [
      row.id, row.name, row.workspaces.join(','), row.environments.join(','), row.scopes.join(','),
      row.expires_at?.toISOString() ?? 'never', row.revoked_at?.toISOString() ?? 'no',
    ])))
  })
}

export async function revokeServiceToken (id: string): Promise<void> {
  if (!isId('token', id)) fail('that is not a token’s id (tok_…)')
  await withRooms(async ({ access, ledger }) => {
    const row = await access.tokens.revoke(id, { by: 'operator', record: recorder(ledger, 'token.revoked') }).catch(failMissing(`there is no token ${id}: \`tokens list\` shows those there are`))
    print(`${row.id} revoked at ${row.revoked_at?.toISOString() ?? ''}`)
  })
}
