import type { Manifest } from '../catalog/index.ts'
import type { Environment } from '../ids.ts'
import { listAccountTwins, type ConnectionView, type Executor } from '../store/index.ts'

/** A connection as it is now. */
export interface Warned {
  readonly row: Pick<ConnectionView, 'workspace_id' | 'environment' | 'integration' | 'hosts' | 'account_id'>
  readonly manifest: Manifest
}

/**
 * What is worth saying of a connection when it is made, given another credential, or tested. A
 * connection of an environment that the caller may not see is not named.
 */
export async function listWarnings (on: Executor, { row, manifest }: Warned, visible: readonly Environment[]): Promise<string[]> {
  if (!isShared(manifest)) return []
  const { account_id: account, hosts } = row
  const twins = account === null ? [] : await listAccountTwins(on, row, { account, hosts })
  if (twins.length === 0) return row.environment === 'sandbox' ? [describeShared(manifest)] : []
  const said = twins.map(({ environment, name }) => `The same account is connected in ${environment}${visible.includes(environment) ? ` as ${name}` : ''}: ${manifest.name} has no sandbox, so sandbox runs change live data.`)
  // Those that are not named are told apart by nothing.
  return [...new Set(said)]
}

/** Whether nothing tells the credentials of sandbox from those of live. */
export function isShared ({ separation, environments }: Manifest): boolean {
  return separation === 'none' && environments.length > 1
}

/** What whoever asked for a test should know where none was made. */
export function describeUntested ({ name }: Manifest): string {
  return `${name} has no test request: the new credential has not been tried. Run an action that reads.`
}

/** What whoever enters a sandbox credential of such an integration should know. */
export function describeShared ({ name }: Manifest): string {
  return `${name} does not tell sandbox from live: what sandbox runs do with this connection, they do in a real account. Use one that is kept for tests.`
}
