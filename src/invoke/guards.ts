import type { IntegrationAction } from '../catalog/index.ts'
import type { UsableConnection } from '../connections/index.ts'
import { VaultError } from '../errors.ts'
import type { ActionUse } from './use.ts'

/** What only agents can do. */
export function requireDirect ({ encryptedInput, later, queueSeconds }: ActionUse): void {
  const asked = encryptedInput !== undefined ? 'encrypted_input' : later === true ? 'mode: async' : queueSeconds !== undefined ? 'queue_seconds' : undefined
  if (asked !== undefined) throw new VaultError('mode_unsupported', { detail: `\`${asked}\` is for private connections, and this is none.` })
}

export function requireAllowed (connection: UsableConnection, { definition }: { definition: Pick<IntegrationAction['definition'], 'name'> }): void {
  const { allowed_actions: allowed } = connection.row
  if (allowed === null || allowed.includes(definition.name)) return
  throw new VaultError('action_not_allowed', { detail: allowed.length === 0 ? 'This connection allows no action.' : `This connection allows: ${allowed.join(', ')}.` })
}
