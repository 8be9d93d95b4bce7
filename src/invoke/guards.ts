import type { IntegrationAction } from '../catalog/index.ts'
import type { UsableConnection } from '../connections/index.ts'
import { VaultError } from '../errors.ts'
import type { ActionUse } from './use.ts'

/** What only agents can do. */
export function requireDirect ({ encryptedInput, later, queueSeconds }: ActionUse): void {
  if (encryptedInput !== undefined || later === true || queueSeconds !== undefined) throw new VaultError('mode_unsupported')
}

export function requireAllowed (connection: UsableConnection, { definition }: { definition: Pick<IntegrationAction['definition'], 'name'> }): void {
  const { allowed_actions: allowed } = connection.row
  if (allowed !== null && !allowed.includes(definition.name)) throw new VaultError('action_not_allowed', { detail: `This connection allows: ${allowed.join(', ')}.` })
}
